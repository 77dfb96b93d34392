#include "daemon/http/exchange.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/http/body.h"
#include "daemon/http/client.h"
#include "daemon/http/pace.h"
#include "daemon/http/reqhead.h"
#include "daemon/http/response.h"
#include "daemon/http/sink.h"
#include "daemon/net/connpool.h"
#include "daemon/net/source.h"
#include "daemon/net/stream.h"

#define LOG_MODULE "http"
#include "daemon/base/log.h"

#define HEAD_FIRST_LEN 4096

/*
 *	CONNECT --> SEND --> HEAD --> BODY --> DONE
 *	   \  ^______/______/  \_______\____> DONE
 *	    \  (a reused connection was dead)
 *	     \______________________________> DONE (with an error)
 */
enum xchg_state {
	XCHG_CONNECT = 0, /* the pool has been asked for a connection */
	XCHG_SEND,	  /* request is not yet fully written */
	XCHG_HEAD,	  /* waiting for the end of the response head */
	XCHG_BODY,	  /* body bytes flow into the sink */
	XCHG_DONE,	  /* on_done() has been called; x is dead */
};

/* What a handler asks for.  Negative errno: the exchange failed, and x->why says how. */
enum {
	STEP_AGAIN = 0, /* state advanced: run the next handler now */
	STEP_WAIT,	/* for what the stream wants */
	STEP_YIELD,	/* there may be more, but others have waited long enough */
	STEP_DONE,
};

struct http_exchange {
	struct exchange_parts *parts;
	struct http_events events;
	void *arg;
	enum xchg_state state;
	bool in_step;	/* its own code is on the stack: do not free */
	bool cancelled; /* in the meantime */

	/* Whom to ask. */
	char *host;
	uint16_t port;
	bool tls;
	struct source_set *sources;
	unsigned connect_timeout_ms;
	unsigned idle_timeout_ms;

	struct connpool_wait *wait; /* CONNECT */
	struct conn *conn;	    /* SEND, HEAD, BODY */
	struct event *event;
	short waits_for;
	bool reused;	 /* conn has served before */
	bool was_early;	 /* the response came before the request was sent */
	bool net_failed; /* conn is to blame */

	struct strbuf request;
	size_t sent;
	bool is_head;

	char *head;
	size_t head_len;
	size_t head_cap;
	size_t head_scan;
	size_t head_before; /* bytes of 1xx heads that are gone */
	bool has_res;
	struct http_response res;

	struct body body;
	uint64_t counted; /* of body.taken */
	struct pace pace; /* HEAD, BODY */
	char why[EXCHANGE_TEXT_LEN];
};

static const char *const state_names[] = {
	[XCHG_CONNECT] = "connect", [XCHG_SEND] = "send", [XCHG_HEAD] = "head",
	[XCHG_BODY] = "body",	    [XCHG_DONE] = "done",
};

static void xchg_set_state(struct http_exchange *x, enum xchg_state state)
{
	log_debug("exchange %p with %s: %s -> %s", (void *)x,
		  x->conn != NULL ? conn_where(x->conn) : x->host, state_names[x->state],
		  state_names[state]);
	x->state = state;
}

/* ---- ends ------------------------------------------------------------------------ */

static void xchg_free(struct http_exchange *x)
{
	if (x->event != NULL)
		event_free(x->event);
	if (x->has_res)
		response_fini(&x->res);
	strbuf_wipe(&x->request);
	source_set_unref(x->sources);
	free(x->head);
	free(x->host);
	free(x);
}

/* To the address they came by; now and not at the end, which may be a minute away. */
static void count_bytes(struct http_exchange *x)
{
	conn_count_bytes(x->conn, x->body.taken - x->counted);
	x->counted = x->body.taken;
}

/* Give the connection back. */
static void let_go(struct http_exchange *x, bool clean)
{
	if (x->wait != NULL)
		connpool_cancel(x->wait);
	x->wait = NULL;
	if (x->event != NULL)
		event_free(x->event);
	x->event = NULL;
	if (x->conn == NULL)
		return;
	count_bytes(x);
	if (x->net_failed)
		conn_count_error(x->conn);
	connpool_release(x->parts->pool, x->conn, clean);
	x->conn = NULL;
}

