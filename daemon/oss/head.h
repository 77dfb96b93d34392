/*
 * head.h - one attempt to learn size, version, time and checksum of an object
 * without its bytes.  Does not retry: the result says whether to.
 *
 * Threads: on the worker that owns the client.
 */
#ifndef DAEMON_OSS_HEAD_H
#define DAEMON_OSS_HEAD_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/oss/result.h"

struct http_client;
struct oss_bucket;
struct oss_head;

/* Valid during the callback. */
struct oss_object_meta {
	uint64_t size;
	int64_t mtime;	   /* unix seconds; 0: not told */
	const char *etag;  /* without quotes; "" if there was none */
	const char *type;  /* Normal, Multipart, Symlink ...; "" if not told */
	const char *class; /* storage class; "" if not told */
	bool has_crc64;
	uint64_t crc64;
};

/* meta is NULL unless res->error is 0.  Exactly once, from the event loop; not after a cancel. */
typedef void oss_head_cb(const struct oss_result *res, const struct oss_object_meta *meta,
			 void *arg);

/*
 * meta_only: on OSS ask for ?objectMeta, which is cheaper, works on archived
 * objects and tells neither type nor class.  S3 has no such thing: a plain HEAD.
 */
int oss_head_start(struct http_client *client, struct oss_bucket *bucket, const char *key,
		   bool meta_only, oss_head_cb *on_done, void *arg, struct oss_head **ret_head);
void oss_head_cancel(struct oss_head *h);

#endif
