#define LOG_MODULE "memory"
#include "daemon/cache/memhome.h"

#include "daemon/base/log.h"
#include "daemon/cache/memavail.h"
#include "daemon/cache/userns.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static char place[PATH_MAX]; /* the mount point; empty: memfds */
static char home[PATH_MAX];  /* the same, as this process reaches it */
static struct userns ns;     /* where it is mounted, for one that is not root */
static bool in_ns;
static uint64_t bound; /* bytes that can lie there */

/* Pages that readers bring back into holes count too, until they are swept: some room for them. */
static uint64_t bound_of(uint64_t cache_size)
{
	uint64_t size = cache_size != 0 ? cache_size : memavail_bytes("");

	return size / 16 * 17 + (64ull << 20);
}

static int mount_as_root(const struct memhome_conf *conf)
{
	if (unshare(CLONE_NEWNS) == -1)
		return -errno;
	/* What others mount is seen here, but what is mounted here stays here. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == -1)
		return -errno;
	memcpy(home, place, sizeof(home));
	bound = bound_of(conf->cache_size);
	return memfile_mount(place, bound, conf->pages);
}

static int make_there(void *arg)
{
	const struct memhome_conf *conf = arg;

	return memfile_mount(place, bound, conf->pages);
}

static int mount_as_user(const struct memhome_conf *conf)
{
	struct memhome_conf own = *conf;
	int r;

	/* Nobody can change it later: all the memory there is. */
	bound = bound_of(0);
	r = userns_make(make_there, &own, place, &ns);
	if (r < 0)
		return r;
	in_ns = true;
	snprintf(home, sizeof(home), "/proc/self/fd/%d", ns.dir_fd);
	return r;
}

static int mount_home(const struct memhome_conf *conf)
{
	int r;

	if ((size_t)snprintf(place, sizeof(place), "%s/memory", conf->parent) >= sizeof(place))
		return -ENAMETOOLONG;
	r = geteuid() == 0 ? mount_as_root(conf) : -EPERM;
	return r == -EPERM ? mount_as_user(conf) : r;
}

static void remove_dirs(void)
{
	char below[PATH_MAX + 4];

	snprintf(below, sizeof(below), "%s/rw", place);
	rmdir(below);
	snprintf(below, sizeof(below), "%s/ro", place);
	rmdir(below);
	rmdir(place);
	place[0] = '\0';
}

int memhome_open(const struct memhome_conf *conf, const char **ret_dir,
		 enum memfile_pages *ret_pages)
{
	static const char *const words[] = { "4 KiB", "up to 256 KiB", "2 MiB" };
	int r;

	*ret_dir = NULL;
	*ret_pages = MEMFILE_SMALL;
	place[0] = '\0';
	if (conf->kind == MEMHOME_MEMFD)
		return 0;
	r = mount_home(conf);
	if (r >= 0) {
		*ret_dir = home;
		*ret_pages = (enum memfile_pages)r;
		log_info("object memory is on a tmpfs of our own, in pages of %s", words[r]);
		return 0;
	}
	remove_dirs();
	if (conf->kind == MEMHOME_TMPFS)
		return r;
	log_info("object memory is in memfds: a tmpfs of our own is not possible (%s)",
		 strerror(-r));
	return 0;
}

int memhome_grow(uint64_t cache_size)
{
	uint64_t wanted = bound_of(cache_size);
	int r;

	if (place[0] == '\0' || wanted <= bound)
		return 0;
	r = in_ns ? -EPERM : memfile_resize(place, wanted);
	if (r == 0)
		bound = wanted;
	return r;
}

void memhome_close(void)
{
	if (place[0] == '\0')
		return;
	if (in_ns)
		userns_close(&ns);
	else
		memfile_unmount(place);
	in_ns = false;
	remove_dirs();
}
