/*
 * h_stat.c - hooks: every flavour of stat, agreeing on one identity (store.h),
 * and access.
 */
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/store.h"

#include <unistd.h>

static int stat_spot(const struct spot *s, struct stat *ret)
{
	struct store_attr a;

	if (s->kind == SPOT_ERROR)
		return s->error;
	store_attr_entry(s->snap, s->entry, &a);
	store_stat(&a, ret);
	return 0;
}

static int stat_fd(int fd, struct stat *ret)
{
	struct ofd *o = fds_get(fd);
	struct store_attr a;

	if (o == NULL)
		return sys_fstat(fd, ret);
	store_attr_file(o->file, &a);
	fds_put(o);
	store_stat(&a, ret);
	return 0;
}

#define KNOWN_FLAGS (AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT | AT_EMPTY_PATH | AT_STATX_SYNC_TYPE)

static int stat_at(int dirfd, const char *path, struct stat *ret, int flags)
{
	struct spot s;
	int r;

	if ((flags & ~KNOWN_FLAGS) != 0) /* it says what it knows */
		return sys_fstatat(dirfd, path, ret, flags);
	if ((flags & AT_EMPTY_PATH) != 0 && (path == NULL || path[0] == '\0') && fds_is_ours(dirfd))
		return stat_fd(dirfd, ret);
	paths_look(&s, dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0);
	do
		r = s.kind >= SPOT_FILE ? stat_spot(&s, ret) : sys_fstatat(dirfd, path, ret, flags);
	while (r == -ENOENT && paths_again(&s));
	paths_done(&s);
	return r;
}

EXPORT int stat(const char *path, struct stat *ret)
{
	return (int)answer(stat_at(AT_FDCWD, path, ret, 0));
}
ALIAS(stat64, stat);

EXPORT int lstat(const char *path, struct stat *ret)
{
	return (int)answer(stat_at(AT_FDCWD, path, ret, AT_SYMLINK_NOFOLLOW));
}
ALIAS(lstat64, lstat);

EXPORT int fstat(int fd, struct stat *ret)
{
	return (int)answer(stat_fd(fd, ret));
}
ALIAS(fstat64, fstat);

EXPORT int fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
	return (int)answer(stat_at(dirfd, path, ret, flags));
}
ALIAS(fstatat64, fstatat);

/*
 * What programs built before glibc 2.33 call; the version names a layout of
 * struct stat: on 64-bit machines there has only been one (0 and 1 name it).
 */
static int old_version(int version, int r)
{
	return (int)answer(version == 0 || version == 1 ? r : -EINVAL);
}

EXPORT int __xstat(int version, const char *path, struct stat *ret);
int __xstat(int version, const char *path, struct stat *ret)
{
	return old_version(version, stat_at(AT_FDCWD, path, ret, 0));
}
ALIAS(__xstat64, __xstat);

EXPORT int __lxstat(int version, const char *path, struct stat *ret);
int __lxstat(int version, const char *path, struct stat *ret)
{
	return old_version(version, stat_at(AT_FDCWD, path, ret, AT_SYMLINK_NOFOLLOW));
}
ALIAS(__lxstat64, __lxstat);

EXPORT int __fxstat(int version, int fd, struct stat *ret);
int __fxstat(int version, int fd, struct stat *ret)
{
	return old_version(version, stat_fd(fd, ret));
}
ALIAS(__fxstat64, __fxstat);

EXPORT int __fxstatat(int version, int dirfd, const char *path, struct stat *ret, int flags);
int __fxstatat(int version, int dirfd, const char *path, struct stat *ret, int flags)
{
	return old_version(version, stat_at(dirfd, path, ret, flags));
}
ALIAS(__fxstatat64, __fxstatat);

/* ---- statx ------------------------------------------------------------------------------ */

static struct statx_timestamp timestamp(struct timespec t)
{
	return (struct statx_timestamp){ .tv_sec = t.tv_sec, .tv_nsec = (uint32_t)t.tv_nsec };
}

/* As libc's major() and minor(), which are calls into libc in a build without inlining. */
static uint32_t device_major(uint64_t dev)
{
	return (uint32_t)((dev >> 8 & 0xfff) | (dev >> 32 & ~0xfffull));
}

