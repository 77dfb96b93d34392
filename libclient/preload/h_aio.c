/*
 * h_aio.c - hooks: asynchronous reads.  POSIX aio reads in a thread inside libc,
 * libaio and io_uring in the kernel: a store descriptor becomes a copy before it
 * is handed to them.
 */
#include "libclient/preload/aio.h"

#include "libclient/core/sys.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/preload.h"

#include <aio.h>
#include <linux/aio_abi.h>
#include <linux/io_uring.h>
#include <stdbool.h>

#define IORING_REGISTER_BY_INDEX (1u << 31) /* the ring is a number of its own (Linux 6.3) */

/* Reads of `fd` that we shall not see are right from now on. */
static int make_readable(int fd)
{
	return fds_is_ours(fd) && !fds_is_dir(fd) ? escape_descriptor(fd) : 0;
}

/* ---- POSIX ------------------------------------------------------------------------------- */

EXPORT int aio_read(struct aiocb *cb)
{
	__typeof(&aio_read) libc = NEXT_LATE(aio_read);
	int r = fds_end != 0 ? make_readable(cb->aio_fildes) : 0;

	if (r == 0 && libc == NULL)
		r = -ENOSYS;
	return r != 0 ? (int)answer(r) : libc(cb);
}
ALIAS(aio_read64, aio_read);

EXPORT int lio_listio(int mode, struct aiocb *const list[], int nr, struct sigevent *event)
{
	__typeof(&lio_listio) libc = NEXT_LATE(lio_listio);
	int r = libc != NULL ? 0 : -ENOSYS, i;

	for (i = 0; fds_end != 0 && i < nr && r == 0; i++)
		if (list[i] != NULL && list[i]->aio_lio_opcode == LIO_READ)
			r = make_readable(list[i]->aio_fildes);
	return r != 0 ? (int)answer(r) : libc(mode, list, nr, event);
}
ALIAS(lio_listio64, lio_listio);

/* ---- the kernel's ---------------------------------------------------------------------------- */

long aio_submit(unsigned long ctx, long nr, struct iocb **list)
{
	long i, r;

	for (i = 0; fds_end != 0 && i < nr; i++) {
		if (list[i]->aio_lio_opcode != IOCB_CMD_PREAD &&
		    list[i]->aio_lio_opcode != IOCB_CMD_PREADV)
			continue;
		r = make_readable((int)list[i]->aio_fildes);
		if (r != 0)
			return i > 0 ? sys_call3(__NR_io_submit, ctx, i, list) : r;
	}
	return sys_call3(__NR_io_submit, ctx, nr, list);
}

/* libaio's: returns a negative errno, and makes the system call in its own code. */
EXPORT int io_submit(unsigned long ctx, long nr, struct iocb **list);
int io_submit(unsigned long ctx, long nr, struct iocb **list)
{
	return (int)aio_submit(ctx, nr, list);
}

static int make_all_readable(const int *fds, unsigned nr)
{
	unsigned i;
	int r = 0;

	for (i = 0; fds_end != 0 && fds != NULL && i < nr && r == 0; i++)
		r = fds[i] >= 0 ? make_readable(fds[i]) : 0;
	return r;
}

long aio_register(int ring, unsigned op, void *arg, unsigned nr)
{
	const struct io_uring_rsrc_register *set = arg;
	const struct io_uring_files_update *update = arg;
	const struct io_uring_rsrc_update2 *update2 = arg;
	int r = 0;

	switch (op & ~IORING_REGISTER_BY_INDEX) {
	case IORING_REGISTER_FILES:
		r = make_all_readable(arg, nr);
		break;
	case IORING_REGISTER_FILES_UPDATE:
		r = make_all_readable((const int *)(uintptr_t)update->fds, nr);
		break;
	case IORING_REGISTER_FILES2:
		r = make_all_readable((const int *)(uintptr_t)set->data, set->nr);
		break;
	case IORING_REGISTER_FILES_UPDATE2:
		r = make_all_readable((const int *)(uintptr_t)update2->data, update2->nr);
		break;
	}
	return r != 0 ? r : sys_call4(__NR_io_uring_register, ring, op, arg, nr);
}

/*
 * liburing's, whose calls into the kernel are its own.  What it is not told of,
 * a ring refuses to read: EBADF.
 */
struct io_uring;

EXPORT int io_uring_register_files(struct io_uring *ring, const int *fds, unsigned nr);
int io_uring_register_files(struct io_uring *ring, const int *fds, unsigned nr)
{
	__typeof(&io_uring_register_files) liburing = NEXT_LATE(io_uring_register_files);
	int r = make_all_readable(fds, nr);

	return r != 0 || liburing == NULL ? (r != 0 ? r : -ENOSYS) : liburing(ring, fds, nr);
}

EXPORT int io_uring_register_files_update(struct io_uring *ring, unsigned at, const int *fds,
					  unsigned nr);
int io_uring_register_files_update(struct io_uring *ring, unsigned at, const int *fds, unsigned nr)
{
	__typeof(&io_uring_register_files_update) liburing =
		NEXT_LATE(io_uring_register_files_update);
	int r = make_all_readable(fds, nr);

	return r != 0 || liburing == NULL ? (r != 0 ? r : -ENOSYS) : liburing(ring, at, fds, nr);
}
