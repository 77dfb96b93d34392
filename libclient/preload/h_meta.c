/*
 * h_meta.c - hooks: links and real paths, extended attributes, file systems,
 * the working directory.
 */
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <limits.h>
#include <stdlib.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/xattr.h>
#include <unistd.h>

extern void *malloc(size_t len) LIBC_WEAK;

/* ---- readlink -------------------------------------------------------------------------- */

static ssize_t readlink_at(int dirfd, const char *path, char *buf, size_t len)
{
	struct spot s;
	ssize_t r;

	if ((int)len <= 0)
		return -EINVAL;
	paths_look(&s, dirfd, path, PATHS_NOFOLLOW);
	do
		r = s.kind == SPOT_ERROR  ? s.error
		    : s.kind == SPOT_FILE ? -EINVAL
					  : sys_call4(__NR_readlinkat, dirfd, path, buf, len);
	while (r == -ENOENT && paths_again(&s));
	paths_done(&s);
	return r;
}

EXPORT ssize_t readlink(const char *path, char *buf, size_t len)
{
	return answer(readlink_at(AT_FDCWD, path, buf, len));
}

EXPORT ssize_t readlinkat(int dirfd, const char *path, char *buf, size_t len)
{
	return answer(readlink_at(dirfd, path, buf, len));
}

EXPORT ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room);
ssize_t __readlink_chk(const char *path, char *buf, size_t len, size_t room)
{
	if (len > room)
		__builtin_trap(); /* as libc: the program is about to overrun its buffer */
	return readlink(path, buf, len);
}

EXPORT ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t len, size_t room);
ssize_t __readlinkat_chk(int dirfd, const char *path, char *buf, size_t len, size_t room)
{
	if (len > room)
		__builtin_trap();
	return readlinkat(dirfd, path, buf, len);
}

/* ---- realpath --------------------------------------------------------------------------- */

/* The real path of a store file; NULL and errno. */
static char *real_of_spot(const struct spot *s, char *out)
{
	char buf[PATH_MAX];
	int n;

	if (s->kind == SPOT_ERROR)
		n = s->error;
	else
		n = paths_full_real(s->snap, s->entry, buf, sizeof(buf));
	if (n >= 0 && out == NULL && malloc != NULL)
		out = malloc((size_t)n + 1);
	if (n >= 0 && out == NULL)
		n = -ENOMEM;
	if (n < 0) {
		errno_set(-n);
		return NULL;
	}
	mem_copy(out, buf, (size_t)n + 1);
	return out;
}

static char *real_path(const char *path, char *out)
{
	__typeof(&realpath) libc = NEXT(realpath);
	int before = errno_get();
	struct spot s;
	char *r;

	paths_look(&s, AT_FDCWD, path, 0);
	do
		r = s.kind >= SPOT_FILE ? real_of_spot(&s, out)
		    : libc != NULL	? libc(path, out)
					: NULL;
	while (r == NULL && errno_get() == ENOENT && paths_again(&s));
	paths_done(&s);
	if (r != NULL)
		errno_set(before);
	return r;
}

EXPORT char *realpath(const char *path, char *out)
{
	return real_path(path, out);
}

EXPORT char *canonicalize_file_name(const char *path)
{
	return real_path(path, NULL);
}

EXPORT char *__realpath_chk(const char *path, char *out, size_t room);
char *__realpath_chk(const char *path, char *out, size_t room)
{
	if (room < PATH_MAX)
		__builtin_trap();
	return real_path(path, out);
}

/* ---- extended attributes: a store file has none ------------------------------------------- */

/* What `call` says of a path that is not the store's; `ours` of one that is. */
#define ON_PATH(path, flags, ours, call)                                                           \
	({                                                                                         \
		struct spot spot_;                                                                 \
		long r_;                                                                           \
		paths_look(&spot_, AT_FDCWD, path, flags);                                         \
		do                                                                                 \
			r_ = spot_.kind == SPOT_ERROR  ? spot_.error                               \
			     : spot_.kind == SPOT_FILE ? (ours)                                    \
						       : (call);                                   \
		while (r_ == -ENOENT && paths_again(&spot_));                                      \
		paths_done(&spot_);                                                                \
		answer(r_);                                                                        \
	})

