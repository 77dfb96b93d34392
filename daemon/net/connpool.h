/*
 * connpool.h - the connections of one client: kept open for the next use, at
 * most so many at a time.  Knows nothing of what is said over them.
 *
 * A caller acquires a connection, alone uses it, and releases it.  While the
 * bound is reached callers wait in the order of asking.
 *
 * Threads: call only on the worker that owns the event_base.
 */
#ifndef DAEMON_NET_CONNPOOL_H
#define DAEMON_NET_CONNPOOL_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/net/connect.h"
#include "daemon/net/resolve.h"

struct conn;
struct connpool;
struct connpool_wait;

#define CONNPOOL_KEEPALIVE_MAX_MS 50000u

struct connpool_conf {
	unsigned keepalive_ms;	  /* idle connections are closed after this */
	unsigned max_connections; /* open ones, idle or not */
	const char *tls_ca_file;  /* NULL: the system's */
	bool tls_insecure;
	struct resolver_conf resolver;
};

/* 0, or a negative errno (of the CA file, if one is named) with a sentence in err. */
int connpool_new(struct event_base *base, const struct connpool_conf *conf,
		 struct connpool **ret_pool, char *err, size_t err_len);
/* Every connection was released, every wait has ended or was cancelled. */
void connpool_free(struct connpool *pool);

/*
 * Exactly once, always from the event loop, never from inside connpool_acquire(), and not after
 * connpool_cancel().  error 0: a connection, the caller's until connpool_release(); reused: it
 * has served before.  Otherwise a negative errno and its words.
 */
typedef void connpool_cb(int error, struct conn *conn, bool reused, const char *text, void *arg);

/* fresh: do not take one that has served before.  Strings are copied.  -EINVAL, -ENOMEM, -EIO. */
int connpool_acquire(struct connpool *pool, const struct connect_target *target, bool fresh,
		     connpool_cb *on_done, void *arg, struct connpool_wait **ret_wait);
void connpool_cancel(struct connpool_wait *w);
/* clean: the next may use it.  Otherwise it is closed. */
void connpool_release(struct connpool *pool, struct conn *conn, bool clean);

unsigned connpool_nr_open(const struct connpool *pool);
unsigned connpool_nr_idle(const struct connpool *pool);

#endif
