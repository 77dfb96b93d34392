/*
 * h_syscall.c - hook: syscall().  Some programs make their file calls through it
 * (libuv statx and close, onnx openat2); those are handed to the hooks of the
 * same name, everything else to the kernel as it is.
 */
#include "libclient/core/sys.h"
#include "libclient/preload/aio.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/getdents.h"
#include "libclient/preload/inherit.h"
#include "libclient/preload/open.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/process.h"
#include "libclient/preload/sysnames.h"

#include <dirent.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

struct args {
	long a[6];
};

#define A(type, i) ((type)(x->a[i]))

/* Calls about paths.  False: none of these. */
static bool by_path(long nr, const struct args *x, long *ret)
{
	switch (nr) {
#ifdef __NR_open
	case __NR_open:
		*ret = open(A(const char *, 0), A(int, 1), A(mode_t, 2));
		return true;
	case __NR_stat:
		*ret = stat(A(const char *, 0), A(struct stat *, 1));
		return true;
	case __NR_lstat:
		*ret = lstat(A(const char *, 0), A(struct stat *, 1));
		return true;
	case __NR_creat:
		*ret = creat(A(const char *, 0), A(mode_t, 1));
		return true;
	case __NR_unlink:
		*ret = unlink(A(const char *, 0));
		return true;
	case __NR_rmdir:
		*ret = rmdir(A(const char *, 0));
		return true;
	case __NR_mkdir:
		*ret = mkdir(A(const char *, 0), A(mode_t, 1));
		return true;
	case __NR_rename:
		*ret = rename(A(const char *, 0), A(const char *, 1));
		return true;
	case __NR_chmod:
		*ret = chmod(A(const char *, 0), A(mode_t, 1));
		return true;
	case __NR_access:
		*ret = access(A(const char *, 0), A(int, 1));
		return true;
	case __NR_readlink:
		*ret = readlink(A(const char *, 0), A(char *, 1), A(size_t, 2));
		return true;
#endif
	case __NR_openat:
		*ret = openat(A(int, 0), A(const char *, 1), A(int, 2), A(mode_t, 3));
		return true;
	case __NR_openat2:
		*ret = answer(open_how_at(A(int, 0), A(const char *, 1),
					  A(const struct open_how *, 2), A(size_t, 3)));
		return true;
	case __NR_newfstatat:
		*ret = fstatat(A(int, 0), A(const char *, 1), A(struct stat *, 2), A(int, 3));
		return true;
	case __NR_statx:
		*ret = statx(A(int, 0), A(const char *, 1), A(int, 2), A(unsigned, 3),
			     A(struct statx *, 4));
		return true;
	case __NR_faccessat:
		*ret = faccessat(A(int, 0), A(const char *, 1), A(int, 2), 0);
		return true;
	case __NR_faccessat2:
		*ret = faccessat(A(int, 0), A(const char *, 1), A(int, 2), A(int, 3));
		return true;
	case __NR_readlinkat:
		*ret = readlinkat(A(int, 0), A(const char *, 1), A(char *, 2), A(size_t, 3));
		return true;
	case __NR_chdir:
		*ret = chdir(A(const char *, 0));
		return true;
	case __NR_truncate:
		*ret = truncate(A(const char *, 0), A(off_t, 1));
		return true;
	case __NR_mkdirat:
		*ret = mkdirat(A(int, 0), A(const char *, 1), A(mode_t, 2));
		return true;
	case __NR_fchmodat:
		*ret = fchmodat(A(int, 0), A(const char *, 1), A(mode_t, 2), 0);
		return true;
	case __NR_utimensat:
		*ret = A(const char *, 1) != NULL
			       ? utimensat(A(int, 0), A(const char *, 1),
					   A(const struct timespec *, 2), A(int, 3))
			       : futimens(A(int, 0), A(const struct timespec *, 2));
		return true;
	case __NR_name_to_handle_at:
		*ret = name_to_handle_at(A(int, 0), A(const char *, 1), A(struct file_handle *, 2),
					 A(int *, 3), A(int, 4));
		return true;
	case __NR_unlinkat:
		*ret = unlinkat(A(int, 0), A(const char *, 1), A(int, 2));
		return true;
	case __NR_renameat2:
		*ret = renameat2(A(int, 0), A(const char *, 1), A(int, 2), A(const char *, 3),
				 A(unsigned, 4));
		return true;
	}
	return false;
}

