#include "daemon/net/connect.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "common/clock.h"
#include "daemon/base/xalloc.h"
#include "daemon/net/addr.h"
#include "daemon/net/dial.h"
#include "daemon/net/remote.h"
#include "daemon/net/resolve.h"
#include "daemon/net/source.h"
#include "daemon/net/stream.h"
#include "daemon/net/tls.h"

#define TRIES_MAX 3	/* addresses that one connect tries */
#define TRIAL_MS  2000u /* for a source address that has failed, while others are well */
#define HOST_LEN  256
#define WHERE_LEN (HOST_LEN + 2 * ADDR_TEXT_LEN + 16)

struct conn {
	struct stream *stream;
	struct remote *remote;
	struct source_set *sources; /* NULL: none */
	unsigned source;
	bool busy;
	char where[WHERE_LEN];
};

/*
 * RESOLVE --> DIAL --> HANDSHAKE --> done
 *               ^__________/ the next address, when this one does not answer
 *
 * One of resolve, dial and event is pending at any time.
 */
struct connect {
	struct connect_parts parts;
	connect_cb *on_done;
	void *arg;
	struct resolve *resolve;
	struct dial *dial;
	struct event *event; /* handshake */
	struct conn *conn;   /* being made */
	struct addr addrs[RESOLVE_MAX];
	size_t nr_addrs;
	unsigned nr_tries;
	uint64_t started_ms; /* this try */
	unsigned dial_ms;    /* what it is given */
	uint64_t handshake_ends_ms;
	struct source_set *sources;
	unsigned timeout_ms;
	uint16_t port;
	bool tls;
	char host[HOST_LEN];
};

/* ---- an open connection ---------------------------------------------------------- */

void conn_set_busy(struct conn *conn, bool busy)
{
	if (conn->busy == busy)
		return;
	conn->busy = busy;
	if (conn->sources == NULL)
		return;
	if (busy)
		source_hold(conn->sources, conn->source);
	else
		source_drop(conn->sources, conn->source);
}

void conn_close(struct conn *conn)
{
	conn_set_busy(conn, false);
	if (conn->remote != NULL)
		remote_drop(conn->remote);
	stream_free(conn->stream);
	free(conn);
}

struct stream *conn_stream(const struct conn *conn)
{
	return conn->stream;
}

const char *conn_where(const struct conn *conn)
{
	return conn->where;
}

unsigned conn_source_load(const struct conn *conn)
{
	return conn->sources != NULL ? source_load(conn->sources, conn->source) : 0;
}

void conn_count_bytes(struct conn *conn, uint64_t bytes)
{
	if (conn->sources != NULL)
		source_count_bytes(conn->sources, conn->source, bytes);
}

void conn_count_error(struct conn *conn)
{
	if (conn->sources != NULL)
		source_count_error(conn->sources, conn->source);
}

/* ---- making one ------------------------------------------------------------------ */

static void connect_free(struct connect *c)
{
	if (c->resolve != NULL)
		resolve_cancel(c->resolve);
	if (c->dial != NULL)
		dial_cancel(c->dial);
	if (c->event != NULL)
		event_free(c->event);
	if (c->conn != NULL)
		conn_close(c->conn);
	free(c);
}

/* The only way out: hand over the result, then die. */
static void connect_finish(struct connect *c, int error, const char *text)
{
	connect_cb *on_done = c->on_done;
	void *arg = c->arg;
	struct conn *conn = error == 0 ? c->conn : NULL;
	char words[CONNECT_TEXT_LEN];

	/* The words may lie in what dies here. */
	snprintf(words, sizeof(words), "%s", text);
	if (error == 0)
		c->conn = NULL;
	connect_free(c);
	on_done(error, conn, words, arg);
}

static void connect_next(struct connect *c);

/* Faults of the address we leave from, as far as one can tell. */
static bool blames_source(int error)
{
	return error != -ECONNREFUSED && error != -ECONNRESET && error != -EMFILE &&
	       error != -ENFILE && error != -ENOMEM && error != -ENOBUFS;
}

/* Another address might do better. */
static bool is_worth_another(int error)
{
	return error != -EACCES && error != -EPROTO && error != -EMFILE && error != -ENFILE &&
	       error != -ENOMEM && error != -EINVAL;
}