#define ON_FD(fd, ours, call)                                                                      \
	({                                                                                         \
		struct ofd *o_ = fds_get(fd);                                                      \
		long r_ = o_ != NULL ? (ours) : (call);                                            \
		if (o_ != NULL)                                                                    \
			fds_put(o_);                                                               \
		answer(r_);                                                                        \
	})

EXPORT ssize_t getxattr(const char *path, const char *name, void *value, size_t len)
{
	return ON_PATH(path, 0, -ENODATA, sys_call4(__NR_getxattr, path, name, value, len));
}

EXPORT ssize_t lgetxattr(const char *path, const char *name, void *value, size_t len)
{
	return ON_PATH(path, PATHS_NOFOLLOW, -ENODATA,
		       sys_call4(__NR_lgetxattr, path, name, value, len));
}

EXPORT ssize_t fgetxattr(int fd, const char *name, void *value, size_t len)
{
	return ON_FD(fd, -ENODATA, sys_call4(__NR_fgetxattr, fd, name, value, len));
}

EXPORT ssize_t listxattr(const char *path, char *list, size_t len)
{
	return ON_PATH(path, 0, 0, sys_call3(__NR_listxattr, path, list, len));
}

EXPORT ssize_t llistxattr(const char *path, char *list, size_t len)
{
	return ON_PATH(path, PATHS_NOFOLLOW, 0, sys_call3(__NR_llistxattr, path, list, len));
}

EXPORT ssize_t flistxattr(int fd, char *list, size_t len)
{
	return ON_FD(fd, 0, sys_call3(__NR_flistxattr, fd, list, len));
}

/* ---- file systems: that of the local directory ---------------------------------------------- */

EXPORT int statfs(const char *path, struct statfs *ret)
{
	return (int)ON_PATH(path, 0, sys_call2(__NR_statfs, paths_dir(), ret),
			    sys_call2(__NR_statfs, path, ret));
}
ALIAS(statfs64, statfs);
ALIAS(__statfs, statfs);

EXPORT int fstatfs(int fd, struct statfs *ret)
{
	return (int)ON_FD(fd, sys_call2(__NR_statfs, paths_dir(), ret),
			  sys_call2(__NR_fstatfs, fd, ret));
}
ALIAS(fstatfs64, fstatfs);

/* libc makes a statvfs of a statfs and the mount table: let it, for the local directory. */
static long libc_statvfs(const char *path, struct statvfs *ret)
{
	__typeof(&statvfs) libc = NEXT(statvfs);
	int before = errno_get(), r;

	if (libc == NULL)
		return -ENOSYS;
	r = libc(path, ret) == 0 ? 0 : -errno_get();
	errno_set(before);
	return r;
}

static long libc_fstatvfs(int fd, struct statvfs *ret)
{
	__typeof(&fstatvfs) libc = NEXT(fstatvfs);
	int before = errno_get(), r;

	if (libc == NULL)
		return -ENOSYS;
	r = libc(fd, ret) == 0 ? 0 : -errno_get();
	errno_set(before);
	return r;
}

EXPORT int statvfs(const char *path, struct statvfs *ret)
{
	return (int)ON_PATH(path, 0, libc_statvfs(paths_dir(), ret), libc_statvfs(path, ret));
}
ALIAS(statvfs64, statvfs);

EXPORT int fstatvfs(int fd, struct statvfs *ret)
{
	return (int)ON_FD(fd, libc_statvfs(paths_dir(), ret), libc_fstatvfs(fd, ret));
}
ALIAS(fstatvfs64, fstatvfs);

/* ---- the working directory -------------------------------------------------------------------- */

EXPORT int chdir(const char *path)
{
	int r = (int)ON_PATH(path, 0, -ENOTDIR, sys_call1(__NR_chdir, path));

	if (r == 0)
		paths_cwd_changed();
	return r;
}

EXPORT int fchdir(int fd)
{
	int r = (int)answer(sys_call1(__NR_fchdir, fd));

	if (r == 0)
		paths_cwd_changed();
	return r;
}
