#include "libclient/preload/inherit.h"

#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/say.h"
#include "libclient/preload/store.h"

#include <dirent.h>

/* A name of digits, or -1. */
static int number(const char *name)
{
	int n = 0;

	if (*name == '\0')
		return -1;
	for (; *name != '\0'; name++) {
		if (*name < '0' || *name > '9' || n > 100000000)
			return -1;
		n = n * 10 + (*name - '0');
	}
	return n;
}

static void look_at(int fd)
{
	char buf[PLACEHOLDER_NAME + 32];
	const char *etag, *path;
	uint64_t size;

	if (placeholder_parse(fd, buf, &etag, &path, &size))
		fds_enter_inherited(fd);
}

void inherit_start(void)
{
	_Alignas(struct dirent64) char buf[1024];
	int dir = sys_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	ssize_t n, at;

	if (dir < 0)
		return;
	while ((n = sys_call3(__NR_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			const struct dirent64 *d = (const struct dirent64 *)(buf + at);
			int fd = number(d->d_name);

			if (fd >= 0 && fd != dir)
				look_at(fd);
			at += d->d_reclen;
		}
	}
	sys_close(dir);
}

static bool same_text(const char *a, const char *b)
{
	size_t n = mem_len(a);

	return n == mem_len(b) && mem_equal(a, b, n);
}

void inherit_open(int fd)
{
	char buf[PLACEHOLDER_NAME + 32];
	const char *etag, *path;
	struct file *f;
	struct ofd *o;
	uint64_t size;
	int r;

	if (!placeholder_parse(fd, buf, &etag, &path, &size)) {
		fds_forget(fd);
		return;
	}
	r = path[0] == '\0' ? -ENAMETOOLONG : store_open_path(path, &f);
	if (r == 0 && (file_size(f) != size || !same_text(file_etag(f), etag))) {
		file_put(f);
		r = -ESTALE;
	}
	if (r != 0) {
		SAY_ONCE("an inherited descriptor cannot be opened again: ", path);
		return;
	}
	o = fds_new(f, 0, 0);
	if (o == NULL) {
		file_put(f);
		return;
	}
	offset_is_in_kernel(o->cell);
	if (fds_enter(fd, o) != 0)
		fds_put(o);
}
