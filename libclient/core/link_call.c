/* Requests and answers: any thread reads the socket for all, one at a time. */
#include "libclient/core/epoch.h"
#include "libclient/core/linkstate.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"

#include <poll.h>

#define SEND_MS 10000u

void packet_close_fds(struct packet *p)
{
	unsigned i;

	for (i = 0; i < p->nr_fds; i++)
		if (p->fds[i] >= 0)
			sys_close(p->fds[i]);
	p->nr_fds = 0;
}

/* The kernel puts all descriptors of a packet into one control message. */
static void take_fds(struct msghdr *msg, struct packet *p)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	const int *fds;
	unsigned nr, i;

	if (c == NULL || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return;
	fds = (const int *)CMSG_DATA(c);
	nr = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
	for (i = 0; i < nr; i++) {
		if (p->nr_fds < LINK_MAX_FDS)
			p->fds[p->nr_fds++] = fds[i];
		else
			sys_close(fds[i]);
	}
}

int link_receive(int fd, struct packet *ret, unsigned wait_ms)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * LINK_MAX_FDS)];
	struct iovec iov = { .iov_base = ret->u.bytes, .iov_len = sizeof(ret->u.bytes) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	struct pollfd p = { .fd = fd, .events = POLLIN };
	ssize_t n;

	ret->nr_fds = 0;
	n = sys_poll(&p, 1, wait_ms);
	if (n == 0 || n == -EINTR)
		return -EAGAIN;
	n = sys_recvmsg(fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	if (n == -EAGAIN || n == -EINTR)
		return -EAGAIN;
	if (n <= 0)
		return -ECONNRESET;
	ret->len = (size_t)n;
	take_fds(&msg, ret);
	if ((msg.msg_flags & MSG_CTRUNC) != 0 && ret->nr_fds < LINK_MAX_FDS) {
		packet_close_fds(ret);
		return -EMFILE; /* this process may have no more descriptors */
	}
	if ((msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0 || ret->len < sizeof(ret->u.head) ||
	    ret->u.head.magic != WIRE_MAGIC) {
		packet_close_fds(ret);
		return -EPROTO;
	}
	return 0;
}

int link_transmit(int fd, const void *msg, size_t len, unsigned wait_ms)
{
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
	uint64_t deadline = sys_now_ms() + wait_ms;

	for (;;) {
		ssize_t n = sys_sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
		struct pollfd p = { .fd = fd, .events = POLLOUT };

		if (n == (ssize_t)len)
			return 0;
		if (n != -EAGAIN && n != -EINTR)
			return n == -EMSGSIZE ? -EMSGSIZE : -ECONNRESET;
		if (sys_now_ms() > deadline)
			return -ETIMEDOUT;
		sys_poll(&p, 1, LINK_SLICE_MS);
	}
}

/* Take it out of the list: true if it was there. */
static bool unlist_locked(struct link *l, const struct link_wait *w)
{
	struct link_wait **at;

	for (at = &l->waits; *at != NULL; at = &(*at)->next) {
		if (*at == w) {
			*at = w->next;
			return true;
		}
	}
	return false;
}

static void wake_all(struct link *l)
{
	__atomic_add_fetch(&l->turn, 1, __ATOMIC_RELEASE);
	sys_futex_wake(&l->turn, INT32_MAX);
}

/* An answer that nobody awaits: an object it opened is closed again. */
static void discard(struct link *l, struct packet *p)
{
	const struct wire_open_answer *a = (const void *)p->u.bytes;

	packet_close_fds(p);
	if (p->u.head.type == WIRE_OPEN && p->u.head.status == 0 && p->len >= sizeof(*a)) {
		struct wire_object close = {
			.head = wire_head(WIRE_CLOSE, 0, sizeof(close)),
			.object = a->object,
		};

		link_transmit(l->socket.fd, &close, sizeof(close), 0);
	}
}

static void deliver(struct link *l, struct packet *p)
{
	const struct wire_error *e = (const void *)p->u.bytes;
	uint64_t signals = lock_enter(&l->lock);
	struct link_wait *w;
	int result = p->u.head.status;
	unsigned i;

	for (w = l->waits; w != NULL; w = w->next)
		if (w->seq == p->u.head.seq && w->type == p->u.head.type)
			break;
	if (w != NULL) {
		struct text t;

		unlist_locked(l, w);
		if (result < 0) {
			text_init(&t, l->text, sizeof(l->text));
			if (p->len == sizeof(*e))
				for (i = 0; i < sizeof(e->text) && e->text[i] != '\0'; i++)
					text_addc(&t, e->text[i]);
			packet_close_fds(p);
		}
		mem_copy(w->answer.bytes, p->u.bytes, p->len);
		w->len = p->len;
		w->nr_fds = (uint16_t)p->nr_fds;
		for (i = 0; i < p->nr_fds; i++)
			w->fds[i] = p->fds[i];
		/* The last touch: its owner may be gone right after. */
		__atomic_store_n(&w->result, result > 0 ? -EPROTO : result, __ATOMIC_RELEASE);
	}
	lock_leave(&l->lock, signals);
	if (w == NULL)
		discard(l, p);
}

int link_send(struct link *l, struct wire_head *request, struct link_wait *w)
{
	uint64_t signals;
	uint32_t serial = link_serial(l);
	int r;

	if (serial == 0)
		return -ENOTCONN;
	if (!own_fd_is_ours(&l->socket)) {
		link_down(l, serial);
		return -ENOTCONN;
	}
	if (request->type == WIRE_PIN)
		__atomic_store_n(&l->has_claims, true, __ATOMIC_SEQ_CST);
	w->result = -EINPROGRESS;
	w->serial = serial;
	w->type = request->type;
	w->nr_fds = 0;
	w->len = 0;
	signals = lock_enter(&l->lock);
	w->seq = request->seq = ++l->seq;
	w->next = l->waits;
	l->waits = w;
	lock_leave(&l->lock, signals);

	r = link_transmit(l->socket.fd, request, request->len, SEND_MS);
	if (r == 0)
		return 0;
	if (r == -ECONNRESET)
		link_down(l, serial);
	link_forget(l, w);
	return r == -ECONNRESET ? -ENOTCONN : r;
}

void link_forget(struct link *l, struct link_wait *w)
{
	uint64_t signals = lock_enter(&l->lock);
	unsigned i;

	if (link_serial(l) == w->serial)
		unlist_locked(l, w);
	lock_leave(&l->lock, signals);
	for (i = 0; i < w->nr_fds; i++)
		if (w->fds[i] >= 0)
			sys_close(w->fds[i]);
	w->nr_fds = 0;
}

/* Read the socket for all who wait, or sleep until somebody else has. */
static int one_turn(struct link *l, const struct link_wait *w, unsigned wait_ms)
{
	uint32_t turn = __atomic_load_n(&l->turn, __ATOMIC_ACQUIRE);
	struct packet p;
	int r, gate;

	gate = gate_try(&l->receiving);
	if (gate == -EAGAIN) {
		if (__atomic_load_n(&w->result, __ATOMIC_ACQUIRE) == -EINPROGRESS)
			sys_futex_wait(&l->turn, turn, wait_ms);
		return 0;
	}
	/* -EDEADLK: we interrupt a thread that reads; a packet is read at one go, so we may too. */
	r = 0;
	if (__atomic_load_n(&w->result, __ATOMIC_ACQUIRE) == -EINPROGRESS)
		r = link_receive(l->socket.fd, &p, wait_ms);
	else
		p.nr_fds = 0, p.len = 0;
	if (gate == 0)
		gate_leave(&l->receiving);
	if (r == 0 && p.len > 0)
		deliver(l, &p);
	wake_all(l);
	return r == -EAGAIN ? 0 : r;
}

int link_await(struct link *l, struct link_wait *w, unsigned timeout_ms)
{
	uint64_t deadline = sys_now_ms() + timeout_ms;
	int r;

	while ((r = __atomic_load_n(&w->result, __ATOMIC_ACQUIRE)) == -EINPROGRESS) {
		uint64_t now = sys_now_ms();

		if (link_serial(l) != w->serial) {
			r = -ECONNRESET; /* we were forked meanwhile */
			break;
		}
		if (now >= deadline) {
			r = -ETIMEDOUT;
			link_set_error_text(l, "the daemon did not answer in time: see its log");
			break;
		}
		now = deadline - now;
		r = one_turn(l, w, now < LINK_SLICE_MS ? (unsigned)now : LINK_SLICE_MS);
		if (r == 0 && link_on_wait != NULL && now + LINK_SLICE_MS <= timeout_ms)
			link_on_wait(l, sys_now_ms());
		if (r != 0) {
			link_set_error_text(
				l, r == -EPROTO ? "the daemon sent what no daemon sends"
						: "the daemon has ended the session: see its log");
			link_down(l, w->serial);
		}
	}
	if (r != 0)
		link_forget(l, w);
	return r;
}

int link_call(struct link *l, struct wire_head *request, size_t answer_len, unsigned timeout_ms,
	      struct link_wait *w)
{
	int r = link_send(l, request, w);

	if (r != 0)
		return r;
	r = link_await(l, w, timeout_ms);
	if (r == 0 && w->len < answer_len) {
		link_forget(l, w);
		r = -EPROTO;
	}
	return r;
}
