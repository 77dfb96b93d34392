/*
 * h_read.c - hooks: read, pread, readv, preadv, lseek and the hints about reading.
 */
#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/preload/dirpos.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/store.h"

#include "common/wire.h"

#include <limits.h>
#include <sys/uio.h>
#include <unistd.h>

extern void pthread_testcancel(void) LIBC_WEAK;

#define MAX_COUNT 0x7ffff000u /* what the kernel reads at most in one call */

/*
 * Reading is a cancellation point, also in a loop that never waits and while the store is slow.  A
 * thread that is cancelled while it waits leaves its reference to the open file behind, no more.
 */
static void cancel_point(void)
{
	if (pthread_testcancel != 0)
		pthread_testcancel();
}

/* fds_get(), before which the thread may end. */
static inline struct ofd *get_to_read(int fd)
{
	if (fds_may_be_ours(fd))
		cancel_point();
	return fds_get(fd);
}

static ssize_t read_file(const struct ofd *o, void *buf, size_t len, uint64_t off)
{
	ssize_t r = file_read_looking(o->file, buf, len, off, cancel_point);

	if (__builtin_expect(r < 0, 0))
		store_say_unread(o->file, (int)r);
	return r;
}

/* Bytes at `off`, or a negative errno. */
static ssize_t read_at(const struct ofd *o, void *buf, size_t len, off_t off)
{
	if (off < 0)
		return -EINVAL;
	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	if ((uint64_t)off >= o->size)
		return 0;
	return read_file(o, buf, len < MAX_COUNT ? len : MAX_COUNT, (uint64_t)off);
}

static ssize_t read_next(const struct ofd *o, int fd, void *buf, size_t len)
{
	uint64_t taken;
	int64_t at;
	ssize_t r;

	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	at = offset_take(o->cell, fd, len < MAX_COUNT ? len : MAX_COUNT, o->size, &taken);
	if (at < 0 || taken == 0)
		return at < 0 ? (ssize_t)at : 0;
	r = read_file(o, buf, taken, (uint64_t)at);
	if (r < (ssize_t)taken)
		offset_untake(o->cell, fd, at, taken);
	return r;
}

EXPORT ssize_t read(int fd, void *buf, size_t len)
{
	struct ofd *o = get_to_read(fd);
	__typeof(&read) libc;
	ssize_t r;

	if (o == NULL) {
		libc = NEXT(read);
		return libc != NULL ? libc(fd, buf, len) : answer(sys_read(fd, buf, len));
	}
	r = read_next(o, fd, buf, len);
	fds_put(o);
	return answer(r);
}
ALIAS(__read, read);

EXPORT ssize_t __read_chk(int fd, void *buf, size_t len, size_t room);
ssize_t __read_chk(int fd, void *buf, size_t len, size_t room)
{
	if (len > room)
		__builtin_trap(); /* as libc: the program is about to overrun its buffer */
	return read(fd, buf, len);
}

EXPORT ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	struct ofd *o = get_to_read(fd);
	ssize_t r;

	if (o == NULL)
		return answer(sys_pread(fd, buf, len, off));
	r = read_at(o, buf, len, off);
	fds_put(o);
	return answer(r);
}
ALIAS(pread64, pread);
ALIAS(__pread64, pread);

EXPORT ssize_t __pread_chk(int fd, void *buf, size_t len, off_t off, size_t room);
ssize_t __pread_chk(int fd, void *buf, size_t len, off_t off, size_t room)
{
	if (len > room)
		__builtin_trap();
	return pread(fd, buf, len, off);
}
ALIAS(__pread64_chk, __pread_chk);

/* ---- vectors ------------------------------------------------------------------------ */

/* The bytes of a vector, or a negative errno. */
static ssize_t total_of(const struct iovec *iov, int nr)
{
	size_t total = 0;
	int i;

	if (nr < 0 || nr > IOV_MAX)
		return -EINVAL;
	for (i = 0; i < nr; i++) {
		if (iov[i].iov_len > (size_t)SSIZE_MAX - total)
			return -EINVAL;
		total += iov[i].iov_len;
	}
	return (ssize_t)(total < MAX_COUNT ? total : MAX_COUNT);
}

/* `total` bytes at `off` into the vector: all of them or an error, for short reads mean the end. */
static ssize_t scatter(const struct ofd *o, const struct iovec *iov, size_t total, uint64_t off)
{
	size_t done = 0;

	for (; done < total; iov++) {
		size_t n = iov->iov_len < total - done ? iov->iov_len : total - done;
		ssize_t r = n == 0 ? 0 : read_file(o, iov->iov_base, n, off + done);

		if (r < 0)
			return r;
		done += (size_t)r;
		if ((size_t)r < n)
			break;
	}
	return (ssize_t)done;
}

static ssize_t readv_at(const struct ofd *o, const struct iovec *iov, int nr, off_t off)
{
	ssize_t total = total_of(iov, nr);

	if (off < 0)
		return -EINVAL;
	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	if (total <= 0 || (uint64_t)off >= o->size)
		return total < 0 ? total : 0;
	if ((uint64_t)total > o->size - (uint64_t)off)
		total = (ssize_t)(o->size - (uint64_t)off);
	return scatter(o, iov, (size_t)total, (uint64_t)off);
}

static ssize_t readv_next(const struct ofd *o, int fd, const struct iovec *iov, int nr)
{
	ssize_t total = total_of(iov, nr), r;
	uint64_t taken;
	int64_t at;

	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	if (total <= 0)
		return total;
	at = offset_take(o->cell, fd, (uint64_t)total, o->size, &taken);
	if (at < 0 || taken == 0)
		return at < 0 ? (ssize_t)at : 0;
	r = scatter(o, iov, taken, (uint64_t)at);
	if (r < (ssize_t)taken)
		offset_untake(o->cell, fd, at + (r > 0 ? r : 0), taken - (r > 0 ? (size_t)r : 0));
	return r;
}

