/*
 * bucket_internal.h - what a bucket is made of, for the requests of this folder only.
 */
#ifndef DAEMON_OSS_BUCKET_INTERNAL_H
#define DAEMON_OSS_BUCKET_INTERNAL_H

#include <stdatomic.h>

#include "daemon/oss/bucket.h"

struct sigcache;
struct sign_scheme;

struct oss_bucket {
	atomic_uint refs;
	struct oss_endpoint endpoint;
	char name[OSS_BUCKET_MAX + 1];
	char dial_host[320];
	char authority[336];
	const struct sign_scheme *scheme;
	struct cred_source *creds;
	struct source_set *sources;
	struct sigcache *signatures;
	unsigned connect_timeout_ms;
	unsigned idle_timeout_ms;
	atomic_llong clock_offset;
};

#endif
