/*
 * h_dir.c - hooks: directory streams.  A directory of the mount gets a stream of
 * our own (listing.h) over its real descriptor; every other one libc's.
 *
 * As in libc, two threads that read one stream need a lock of their own.
 */
#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"
#include "libclient/preload/dirstream.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/listing.h"
#include "libclient/preload/next.h"
#include "libclient/preload/open.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <dirent.h>
#include <stdlib.h>
#include <unistd.h>

#define MAGIC 0x6d61657274736f21ull /* no libc's stream begins so: they hold a descriptor there */

struct stream {
	uint64_t magic;
	int fd;
	struct listing *listing;
};

_Static_assert(sizeof(struct dirent) == sizeof(struct dirent64), "64-bit machines have one");

static struct stream *ours(DIR *d)
{
	struct stream *s = (struct stream *)d;

	return s != NULL && s->magic == MAGIC ? s : NULL;
}

bool dirstream_is_ours(DIR *d)
{
	return ours(d) != NULL;
}

/* A stream over a descriptor, which it takes over on success; NULL and errno. */
static DIR *stream_of(int fd)
{
	__typeof(&fdopendir) libc = NEXT(fdopendir);
	struct snap *snap;
	struct stream *s;
	uint32_t entry;
	int r;

	r = paths_dir_of_fd(fd, &snap, &entry);
	if (r == 0)
		return libc != NULL ? libc(fd) : NULL;
	s = r < 0 ? NULL : arena_alloc(sizeof(*s));
	if (r > 0)
		r = s == NULL ? -ENOMEM : listing_new(fd, snap, entry, &s->listing);
	if (r < 0) {
		arena_free(s);
		errno_set(-r);
		return NULL;
	}
	s->magic = MAGIC;
	s->fd = fd;
	return (DIR *)s;
}

DIR *dirstream_open(int dirfd, const char *path)
{
	int fd = open_at(dirfd, path, O_RDONLY | O_NONBLOCK | O_DIRECTORY | O_CLOEXEC, 0);
	DIR *d;

	if (fd < 0) {
		errno_set(-fd);
		return NULL;
	}
	d = stream_of(fd);
	if (d == NULL) {
		fds_forget(fd);
		sys_close(fd);
	}
	return d;
}

EXPORT DIR *opendir(const char *path)
{
	__typeof(&opendir) libc;
	DIR *d;

	if (!paths_on()) {
		libc = NEXT(opendir);
		if (libc != NULL)
			return libc(path);
	}
	d = dirstream_open(AT_FDCWD, path);
	trace_answer(__func__, d != NULL ? 0 : -errno_get());
	return d;
}

EXPORT DIR *fdopendir(int fd)
{
	int flags = fds_is_dir(fd) ? sys_fcntl(fd, F_GETFL, 0) : 0;

	if (flags < 0 || (flags & O_PATH) != 0) {
		errno_set(EBADF);
		return NULL;
	}
	return stream_of(fd);
}

EXPORT int closedir(DIR *d)
{
	__typeof(&closedir) libc = NEXT(closedir);
	struct stream *s = ours(d);
	int r;

	if (s == NULL) {
		/* Its descriptor is closed inside libc. */
		if (fds_end != 0)
			fds_forget(dirfd(d));
		return libc(d);
	}
	listing_free(s->listing);
	fds_forget(s->fd);
	r = sys_close(s->fd);
	s->magic = 0;
	arena_free(s);
	return (int)answer(r);
}

EXPORT int dirfd(DIR *d)
{
	__typeof(&dirfd) libc = NEXT(dirfd);
	struct stream *s = ours(d);

	return s != NULL ? s->fd : libc(d);
}

EXPORT struct dirent *readdir(DIR *d)
{
	__typeof(&readdir) libc;
	struct stream *s = ours(d);
	struct dirent64 *e;
	int r;

	if (s == NULL) {
		libc = NEXT(readdir);
		return libc(d);
	}
	r = listing_next(s->listing, &e);
	if (r < 0)
		errno_set(-r);
	return r > 0 ? (struct dirent *)e : NULL;
}
ALIAS(readdir64, readdir);

/* Returns its errno. */
EXPORT int readdir_into(DIR *d, struct dirent *into, struct dirent **ret) __asm__("readdir_r");
int readdir_into(DIR *d, struct dirent *into, struct dirent **ret)
{
	__typeof(&readdir_into) libc;
	struct stream *s = ours(d);
	struct dirent64 *e;
	int r;

	if (s == NULL) {
		libc = NEXT_LIKE(readdir_r, readdir_into);
		return libc(d, into, ret);
	}
	r = listing_next(s->listing, &e);
	*ret = r > 0 ? into : NULL;
	if (r > 0)
		mem_copy(into, e, offsetof(struct dirent64, d_name) + mem_len(e->d_name) + 1);
	return r < 0 ? -r : 0;
}
extern __typeof(readdir_into) readdir64_into __asm__("readdir64_r")
	__attribute__((alias("readdir_r"), visibility("default")));

EXPORT void rewinddir(DIR *d)
{
	__typeof(&rewinddir) libc = NEXT(rewinddir);
	struct stream *s = ours(d);

	if (s != NULL)
		listing_rewind(s->listing);
	else
		libc(d);
}

EXPORT long telldir(DIR *d)
{
	__typeof(&telldir) libc = NEXT(telldir);
	struct stream *s = ours(d);

	return s != NULL ? (long)listing_tell(s->listing) : libc(d);
}

EXPORT void seekdir(DIR *d, long position)
{
	__typeof(&seekdir) libc = NEXT(seekdir);
	struct stream *s = ours(d);

	if (s != NULL)
		listing_seek(s->listing, position);
	else
		libc(d, position);
}