EXPORT ssize_t readv(int fd, const struct iovec *iov, int nr)
{
	struct ofd *o = get_to_read(fd);
	__typeof(&readv) libc;
	ssize_t r;

	if (o == NULL) {
		libc = NEXT(readv);
		return libc != NULL ? libc(fd, iov, nr)
				    : answer(sys_call3(__NR_readv, fd, iov, nr));
	}
	r = readv_next(o, fd, iov, nr);
	fds_put(o);
	return answer(r);
}

EXPORT ssize_t preadv(int fd, const struct iovec *iov, int nr, off_t off)
{
	struct ofd *o = get_to_read(fd);
	ssize_t r;

	if (o == NULL)
		return answer(sys_call5(__NR_preadv, fd, iov, nr, off, 0));
	r = readv_at(o, iov, nr, off);
	fds_put(o);
	return answer(r);
}
ALIAS(preadv64, preadv);

EXPORT ssize_t preadv2(int fd, const struct iovec *iov, int nr, off_t off, int flags)
{
	struct ofd *o = get_to_read(fd);
	ssize_t r;

	if (o == NULL)
		return answer(sys_call6(__NR_preadv2, fd, (long)iov, nr, off, 0, flags));
	/* The kernel judges the flags last, and not when nothing is to be read. */
	r = (o->flags & O_PATH) != 0 || off < -1 ? 0 : total_of(iov, nr);
	if (r > 0 && (flags & ~(RWF_HIPRI | RWF_DSYNC | RWF_SYNC | RWF_NOWAIT)) != 0)
		r = -EOPNOTSUPP;
	else if (r > 0 && (flags & RWF_NOWAIT) != 0)
		r = -EAGAIN; /* it may have to be downloaded */
	else
		r = off == -1 ? readv_next(o, fd, iov, nr) : readv_at(o, iov, nr, off);
	fds_put(o);
	return answer(r);
}
ALIAS(preadv64v2, preadv2);

/* ---- lseek ---------------------------------------------------------------------------- */

/* A store file has no holes: all is data up to the end. */
static int64_t seek(const struct ofd *o, int fd, int64_t off, int whence)
{
	int64_t base = 0;

	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	switch (whence) {
	case SEEK_SET:
		break;
	case SEEK_CUR:
		base = offset_get(o->cell, fd);
		if (off == 0)
			return base;
		break;
	case SEEK_END:
		base = (int64_t)o->size;
		break;
	case SEEK_DATA:
	case SEEK_HOLE:
		if (off < 0 || (uint64_t)off >= o->size)
			return -ENXIO;
		if (whence == SEEK_HOLE)
			off = (int64_t)o->size;
		break;
	default:
		return -EINVAL;
	}
	if (off > 0 ? base > OFFSET_MAX - off : base + off < 0)
		return -EINVAL;
	offset_set(o->cell, fd, base + off);
	return base + off;
}

EXPORT off_t lseek(int fd, off_t off, int whence)
{
	struct ofd *o = fds_get(fd);
	bool is_ours = false;
	off_t r;

	if (o == NULL) {
		r = dirpos_nr != 0 ? dirpos_seek(fd, off, whence, &is_ours) : 0;
		return answer(is_ours ? r : sys_call3(__NR_lseek, fd, off, whence));
	}
	r = seek(o, fd, off, whence);
	fds_put(o);
	return answer(r);
}
ALIAS(lseek64, lseek);
ALIAS(__lseek, lseek);
ALIAS(llseek, lseek); /* for old programs: linkers no longer find it */

/* ---- hints ----------------------------------------------------------------------------- */

/* These two return their errno.  As the kernel's: an offset may be anything, only a length is judged. */
static int advise(const struct ofd *o, off_t off, off_t len, int advice)
{
	uint64_t n = len > 0 ? (uint64_t)len : UINT64_MAX;
	unsigned how = 0;

	if ((o->flags & O_PATH) != 0)
		return EBADF;
	if (len < 0)
		return EINVAL;
	switch (advice) {
	case POSIX_FADV_WILLNEED:
		how = WIRE_ADVISE_WILLNEED;
		break;
	case POSIX_FADV_SEQUENTIAL:
		how = WIRE_ADVISE_SEQUENTIAL;
		break;
	case POSIX_FADV_RANDOM:
		how = WIRE_ADVISE_RANDOM;
		break;
	case POSIX_FADV_NORMAL:
	case POSIX_FADV_NOREUSE:
	case POSIX_FADV_DONTNEED:
		return 0;
	default:
		return EINVAL;
	}
	if (off < 0 || (uint64_t)off >= o->size)
		return 0;
	if (n > o->size - (uint64_t)off)
		n = o->size - (uint64_t)off;
	file_advise(o->file, (uint64_t)off, n, how);
	return 0;
}

EXPORT int posix_fadvise(int fd, off_t off, off_t len, int advice)
{
	struct ofd *o = fds_get(fd);
	int r;

	if (o == NULL)
		return (int)-sys_call4(__NR_fadvise64, fd, off, len, advice);
	r = advise(o, off, len, advice);
	fds_put(o);
	return r;
}
ALIAS(posix_fadvise64, posix_fadvise);

EXPORT ssize_t readahead(int fd, off_t off, size_t len)
{
	struct ofd *o = fds_get(fd);
	int r;

	if (o == NULL)
		return answer(sys_call3(__NR_readahead, fd, off, len));
	r = len > (size_t)SSIZE_MAX ? EINVAL : advise(o, off, (off_t)len, POSIX_FADV_WILLNEED);
	fds_put(o);
	return answer(-r);
}
