/*
 * h_mutate.c - hooks: whatever would change a name of the store is refused with
 * EROFS; local names below MODEL_DIR are the local directory's.
 */
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <stdio.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

/* `call` unless the path is a file or directory of the store: then `error`. */
#define UNLESS_OURS(dirfd, path, flags, error_, call)                                              \
	({                                                                                         \
		struct spot spot_;                                                                 \
		long r_;                                                                           \
		paths_look(&spot_, dirfd, path, flags);                                            \
		do                                                                                 \
			r_ = spot_.kind == SPOT_ERROR ? spot_.error                                \
			     : spot_.kind >= SPOT_DIR ? -(error_)                                  \
						      : (call);                                    \
		while (r_ == -ENOENT && paths_again(&spot_));                                      \
		paths_done(&spot_);                                                                \
		r_;                                                                                \
	})

/* The same for a descriptor. */
#define UNLESS_OUR_FD(fd, error_, call) answer(fds_is_ours(fd) ? -(error_) : (call))

static int remove_at(int dirfd, const char *path, int flags)
{
	return (int)UNLESS_OURS(dirfd, path, PATHS_NOFOLLOW, EROFS,
				sys_call3(__NR_unlinkat, dirfd, path, flags));
}

EXPORT int unlink(const char *path)
{
	return (int)answer(remove_at(AT_FDCWD, path, 0));
}

EXPORT int unlinkat(int dirfd, const char *path, int flags)
{
	return (int)answer(remove_at(dirfd, path, flags));
}

EXPORT int rmdir(const char *path)
{
	return (int)answer(remove_at(AT_FDCWD, path, AT_REMOVEDIR));
}

EXPORT int remove(const char *path)
{
	int r = remove_at(AT_FDCWD, path, 0);

	if (r == -EISDIR)
		r = remove_at(AT_FDCWD, path, AT_REMOVEDIR);
	return (int)answer(r);
}

static long rename_from(int dirfd, const char *path, int to_dirfd, const char *to, unsigned flags)
{
	return UNLESS_OURS(dirfd, path, PATHS_NOFOLLOW, EROFS,
			   sys_call5(__NR_renameat2, dirfd, path, to_dirfd, to, flags));
}

static long rename_at(int dirfd, const char *path, int to_dirfd, const char *to, unsigned flags)
{
	return UNLESS_OURS(to_dirfd, to, PATHS_NOFOLLOW, EROFS,
			   rename_from(dirfd, path, to_dirfd, to, flags));
}

EXPORT int rename(const char *path, const char *to)
{
	return (int)answer(rename_at(AT_FDCWD, path, AT_FDCWD, to, 0));
}

EXPORT int renameat(int dirfd, const char *path, int to_dirfd, const char *to)
{
	return (int)answer(rename_at(dirfd, path, to_dirfd, to, 0));
}

EXPORT int renameat2(int dirfd, const char *path, int to_dirfd, const char *to, unsigned flags)
{
	return (int)answer(rename_at(dirfd, path, to_dirfd, to, flags));
}

static long link_from(int dirfd, const char *path, int to_dirfd, const char *to, int flags)
{
	return UNLESS_OURS(dirfd, path, PATHS_NOFOLLOW, EROFS,
			   sys_call5(__NR_linkat, dirfd, path, to_dirfd, to, flags));
}

EXPORT int linkat(int dirfd, const char *path, int to_dirfd, const char *to, int flags)
{
	return (int)answer(UNLESS_OURS(to_dirfd, to, PATHS_NOFOLLOW, EEXIST,
				       link_from(dirfd, path, to_dirfd, to, flags)));
}

EXPORT int link(const char *path, const char *to)
{
	return linkat(AT_FDCWD, path, AT_FDCWD, to, 0);
}

EXPORT int symlinkat(const char *target, int dirfd, const char *path)
{
	return (int)answer(UNLESS_OURS(dirfd, path, PATHS_NOFOLLOW, EEXIST,
				       sys_call3(__NR_symlinkat, target, dirfd, path)));
}

EXPORT int symlink(const char *target, const char *path)
{
	return symlinkat(target, AT_FDCWD, path);
}

EXPORT int mkdirat(int dirfd, const char *path, mode_t mode)
{
	return (int)answer(UNLESS_OURS(dirfd, path, PATHS_NOFOLLOW, EEXIST,
				       sys_call3(__NR_mkdirat, dirfd, path, mode)));
}

EXPORT int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

EXPORT int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
	return (int)answer(UNLESS_OURS(dirfd, path, PATHS_NOFOLLOW, EEXIST,
				       sys_call4(__NR_mknodat, dirfd, path, mode, dev)));
}

EXPORT int mknod(const char *path, mode_t mode, dev_t dev)
{
	return mknodat(AT_FDCWD, path, mode, dev);
}

EXPORT int mkfifoat(int dirfd, const char *path, mode_t mode)
{
	return mknodat(dirfd, path, mode | S_IFIFO, 0);
}

EXPORT int mkfifo(const char *path, mode_t mode)
{
	return mknodat(AT_FDCWD, path, mode | S_IFIFO, 0);
}

EXPORT int truncate(const char *path, off_t len)
{
	return (int)answer(
		UNLESS_OURS(AT_FDCWD, path, 0, EROFS, sys_call2(__NR_truncate, path, len)));
}
ALIAS(truncate64, truncate);

