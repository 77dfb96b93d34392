/*
 * h_socket.c - hooks: descriptors over sockets.  Who receives one may be any
 * program, so a copy goes out for a store descriptor; a placeholder that comes in
 * is one of ours, at another version perhaps, and is entered.
 */
#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/inherit.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <stdbool.h>
#include <sys/socket.h>

#define NR_FDS	253 /* the kernel takes no more in one message */
#define CONTROL (64u * 1024)

/* The first or the next part of the control text that carries descriptors; NULL: none. */
static struct cmsghdr *rights(const struct msghdr *m, size_t *at)
{
	while (m->msg_control != NULL && *at + sizeof(struct cmsghdr) <= m->msg_controllen) {
		struct cmsghdr *c = (struct cmsghdr *)((char *)m->msg_control + *at);

		if (c->cmsg_len < sizeof(*c) || c->cmsg_len > m->msg_controllen - *at)
			return NULL;
		*at += CMSG_ALIGN(c->cmsg_len);
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			return c;
	}
	return NULL;
}

static size_t count(const struct cmsghdr *c)
{
	return (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
}

static bool carries_ours(const struct msghdr *m)
{
	struct cmsghdr *c;
	size_t at = 0, i;

	if (fds_end == 0 || m == NULL)
		return false;
	while ((c = rights(m, &at)) != NULL)
		for (i = 0; i < count(c); i++)
			if (fds_is_ours(((int *)CMSG_DATA(c))[i]) &&
			    !fds_is_dir(((int *)CMSG_DATA(c))[i]))
				return true;
	return false;
}

/* ---- sending ------------------------------------------------------------------------------ */

/* The copies that stand in a message, to be closed when it is gone. */
struct copies {
	int fds[NR_FDS];
	unsigned nr;
};

static void close_copies(struct copies *k)
{
	while (k->nr > 0)
		sys_close(k->fds[--k->nr]);
}

/* In a control text of our own: copies for store descriptors. */
static int put_copies(struct msghdr *m, struct copies *k)
{
	struct cmsghdr *c;
	size_t at = 0, i;

	while ((c = rights(m, &at)) != NULL) {
		for (i = 0; i < count(c); i++) {
			int *fd = &((int *)CMSG_DATA(c))[i], copy;

			if (!fds_is_ours(*fd) || fds_is_dir(*fd))
				continue;
			if (k->nr == NR_FDS)
				return -EINVAL; /* as the kernel says to so many */
			copy = escape_duplicate(*fd);
			if (copy < 0)
				return copy;
			k->fds[k->nr++] = copy;
			*fd = copy;
		}
	}
	return 0;
}

static ssize_t send_copies(int fd, const struct msghdr *m, int flags)
{
	struct copies copies = { .nr = 0 };
	struct msghdr mine = *m;
	ssize_t r;

	if (m->msg_controllen > CONTROL)
		return -ENOBUFS;
	mine.msg_control = arena_alloc(m->msg_controllen); /* stacks may be small */
	if (mine.msg_control == NULL)
		return -ENOMEM;
	mem_copy(mine.msg_control, m->msg_control, m->msg_controllen);
	r = put_copies(&mine, &copies);
	if (r == 0)
		r = sys_sendmsg(fd, &mine, flags);
	close_copies(&copies);
	arena_free(mine.msg_control);
	return r;
}

EXPORT ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	__typeof(&sendmsg) libc;

	if (carries_ours(m))
		return answer(send_copies(fd, m, flags));
	libc = NEXT(sendmsg);
	return libc != NULL ? libc(fd, m, flags) : answer(sys_sendmsg(fd, m, flags));
}

EXPORT int sendmmsg(int fd, struct mmsghdr *m, unsigned nr, int flags)
{
	__typeof(&sendmmsg) libc;
	bool ours = false;
	unsigned i;
	ssize_t r;

	for (i = 0; fds_end != 0 && i < nr && !ours; i++)
		ours = carries_ours(&m[i].msg_hdr);
	if (!ours) {
		libc = NEXT(sendmmsg);
		return libc != NULL ? libc(fd, m, nr, flags)
				    : (int)answer(sys_call4(__NR_sendmmsg, fd, m, nr, flags));
	}
	for (i = 0; i < nr; i++) {
		r = sendmsg(fd, &m[i].msg_hdr, flags);
		if (r < 0)
			return i > 0 ? (int)i : -1;
		m[i].msg_len = (unsigned)r;
	}
	return (int)nr;
}

/* ---- receiving ---------------------------------------------------------------------------- */

static void enter_received(const struct msghdr *m)
{
	struct cmsghdr *c;
	size_t at = 0, i;

	if (!paths_on() && fds_end == 0)
		return;
	while ((c = rights(m, &at)) != NULL)
		for (i = 0; i < count(c); i++)
			inherit_received(((int *)CMSG_DATA(c))[i]);
}

EXPORT ssize_t recvmsg(int fd, struct msghdr *m, int flags)
{
	__typeof(&recvmsg) libc = NEXT(recvmsg);
	ssize_t r = libc != NULL ? libc(fd, m, flags) : answer(sys_recvmsg(fd, m, flags));

	if (r >= 0)
		enter_received(m);
	return r;
}

EXPORT int recvmmsg(int fd, struct mmsghdr *m, unsigned nr, int flags, struct timespec *timeout)
{
	__typeof(&recvmmsg) libc = NEXT(recvmmsg);
	int r = libc != NULL ? libc(fd, m, nr, flags, timeout)
			     : (int)answer(sys_call5(__NR_recvmmsg, fd, m, nr, flags, timeout));
	int i;

	for (i = 0; i < r; i++)
		enter_received(&m[i].msg_hdr);
	return r;
}
