/*
 * exchange.h - one HTTP/1.1 request and its response.  The contract with the
 * caller is client.h's; this is what the client passes on.
 *
 * Threads: the client's.
 */
#ifndef DAEMON_HTTP_EXCHANGE_H
#define DAEMON_HTTP_EXCHANGE_H

#include <stddef.h>
#include <stdint.h>

struct connpool;
struct event_base;
struct http_events;
struct http_exchange;
struct http_request;
struct transit;

#define EXCHANGE_TEXT_LEN 1024

/* The client's, shared by its exchanges; outlives them. */
struct exchange_parts {
	struct event_base *base;
	struct connpool *pool;
	struct transit *transit;
	unsigned connect_timeout_ms; /* where the request names none */
	unsigned idle_timeout_ms;
	unsigned nr_exchanges;
	char error_text[EXCHANGE_TEXT_LEN];
};

int exchange_start(struct exchange_parts *parts, const struct http_request *req,
		   const struct http_events *events, void *arg,
		   struct http_exchange **ret_exchange);
void exchange_cancel(struct http_exchange *x);
uint64_t exchange_bytes(const struct http_exchange *x);

#endif
