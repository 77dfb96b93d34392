#include "test/server/srv_conn.h"

#include "test/server/srv_loop.h"
#include "test/server/srv_reply.h"
#include "test/server/srv_route.h"
#include "test/server/srv_send.h"
#include "test/server/srv_text.h"
#include "test/server/srv_tls.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define READ_BYTES     (256u << 10)
#define LINGER_SECONDS 2
#define POLL_NS	       UINT64_C(500000)

/* What a handler asks for. */
enum {
	STEP_AGAIN = 0, /* the state advanced: run the next handler now */
	STEP_WAIT,	/* for an event or a timer */
	STEP_END,
};

static void name_source(struct srv_conn *c, char *out_port, size_t cap)
{
	struct sockaddr_storage ss;
	socklen_t len = sizeof(ss);
	unsigned port = 0;

	snprintf(c->source, sizeof(c->source), "unknown");
	if (getpeername(c->fd, (struct sockaddr *)&ss, &len) == 0) {
		if (ss.ss_family == AF_INET) {
			struct sockaddr_in *in = (struct sockaddr_in *)&ss;

			inet_ntop(AF_INET, &in->sin_addr, c->source, sizeof(c->source));
			port = ntohs(in->sin_port);
		} else if (ss.ss_family == AF_INET6) {
			struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&ss;

			inet_ntop(AF_INET6, &in6->sin6_addr, c->source, sizeof(c->source));
			port = ntohs(in6->sin6_port);
		}
	}
	snprintf(out_port, cap, "%s:%u", c->source, port);
}

struct srv_conn *srv_conn_new(struct srv_store *s, struct srv_loop *l, int fd, bool tls)
{
	struct srv_conn *c = srv_alloc(sizeof(*c));
	char name[96];
	int n;

	c->store = s;
	c->loop = l;
	c->fd = fd;
	c->out.fd = -1;
	c->intake.fd = -1;
	c->id = atomic_fetch_add(&s->next_id, 1);
	c->state = SRV_CONN_HEAD;
	srv_req_reset(&c->req);
	if (tls) {
		c->ssl = srv_tls_open(s->tls, fd);
		c->state = c->ssl != NULL ? SRV_CONN_HANDSHAKE : SRV_CONN_DEAD;
	}
	name_source(c, name, sizeof(name) - 24);
	n = (int)strlen(name);
	snprintf(name + n, sizeof(name) - (size_t)n, "#%llu", (unsigned long long)c->id);
	c->source_tally =
		srv_counts_tally(&s->counts, SRV_TALLY_SOURCE, c->source, strlen(c->source));
	c->conn_tally = srv_counts_tally(&s->counts, SRV_TALLY_CONNECTION, name, strlen(name));
	return c;
}

void srv_conn_free(struct srv_conn *c)
{
	srv_route_end(c);
	if (c->counted)
		atomic_fetch_sub(&c->store->counts.connections_now, 1);
	srv_tls_close(c->ssl);
	close(c->fd);
	if (c->out.fd != -1)
		close(c->out.fd);
	srv_buf_free(&c->out.head);
	free(c->out.scratch);
	srv_buf_free(&c->in);
	srv_reply_fini(&c->reply);
	srv_req_fini(&c->req);
	free(c);
}

ssize_t srv_conn_recv(struct srv_conn *c, void *p, size_t n)
{
	ssize_t r;

	if (c->ssl != NULL)
		return srv_tls_recv(c->ssl, p, n);
	r = recv(c->fd, p, n, 0);
	return r == -1 ? -errno : r;
}

ssize_t srv_conn_send(struct srv_conn *c, const void *p, size_t n, bool more)
{
	ssize_t r;

	if (c->ssl != NULL)
		return srv_tls_send(c->ssl, p, n);
	r = send(c->fd, p, n, MSG_NOSIGNAL | (more ? MSG_MORE : 0));
	return r == -1 ? -errno : r;
}

void srv_conn_park(struct srv_conn *c, struct srv_object *o)
{
	srv_object_unref(c->parked_on);
	c->parked_on = srv_object_ref(o);
	c->state = SRV_CONN_PARKED;
}

static int handshake(struct srv_conn *c)
{
	int r = srv_tls_accept(c->ssl);

	if (r == -EAGAIN)
		return c->hung_up ? STEP_END : STEP_WAIT;
	if (r != 0)
		return STEP_END;
	c->state = SRV_CONN_HEAD;
	return STEP_AGAIN;
}

/* Forget what was used up of c->in. */
static void shift_input(struct srv_conn *c)
{
	if (c->in_at == 0)
		return;
	c->in.len -= c->in_at;
	memmove(c->in.p, c->in.p + c->in_at, c->in.len);
	c->in.p[c->in.len] = '\0';
	c->in_at = 0;
}

static ssize_t read_more(struct srv_conn *c, size_t room)
{
	ssize_t n;

	srv_buf_reserve(&c->in, room);
	n = srv_conn_recv(c, c->in.p + c->in.len, room);
	if (n > 0) {
		c->in.len += (size_t)n;
		c->in.p[c->in.len] = '\0';
	}
	return n;
}