static bool is_clean_end(const struct http_exchange *x)
{
	if (!x->has_res || !x->res.keep_alive || x->was_early)
		return false;
	return x->body.is_clean || !response_has_body(&x->res, x->is_head);
}

/* The only end that is told: hand over the result, then die. */
static void xchg_finish(struct http_exchange *x, int error, const char *text)
{
	snprintf(x->parts->error_text, sizeof(x->parts->error_text), "%s", text);
	let_go(x, error == 0 && is_clean_end(x));
	xchg_set_state(x, XCHG_DONE);
	/* From here on the client may go, by what on_done() does. */
	x->parts->nr_exchanges--;
	x->events.on_done(error, x->has_res ? &x->res : NULL, x->arg);
	xchg_free(x);
}

void exchange_cancel(struct http_exchange *x)
{
	/* From inside on_done(): it ends there by itself. */
	if (x->state == XCHG_DONE)
		return;
	x->cancelled = true;
	if (x->in_step)
		return;
	let_go(x, x->state == XCHG_SEND && x->sent == 0);
	x->parts->nr_exchanges--;
	xchg_free(x);
}

uint64_t exchange_bytes(const struct http_exchange *x)
{
	return x->body.taken;
}

/* Remember the words for a failure; returns it. */
__attribute__((format(printf, 3, 4))) static int fail(struct http_exchange *x, int error,
						      const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(x->why, sizeof(x->why), fmt, args);
	va_end(args);
	return error;
}

/* The same when the connection is to blame. */
static int fail_net(struct http_exchange *x, int error, const char *doing)
{
	x->net_failed = true;
	return fail(x, error, "%s %s: %s", doing, conn_where(x->conn),
		    stream_why(conn_stream(x->conn), error));
}

/* What has come of the response. */
static uint64_t nr_received(const struct http_exchange *x)
{
	return x->head_before + x->head_len + x->body.taken;
}

/* The request is written, as far as it will be: now the server's time runs. */
static void await_head(struct http_exchange *x)
{
	pace_init(&x->pace, nr_received(x), clock_ms());
	xchg_set_state(x, XCHG_HEAD);
}

/* "1234 of 5678 body bytes" */
static const char *progress(const struct http_exchange *x, char *buf, size_t len)
{
	if (x->body.framing == BODY_LENGTH)
		snprintf(buf, len, "%" PRIu64 " of %" PRIu64 " body bytes", x->body.taken,
			 x->body.length);
	else
		snprintf(buf, len, "%" PRIu64 " body bytes", x->body.taken);
	return buf;
}

/* ---- states ---------------------------------------------------------------------- */

static int send_request(struct http_exchange *x)
{
	struct stream *s = conn_stream(x->conn);
	size_t len = strbuf_len(&x->request);
	ssize_t n;

	while (x->sent < len) {
		n = stream_write(s, strbuf_str(&x->request) + x->sent, len - x->sent);
		if (n == -EAGAIN)
			return STEP_WAIT;
		/* The server may have answered before it closed. */
		if (n == -EPIPE || n == -ECONNRESET) {
			x->was_early = true;
			break;
		}
		if (n < 0)
			return fail_net(x, (int)n, "send to");
		x->sent += (size_t)n;
	}
	await_head(x);
	return STEP_AGAIN;
}

static int grow_head(struct http_exchange *x)
{
	size_t cap = x->head_cap == 0 ? HEAD_FIRST_LEN : x->head_cap * 2;
	char *head;

	if (x->head_before + x->head_len >= RESPONSE_HEAD_MAX) {
		x->net_failed = true;
		return fail(x, -EPROTO, "%s answered with a head of more than %d bytes",
			    conn_where(x->conn), RESPONSE_HEAD_MAX);
	}
	if (x->head_len < x->head_cap)
		return 0;
	head = realloc(x->head, cap);
	if (head == NULL)
		return fail(x, -ENOMEM, "out of memory");
	x->head = head;
	x->head_cap = cap;
	return 0;
}

