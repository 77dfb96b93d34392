/*
 * bucket.h - one bucket as requests see it: endpoint, name, keys, source
 * addresses, the clock's offset, and the signatures that may be used again.
 *
 * Threads: any; shared by all workers.
 */
#ifndef DAEMON_OSS_BUCKET_H
#define DAEMON_OSS_BUCKET_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/oss/endpoint.h"

struct cred_source;
struct oss_bucket;
struct source_set;

struct oss_bucket_conf {
	const struct oss_endpoint *endpoint; /* copied */
	const char *name;		     /* copied */
	struct cred_source *creds;	     /* a reference is taken */
	struct source_set *sources;	     /* NULL: the kernel chooses; a reference is taken */
	unsigned connect_timeout_ms;	     /* 0: the client's */
	unsigned idle_timeout_ms;	     /* 0: the client's */
};

int oss_bucket_new(const struct oss_bucket_conf *conf, struct oss_bucket **ret_bucket);
struct oss_bucket *oss_bucket_ref(struct oss_bucket *b);
void oss_bucket_unref(struct oss_bucket *b);

const char *oss_bucket_name(const struct oss_bucket *b);
const struct oss_endpoint *oss_bucket_endpoint(const struct oss_bucket *b);
struct cred_source *oss_bucket_creds(const struct oss_bucket *b); /* no reference is given */

/* Seconds to add to the local clock before signing. */
int64_t oss_bucket_clock_offset(const struct oss_bucket *b);
void oss_bucket_set_clock_offset(struct oss_bucket *b, int64_t seconds);

#endif
