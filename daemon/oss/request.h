/*
 * request.h - one signed request to a bucket and what became of it: what GET,
 * HEAD and the listing have in common.  It reads the answers that refuse,
 * judges them, and puts right what can be put right (keys, clock, signature).
 *
 * Threads: on the worker that owns the client.
 */
#ifndef DAEMON_OSS_REQUEST_H
#define DAEMON_OSS_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/oss/canon.h"
#include "daemon/oss/result.h"

struct http_client;
struct http_header;
struct http_response;
struct oss_bucket;
struct oss_request;
struct sink;

struct oss_request_conf {
	const char *method;
	const char *key;   /* NULL: of the bucket */
	const char *about; /* what texts name then: a prefix; NULL: the bucket alone */
	const struct oss_param *query;
	size_t nr_query;
	const struct http_header *headers; /* at most 8 */
	size_t nr_headers;
	bool reuse_signature; /* the headers signed are the same for each such request of the key */
	uint64_t body_len;    /* what a success must have brought; 0: whatever comes */
};

struct oss_request_events {
	/*
	 * A head with a status of 2xx.  0 and the sink, or a negative errno after
	 * *res was filled in (oss_result_set()): the request ends with it.
	 */
	int (*on_head)(const struct http_response *head, struct sink **ret_sink,
		       struct oss_result *res, void *arg);
	/* Exactly once, from the event loop; the request is no more.  head: NULL if none came. */
	void (*on_done)(struct oss_result *res, const struct http_response *head, void *arg);
};

/* Everything in conf is copied; takes a reference to the bucket. */
int oss_request_start(struct http_client *client, struct oss_bucket *bucket,
		      const struct oss_request_conf *conf, const struct oss_request_events *events,
		      void *arg, struct oss_request **ret_request);
void oss_request_cancel(struct oss_request *r);
/* Body bytes that reached the sink so far. */
uint64_t oss_request_bytes(const struct oss_request *r);
/* For oss_result_set(): what the request is about. */
struct oss_subject oss_request_subject(const struct oss_request *r);

/* An unsigned decimal, whole.  0 or -EINVAL. */
int oss_parse_u64(const char *text, uint64_t *ret_value);
/* An ETag without quotes and weakness mark; -EINVAL: too long for buf. */
int oss_parse_etag(const char *header, char *buf, size_t len);

#endif
