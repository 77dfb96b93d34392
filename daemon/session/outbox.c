/*
 * Messages to one client.  They go out at once; what the socket does not take
 * waits in order, with copies of its descriptors, up to a bound: a client that
 * does not read its answers loses its session, not the daemon's memory.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/base/xalloc.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

#define FDS_MAX 3

/* 0, -EAGAIN, or another negative errno that ends the session. */
static int send_now(int fd, const void *bytes, size_t len, const int *fds, unsigned nr_fds)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * FDS_MAX)];
	} control = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)bytes, .iov_len = len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr_fds > 0) {
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(&control.head), fds, sizeof(int) * nr_fds);
	}
	if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
		return errno == EWOULDBLOCK || errno == ENOBUFS ? -EAGAIN : -errno;
	return 0;
}

static void parcel_free(struct parcel *p)
{
	unsigned i;

	for (i = 0; i < p->nr_fds; i++)
		close(p->fds[i]);
	free(p);
}

static int keep(struct session *s, const void *bytes, size_t len, const int *fds, unsigned nr_fds)
{
	struct parcel *p;

	if (s->nr_parcels == SESSION_OUTBOX_MAX)
		return -ENOBUFS;
	p = xcalloc(1, sizeof(*p) + len);
	memcpy(p->bytes, bytes, len);
	p->len = len;
	for (; p->nr_fds < nr_fds; p->nr_fds++) {
		p->fds[p->nr_fds] = fcntl(fds[p->nr_fds], F_DUPFD_CLOEXEC, 0);
		if (p->fds[p->nr_fds] == -1) {
			int r = -errno;

			parcel_free(p);
			return r;
		}
	}
	TAILQ_INSERT_TAIL(&s->outbox, p, link);
	if (s->nr_parcels++ == 0)
		event_add(s->on_writable, NULL);
	return 0;
}

void session_answer(struct session *s, uint16_t type, uint32_t seq, struct wire_head *msg,
		    size_t len, const int *fds, unsigned nr_fds)
{
	int32_t status = msg->status;
	int r = -EAGAIN;

	if (session_is_dead(s))
		return;
	*msg = wire_head(type, seq, (uint32_t)len);
	msg->status = status;
	if (s->nr_parcels == 0)
		r = send_now(s->fd, msg, len, fds, nr_fds);
	if (r == -EAGAIN)
		r = keep(s, msg, len, fds, nr_fds);
	if (r == -ENOBUFS)
		session_close(s, "it does not read its answers (%d wait)", SESSION_OUTBOX_MAX);
	else if (r == -EPIPE || r == -ECONNRESET)
		session_close(s, "the client went away");
	else if (r != 0)
		session_close(s, "an answer cannot be sent: %s", strerror(-r));
}

void session_refuse(struct session *s, uint16_t type, uint32_t seq, int error, const char *fmt, ...)
{
	struct wire_error answer = { .head.status = error };
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(answer.text, sizeof(answer.text), fmt, ap);
	va_end(ap);
	session_answer(s, type, seq, &answer.head, sizeof(answer), NULL, 0);
}

void outbox_on_writable(int fd, short what, void *arg)
{
	struct session *s = arg;
	struct parcel *p;
	int r = 0;

	(void)what;
	while ((p = TAILQ_FIRST(&s->outbox)) != NULL) {
		r = send_now(fd, p->bytes, p->len, p->fds, p->nr_fds);
		if (r != 0)
			break;
		TAILQ_REMOVE(&s->outbox, p, link);
		s->nr_parcels--;
		parcel_free(p);
	}
	if (r != 0 && r != -EAGAIN)
		session_close(s, "the client went away: %s", strerror(-r));
	else if (r == 0)
		event_del(s->on_writable);
}

void outbox_clear(struct session *s)
{
	struct parcel *p;

	while ((p = TAILQ_FIRST(&s->outbox)) != NULL) {
		TAILQ_REMOVE(&s->outbox, p, link);
		parcel_free(p);
	}
	s->nr_parcels = 0;
}
