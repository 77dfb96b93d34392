/*
 * op_fdask.c - operations that ask about descriptors, or change their state: seek,
 * fcntl, locks, ioctl, poll, hints.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/select.h>
#include <sys/time.h>
#include <termios.h>
#include <unistd.h>

static off_t size_of(const struct fdpair *f)
{
	struct stat st;

	return fstat(f->p, &st) == 0 ? st.st_size : 0;
}

/* Around the file's length, mostly in it. */
static off_t offset_of(const struct fdpair *f, uint32_t x)
{
	off_t size = size_of(f);

	switch (x % 16) {
	case 0:
		return -(off_t)(x / 16 % 10000);
	case 1:
		return size + (off_t)(x / 16 % 100000) - 10;
	case 2:
		return size;
	case 3:
		return (off_t)(x / 16) << 8;
	}
	return size > 0 ? (off_t)(x / 16) % size : 0;
}

OP(lseek)
{
	static const int whences[] = { SEEK_SET, SEEK_SET,  SEEK_CUR,  SEEK_CUR, SEEK_END,
				       SEEK_END, SEEK_DATA, SEEK_HOLE, 77 };
	struct fdpair *f = fd_of(a, arg[0]);
	int whence = whences[arg[1] % LENGTH(whences)];
	off_t off;

	if (f == NULL || f->dir)
		return false;
	/* What holes a local file has is the file system's to say. */
	if (f->node == NULL && (whence == SEEK_DATA || whence == SEEK_HOLE))
		return false;
	off = offset_of(f, arg[2]);
	if (whence == SEEK_CUR)
		off = off / 4 - (off_t)(arg[3] % 5000);
	else if (whence == SEEK_END)
		off = -off;
	judge(a, "lseek", TRY(lseek(f->p, off, whence)), TRY(lseek(f->m, off, whence)), 0);
	fd_check(a, f);
	return true;
}

OP(fcntl)
{
	static const int asks[] = { F_GETFD, F_GETOWN, F_GETSIG, F_GETLEASE, 9999 };
	struct fdpair *f = fd_of(a, arg[0]);
	int on;

	if (f == NULL)
		return false;
	switch (arg[1] % 4) {
	case 0:
		on = arg[2] % 2 == 0 ? FD_CLOEXEC : 0;
		judge(a, "F_SETFD", TRY(fcntl(f->p, F_SETFD, on)), TRY(fcntl(f->m, F_SETFD, on)),
		      0);
		break;
	case 1:
		on = (arg[2] & 1 ? O_NONBLOCK : 0) | (arg[2] & 2 ? O_APPEND : 0) |

		     (arg[2] & 8 ? O_WRONLY | O_CREAT : 0);
		judge(a, "F_SETFL", TRY(fcntl(f->p, F_SETFL, on)), TRY(fcntl(f->m, F_SETFL, on)),
		      0);
		break;
	}
	on = asks[arg[3] % LENGTH(asks)];
	judge(a, "fcntl", TRY(fcntl(f->p, on)), TRY(fcntl(f->m, on)), 0);
	fd_check_flags(a, f);
	return true;
}

OP(lock)
{
	static const int cmds[] = { F_SETLK, F_GETLK, F_OFD_SETLK, F_OFD_GETLK, F_SETLKW };
	static const short types[] = { F_RDLCK, F_RDLCK, F_WRLCK, F_UNLCK };
	struct fdpair *f = fd_of_file(a, arg[0]);
	int cmd = cmds[arg[1] % LENGTH(cmds)];
	struct flock p = { .l_type = types[arg[2] % LENGTH(types)],
			   .l_whence = SEEK_SET,
			   .l_start = arg[3] % 1000,
			   .l_len = arg[4] % 1000 };
	struct flock m = p;

	/* A local file's lock may be another process's in earnest. */
	/* Asking for nobody's lock: kernels do not agree. */
	if (f == NULL || f->node == NULL || f->copy || (cmd == F_OFD_GETLK && p.l_type == F_UNLCK))
		return false;
	if (judge(a, "fcntl of a lock", TRY(fcntl(f->p, cmd, &p)), TRY(fcntl(f->m, cmd, &m)), 0) ==
	    BOTH_DID) {
		/* A lock of somebody else's on the plain one; on a store file all are granted. */
		if (p.l_type == F_UNLCK || (cmd != F_GETLK && cmd != F_OFD_GETLK))
			same_number(a, "l_type", p.l_type, m.l_type);
	}
	return true;
}

/* Nobody writes a store file, so its locks are all granted; they may not be on the plain one. */
OP(flock)
{
	static const int ways[] = { LOCK_SH, LOCK_UN, LOCK_EX, LOCK_UN, LOCK_SH };
	struct fdpair *f = fd_of(a, arg[0]);
	struct outcome p, m;
	int way;

	if (f == NULL || f->node == NULL)
		return false;
	way = ways[arg[1] % LENGTH(ways)];
	p = TRY(flock(f->p, way | LOCK_NB));
	m = TRY(flock(f->m, way | LOCK_NB));
	if (p.ret == -1 && p.err == EWOULDBLOCK && !f->dir) {
		flock(f->m, LOCK_UN);
		return true;
	}
	/* Directories: another actor may come between the two calls. */
	if (!f->dir)
		judge(a, "flock", p, m, 0);
	if (way == LOCK_EX || f->dir) {
		flock(f->p, LOCK_UN);
		flock(f->m, LOCK_UN);
	}
	return true;
}

