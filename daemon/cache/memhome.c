#define LOG_MODULE "memory"
#include "daemon/cache/memhome.h"

#include "daemon/base/log.h"
#include "daemon/cache/memavail.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static char home[PATH_MAX];

/* Pages that readers bring back into holes count too, until they are swept: some room for them. */
static uint64_t bound_of(uint64_t cache_size)
{
	uint64_t size = cache_size != 0 ? cache_size : memavail_bytes("");

	return size / 16 * 17 + (64ull << 20);
}

static int mount_home(const struct memhome_conf *conf)
{
	if (geteuid() != 0)
		return -EPERM;
	if ((size_t)snprintf(home, sizeof(home), "%s/memory", conf->parent) >= sizeof(home))
		return -ENAMETOOLONG;
	if (unshare(CLONE_NEWNS) == -1)
		return -errno;
	/* What others mount is seen here, but what is mounted here stays here. */
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == -1)
		return -errno;
	return memfile_mount(home, bound_of(conf->cache_size), conf->pages);
}

int memhome_open(const struct memhome_conf *conf, const char **ret_dir,
		 enum memfile_pages *ret_pages)
{
	static const char *const words[] = { "4 KiB", "up to 1 MiB", "2 MiB" };
	int r;

	*ret_dir = NULL;
	*ret_pages = MEMFILE_SMALL;
	home[0] = '\0';
	if (conf->kind == MEMHOME_MEMFD)
		return 0;
	r = mount_home(conf);
	if (r >= 0) {
		*ret_dir = home;
		*ret_pages = (enum memfile_pages)r;
		log_info("object memory is on a tmpfs of our own, in pages of %s", words[r]);
		return 0;
	}
	home[0] = '\0';
	if (conf->kind == MEMHOME_TMPFS)
		return r;
	log_info("object memory is in memfds: a tmpfs of our own is not possible (%s)",
		 strerror(-r));
	return 0;
}

void memhome_close(void)
{
	char below[PATH_MAX + 4];

	if (home[0] == '\0')
		return;
	memfile_unmount(home);
	snprintf(below, sizeof(below), "%s/rw", home);
	rmdir(below);
	snprintf(below, sizeof(below), "%s/ro", home);
	rmdir(below);
	rmdir(home);
	home[0] = '\0';
}
