/*
 * h_mutate.c - hooks: whatever would change a name of the store is refused with
 * EROFS; local names below MODEL_DIR are the local directory's.
 */
#include "libclient/preload/mutate.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/preload.h"

#include <limits.h>
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

/* The flags of calls that make names or take directories away; links at the end stay links. */
#define MAKES (PATHS_NOFOLLOW | PATHS_CHANGES)

/* The same for a descriptor. */
#define UNLESS_OUR_FD(fd, error_, call) answer(fds_is_ours(fd) ? -(error_) : (call))

static int remove_at(int dirfd, const char *path, int flags)
{
	unsigned how = PATHS_NOFOLLOW | ((flags & AT_REMOVEDIR) != 0 ? PATHS_CHANGES : 0);

	return (int)UNLESS_OURS(dirfd, path, how, EROFS,
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

/* Whose name is it?  A negative errno, or what kind of spot. */
static int kind_of(int dirfd, const char *path)
{
	struct spot s;
	int r;

	paths_look(&s, dirfd, path, MAKES);
	r = s.kind == SPOT_ERROR ? s.error : (int)s.kind;
	paths_done(&s);
	return r;
}

/* What is wrong with a name that is not the store's; 0: it is there, or will be found. */
static int lacks(int dirfd, const char *path)
{
	struct spot s;
	struct stat st;
	int r;

	paths_look(&s, dirfd, path, PATHS_NOFOLLOW);
	do
		r = s.kind >= SPOT_FILE ? 0 : sys_fstatat(dirfd, path, &st, AT_SYMLINK_NOFOLLOW);
	while (r == -ENOENT && paths_again(&s));
	paths_done(&s);
	return r;
}

/* The same for the directory that a name would lie in. */
static int parent_lacks(int dirfd, const char *path)
{
	size_t len = mem_len(path);
	char parent[PATH_MAX];

	if (len == 0 || len >= sizeof(parent))
		return len == 0 ? -ENOENT : -ENAMETOOLONG;
	while (len > 1 && path[len - 1] == '/')
		len--;
	len = pathtext_last(path, len);
	mem_copy(parent, len == 0 ? "." : path, len == 0 ? 1 : len);
	parent[len == 0 ? 1 : len] = '\0';
	return lacks(dirfd, parent);
}

static bool is_known(int kind)
{
	return kind >= SPOT_DIR;
}

static long rename_from(int dirfd, const char *path, int to_dirfd, const char *to, unsigned flags)
{
	return UNLESS_OURS(dirfd, path, MAKES, EROFS,
			   sys_call5(__NR_renameat2, dirfd, path, to_dirfd, to, flags));
}

/* Over a store name, or of one: what is missing is said first, as the kernel does. */
static long rename_at(int dirfd, const char *path, int to_dirfd, const char *to, unsigned flags)
{
	int from_kind = kind_of(dirfd, path), to_kind = kind_of(to_dirfd, to), r;

	if (from_kind < 0 || to_kind < 0)
		return from_kind < 0 ? from_kind : to_kind;
	if (is_known(to_kind) && !is_known(from_kind)) {
		r = lacks(dirfd, path);
		return r != 0 ? r : -EROFS;
	}
	if (is_known(from_kind)) {
		r = is_known(to_kind) ? 0 : parent_lacks(to_dirfd, to);
		return r != 0 ? r : -EROFS;
	}
	return UNLESS_OURS(to_dirfd, to, MAKES, EROFS,
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
	if ((flags & ~(RENAME_NOREPLACE | RENAME_EXCHANGE | RENAME_WHITEOUT)) != 0)
		return (int)answer(-EINVAL);
	return (int)answer(rename_at(dirfd, path, to_dirfd, to, flags));
}

static long link_from(int dirfd, const char *path, int to_dirfd, const char *to, int flags)
{
	unsigned how = (flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : PATHS_NOFOLLOW;

	return UNLESS_OURS(dirfd, path, how, EROFS,
			   sys_call5(__NR_linkat, dirfd, path, to_dirfd, to, flags));
}

EXPORT int linkat(int dirfd, const char *path, int to_dirfd, const char *to, int flags)
{
	int from_kind = kind_of(dirfd, path), to_kind = kind_of(to_dirfd, to);
	long r;

	if (from_kind < 0 || to_kind < 0)
		return (int)answer(from_kind < 0 ? from_kind : to_kind);
	if ((flags & AT_EMPTY_PATH) != 0 && path[0] == '\0' && fds_is_ours(dirfd))
		return (int)answer(is_known(to_kind) ? -EEXIST : -EXDEV);
	if (is_known(to_kind)) {
		r = is_known(from_kind) ? 0 : lacks(dirfd, path);
		return (int)answer(r != 0 ? r : -EEXIST);
	}
	if (is_known(from_kind)) {
		/* On another file system: callers then copy. */
		r = parent_lacks(to_dirfd, to);
		return (int)answer(r != 0 ? r : to_kind == SPOT_LOCAL ? -EROFS : -EXDEV);
	}
	return (int)answer(UNLESS_OURS(to_dirfd, to, MAKES, EEXIST,
				       link_from(dirfd, path, to_dirfd, to, flags)));
}

EXPORT int link(const char *path, const char *to)
{
	return linkat(AT_FDCWD, path, AT_FDCWD, to, 0);
}

EXPORT int symlinkat(const char *target, int dirfd, const char *path)
{
	return (int)answer(UNLESS_OURS(dirfd, path, MAKES, EEXIST,
				       sys_call3(__NR_symlinkat, target, dirfd, path)));
}

EXPORT int symlink(const char *target, const char *path)
{
	return symlinkat(target, AT_FDCWD, path);
}

EXPORT int mkdirat(int dirfd, const char *path, mode_t mode)
{
	return (int)answer(UNLESS_OURS(dirfd, path, MAKES, EEXIST,
				       sys_call3(__NR_mkdirat, dirfd, path, mode)));
}

EXPORT int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

EXPORT int mknodat(int dirfd, const char *path, mode_t mode, dev_t dev)
{
	return (int)answer(UNLESS_OURS(dirfd, path, MAKES, EEXIST,
				       sys_call4(__NR_mknodat, dirfd, path, mode, dev)));
}

EXPORT int mknod(const char *path, mode_t mode, dev_t dev)
{
	return mknodat(AT_FDCWD, path, mode, dev);
}

/* What programs built before glibc 2.33 call: the version names a layout of dev_t, which is one. */
EXPORT int __xmknodat(int version, int dirfd, const char *path, mode_t mode, dev_t *dev);
int __xmknodat(int version, int dirfd, const char *path, mode_t mode, dev_t *dev)
{
	return version == 0 ? mknodat(dirfd, path, mode, *dev) : (int)answer(-EINVAL);
}

EXPORT int __xmknod(int version, const char *path, mode_t mode, dev_t *dev);
int __xmknod(int version, const char *path, mode_t mode, dev_t *dev)
{
	return __xmknodat(version, AT_FDCWD, path, mode, dev);
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
	if (len < 0)
		return (int)answer(-EINVAL);
	struct spot s;
	long r;

	paths_look(&s, AT_FDCWD, path, 0);
	do
		r = s.kind == SPOT_ERROR  ? s.error
		    : s.kind == SPOT_FILE ? -EROFS
					  : sys_call2(__NR_truncate, path, len);
	while (r == -ENOENT && paths_again(&s));
	paths_done(&s);
	return (int)answer(r);
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

/* Links have no mode of their own: what libc says of them, unless it is a store file. */
EXPORT int lchmod(const char *path, mode_t mode)
{
	__typeof(&lchmod) libc = NEXT(lchmod);

	return (int)answer(UNLESS_OURS(AT_FDCWD, path, PATHS_NOFOLLOW, EROFS,
				       libc == NULL	       ? -EOPNOTSUPP
				       : libc(path, mode) == 0 ? 0
							       : -errno_get()));
}

EXPORT int fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
	__typeof(&fchmodat) libc = NEXT(fchmodat);

	/* libc has its own ways to do without following a link. */
	return (int)answer(
		UNLESS_OURS(dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0,
			    EROFS, libc(dirfd, path, mode, flags) == 0 ? 0 : -errno_get()));
}

long mutate_chmod2(int dirfd, const char *path, mode_t mode, int flags)
{
	if ((flags & AT_EMPTY_PATH) != 0 && path != NULL && path[0] == '\0' && fds_is_ours(dirfd) &&
	    !fds_is_dir(dirfd))
		return -EROFS;
	return UNLESS_OURS(dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0,
			   EROFS, sys_call4(452 /* fchmodat2 */, dirfd, path, mode, flags));
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

static bool is_time(const struct timespec *t)
{
	return (t->tv_nsec >= 0 && t->tv_nsec <= 999999999) || t->tv_nsec == UTIME_NOW ||
	       t->tv_nsec == UTIME_OMIT;
}

static long set_times(int dirfd, const char *path, const struct timespec *times, int flags)
{
	bool sound = times == NULL || (is_time(&times[0]) && is_time(&times[1]));

	if ((path == NULL || (path[0] == '\0' && (flags & AT_EMPTY_PATH) != 0)) &&
	    fds_is_ours(dirfd))
		return sound ? -EROFS : -EINVAL;
	return UNLESS_OURS(dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0,
			   sound ? EROFS : EINVAL,
			   sys_call4(__NR_utimensat, dirfd, path, times, flags));
}

EXPORT int utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
	return (int)answer(set_times(dirfd, path, times, flags));
}

EXPORT int futimens(int fd, const struct timespec times[2])
{
	return (int)answer(set_times(fd, NULL, times, 0));
}

/* Times of the older calls; those that none can be stay wrong. */
static const struct timespec *to_timespecs(const struct timeval *tv, struct timespec *ts)
{
	int i;

	for (i = 0; tv != NULL && i < 2; i++) {
		ts[i].tv_sec = tv[i].tv_sec;
		ts[i].tv_nsec =
			tv[i].tv_usec < 0 || tv[i].tv_usec > 999999 ? -1 : tv[i].tv_usec * 1000;
	}
	return tv != NULL ? ts : NULL;
}

EXPORT int utimes(const char *path, const struct timeval tv[2])
{
	struct timespec ts[2];

	return (int)answer(set_times(AT_FDCWD, path, to_timespecs(tv, ts), 0));
}

EXPORT int lutimes(const char *path, const struct timeval tv[2])
{
	struct timespec ts[2];

	return (int)answer(set_times(AT_FDCWD, path, to_timespecs(tv, ts), AT_SYMLINK_NOFOLLOW));
}

EXPORT int futimes(int fd, const struct timeval tv[2])
{
	struct timespec ts[2];

	return (int)answer(set_times(fd, NULL, to_timespecs(tv, ts), 0));
}

EXPORT int futimesat(int dirfd, const char *path, const struct timeval tv[2])
{
	struct timespec ts[2];

	return (int)answer(set_times(dirfd, path, to_timespecs(tv, ts), 0));
}

EXPORT int utime(const char *path, const struct utimbuf *times)
{
	struct timespec ts[2];

	if (times != NULL) {
		ts[0] = (struct timespec){ times->actime, 0 };
		ts[1] = (struct timespec){ times->modtime, 0 };
	}
	return (int)answer(set_times(AT_FDCWD, path, times != NULL ? ts : NULL, 0));
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