/* How many pairs of addresses there are to try. */
static size_t nr_pairs(const struct connect *c)
{
	return c->nr_addrs * (c->sources != NULL ? source_set_count(c->sources) : 1);
}

/* This try is over: go on with another address, or give up. */
static void connect_fail(struct connect *c, int error, const char *step, const char *why)
{
	char text[CONNECT_TEXT_LEN], more[48] = "";
	struct conn *conn = c->conn;
	uint64_t now = clock_ms();

	if (is_worth_another(error)) {
		if (error != -EADDRNOTAVAIL)
			remote_failed(conn->remote, c->started_ms, now);
		if (conn->sources != NULL && blames_source(error))
			source_failed(conn->sources, conn->source, c->started_ms, now);
		else
			conn_count_error(conn);
		if (c->nr_tries < TRIES_MAX && c->nr_tries < nr_pairs(c)) {
			conn_close(conn);
			c->conn = NULL;
			connect_next(c);
			return;
		}
		/* The name may mean other addresses by now. */
		resolver_forget(c->parts.resolver, c->host);
	} else {
		conn_count_error(conn);
	}
	if (c->nr_tries > 1)
		snprintf(more, sizeof(more), " (the last of %u tries)", c->nr_tries);
	snprintf(text, sizeof(text), "%s %s: %s%s", step, conn->where, why, more);
	connect_finish(c, error, text);
}

static void connect_on_handshake(evutil_socket_t fd, short what, void *arg);

/* Say where from, now that the kernel has chosen. */
static void note_source(struct conn *conn, const char *host)
{
	char text[ADDR_TEXT_LEN], from_text[ADDR_TEXT_LEN];
	struct addr from = { .len = sizeof(from.in6) };

	if (conn->sources != NULL)
		return;
	if (getsockname(stream_fd(conn->stream), &from.sa, &from.len) == -1)
		return;
	addr_set_port(&from, 0);
	snprintf(conn->where, sizeof(conn->where), "%s (%s) from %s", host,
		 addr_text(remote_addr(conn->remote), text), addr_text(&from, from_text));
}

static int wait_handshake(struct connect *c)
{
	struct stream *s = c->conn->stream;
	uint64_t now = clock_ms(),
		 left = c->handshake_ends_ms > now ? c->handshake_ends_ms - now : 0;
	struct timeval timeout = {
		.tv_sec = (time_t)(left / 1000),
		.tv_usec = (suseconds_t)(left % 1000 * 1000),
	};

	if (c->event != NULL)
		event_free(c->event);
	c->event = event_new(c->parts.base, stream_fd(s),
			     stream_wants_write(s) ? EV_WRITE : EV_READ, connect_on_handshake, c);
	if (c->event == NULL || event_add(c->event, &timeout) == -1)
		return -ENOMEM;
	return 0;
}

static void connect_handshake(struct connect *c)
{
	struct conn *conn = c->conn;
	int r = stream_handshake(conn->stream);

	if (r == -EAGAIN) {
		r = wait_handshake(c);
		if (r == 0)
			return;
	}
	if (c->event != NULL)
		event_free(c->event);
	c->event = NULL;
	if (r != 0) {
		connect_fail(c, r, "TLS with", stream_why(conn->stream, r));
		return;
	}
	remote_connected(conn->remote);
	if (conn->sources != NULL)
		source_connected(conn->sources, conn->source);
	connect_finish(c, 0, "");
}

static void connect_on_handshake(evutil_socket_t fd, short what, void *arg)
{
	struct connect *c = arg;
	char why[64];

	(void)fd;
	if ((what & (EV_READ | EV_WRITE)) != 0) {
		connect_handshake(c);
		return;
	}
	event_free(c->event);
	c->event = NULL;
	snprintf(why, sizeof(why), "no handshake within %u ms", c->timeout_ms);
	connect_fail(c, -ETIMEDOUT, "TLS with", why);
}

