/*
 * get.h - one attempt to bring a range of one object into a sink.  What does
 * not come exactly as asked (range, length, version) never reaches the sink.
 * Does not retry: the result says whether to.
 *
 * Threads: on the worker that owns the client.
 */
#ifndef DAEMON_OSS_GET_H
#define DAEMON_OSS_GET_H

#include <stdint.h>

#include "daemon/oss/result.h"

struct http_client;
struct oss_bucket;
struct oss_get;
struct sink;

struct oss_range_get {
	const char *key; /* copied */
	uint64_t offset;
	uint64_t length;      /* at least 1; offset + length <= object_size */
	uint64_t object_size; /* what the listing said */
	const char *etag;     /* copied, without quotes; NULL or "": any version */
	struct sink *sink;    /* must live until on_done or oss_get_cancel() */
};

/* Exactly once, from the event loop; the get is over then.  Not after oss_get_cancel(). */
typedef void oss_get_cb(const struct oss_result *res, void *arg);

/* Takes a reference to the bucket.  -EINVAL: range or key; -ENOMEM. */
int oss_get_start(struct http_client *client, struct oss_bucket *bucket,
		  const struct oss_range_get *range, oss_get_cb *on_done, void *arg,
		  struct oss_get **ret_get);
void oss_get_cancel(struct oss_get *g);
/* Body bytes that the sink has taken so far. */
uint64_t oss_get_bytes(const struct oss_get *g);

#endif