static void set_reset(struct srv_conn *c)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static int read_head(struct srv_conn *c)
{
	char *end;
	ssize_t n;

	shift_input(c);
	/* A blank line or two before a request is allowed. */
	while (c->in.len >= 2 && memcmp(c->in.p, "\r\n", 2) == 0) {
		c->in_at = 2;
		shift_input(c);
	}
	end = c->in.len > 0 ? memmem(c->in.p, c->in.len, "\r\n\r\n", 4) : NULL;
	if (end != NULL || c->in.len > SRV_HEAD_MAX) {
		size_t len = end != NULL ? (size_t)(end + 4 - c->in.p) : c->in.len;

		if (!srv_route_begin(c, len)) {
			if (c->plan.by_reset)
				set_reset(c);
			return STEP_END;
		}
		c->in_at = len;
		c->state = SRV_CONN_BODY;
		return STEP_AGAIN;
	}
	n = read_more(c, 16384);
	if (n == -EAGAIN)
		return STEP_WAIT;
	return n > 0 ? STEP_AGAIN : STEP_END;
}

static int begin_reply(struct srv_conn *c)
{
	uint64_t delay = (uint64_t)c->plan.delay_ms;

	/* Delays and limits are for the store, not for its controls. */
	if (c->in_flight) {
		delay += atomic_load(&c->store->limits.first_byte_ms);
		srv_limits_begin(&c->store->limits, &c->out.level);
		c->limited = true;
	}

	srv_reply_finish(c);
	c->wake_ns = delay > 0 ? srv_mono_ns() + delay * 1000000 : 0;
	c->state = delay > 0 ? SRV_CONN_DELAY : SRV_CONN_SEND;
	return STEP_AGAIN;
}

static int run_operation(struct srv_conn *c)
{
	srv_route_run(c);
	if (c->state == SRV_CONN_PARKED)
		return STEP_WAIT;
	return begin_reply(c);
}

static int read_body(struct srv_conn *c)
{
	int turns;
	ssize_t n;

	/* Give the others a turn now and then. */
	for (turns = 0; turns < 16; turns++) {
		if (c->in_at < c->in.len)
			c->in_at += srv_intake_feed(&c->intake, c->in.p + c->in_at,
						    c->in.len - c->in_at);
		if (c->intake.done)
			return run_operation(c);
		shift_input(c);
		n = read_more(c, READ_BYTES);
		if (n == -EAGAIN)
			return STEP_WAIT;
		if (n <= 0)
			return STEP_END;
	}
	srv_loop_again(c);
	return STEP_WAIT;
}

static int wait_parked(struct srv_conn *c)
{
	if (c->hung_up)
		return STEP_END;
	if (srv_object_crc_pending(c->parked_on))
		return STEP_WAIT;
	c->state = SRV_CONN_BODY;
	return run_operation(c);
}

static int wait_delay(struct srv_conn *c)
{
	if (c->hung_up)
		return STEP_END;
	if (c->wake_ns != 0 && srv_mono_ns() < c->wake_ns)
		return STEP_WAIT;
	c->wake_ns = 0;
	c->state = SRV_CONN_SEND;
	return STEP_AGAIN;
}

static int end_reply(struct srv_conn *c)
{
	srv_route_end(c);
	switch (c->out.end) {
	case SRV_OUT_KEEP:
		c->state = SRV_CONN_HEAD;
		return STEP_AGAIN;
	case SRV_OUT_CLOSE:
		shutdown(c->fd, SHUT_WR);
		c->state = SRV_CONN_LINGER;
		c->wake_ns = srv_mono_ns() + LINGER_SECONDS * UINT64_C(1000000000);
		return STEP_AGAIN;
	case SRV_OUT_RESET:
		c->state = SRV_CONN_DRAIN;
		return STEP_AGAIN;
	case SRV_OUT_STALL:
		c->state = SRV_CONN_STALL;
		return STEP_AGAIN;
	}
	abort();
}

static int send_reply(struct srv_conn *c)
{
	int r = srv_send_step(c);

	if (r < 0)
		return STEP_END;
	if (r == 0)
		return STEP_WAIT;
	return end_reply(c);
}

/* A reset throws away what is still under way, so let the peer have its bytes first. */
static int drain(struct srv_conn *c)
{
	if (c->hung_up || srv_send_unsent(c) == 0) {
		set_reset(c);
		return STEP_END;
	}
	c->wake_ns = srv_mono_ns() + POLL_NS;
	return STEP_WAIT;
}

static int linger(struct srv_conn *c)
{
	char sink[16384];
	ssize_t n;

	if (srv_mono_ns() >= c->wake_ns && srv_send_unsent(c) == 0)
		return STEP_END;
	do
		n = recv(c->fd, sink, sizeof(sink), 0);
	while (n > 0);
	if (n == 0 || (n == -1 && errno != EAGAIN))
		return STEP_END;
	if (c->wake_ns <= srv_mono_ns())
		c->wake_ns = srv_mono_ns() + UINT64_C(100000000);
	return STEP_WAIT;
}

static int run_state(struct srv_conn *c)
{
	switch (c->state) {
	case SRV_CONN_HANDSHAKE:
		return handshake(c);
	case SRV_CONN_HEAD:
		return read_head(c);
	case SRV_CONN_BODY:
		return read_body(c);
	case SRV_CONN_PARKED:
		return wait_parked(c);
	case SRV_CONN_DELAY:
		return wait_delay(c);
	case SRV_CONN_SEND:
		return send_reply(c);
	case SRV_CONN_DRAIN:
		return drain(c);
	case SRV_CONN_LINGER:
		return linger(c);
	case SRV_CONN_STALL:
		return c->hung_up ? STEP_END : STEP_WAIT;
	case SRV_CONN_DEAD:
		return STEP_END;
	}
	abort();
}

bool srv_conn_run(struct srv_conn *c)
{
	int r;

	do
		r = run_state(c);
	while (r == STEP_AGAIN);
	return r != STEP_END;
}
