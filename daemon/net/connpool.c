#include "daemon/net/connpool.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>

#include <event2/event.h>

#define LOG_MODULE "connpool"
#include "common/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/xalloc.h"
#include "daemon/net/remote.h"
#include "daemon/net/source.h"
#include "daemon/net/stream.h"
#include "daemon/net/tls.h"

/* What connections are the same for. */
struct pool_key {
	struct source_set *sources;
	uint16_t port;
	bool tls;
	char host[256];
};

/* One idle connection or one in use. */
struct pooled {
	TAILQ_ENTRY(pooled) link; /* on pool->idle (most recent first) or pool->busy */
	struct connpool *pool;
	struct conn *conn;
	struct event *event; /* while idle: closed by the peer, or too long idle */
	struct pool_key key;
};
TAILQ_HEAD(pooled_list, pooled);

/* One who wants a connection: on pool->queue, or being connected. */
struct connpool_wait {
	TAILQ_ENTRY(connpool_wait) link;
	struct connpool *pool;
	struct connect *connect; /* NULL: on the queue */
	connpool_cb *on_done;
	void *arg;
	struct pool_key key;
	unsigned timeout_ms;
	bool fresh;
};

struct connpool {
	struct event_base *base;
	struct event *pump_event;
	struct resolver *resolver;
	struct remotes *remotes;
	struct tls *tls; /* made at its first use, but for a CA file of our own */
	bool tls_insecure;
	struct pooled_list idle;
	struct pooled_list busy;
	TAILQ_HEAD(, connpool_wait) queue;
	unsigned nr_idle;
	unsigned nr_open; /* idle, busy and being connected */
	unsigned max_connections;
	struct timeval keepalive;
};

/* Serve the queue, from the loop. */
static void schedule_pump(struct connpool *pool)
{
	if (!TAILQ_EMPTY(&pool->queue))
		event_active(pool->pump_event, EV_TIMEOUT, 0);
}

static bool key_equal(const struct pool_key *a, const struct pool_key *b)
{
	return a->port == b->port && a->tls == b->tls && a->sources == b->sources &&
	       strcasecmp(a->host, b->host) == 0;
}

static void pooled_close(struct pooled *p)
{
	conn_close(p->conn);
	if (p->event != NULL)
		event_free(p->event);
	p->pool->nr_open--;
	source_set_unref(p->key.sources);
	free(p);
}

static void idle_remove(struct pooled *p)
{
	TAILQ_REMOVE(&p->pool->idle, p, link);
	p->pool->nr_idle--;
	event_del(p->event);
}

static void pooled_on_idle_event(evutil_socket_t fd, short what, void *arg)
{
	struct pooled *p = arg;
	struct connpool *pool = p->pool;

	(void)fd;
	/* TLS may have had something to say to itself. */
	if ((what & EV_READ) != 0 && stream_is_quiet(conn_stream(p->conn))) {
		if (event_add(p->event, &pool->keepalive) == 0)
			return;
	}
	log_debug("idle connection to %s is closed: %s", conn_where(p->conn),
		  (what & EV_READ) == 0 ? "not needed" : "closed or spoken to by the server");
	idle_remove(p);
	pooled_close(p);
	schedule_pump(pool);
}

/* ---- serving the queue ------------------------------------------------------------ */

/*
 * The most recent idle connection that fits and is alive; of several source
 * addresses, of the one with the least in flight.
 */
static struct pooled *find_idle(struct connpool *pool, const struct pool_key *key)
{
	struct pooled *p, *next, *best = NULL;

	for (p = TAILQ_FIRST(&pool->idle); p != NULL; p = next) {
		next = TAILQ_NEXT(p, link);
		if (!key_equal(&p->key, key))
			continue;
		if (!stream_is_quiet(conn_stream(p->conn))) {
			idle_remove(p);
			pooled_close(p);
			continue;
		}
		if (best == NULL || conn_source_load(p->conn) < conn_source_load(best->conn))
			best = p;
		if (key->sources == NULL)
			break;
	}
	return best;
}