/* Take from the stream up to the head's end and no further.  1: it is whole. */
static int fill_head(struct http_exchange *x)
{
	struct stream *s = conn_stream(x->conn);
	size_t end, take;
	ssize_t n;
	int r;

	r = grow_head(x);
	if (r != 0)
		return r;
	n = stream_peek(s, x->head + x->head_len, x->head_cap - x->head_len);
	if (n > 0) {
		end = response_find_end(x->head, x->head_len + (size_t)n, &x->head_scan);
		take = end != 0 ? end - x->head_len : (size_t)n;
		n = stream_read(s, x->head + x->head_len, take);
		if (n > 0) {
			x->head_len += (size_t)n;
			x->head_scan = x->head_len;
			if ((size_t)n == take && end != 0)
				return 1;
		}
	}
	if (n == -EAGAIN)
		return -EAGAIN;
	if (n == 0) {
		x->net_failed = true;
		return fail(x, -ECONNRESET, "%s closed the connection %s", conn_where(x->conn),
			    x->head_len == 0 ? "before it answered"
					     : "in the middle of the response head");
	}
	if (n < 0)
		return fail_net(x, (int)n, "read from");
	if (memcmp(x->head, "HTTP/", x->head_len < 5 ? x->head_len : 5) != 0) {
		x->net_failed = true;
		return fail(x, -EPROTO, "%s does not speak HTTP%s", conn_where(x->conn),
			    x->tls ? "" : " (is this port for TLS?)");
	}
	return 0;
}

/* Long bodies that nobody waits for let everybody else go first, with each step. */
static bool may_wait(const struct http_exchange *x)
{
	struct sink *s = x->state == XCHG_BODY ? x->body.sink : NULL;

	return s != NULL && s->ops->may_wait != NULL && s->ops->may_wait(s);
}

/* The final head has arrived: ask where the body shall go. */
static int begin_body(struct http_exchange *x)
{
	struct sink *sink = NULL;
	int r = 0;

	x->has_res = true;
	if (x->events.on_head != NULL)
		r = x->events.on_head(&x->res, &sink, x->arg);
	if (x->cancelled)
		return STEP_DONE;
	if (r < 0)
		return fail(x, r, "%s: the response (status %d) was not taken: %s",
			    conn_where(x->conn), x->res.status, strerror(-r));
	if (!response_has_body(&x->res, x->is_head))
		return STEP_DONE;
	body_init(&x->body, &x->res, sink);
	if (sink == NULL && x->res.length > BODY_DROP_MAX)
		return STEP_DONE;
	xchg_set_state(x, XCHG_BODY);
	/* The first bytes cost the most: fresh memory. */
	return may_wait(x) && x->res.length > 0 ? STEP_YIELD : STEP_AGAIN;
}

static int read_head(struct http_exchange *x)
{
	const char *why = NULL;
	int r;

	r = fill_head(x);
	if (r == -EAGAIN)
		return STEP_WAIT;
	if (r <= 0)
		return r;
	r = response_parse(x->head, x->head_len, &x->res, &why);
	if (r != 0) {
		x->net_failed = true;
		return fail(x, r, "%s sent a response that is not valid HTTP/1.1: %s",
			    conn_where(x->conn), why != NULL ? why : "out of memory");
	}
	if (x->res.status >= 200)
		return begin_body(x);

	r = x->res.status;
	response_fini(&x->res);
	if (r == 101) {
		x->net_failed = true;
		return fail(x, -EPROTO, "%s wants to speak another protocol (status 101)",
			    conn_where(x->conn));
	}
	x->head_before += x->head_len;
	x->head_len = 0;
	x->head_scan = 0;
	return STEP_AGAIN;
}

static int read_body(struct http_exchange *x)
{
	struct body_fault fault;
	char so_far[80];
	int r;

	r = body_move(&x->body, x->parts->transit, conn_stream(x->conn), &fault);
	if (x->cancelled)
		return STEP_DONE;
	count_bytes(x);
	if (r == BODY_DONE)
		return STEP_DONE;
	if (r == BODY_AGAIN)
		return STEP_YIELD;
	if (r == -EAGAIN && !fault.refused)
		return STEP_WAIT;
	progress(x, so_far, sizeof(so_far));
	if (fault.refused)
		return fail(x, r, "the body from %s was not taken after %s: %s",
			    conn_where(x->conn), so_far, strerror(-r));
	x->net_failed = true;
	if (fault.why != NULL)
		return fail(x, r, "%s sent a chunked body that is not valid after %s: %s",
			    conn_where(x->conn), so_far, fault.why);
	return fail(x, r, "%s broke off after %s: %s", conn_where(x->conn), so_far,
		    r == -ECONNRESET ? "the connection was closed"
				     : stream_why(conn_stream(x->conn), r));
}

