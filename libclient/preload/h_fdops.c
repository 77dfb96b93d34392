/*
 * h_fdops.c - hooks: closing, duplicating and asking about descriptors.
 */
#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/store.h"

#include <limits.h>
#include <linux/close_range.h>
#include <linux/fs.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/time.h>
#include <unistd.h>

#define SHOWN_LARGEFILE 0100000 /* what the kernel shows in F_GETFL of a 64-bit process */
#define SETTABLE	(O_APPEND | O_NONBLOCK | O_NOATIME | O_DIRECT | O_ASYNC)
#define KERNELS		(O_APPEND | O_NONBLOCK) /* the kernel's to know: over fork, exec and FIONBIO */

/*
 * Our own descriptors look closed to the program: a daemon link that it closed
 * would take the claims on mapped memory with it.
 */
EXPORT int close(int fd)
{
	__typeof(&close) libc;

	if (store_owns_fd(fd))
		return (int)answer(-EBADF);
	fds_forget(fd);
	libc = NEXT(close);
	return libc != NULL ? libc(fd) : (int)answer(sys_close(fd));
}
ALIAS(__close, close);

/* Close or mark [first, last] without touching ours. */
static int range(unsigned first, unsigned last, unsigned flags)
{
	while (first <= last) {
		unsigned own = store_next_own_fd(first);

		if (own > last || own == UINT_MAX) /* that is none */
			return (int)sys_call3(__NR_close_range, first, last, flags);
		if (own > first) {
			int r = (int)sys_call3(__NR_close_range, first, own - 1, flags);

			if (r != 0)
				return r;
		}
		first = own + 1;
	}
	return 0;
}

EXPORT int close_range(unsigned first, unsigned last, int flags)
{
	if (first > last || (flags & ~(CLOSE_RANGE_CLOEXEC | CLOSE_RANGE_UNSHARE)) != 0)
		return (int)answer(-EINVAL);
	if ((flags & CLOSE_RANGE_CLOEXEC) == 0)
		fds_forget_range(first, last);
	return (int)answer(range(first, last, (unsigned)flags));
}

EXPORT void closefrom(int first)
{
	unsigned from = first < 0 ? 0 : (unsigned)first;
	int fd;

	fds_forget_range(from, UINT_MAX);
	if (range(from, UINT_MAX, 0) == -ENOSYS)
		for (fd = (int)from; fd < 65536; fd++)
			if (!store_owns_fd(fd))
				sys_close(fd);
}

EXPORT int dup(int fd)
{
	int r = (int)sys_call1(__NR_dup, fd);

	if (r >= 0)
		fds_duplicate(fd, r);
	return (int)answer(r);
}

static int duplicate_to(int fd, int to, int flags)
{
	int r;

	if ((flags & ~O_CLOEXEC) != 0)
		return -EINVAL; /* before anything is forgotten */
	if (fds_is_ours(to) && fd != to && sys_fcntl(fd, F_GETFD, 0) >= 0)
		fds_before_duplicate(fd, to);
	r = sys_dup3(fd, to, flags);
	if (r >= 0)
		fds_duplicate(fd, to);
	return r;
}

EXPORT int dup2(int fd, int to)
{
	int r;

	if (fd == to) {
		r = sys_fcntl(fd, F_GETFD, 0);
		return (int)answer(r < 0 ? r : to);
	}
	return (int)answer(duplicate_to(fd, to, 0));
}
ALIAS(__dup2, dup2);

EXPORT int dup3(int fd, int to, int flags)
{
	return (int)answer(duplicate_to(fd, to, flags));
}

/* ---- fcntl ----------------------------------------------------------------------------- */

/* Nobody writes a store file, so every lock for reading is granted. */
static long lock_ours(int cmd, struct flock *lock)
{
	if (cmd == F_GETLK || cmd == F_OFD_GETLK) {
		if (cmd == F_GETLK && lock->l_type != F_RDLCK && lock->l_type != F_WRLCK)
			return -EINVAL;
		lock->l_type = F_UNLCK;
		return 0;
	}
	if (lock->l_type != F_RDLCK && lock->l_type != F_WRLCK && lock->l_type != F_UNLCK)
		return -EINVAL;
	return lock->l_type == F_WRLCK ? -EBADF : 0;
}