static void connect_on_dial(int fd, void *arg)
{
	struct connect *c = arg;
	char why[64];
	int r = 0;

	c->dial = NULL;
	if (fd == -ETIMEDOUT) {
		snprintf(why, sizeof(why), "no answer within %u ms", c->dial_ms);
		connect_fail(c, fd, "connect to", why);
		return;
	}
	if (fd < 0) {
		connect_fail(c, fd, "connect to", strerror(-fd));
		return;
	}
	if (c->tls)
		r = tls_stream_new(c->parts.tls, fd, c->host, &c->conn->stream);
	else
		c->conn->stream = stream_new_plain(fd);
	if (r != 0) {
		connect_fail(c, r, "TLS with", strerror(-r));
		return;
	}
	note_source(c->conn, c->host);
	c->handshake_ends_ms = clock_ms() + c->timeout_ms;
	connect_handshake(c);
}

/* A request waits behind the trial of a card that may be dead: not for long. */
static unsigned dial_time(const struct connect *c)
{
	const struct source_set *sources = c->sources;

	if (sources == NULL || !source_has_failed(sources, c->conn->source) ||
	    source_least_load(sources, source_families(sources), c->started_ms) == UINT32_MAX)
		return c->timeout_ms;
	return c->timeout_ms < TRIAL_MS ? c->timeout_ms : TRIAL_MS;
}

/* Choose both addresses and dial. */
static void connect_next(struct connect *c)
{
	unsigned families =
		c->sources != NULL ? source_families(c->sources) : SOURCE_INET | SOURCE_INET6;
	struct dial_target target = { 0 };
	struct conn *conn = xcalloc(1, sizeof(*conn));
	char text[CONNECT_TEXT_LEN], addr[ADDR_TEXT_LEN];
	const struct addr *to;
	int r;

	c->conn = conn;
	c->nr_tries++;
	c->started_ms = clock_ms();
	conn->remote = remotes_pick(c->parts.remotes, c->addrs, c->nr_addrs, c->port, families,
				    c->started_ms);
	if (conn->remote == NULL) {
		snprintf(text, sizeof(text),
			 "connect to %s: its addresses are all %s, the source addresses are not",
			 c->host, families == SOURCE_INET ? "IPv6" : "IPv4");
		connect_finish(c, -EADDRNOTAVAIL, text);
		return;
	}
	to = remote_addr(conn->remote);
	target.addr = &to->sa;
	target.addr_len = to->len;
	snprintf(conn->where, sizeof(conn->where), "%s (%s)", c->host, addr_text(to, addr));
	if (c->sources != NULL) {
		r = source_pick(c->sources,
				to->sa.sa_family == AF_INET ? SOURCE_INET : SOURCE_INET6,
				c->started_ms, &conn->source);
		BUG_ON(r != 0);
		conn->sources = c->sources;
		target.source = source_addr(c->sources, conn->source, &target.source_len);
		snprintf(conn->where, sizeof(conn->where), "%s (%s) from %s", c->host, addr,
			 source_text(c->sources, conn->source));
	}
	c->dial_ms = dial_time(c);
	target.timeout_ms = c->dial_ms;
	conn->busy = true;
	r = dial_start(c->parts.base, &target, connect_on_dial, c, &c->dial);
	if (r != 0)
		connect_finish(c, r, "connect: out of memory");
}

static void connect_on_addrs(int error, const struct addr *addrs, size_t nr, const char *text,
			     void *arg)
{
	struct connect *c = arg;

	c->resolve = NULL;
	if (error != 0) {
		connect_finish(c, error, text);
		return;
	}
	memcpy(c->addrs, addrs, nr * sizeof(*addrs));
	c->nr_addrs = nr;
	connect_next(c);
}

int connect_start(const struct connect_parts *parts, const struct connect_target *target,
		  connect_cb *on_done, void *arg, struct connect **ret_connect)
{
	struct connect *c;
	int r;

	if (strlen(target->host) >= HOST_LEN || (target->tls && parts->tls == NULL))
		return -EINVAL;
	c = xcalloc(1, sizeof(*c));
	c->parts = *parts;
	c->on_done = on_done;
	c->arg = arg;
	c->sources = target->sources;
	c->timeout_ms = target->timeout_ms;
	c->port = target->port;
	c->tls = target->tls;
	snprintf(c->host, sizeof(c->host), "%s", target->host);
	r = resolve_start(parts->resolver, c->host, connect_on_addrs, c, &c->resolve);
	if (r != 0) {
		free(c);
		return r;
	}
	*ret_connect = c;
	return 0;
}

void connect_cancel(struct connect *c)
{
	connect_free(c);
}