static int run_state(struct http_exchange *x)
{
	switch (x->state) {
	case XCHG_SEND:
		return send_request(x);
	case XCHG_HEAD:
		return read_head(x);
	case XCHG_BODY:
		return read_body(x);
	case XCHG_CONNECT:
	case XCHG_DONE:
		break;
	}
	abort(); /* nothing of it can have been scheduled: our bug */
}

/* ---- the loop -------------------------------------------------------------------- */

static void xchg_on_io(evutil_socket_t fd, short what, void *arg);

static void choose_turn(struct http_exchange *x)
{
	/* A base without priorities has one for all. */
	event_priority_set(x->event, may_wait(x) ? WORKER_LATER : WORKER_SOON);
}

/* Ask to be called; `what` as for events.  The timer starts again at each call. */
static int wait_for(struct http_exchange *x, short what)
{
	struct timeval idle = {
		.tv_sec = x->idle_timeout_ms / 1000,
		.tv_usec = x->idle_timeout_ms % 1000 * 1000,
	};

	if (x->event != NULL && x->waits_for == what) {
		choose_turn(x);
		return 0;
	}
	if (x->event != NULL)
		event_free(x->event);
	x->waits_for = what;
	x->event = event_new(x->parts->base, stream_fd(conn_stream(x->conn)), what | EV_PERSIST,
			     xchg_on_io, x);
	if (x->event == NULL)
		return fail(x, -ENOMEM, "out of memory");
	choose_turn(x);
	if (event_add(x->event, &idle) == -1)
		return fail(x, -ENOMEM, "out of memory");
	return 0;
}

/* Come back after the others had their turn. */
static int yield(struct http_exchange *x)
{
	static const struct timeval now = { 0 };

	/* What the kernel holds is reported again; what TLS holds is not. */
	if (!stream_has_pending(conn_stream(x->conn)))
		return wait_for(x, EV_READ);
	if (x->event != NULL)
		event_free(x->event);
	x->waits_for = 0;
	x->event = event_new(x->parts->base, -1, 0, xchg_on_io, x);
	if (x->event == NULL)
		return fail(x, -ENOMEM, "out of memory");
	choose_turn(x);
	if (event_add(x->event, &now) == -1)
		return fail(x, -ENOMEM, "out of memory");
	return 0;
}

/* Twice what silence is given: a head that comes at the last moment leaves time for its body. */
static bool is_too_slow(struct http_exchange *x)
{
	return x->state != XCHG_SEND &&
	       pace_is_too_slow(&x->pace, nr_received(x), 2 * x->idle_timeout_ms, clock_ms());
}

static int say_too_slow(struct http_exchange *x)
{
	x->net_failed = true;
	return fail(x, -ETIMEDOUT, "%s sent less than %d bytes in %u ms", conn_where(x->conn),
		    PACE_LEAST, 2 * x->idle_timeout_ms);
}

static int wait_for_stream(struct http_exchange *x)
{
	short what = stream_wants_write(conn_stream(x->conn)) ? EV_WRITE : EV_READ;

	/* A server may refuse a request before it has read it all. */
	if (x->state == XCHG_SEND)
		what |= EV_READ;
	return wait_for(x, what);
}

static int start_connecting(struct http_exchange *x, bool fresh);

/* Nothing of a response has come, on a connection that had been idle: it was closed meanwhile. */
static bool is_stale(const struct http_exchange *x, int error)
{
	return x->reused && !x->has_res && x->head_len == 0 && x->head_before == 0 &&
	       (error == -ECONNRESET || error == -EPIPE);
}

static void xchg_fail(struct http_exchange *x, int error)
{
	int r;

	if (!is_stale(x, error)) {
		xchg_finish(x, error, x->why);
		return;
	}
	log_debug("%s: once more on a fresh connection", x->why);
	let_go(x, false);
	x->net_failed = false;
	x->was_early = false;
	x->sent = 0;
	xchg_set_state(x, XCHG_CONNECT);
	r = start_connecting(x, true);
	if (r != 0)
		xchg_finish(x, r, "connect: out of memory");
}