OP(ioctl)
{
	struct fdpair *f = fd_of(a, arg[0]);
	struct termios t;
	int p = 0, m = 0, on = (int)(arg[2] % 2);

	if (f == NULL || f->dir)
		return false;
	switch (arg[1] % 5) {
	case 0:
		if (judge(a, "FIONREAD", TRY(ioctl(f->p, FIONREAD, &p)),
			  TRY(ioctl(f->m, FIONREAD, &m)), 0) == BOTH_DID)
			same_number(a, "FIONREAD", p, m);
		break;
	case 1:
		judge(a, "FIOCLEX", TRY(ioctl(f->p, on ? FIOCLEX : FIONCLEX)),
		      TRY(ioctl(f->m, on ? FIOCLEX : FIONCLEX)), 0);
		break;
	case 2:
		judge(a, "TCGETS", TRY(ioctl(f->p, TCGETS, &t)), TRY(ioctl(f->m, TCGETS, &t)), 0);
		break;
	case 3:
		judge(a, "FIONBIO", TRY(ioctl(f->p, FIONBIO, &on)), TRY(ioctl(f->m, FIONBIO, &on)),
		      0);
		fd_check_flags(a, f);
		break;
	case 4:
		judge(a, "isatty", TRY(isatty(f->p) ? 1 : -1), TRY(isatty(f->m) ? 1 : -1), 0);
		break;
	}
	return true;
}

static long epoll_says(int fd)
{
	struct epoll_event e = { .events = EPOLLIN };
	int ep = epoll_create1(EPOLL_CLOEXEC), r, error;

	r = epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
	error = errno;
	close(ep);
	if (r == -1)
		errno = error;
	return r;
}

static long select_says(int fd)
{
	struct timeval none = { 0 };
	fd_set r, w;

	FD_ZERO(&r);
	FD_ZERO(&w);
	FD_SET(fd, &r);
	FD_SET(fd, &w);
	return select(fd + 1, &r, &w, NULL, &none);
}

OP(poll)
{
	struct fdpair *f = fd_of(a, arg[0]);
	struct pollfd p, m;

	if (f == NULL)
		return false;
	p = (struct pollfd){ .fd = f->p, .events = POLLIN | POLLOUT };
	m = (struct pollfd){ .fd = f->m, .events = POLLIN | POLLOUT };
	judge(a, "poll", TRY(poll(&p, 1, 0)), TRY(poll(&m, 1, 0)), 0);
	same_number(a, "revents", p.revents, m.revents);
	if (arg[1] % 2 == 0 && f->m < FD_SETSIZE && f->p < FD_SETSIZE)
		judge(a, "select", TRY(select_says(f->p)), TRY(select_says(f->m)), 0);
	if (arg[1] % 4 == 1) {
		struct outcome x = TRY(epoll_says(f->p)), y = TRY(epoll_says(f->m));

		x.touched = y.touched = false;
		judge(a, "epoll_ctl", x, y, 0);
	}
	return true;
}

OP(fadvise)
{
	struct fdpair *f = fd_of(a, arg[0]);
	off_t off, len;

	if (f == NULL || f->dir)
		return false;
	off = offset_of(f, arg[1]);
	len = (off_t)(arg[2] % 8 == 0 ? 0 : arg[2] % 200000);
	if (arg[3] % 3 == 0)
		judge(a, "readahead", TRY(readahead(f->p, off < 0 ? 0 : off, (size_t)len)),
		      TRY(readahead(f->m, off < 0 ? 0 : off, (size_t)len)), 0);
	else
		judge(a, "posix_fadvise",
		      TRY_ERROR(posix_fadvise(f->p, off, len, (int)(arg[4] % 7))),
		      TRY_ERROR(posix_fadvise(f->m, off, len, (int)(arg[4] % 7))), 0);
	return true;
}

OP(sync)
{
	struct fdpair *f = fd_of(a, arg[0]);

	if (f == NULL || f->node == NULL)
		return false;
	if (arg[1] % 2 == 0)
		judge(a, "fsync", TRY(fsync(f->p)), TRY(fsync(f->m)), 0);
	else
		judge(a, "fdatasync", TRY(fdatasync(f->p)), TRY(fdatasync(f->m)), 0);
	return true;
}

/* What would change a store file through its descriptor, which is open for reading. */
OP(fd_change)
{
	static const int read_only[] = { EROFS, EBADF, 0 };
	struct fdpair *f = fd_of_file(a, arg[0]);
	struct timespec times[2] = { { 1, 0 }, { 2, 0 } };

	if (f == NULL || f->node == NULL || f->copy)
		return false;
	switch (arg[1] % 8) {
	case 0:
		judge(a, "write", TRY(write(f->p, "x", 1)), TRY(write(f->m, "x", 1)), 0);
		break;
	case 1:
		judge(a, "pwrite", TRY(pwrite(f->p, "x", 1, arg[2] % 100)),
		      TRY(pwrite(f->m, "x", 1, arg[2] % 100)), 0);
		break;
	case 2:
		judge(a, "ftruncate", TRY(ftruncate(f->p, arg[2] % 100)),
		      TRY(ftruncate(f->m, arg[2] % 100)), 0);
		break;
	case 3:
		judge(a, "fallocate", TRY(fallocate(f->p, 0, 0, 100)),
		      TRY(fallocate(f->m, 0, 0, 100)), 0);
		break;
	case 4:
		judge(a, "posix_fallocate", TRY_ERROR(posix_fallocate(f->p, 0, 100)),
		      TRY_ERROR(posix_fallocate(f->m, 0, 100)), 0);
		break;
	case 5:
		if (!world.bare)
			judge_fails(a, "fchmod", TRY(fchmod(f->m, 0600)), read_only);
		break;
	case 6:
		if (!world.bare)
			judge_fails(a, "fchown", TRY(fchown(f->m, getuid(), getgid())), read_only);
		break;
	case 7:
		if (!world.bare)
			judge_fails(a, "futimens", TRY(futimens(f->m, times)), read_only);
		break;
	}
	fd_check(a, f);
	return true;
}