/* Calls that move bytes without looking at them, or later. */
static bool by_transfer(long nr, const struct args *x, long *ret)
{
	switch (nr) {
	case __NR_sendfile:
		*ret = sendfile(A(int, 0), A(int, 1), A(off_t *, 2), A(size_t, 3));
		return true;
	case __NR_copy_file_range:
		*ret = copy_file_range(A(int, 0), A(off64_t *, 1), A(int, 2), A(off64_t *, 3),
				       A(size_t, 4), A(unsigned, 5));
		return true;
	case __NR_splice:
		*ret = splice(A(int, 0), A(off64_t *, 1), A(int, 2), A(off64_t *, 3), A(size_t, 4),
			      A(unsigned, 5));
		return true;
	case __NR_sendmsg:
		*ret = sendmsg(A(int, 0), A(const struct msghdr *, 1), A(int, 2));
		return true;
	case __NR_sendmmsg:
		*ret = sendmmsg(A(int, 0), A(struct mmsghdr *, 1), A(unsigned, 2), A(int, 3));
		return true;
	case __NR_recvmsg:
		*ret = recvmsg(A(int, 0), A(struct msghdr *, 1), A(int, 2));
		return true;
	case __NR_recvmmsg:
		*ret = recvmmsg(A(int, 0), A(struct mmsghdr *, 1), A(unsigned, 2), A(int, 3),
				A(struct timespec *, 4));
		return true;
	case __NR_io_submit:
		*ret = answer(aio_submit(A(unsigned long, 0), x->a[1], A(struct iocb **, 2)));
		return true;
	case __NR_io_uring_register:
		*ret = answer(
			aio_register(A(int, 0), A(unsigned, 1), A(void *, 2), A(unsigned, 3)));
		return true;
	}
	return false;
}

/* Calls about descriptors. */
static bool by_fd(long nr, const struct args *x, long *ret)
{
	switch (nr) {
	case __NR_read:
		*ret = read(A(int, 0), A(void *, 1), A(size_t, 2));
		return true;
	case __NR_pread64:
		*ret = pread(A(int, 0), A(void *, 1), A(size_t, 2), A(off_t, 3));
		return true;
	case __NR_readv:
		*ret = readv(A(int, 0), A(const struct iovec *, 1), A(int, 2));
		return true;
	case __NR_preadv:
		*ret = preadv(A(int, 0), A(const struct iovec *, 1), A(int, 2), A(off_t, 3));
		return true;
	case __NR_lseek:
		*ret = lseek(A(int, 0), A(off_t, 1), A(int, 2));
		return true;
	case __NR_fstat:
		*ret = fstat(A(int, 0), A(struct stat *, 1));
		return true;
	case __NR_preadv2:
		*ret = preadv2(A(int, 0), A(const struct iovec *, 1), A(int, 2), A(off_t, 3),
			       A(int, 5));
		return true;
	case __NR_write:
		*ret = write(A(int, 0), A(const void *, 1), A(size_t, 2));
		return true;
	case __NR_pwrite64:
		*ret = pwrite(A(int, 0), A(const void *, 1), A(size_t, 2), A(off_t, 3));
		return true;
	case __NR_writev:
		*ret = writev(A(int, 0), A(const struct iovec *, 1), A(int, 2));
		return true;
	case __NR_ftruncate:
		*ret = ftruncate(A(int, 0), A(off_t, 1));
		return true;
	case __NR_fallocate:
		*ret = fallocate(A(int, 0), A(int, 1), A(off_t, 2), A(off_t, 3));
		return true;
	case __NR_fchmod:
		*ret = fchmod(A(int, 0), A(mode_t, 1));
		return true;
	case __NR_fstatfs:
		*ret = fstatfs(A(int, 0), A(struct statfs *, 1));
		return true;
	case __NR_ioctl:
		*ret = ioctl(A(int, 0), A(unsigned long, 1), A(void *, 2));
		return true;
	case __NR_readahead:
		*ret = readahead(A(int, 0), A(off64_t, 1), A(size_t, 2));
		return true;
	case __NR_fchdir:
		*ret = fchdir(A(int, 0));
		return true;
	case __NR_getdents64:
		*ret = getdents64(A(int, 0), A(void *, 1), A(size_t, 2));
		return true;
#ifdef __NR_getdents
	case __NR_getdents:
		*ret = getdents_oldest(A(int, 0), A(void *, 1), A(size_t, 2));
		return true;
#endif
	}
	return false;
}