/* Is its source address so much busier than another that a new connection is the better way? */
static bool is_overloaded(const struct pooled *p)
{
	struct source_set *sources = p->key.sources;
	unsigned least;

	if (sources == NULL || p->pool->nr_open >= p->pool->max_connections)
		return false;
	least = source_least_load(sources, source_families(sources), clock_ms());
	return least != UINT32_MAX && conn_source_load(p->conn) > least + 1;
}

static struct pooled *pooled_new(struct connpool *pool, struct conn *conn,
				 const struct pool_key *key)
{
	struct pooled *p = xcalloc(1, sizeof(*p));

	p->pool = pool;
	p->conn = conn;
	p->key = *key;
	source_set_ref(key->sources);
	TAILQ_INSERT_HEAD(&pool->busy, p, link);
	return p;
}

/* The only end of a wait that was not cancelled. */
static void wait_finish(struct connpool_wait *w, int error, struct conn *conn, bool reused,
			const char *text)
{
	connpool_cb *on_done = w->on_done;
	void *arg = w->arg;

	source_set_unref(w->key.sources);
	free(w);
	on_done(error, conn, reused, text, arg);
}

static void pool_on_connected(int error, struct conn *conn, const char *text, void *arg)
{
	struct connpool_wait *w = arg;
	struct connpool *pool = w->pool;

	w->connect = NULL;
	if (error == 0) {
		pooled_new(pool, conn, &w->key);
	} else {
		pool->nr_open--;
		schedule_pump(pool);
	}
	wait_finish(w, error, conn, false, text);
}

static void hand_out(struct connpool_wait *w, struct pooled *p)
{
	struct connpool *pool = w->pool;

	idle_remove(p);
	TAILQ_INSERT_HEAD(&pool->busy, p, link);
	conn_set_busy(p->conn, true);
	TAILQ_REMOVE(&pool->queue, w, link);
	schedule_pump(pool);
	wait_finish(w, 0, p->conn, true, "");
}

static void start_connect(struct connpool_wait *w)
{
	struct connpool *pool = w->pool;
	struct connect_parts parts = {
		.base = pool->base,
		.resolver = pool->resolver,
		.remotes = pool->remotes,
		.tls = pool->tls,
	};
	struct connect_target target = {
		.host = w->key.host,
		.port = w->key.port,
		.tls = w->key.tls,
		.sources = w->key.sources,
		.timeout_ms = w->timeout_ms,
	};
	int r;

	TAILQ_REMOVE(&pool->queue, w, link);
	schedule_pump(pool);
	r = connect_start(&parts, &target, pool_on_connected, w, &w->connect);
	if (r == 0)
		pool->nr_open++;
	else
		wait_finish(w, r, NULL, false, strerror(-r));
}

/*
 * Serve the first of the queue, if a connection is free or may be opened.  One
 * in each turn: what a callback does may be anything, the pool's end too.
 */
static void pool_on_pump(evutil_socket_t fd, short what, void *arg)
{
	struct connpool *pool = arg;
	struct connpool_wait *w = TAILQ_FIRST(&pool->queue);
	struct pooled *p;

	(void)fd;
	(void)what;
	if (w == NULL)
		return;
	p = w->fresh ? NULL : find_idle(pool, &w->key);
	if (p != NULL && !is_overloaded(p)) {
		hand_out(w, p);
		return;
	}
	if (pool->nr_open >= pool->max_connections) {
		p = TAILQ_LAST(&pool->idle, pooled_list);
		if (p == NULL)
			return; /* connpool_release() will call again */
		idle_remove(p);
		pooled_close(p);
	}
	start_connect(w);
}

/* ---- asking ---------------------------------------------------------------------- */

int connpool_acquire(struct connpool *pool, const struct connect_target *target, bool fresh,
		     connpool_cb *on_done, void *arg, struct connpool_wait **ret_wait)
{
	struct connpool_wait *w;
	char err[256];
	int r;

	if (strlen(target->host) >= sizeof(w->key.host) || target->port == 0)
		return -EINVAL;
	if (target->tls && pool->tls == NULL) {
		r = tls_new(NULL, pool->tls_insecure, &pool->tls, err, sizeof(err));
		if (r != 0) {
			log_error("%s", err);
			return r;
		}
	}
	w = xcalloc(1, sizeof(*w));
	w->pool = pool;
	w->on_done = on_done;
	w->arg = arg;
	w->fresh = fresh;
	w->timeout_ms = target->timeout_ms;
	w->key.sources = source_set_ref(target->sources);
	w->key.port = target->port;
	w->key.tls = target->tls;
	snprintf(w->key.host, sizeof(w->key.host), "%s", target->host);
	TAILQ_INSERT_TAIL(&pool->queue, w, link);
	schedule_pump(pool);
	*ret_wait = w;
	return 0;
}

