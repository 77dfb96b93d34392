/*
 * connect.h - from a host's name to a stream that is ready for bytes: resolve,
 * choose address and source address, dial, TLS.  A few addresses are tried.
 * Keeps no connection: that is connpool's.
 *
 * The callback runs exactly once, always from the event loop, never from
 * inside connect_start(); after connect_cancel() it does not run at all.
 *
 * Threads: call only on the worker that owns the event_base.
 */
#ifndef DAEMON_NET_CONNECT_H
#define DAEMON_NET_CONNECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct conn;
struct connect;
struct event_base;
struct remotes;
struct resolver;
struct source_set;
struct stream;
struct tls;

struct connect_parts {
	struct event_base *base;
	struct resolver *resolver;
	struct remotes *remotes;
	struct tls *tls; /* NULL when the target is plain */
};

struct connect_target {
	const char *host; /* a name or an address literal; at most 255 bytes */
	uint16_t port;
	bool tls;
	struct source_set *sources; /* NULL: the kernel chooses; must outlive the connection */
	unsigned timeout_ms;	    /* of one connect, and again of one TLS handshake */
};

#define CONNECT_TEXT_LEN 800

/* error 0: a connection, the callee's from now on.  Otherwise a negative errno and its words. */
typedef void connect_cb(int error, struct conn *conn, const char *text, void *arg);

/* The parts must live until the end; strings are copied.  -ENOMEM, -EINVAL. */
int connect_start(const struct connect_parts *parts, const struct connect_target *target,
		  connect_cb *on_done, void *arg, struct connect **ret_connect);
void connect_cancel(struct connect *c);

/* ---- an open connection ---------------------------------------------------------- */

void conn_close(struct conn *conn);
struct stream *conn_stream(const struct conn *conn);
/* "store.example (10.0.0.1:443) from 10.0.0.9" */
const char *conn_where(const struct conn *conn);
/* Only a busy connection counts as in flight at its source address; a new one is busy. */
void conn_set_busy(struct conn *conn, bool busy);
/* Connections in flight at its source address; 0 without one. */
unsigned conn_source_load(const struct conn *conn);
void conn_count_bytes(struct conn *conn, uint64_t bytes);
void conn_count_error(struct conn *conn);

#endif