static uint32_t device_minor(uint64_t dev)
{
	return (uint32_t)((dev & 0xff) | (dev >> 12 & ~0xffull));
}

static void to_statx(const struct stat *st, struct statx *x)
{
	mem_zero(x, sizeof(*x));
	x->stx_mask = STATX_BASIC_STATS;
	x->stx_blksize = (uint32_t)st->st_blksize;
	x->stx_nlink = (uint32_t)st->st_nlink;
	x->stx_uid = st->st_uid;
	x->stx_gid = st->st_gid;
	x->stx_mode = (uint16_t)st->st_mode;
	x->stx_ino = st->st_ino;
	x->stx_size = (uint64_t)st->st_size;
	x->stx_blocks = (uint64_t)st->st_blocks;
	x->stx_atime = timestamp(st->st_atim);
	x->stx_mtime = timestamp(st->st_mtim);
	x->stx_ctime = timestamp(st->st_ctim);
	x->stx_dev_major = device_major(st->st_dev);
	x->stx_dev_minor = device_minor(st->st_dev);
}

static int statx_at(int dirfd, const char *path, int flags, unsigned mask, struct statx *ret)
{
	struct stat st;
	struct spot s;
	int r;

	if ((mask & STATX__RESERVED) != 0 || (flags & AT_STATX_SYNC_TYPE) == AT_STATX_SYNC_TYPE ||
	    (flags & ~KNOWN_FLAGS) != 0)
		return (int)sys_call5(__NR_statx, dirfd, path, flags, mask, ret);
	if ((flags & AT_EMPTY_PATH) != 0 && (path == NULL || path[0] == '\0') &&
	    fds_is_ours(dirfd) && !fds_is_dir(dirfd)) {
		r = stat_fd(dirfd, &st);
		if (r == 0)
			to_statx(&st, ret);
		return r;
	}
	paths_look(&s, dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0);
	do {
		if (s.kind >= SPOT_FILE) {
			r = stat_spot(&s, &st);
			if (r == 0)
				to_statx(&st, ret);
		} else {
			r = (int)sys_call5(__NR_statx, dirfd, path, flags, mask, ret);
		}
	} while (r == -ENOENT && paths_again(&s));
	paths_done(&s);
	return r;
}

#undef statx
EXPORT int statx(int dirfd, const char *path, int flags, unsigned mask, struct statx *ret)
{
	return (int)answer(statx_at(dirfd, path, flags, mask, ret));
}

/* ---- access ------------------------------------------------------------------------------- */

static int judge_access(const struct spot *s, int mode)
{
	if (s->kind == SPOT_ERROR)
		return s->error;
	if ((mode & X_OK) != 0)
		return -EACCES;
	return (mode & W_OK) != 0 ? -EROFS : 0;
}

static int access_at(int dirfd, const char *path, int mode, int flags)
{
	struct spot s;
	int r;

	if ((mode & ~(R_OK | W_OK | X_OK)) != 0 ||
	    (flags & ~(AT_EACCESS | AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH)) != 0)
		return (int)sys_call4(__NR_faccessat2, dirfd, path, mode, flags);
	paths_look(&s, dirfd, path, (flags & AT_SYMLINK_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0);
	if ((flags & AT_EMPTY_PATH) != 0 && path != NULL && path[0] == '\0' && fds_is_ours(dirfd) &&
	    !fds_is_dir(dirfd))
		return judge_access(&s, mode);
	do {
		if (s.kind >= SPOT_FILE)
			r = judge_access(&s, mode);
		else if (flags == 0)
			r = (int)sys_call3(__NR_faccessat, dirfd, path, mode);
		else
			r = (int)sys_call4(__NR_faccessat2, dirfd, path, mode, flags);
	} while (r == -ENOENT && paths_again(&s));
	paths_done(&s);
	return r;
}

EXPORT int access(const char *path, int mode)
{
	return (int)answer(access_at(AT_FDCWD, path, mode, 0));
}

EXPORT int faccessat(int dirfd, const char *path, int mode, int flags)
{
	return (int)answer(access_at(dirfd, path, mode, flags));
}

EXPORT int eaccess(const char *path, int mode)
{
	return (int)answer(access_at(AT_FDCWD, path, mode, AT_EACCESS));
}
ALIAS(euidaccess, eaccess);
