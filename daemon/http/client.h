/*
 * client.h - HTTP/1.1 requests over pooled connections, plain or TLS.
 * Knows nothing of object stores, signatures or the cache: what arrives goes
 * to a sink.  Redirects are not followed; nothing is retried, but for a reused
 * connection that the server had closed before the first response byte.
 *
 * Threads: a client belongs to the worker whose event_base it was made on, and
 * every call is made there.
 */
#ifndef DAEMON_HTTP_CLIENT_H
#define DAEMON_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct http_client;
struct http_exchange;
struct http_response;
struct sink;
struct source_set; /* daemon/net/source.h: the addresses that connections leave from */

struct http_header {
	const char *name;
	const char *value;
};

/* Strings are copied by http_start(); the source set must outlive the exchange. */
struct http_request {
	const char *method; /* "GET", "HEAD", "PUT", "POST" */
	const char *host;   /* what to dial: a DNS name or an address literal, without port */
	uint16_t port;
	bool tls;	       /* the certificate is checked against `host` */
	const char *authority; /* value of the Host header */
	const char *target;    /* path and query, already percent-encoded */
	const struct http_header *headers;
	size_t nr_headers;
	const void *body; /* copied; NULL when there is none */
	size_t body_len;
	struct source_set *sources;  /* NULL: let the kernel choose */
	unsigned connect_timeout_ms; /* 0: the client's default */
	unsigned idle_timeout_ms;    /* longest silence while a response is due; 0: default */
};

struct http_events {
	/*
	 * The head of the final response has arrived.  The callee sets *ret_sink
	 * to where the body shall go (NULL: the body is read and dropped, if it
	 * is at most 64 KiB; otherwise the connection is closed instead).
	 * A negative errno fails the exchange with it.  May be NULL.
	 */
	int (*on_head)(const struct http_response *res, struct sink **ret_sink, void *arg);
	/*
	 * Exactly once, always from the event loop, never from http_start() or
	 * http_cancel().  error 0: the whole body went into the sink.
	 * Otherwise a negative errno: -ECONNREFUSED, -ETIMEDOUT, -ECONNRESET (the
	 * peer closed in the middle), -EPROTO (what came is not HTTP), -ENOENT
	 * (the name does not resolve), -EACCES (the certificate is refused),
	 * or what the sink returned; http_error_text() then has the words.
	 * `res` is NULL when no response head arrived.
	 */
	void (*on_done)(int error, const struct http_response *res, void *arg);
};

struct http_client_conf {
	unsigned connect_timeout_ms;
	unsigned idle_timeout_ms;
	unsigned keepalive_ms;	  /* idle connections are closed after this (at most 50 s) */
	unsigned max_connections; /* bound of open connections of this client */
	const char *tls_ca_file;  /* NULL: the system's */
	bool tls_insecure;	  /* tests only: do not check certificates */
};

int http_client_new(struct event_base *base, const struct http_client_conf *conf,
		    struct http_client **ret_client);
/* Every exchange must have ended or been cancelled. */
void http_client_free(struct http_client *c);

/* arg goes to both callbacks.  Errors: -EINVAL, -ENOMEM. */
int http_start(struct http_client *c, const struct http_request *req,
	       const struct http_events *events, void *arg, struct http_exchange **ret_exchange);
/* No callback runs afterwards.  The connection is closed, unless it is clean. */
void http_cancel(struct http_exchange *x);

/* Body bytes handed to the sink so far. */
uint64_t http_exchange_bytes(const struct http_exchange *x);

int http_response_status(const struct http_response *res);
/* NULL when absent; name is compared without case.  Lives as long as the exchange. */
const char *http_response_header(const struct http_response *res, const char *name);
/* -1 when the length is not known (chunked, or until close). */
int64_t http_response_length(const struct http_response *res);
/* What the last failure was, in words fit for a log ("connect to 10.0.0.1:80 from 10.0.0.9:
 * Connection refused").  Valid inside on_done() only; never empty when error != 0. */
const char *http_error_text(const struct http_client *c);

#endif
