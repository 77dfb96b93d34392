#include "daemon/http/client.h"

#include <errno.h>
#include <stdlib.h>

#define LOG_MODULE "http"
#include "daemon/base/log.h"
#include "daemon/base/xalloc.h"
#include "daemon/http/exchange.h"
#include "daemon/http/transit.h"
#include "daemon/net/connpool.h"

#define CONNECT_TIMEOUT_MS 5000u
#define IDLE_TIMEOUT_MS	   30000u

struct http_client {
	struct exchange_parts parts;
};

int http_client_new(struct event_base *base, const struct http_client_conf *conf,
		    struct http_client **ret_client)
{
	struct connpool_conf pool_conf = {
		.keepalive_ms = conf->keepalive_ms,
		.max_connections = conf->max_connections,
		.tls_ca_file = conf->tls_ca_file,
		.tls_insecure = conf->tls_insecure,
	};
	struct http_client *c = xcalloc(1, sizeof(*c));
	char err[400];
	int r;

	c->parts.base = base;
	c->parts.connect_timeout_ms =
		conf->connect_timeout_ms != 0 ? conf->connect_timeout_ms : CONNECT_TIMEOUT_MS;
	c->parts.idle_timeout_ms =
		conf->idle_timeout_ms != 0 ? conf->idle_timeout_ms : IDLE_TIMEOUT_MS;
	r = connpool_new(base, &pool_conf, &c->parts.pool, err, sizeof(err));
	if (r != 0) {
		log_error("%s", err);
		free(c);
		return r;
	}
	c->parts.transit = transit_new();
	*ret_client = c;
	return 0;
}

void http_client_free(struct http_client *c)
{
	if (c == NULL)
		return;
	BUG_ON(c->parts.nr_exchanges != 0);
	connpool_free(c->parts.pool);
	transit_free(c->parts.transit);
	free(c);
}

int http_start(struct http_client *c, const struct http_request *req,
	       const struct http_events *events, void *arg, struct http_exchange **ret_exchange)
{
	if (req->method == NULL || req->host == NULL || req->authority == NULL ||
	    req->target == NULL || events->on_done == NULL)
		return -EINVAL;
	return exchange_start(&c->parts, req, events, arg, ret_exchange);
}

void http_cancel(struct http_exchange *x)
{
	exchange_cancel(x);
}

uint64_t http_exchange_bytes(const struct http_exchange *x)
{
	return exchange_bytes(x);
}

const char *http_error_text(const struct http_client *c)
{
	return c->parts.error_text[0] != '\0' ? c->parts.error_text : "unknown failure";
}