static long control_ours(struct ofd *o, int fd, int cmd, long arg)
{
	uint32_t flags = __atomic_load_n(&o->flags, __ATOMIC_RELAXED);

	switch (cmd) {
	case F_GETFL:
		if ((flags & O_PATH) != 0)
			return (long)flags;
		return (long)(O_RDONLY | SHOWN_LARGEFILE | (flags & ~KERNELS)) |
		       (sys_fcntl(fd, F_GETFL, 0) & KERNELS);
	case F_SETFL:
		if ((flags & O_PATH) != 0)
			return -EBADF;
		__atomic_store_n(&o->flags, (flags & ~SETTABLE) | ((uint32_t)arg & SETTABLE),
				 __ATOMIC_RELAXED);
		return sys_fcntl(fd, F_SETFL, arg & KERNELS);
	case F_GETLK:
	case F_SETLK:
	case F_SETLKW:
	case F_OFD_GETLK:
	case F_OFD_SETLK:
	case F_OFD_SETLKW:
		if ((flags & O_PATH) != 0)
			return -EBADF;
		return arg == 0 ? -EFAULT : lock_ours(cmd, (struct flock *)arg);
	case F_ADD_SEALS:
	case F_GET_SEALS:
		return -EINVAL; /* as on a file of a disk */
	case F_SETLEASE:
		/* As on file systems without leases; the placeholder would say that somebody writes. */
		return (flags & O_PATH) != 0 ? -EBADF : arg == F_UNLCK ? -EAGAIN : -EINVAL;
	}
	return sys_fcntl(fd, cmd, arg);
}

EXPORT int fcntl(int fd, int cmd, ...)
{
	__typeof(&fcntl) libc;
	struct ofd *o;
	va_list ap;
	long arg, r;

	va_start(ap, cmd);
	arg = va_arg(ap, long);
	va_end(ap);

	if (cmd == F_DUPFD || cmd == F_DUPFD_CLOEXEC) {
		r = sys_fcntl(fd, cmd, arg);
		if (r >= 0)
			fds_duplicate(fd, (int)r);
		return (int)answer(r);
	}
	o = fds_get(fd);
	if (o != NULL) {
		r = control_ours(o, fd, cmd, arg);
		fds_put(o);
		return (int)answer(r);
	}
	/* libc's: waiting for a lock is a cancellation point, and F_GETOWN has a sign to guess. */
	libc = NEXT(fcntl);
	return libc != NULL ? libc(fd, cmd, arg) : (int)answer(sys_fcntl(fd, cmd, arg));
}
ALIAS(fcntl64, fcntl);
ALIAS(__fcntl, fcntl);

/* As fcntl(): a lock for writing needs a descriptor that can write. */
EXPORT int lockf(int fd, int cmd, off_t len)
{
	__typeof(&lockf) libc;
	struct ofd *o = fds_get(fd);

	if (o == NULL) {
		libc = NEXT(lockf);
		return libc != NULL ? libc(fd, cmd, len) : (int)answer(-ENOSYS);
	}
	fds_put(o);
	switch (cmd) {
	case F_TEST:
	case F_ULOCK:
		return 0;
	case F_LOCK:
	case F_TLOCK:
		return (int)answer(-EBADF);
	}
	return (int)answer(-EINVAL);
}
ALIAS(lockf64, lockf);

/* ---- ioctl ----------------------------------------------------------------------------- */

static long ioctl_ours(struct ofd *o, int fd, unsigned long request, void *arg)
{
	int64_t at;

	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	switch (request) {
	case FIONREAD:
		at = offset_get(o->cell, fd);
		*(int *)arg = (int)((int64_t)o->size - at); /* below zero behind the end */
		return 0;
	case FICLONE:
	case FICLONERANGE:
		return -EBADF; /* it cannot be written */
	}
	return sys_call3(__NR_ioctl, fd, request, arg);
}

/* A store file as the source of a clone: "not on the same file system". */
static bool clones_ours(unsigned long request, const void *arg)
{
	switch (request) {
	case FICLONE:
		return fds_is_ours((int)(long)arg);
	case FICLONERANGE:
		return arg != NULL &&
		       fds_is_ours((int)((const struct file_clone_range *)arg)->src_fd);
	}
	return false;
}

EXPORT int ioctl(int fd, unsigned long request, ...)
{
	struct ofd *o = fds_get(fd);
	va_list ap;
	void *arg;
	long r;

	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	if (o != NULL) {
		r = ioctl_ours(o, fd, request, arg);
		fds_put(o);
	} else if (fds_end != 0 && clones_ours(request, arg)) {
		r = -EXDEV;
	} else {
		r = sys_call3(__NR_ioctl, fd, request, arg);
	}
	return (int)answer(r);
}

/* ---- handles --------------------------------------------------------------------------- */

/* What could be opened by a handle is the placeholder: there are none of store files. */
EXPORT int name_to_handle_at(int dirfd, const char *path, struct file_handle *handle, int *mount,
			     int flags)
{
	struct spot s;
	int r;

	if ((flags & AT_EMPTY_PATH) != 0 && path[0] == '\0' && fds_is_ours(dirfd) &&
	    !fds_is_dir(dirfd))
		return (int)answer(-EOPNOTSUPP);
	paths_look(&s, dirfd, path, (flags & AT_SYMLINK_FOLLOW) != 0 ? 0 : PATHS_NOFOLLOW);
	do
		r = s.kind == SPOT_FILE	   ? -EOPNOTSUPP
		    : s.kind == SPOT_ERROR ? s.error
					   : (int)sys_call5(__NR_name_to_handle_at, dirfd, path,
							    handle, mount, flags);
	while (r == -ENOENT && paths_again(&s));
	paths_done(&s);
	return (int)answer(r);
}