/* Calls about mapped memory. */
static bool by_memory(long nr, const struct args *x, long *ret)
{
	switch (nr) {
	case __NR_mmap:
		*ret = (long)mmap(A(void *, 0), A(size_t, 1), A(int, 2), A(int, 3), A(int, 4),
				  A(off_t, 5));
		return true;
	case __NR_munmap:
		*ret = munmap(A(void *, 0), A(size_t, 1));
		return true;
	case __NR_mremap:
		*ret = (long)mremap(A(void *, 0), A(size_t, 1), A(size_t, 2), A(int, 3),
				    A(void *, 4));
		return true;
	case __NR_mprotect:
		*ret = mprotect(A(void *, 0), A(size_t, 1), A(int, 2));
		return true;
	case __NR_madvise:
		*ret = madvise(A(void *, 0), A(size_t, 1), A(int, 2));
		return true;
	case __NR_mlock:
		*ret = mlock(A(const void *, 0), A(size_t, 1));
		return true;
	case __NR_mlock2:
		*ret = mlock2(A(const void *, 0), A(size_t, 1), A(unsigned, 2));
		return true;
	case __NR_mlockall:
		*ret = mlockall(A(int, 0));
		return true;
	}
	return false;
}

/* Calls that make and end descriptors. */
static bool by_table(long nr, const struct args *x, long *ret)
{
	switch (nr) {
	case __NR_close:
		*ret = close(A(int, 0));
		return true;
	case __NR_close_range:
		*ret = close_range(A(unsigned, 0), A(unsigned, 1), A(int, 2));
		return true;
	case __NR_dup:
		*ret = dup(A(int, 0));
		return true;
#ifdef __NR_dup2
	case __NR_dup2:
		*ret = dup2(A(int, 0), A(int, 1));
		return true;
#endif
	case __NR_dup3:
		*ret = dup3(A(int, 0), A(int, 1), A(int, 2));
		return true;
	case __NR_fcntl:
		*ret = fcntl(A(int, 0), A(int, 1), A(long, 2));
		return true;
	case __NR_execve:
		*ret = execve(A(const char *, 0), A(char *const *, 1), A(char *const *, 2));
		return true;
	case __NR_execveat:
		*ret = execveat(A(int, 0), A(const char *, 1), A(char *const *, 2),
				A(char *const *, 3), A(int, 4));
		return true;
	case __NR_pidfd_getfd:
		*ret = answer(sys_call3(__NR_pidfd_getfd, x->a[0], x->a[1], x->a[2]));
		if (*ret >= 0)
			inherit_received((int)*ret);
		return true;
	}
	return false;
}

EXPORT long syscall(long nr, ...)
{
	struct args x;
	va_list ap;
	long r;
	int i;

	va_start(ap, nr);
	for (i = 0; i < 6; i++)
		x.a[i] = va_arg(ap, long);
	va_end(ap);
	if ((paths_on() || fds_end != 0) &&
	    (by_fd(nr, &x, &r) || by_memory(nr, &x, &r) || by_path(nr, &x, &r) ||
	     by_table(nr, &x, &r) || sysnames_call(nr, x.a, &r) || by_transfer(nr, &x, &r) ||
	     process_fork(nr, x.a, &r)))
		return r;
	return answer(sys_call6(nr, x.a[0], x.a[1], x.a[2], x.a[3], x.a[4], x.a[5]));
}