static void xchg_step(struct http_exchange *x)
{
	int r;

	x->in_step = true;
	do
		r = run_state(x);
	while (r == STEP_AGAIN && !x->cancelled);
	x->in_step = false;
	if (x->cancelled) {
		let_go(x, false);
		x->parts->nr_exchanges--;
		xchg_free(x);
		return;
	}
	if (r == STEP_WAIT)
		r = is_too_slow(x) ? say_too_slow(x) : wait_for_stream(x);
	else if (r == STEP_YIELD)
		r = yield(x);
	else if (r == STEP_DONE) {
		xchg_finish(x, 0, "");
		return;
	}
	if (r != 0)
		xchg_fail(x, r);
}

static int say_timeout(struct http_exchange *x)
{
	char so_far[80];

	x->net_failed = true;
	if (x->state == XCHG_SEND)
		return fail(x, -ETIMEDOUT, "%s took no more of the request for %u ms",
			    conn_where(x->conn), x->idle_timeout_ms);
	if (x->state == XCHG_HEAD)
		return fail(x, -ETIMEDOUT, "%s gave no answer for %u ms", conn_where(x->conn),
			    x->idle_timeout_ms);
	return fail(x, -ETIMEDOUT, "%s sent nothing for %u ms after %s", conn_where(x->conn),
		    x->idle_timeout_ms, progress(x, so_far, sizeof(so_far)));
}

static void xchg_on_io(evutil_socket_t fd, short what, void *arg)
{
	struct http_exchange *x = arg;

	/* fd -1: only its turn has come. */
	if ((what & (EV_TIMEOUT | EV_READ | EV_WRITE)) == EV_TIMEOUT && fd != -1) {
		xchg_fail(x, say_timeout(x));
		return;
	}
	if (x->state == XCHG_SEND && (what & EV_READ) != 0 && (what & EV_WRITE) == 0 &&
	    stream_wants_write(conn_stream(x->conn)) && !stream_is_quiet(conn_stream(x->conn))) {
		x->was_early = true;
		await_head(x);
	}
	xchg_step(x);
}

static void xchg_on_conn(int error, struct conn *conn, bool reused, const char *text, void *arg)
{
	struct http_exchange *x = arg;

	x->wait = NULL;
	if (error != 0) {
		xchg_finish(x, error, text);
		return;
	}
	x->conn = conn;
	x->reused = reused;
	xchg_set_state(x, XCHG_SEND);
	xchg_step(x);
}

static int start_connecting(struct http_exchange *x, bool fresh)
{
	struct connect_target target = {
		.host = x->host,
		.port = x->port,
		.tls = x->tls,
		.sources = x->sources,
		.timeout_ms = x->connect_timeout_ms,
	};

	return connpool_acquire(x->parts->pool, &target, fresh, xchg_on_conn, x, &x->wait);
}

int exchange_start(struct exchange_parts *parts, const struct http_request *req,
		   const struct http_events *events, void *arg, struct http_exchange **ret_exchange)
{
	struct http_exchange *x;
	struct strbuf request;
	int r;

	r = reqhead_write(req, &request);
	if (r != 0)
		return r == -ENOMEM ? r : -EINVAL;
	x = xcalloc(1, sizeof(*x));
	x->parts = parts;
	x->events = *events;
	x->arg = arg;
	x->request = request;
	x->is_head = strcmp(req->method, "HEAD") == 0;
	x->host = xstrdup(req->host);
	x->port = req->port;
	x->tls = req->tls;
	x->sources = source_set_ref(req->sources);
	x->connect_timeout_ms =
		req->connect_timeout_ms != 0 ? req->connect_timeout_ms : parts->connect_timeout_ms;
	x->idle_timeout_ms =
		req->idle_timeout_ms != 0 ? req->idle_timeout_ms : parts->idle_timeout_ms;
	r = start_connecting(x, false);
	if (r != 0) {
		xchg_free(x);
		return r;
	}
	parts->nr_exchanges++;
	*ret_exchange = x;
	return 0;
}