EXPORT int ftruncate(int fd, off_t len)
{
	return (int)UNLESS_OUR_FD(fd, EINVAL, sys_ftruncate(fd, len));
}
ALIAS(ftruncate64, ftruncate);

/* ---- modes, owners, times ----------------------------------------------------------------- */

EXPORT int chmod(const char *path, mode_t mode)
{
	return (int)answer(UNLESS_OURS(AT_FDCWD, path, 0, EROFS,
				       sys_call3(__NR_fchmodat, AT_FDCWD, path, mode)));
}

EXPORT int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	__typeof(&fchmodat) libc = NEXT(fchmodat);

	/* libc has its own ways to do without following a link. */
	return (int)answer(
		UNLESS_OURS(dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0,
			    EROFS, libc(dirfd, path, mode, flags) == 0 ? 0 : -errno_get()));
}

EXPORT int fchmod(int fd, mode_t mode)
{
	return (int)UNLESS_OUR_FD(fd, EROFS, sys_call2(__NR_fchmod, fd, mode));
}

static long chown_at(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	return UNLESS_OURS(dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0,
			   EROFS, sys_call5(__NR_fchownat, dirfd, path, uid, gid, flags));
}

EXPORT int chown(const char *path, uid_t uid, gid_t gid)
{
	return (int)answer(chown_at(AT_FDCWD, path, uid, gid, 0));
}

EXPORT int lchown(const char *path, uid_t uid, gid_t gid)
{
	return (int)answer(chown_at(AT_FDCWD, path, uid, gid, AT_SYMLINK_NOFOLLOW));
}

EXPORT int fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
	if ((flags & AT_EMPTY_PATH) != 0 && fds_is_ours(dirfd))
		return (int)answer(-EROFS);
	return (int)answer(chown_at(dirfd, path, uid, gid, flags));
}

EXPORT int fchown(int fd, uid_t uid, gid_t gid)
{
	return (int)UNLESS_OUR_FD(fd, EROFS, sys_call3(__NR_fchown, fd, uid, gid));
}

static long set_times(int dirfd, const char *path, const struct timespec *times, int flags)
{
	return UNLESS_OURS(dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0,
			   EROFS, sys_call4(__NR_utimensat, dirfd, path, times, flags));
}

EXPORT int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
	return (int)answer(set_times(dirfd, path, times, flags));
}

EXPORT int futimens(int fd, const struct timespec times[2])
{
	return (int)UNLESS_OUR_FD(fd, EROFS, sys_call4(__NR_utimensat, fd, NULL, times, 0));
}

static int set_timevals(const char *path, const struct timeval *tv, int flags)
{
	struct timespec ts[2];
	int i;

	for (i = 0; tv != NULL && i < 2; i++) {
		if (tv[i].tv_usec < 0 || tv[i].tv_usec > 999999)
			return -EINVAL;
		ts[i] = (struct timespec){ tv[i].tv_sec, tv[i].tv_usec * 1000 };
	}
	return (int)set_times(AT_FDCWD, path, tv != NULL ? ts : NULL, flags);
}

EXPORT int utimes(const char *path, const struct timeval tv[2])
{
	return (int)answer(set_timevals(path, tv, 0));
}

EXPORT int lutimes(const char *path, const struct timeval tv[2])
{
	return (int)answer(set_timevals(path, tv, AT_SYMLINK_NOFOLLOW));
}

EXPORT int utime(const char *path, const struct utimbuf *times)
{
	struct timeval tv[2];

	if (times == NULL)
		return (int)answer(set_timevals(path, NULL, 0));
	tv[0] = (struct timeval){ times->actime, 0 };
	tv[1] = (struct timeval){ times->modtime, 0 };
	return (int)answer(set_timevals(path, tv, 0));
}

/* ---- extended attributes ------------------------------------------------------------------- */

EXPORT int setxattr(const char *path, const char *name, const void *value, size_t len, int flags)
{
	return (int)answer(UNLESS_OURS(AT_FDCWD, path, 0, EROFS,
				       sys_call5(__NR_setxattr, path, name, value, len, flags)));
}

EXPORT int lsetxattr(const char *path, const char *name, const void *value, size_t len, int flags)
{
	return (int)answer(UNLESS_OURS(AT_FDCWD, path, PATHS_NOFOLLOW, EROFS,
				       sys_call5(__NR_lsetxattr, path, name, value, len, flags)));
}

EXPORT int fsetxattr(int fd, const char *name, const void *value, size_t len, int flags)
{
	return (int)UNLESS_OUR_FD(fd, EROFS,
				  sys_call5(__NR_fsetxattr, fd, name, value, len, flags));
}

EXPORT int removexattr(const char *path, const char *name)
{
	return (int)answer(
		UNLESS_OURS(AT_FDCWD, path, 0, EROFS, sys_call2(__NR_removexattr, path, name)));
}

EXPORT int lremovexattr(const char *path, const char *name)
{
	return (int)answer(UNLESS_OURS(AT_FDCWD, path, PATHS_NOFOLLOW, EROFS,
				       sys_call2(__NR_lremovexattr, path, name)));
}

EXPORT int fremovexattr(int fd, const char *name)
{
	return (int)UNLESS_OUR_FD(fd, EROFS, sys_call2(__NR_fremovexattr, fd, name));
}
