/*
 * h_write.c - hooks: writing to a descriptor.  A store file is open for reading
 * only (EBADF); its placeholder, which is not, would say EPERM.
 */
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/preload.h"

#include <stdbool.h>
#include <sys/uio.h>
#include <unistd.h>

/* Two loads and a comparison for most descriptors: this stands before every write of a program. */
static inline bool is_file(int fd)
{
	return __builtin_expect((unsigned)fd < __atomic_load_n(&fds_end, __ATOMIC_RELAXED), 0) &&
	       fds_is_ours(fd) && !fds_is_dir(fd);
}

EXPORT ssize_t write(int fd, const void *buf, size_t len)
{
	__typeof(&write) libc;

	if (is_file(fd))
		return answer(-EBADF);
	libc = NEXT(write);
	return libc != NULL ? libc(fd, buf, len) : answer(sys_write(fd, buf, len));
}
ALIAS(__write, write);

EXPORT ssize_t writev(int fd, const struct iovec *iov, int nr)
{
	__typeof(&writev) libc;

	if (is_file(fd))
		return answer(-EBADF);
	libc = NEXT(writev);
	return libc != NULL ? libc(fd, iov, nr) : answer(sys_call3(__NR_writev, fd, iov, nr));
}

EXPORT ssize_t pwrite(int fd, const void *buf, size_t len, off_t off)
{
	__typeof(&pwrite) libc;

	if (is_file(fd))
		return answer(-EBADF);
	libc = NEXT(pwrite);
	return libc != NULL ? libc(fd, buf, len, off)
			    : answer(sys_call4(__NR_pwrite64, fd, buf, len, off));
}
ALIAS(pwrite64, pwrite);
ALIAS(__pwrite64, pwrite);

EXPORT ssize_t pwritev(int fd, const struct iovec *iov, int nr, off_t off)
{
	__typeof(&pwritev) libc;

	if (is_file(fd))
		return answer(-EBADF);
	libc = NEXT(pwritev);
	return libc != NULL ? libc(fd, iov, nr, off)
			    : answer(sys_call5(__NR_pwritev, fd, iov, nr, off, 0));
}
ALIAS(pwritev64, pwritev);

EXPORT ssize_t pwritev2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	if (is_file(fd))
		return answer(-EBADF);
	return answer(sys_call6(__NR_pwritev2, fd, (long)iov, nr, off, 0, flags));
}
ALIAS(pwritev64v2, pwritev2);

EXPORT int fallocate(int fd, int mode, off_t off, off_t len)
{
	__typeof(&fallocate) libc;

	if (is_file(fd))
		return (int)answer(-EBADF);
	libc = NEXT(fallocate);
	return libc != NULL ? libc(fd, mode, off, len)
			    : (int)answer(sys_call4(__NR_fallocate, fd, mode, off, len));
}
ALIAS(fallocate64, fallocate);

/* Returns its errno. */
EXPORT int posix_fallocate(int fd, off_t off, off_t len)
{
	__typeof(&posix_fallocate) libc;

	if (is_file(fd))
		return EBADF;
	libc = NEXT(posix_fallocate);
	return libc != NULL ? libc(fd, off, len) : (int)-sys_call4(__NR_fallocate, fd, 0, off, len);
}
ALIAS(posix_fallocate64, posix_fallocate);