void connpool_cancel(struct connpool_wait *w)
{
	struct connpool *pool = w->pool;

	if (w->connect != NULL) {
		connect_cancel(w->connect);
		pool->nr_open--;
		schedule_pump(pool);
	} else {
		TAILQ_REMOVE(&pool->queue, w, link);
	}
	source_set_unref(w->key.sources);
	free(w);
}

/* Watch it while nobody uses it. */
static int idle_add(struct pooled *p)
{
	struct connpool *pool = p->pool;

	if (p->event == NULL)
		p->event = event_new(pool->base, stream_fd(conn_stream(p->conn)), EV_READ,
				     pooled_on_idle_event, p);
	if (p->event == NULL || event_add(p->event, &pool->keepalive) == -1)
		return -ENOMEM;
	conn_set_busy(p->conn, false);
	TAILQ_INSERT_HEAD(&pool->idle, p, link);
	pool->nr_idle++;
	return 0;
}

void connpool_release(struct connpool *pool, struct conn *conn, bool clean)
{
	struct pooled *p;

	TAILQ_FOREACH(p, &pool->busy, link)
	{
		if (p->conn == conn)
			break;
	}
	BUG_ON(p == NULL);
	TAILQ_REMOVE(&pool->busy, p, link);
	if (!clean || idle_add(p) != 0)
		pooled_close(p);
	schedule_pump(pool);
}

unsigned connpool_nr_open(const struct connpool *pool)
{
	return pool->nr_open;
}

unsigned connpool_nr_idle(const struct connpool *pool)
{
	return pool->nr_idle;
}

int connpool_new(struct event_base *base, const struct connpool_conf *conf,
		 struct connpool **ret_pool, char *err, size_t err_len)
{
	struct connpool *pool = xcalloc(1, sizeof(*pool));
	unsigned keepalive_ms = conf->keepalive_ms;
	int r;

	if (keepalive_ms == 0 || keepalive_ms > CONNPOOL_KEEPALIVE_MAX_MS)
		keepalive_ms = CONNPOOL_KEEPALIVE_MAX_MS;
	pool->keepalive.tv_sec = keepalive_ms / 1000;
	pool->keepalive.tv_usec = keepalive_ms % 1000 * 1000;
	pool->base = base;
	pool->max_connections = conf->max_connections > 0 ? conf->max_connections : 1;
	pool->tls_insecure = conf->tls_insecure;
	TAILQ_INIT(&pool->idle);
	TAILQ_INIT(&pool->busy);
	TAILQ_INIT(&pool->queue);
	pool->remotes = remotes_new();
	snprintf(err, err_len, "out of memory");
	r = resolver_new(base, &conf->resolver, &pool->resolver);
	if (r != 0)
		goto err_free;
	pool->pump_event = event_new(base, -1, 0, pool_on_pump, pool);
	if (pool->pump_event == NULL) {
		r = -ENOMEM;
		goto err_free;
	}
	if (conf->tls_ca_file != NULL) {
		r = tls_new(conf->tls_ca_file, conf->tls_insecure, &pool->tls, err, err_len);
		if (r != 0)
			goto err_free;
	}
	*ret_pool = pool;
	return 0;

err_free:
	connpool_free(pool);
	return r;
}

void connpool_free(struct connpool *pool)
{
	struct pooled *p;

	if (pool == NULL)
		return;
	BUG_ON(!TAILQ_EMPTY(&pool->busy) || !TAILQ_EMPTY(&pool->queue));
	while ((p = TAILQ_FIRST(&pool->idle)) != NULL) {
		idle_remove(p);
		pooled_close(p);
	}
	BUG_ON(pool->nr_open != 0);
	resolver_free(pool->resolver);
	remotes_free(pool->remotes);
	tls_free(pool->tls);
	if (pool->pump_event != NULL)
		event_free(pool->pump_event);
	free(pool);
}
