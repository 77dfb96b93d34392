/*
 * h_copy.c - hooks: calls that move bytes from one descriptor to another.  The
 * kernel would find no data in a placeholder; where every caller falls back to
 * reading, it is told that the call cannot be done, else we read and write.
 */
#include "libclient/core/arena.h"
#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/store.h"

#include <sys/sendfile.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE (128u * 1024)
#define MOST  0x7ffff000u

/* Write all of it, or say how much; a negative errno when nothing went. */
static ssize_t write_all(int fd, const char *buf, size_t len)
{
	size_t done = 0;
	ssize_t r;

	while (done < len) {
		r = sys_write(fd, buf + done, len - done);
		if (r <= 0)
			return done > 0 || r == 0 ? (ssize_t)done : r;
		done += (size_t)r;
	}
	return (ssize_t)done;
}

static ssize_t send_from(const struct ofd *o, int out, uint64_t off, size_t len)
{
	char *buf = arena_alloc(PIECE);
	size_t done = 0;
	ssize_t r = 0, n;

	if (buf == NULL)
		return -ENOMEM;
	while (done < len && off + done < o->size) {
		n = file_read(o->file, buf, len - done < PIECE ? len - done : PIECE, off + done);
		if (n < 0)
			store_say_unread(o->file, (int)n);
		r = n > 0 ? write_all(out, buf, (size_t)n) : n;
		if (r <= 0)
			break;
		done += (size_t)r;
		if (r < n)
			break;
	}
	arena_free(buf);
	return done > 0 ? (ssize_t)done : r;
}

/* ---- into a pipe ------------------------------------------------------------------------ */

/*
 * As much as the pipe has room for, as splice() does: a writer that waited for
 * more might be the one who is to read it.  The pages go into the pipe as they are.
 */
static ssize_t pipe_from(const struct ofd *o, int out, uint64_t off, size_t len, unsigned flags)
{
	struct iovec iov;
	int room = sys_fcntl(out, F_GETPIPE_SZ, 0);
	ssize_t r;
	void *mem;

	if (room < 0)
		return sys_fcntl(out, F_GETFD, 0) < 0 ? -EBADF : -EINVAL;
	if (off >= o->size || len == 0)
		return 0;
	if (len > (size_t)room)
		len = (size_t)room;
	if ((sys_fcntl(out, F_GETFL, 0) & O_NONBLOCK) != 0)
		flags |= SPLICE_F_NONBLOCK;
	mem = sys_mmap(NULL, (size_t)room, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	if (sys_is_error(mem))
		return (ssize_t)(long)mem;
	r = file_read(o->file, mem, len, off);
	if (r < 0)
		store_say_unread(o->file, (int)r);
	if (r > 0) {
		iov = (struct iovec){ .iov_base = mem, .iov_len = (size_t)r };
		r = sys_call4(__NR_vmsplice, out, &iov, 1,
			      flags & (SPLICE_F_NONBLOCK | SPLICE_F_MORE));
	}
	sys_munmap(mem, (size_t)room);
	return r;
}

static ssize_t send_ours(const struct ofd *o, int out, int in, off_t *off, size_t len)
{
	int64_t at = off != NULL ? *off : offset_get(o->cell, in);
	ssize_t r;

	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	if (at < 0)
		return off != NULL ? -EINVAL : (ssize_t)at;
	if (len > 0 && sys_fcntl(out, F_GETPIPE_SZ, 0) > 0)
		r = pipe_from(o, out, (uint64_t)at, len, 0);
	else
		r = send_from(o, out, (uint64_t)at, len < MOST ? len : MOST);
	if (r > 0 && off != NULL)
		*off = at + r;
	else if (r > 0)
		offset_set(o->cell, in, at + r);
	return r;
}

/* ---- sendfile, copy_file_range ---------------------------------------------------------- */

EXPORT ssize_t sendfile(int out, int in, off_t *off, size_t len)
{
	struct ofd *o = fds_get(in);
	ssize_t r;

	if (o == NULL && !fds_is_ours(out))
		return answer(sys_call4(__NR_sendfile, out, in, off, len));
	if (o == NULL)
		return answer(-EBADF);
	r = fds_is_ours(out) ? -EBADF : send_ours(o, out, in, off, len);
	fds_put(o);
	return answer(r);
}
ALIAS(sendfile64, sendfile);

/* "Not on the same file system": what every caller of it is prepared for. */
EXPORT ssize_t copy_file_range(int in, off64_t *in_off, int out, off64_t *out_off, size_t len,
			       unsigned flags)
{
	if (fds_is_ours(in) || fds_is_ours(out))
		return answer(fds_is_ours(out) ? -EBADF : -EXDEV);
	return answer(sys_call6(__NR_copy_file_range, in, (long)in_off, out, (long)out_off,
				(long)len, flags));
}

/* ---- splice ------------------------------------------------------------------------------- */

static ssize_t splice_ours(const struct ofd *o, int in, off64_t *in_off, int out,
			   const off64_t *out_off, size_t len, unsigned flags)
{
	int64_t at = in_off != NULL ? *in_off : offset_get(o->cell, in);
	ssize_t r;

	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	if (out_off != NULL)
		return -ESPIPE;
	if (at < 0 ||
	    (flags & ~(SPLICE_F_MOVE | SPLICE_F_NONBLOCK | SPLICE_F_MORE | SPLICE_F_GIFT)) != 0)
		return -EINVAL;
	r = pipe_from(o, out, (uint64_t)at, len, flags);
	if (r > 0 && in_off != NULL)
		*in_off = at + r;
	else if (r > 0)
		offset_set(o->cell, in, at + r);
	return r;
}

EXPORT ssize_t splice(int in, off64_t *in_off, int out, off64_t *out_off, size_t len,
		      unsigned flags)
{
	struct ofd *o = fds_get(in);
	ssize_t r;

	if (o != NULL) {
		r = splice_ours(o, in, in_off, out, out_off, len, flags);
		fds_put(o);
		return answer(r);
	}
	if (fds_is_ours(out))
		return answer(-EBADF);
	return answer(
		sys_call6(__NR_splice, in, (long)in_off, out, (long)out_off, (long)len, flags));
}

/* Between pipes only; the placeholder, which cannot be read, would say EBADF. */
EXPORT ssize_t tee(int in, int out, size_t len, unsigned flags)
{
	if (fds_is_ours(in))
		return answer(-EINVAL);
	return answer(sys_call4(__NR_tee, in, out, len, flags));
}
