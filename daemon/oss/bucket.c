#include "daemon/oss/bucket.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/net/source.h"
#include "daemon/oss/bucket_internal.h"
#include "daemon/oss/cred.h"
#include "daemon/oss/sigcache.h"

static const struct sign_scheme *scheme_of(const struct oss_endpoint *e)
{
	if (e->dialect == OSS_DIALECT_S3)
		return &sign_s3;
	return e->region[0] != '\0' ? &sign_v4 : &sign_v1;
}

int oss_bucket_new(const struct oss_bucket_conf *conf, struct oss_bucket **ret_bucket)
{
	struct oss_bucket *b;
	int r;

	if (strlen(conf->name) > OSS_BUCKET_MAX)
		return -EINVAL;
	b = calloc(1, sizeof(*b));
	if (b == NULL)
		return -ENOMEM;
	atomic_init(&b->refs, 1);
	atomic_init(&b->clock_offset, 0);
	b->endpoint = *conf->endpoint;
	snprintf(b->name, sizeof(b->name), "%s", conf->name);
	b->scheme = scheme_of(&b->endpoint);
	b->sources = source_set_ref(conf->sources);
	b->connect_timeout_ms = conf->connect_timeout_ms;
	b->idle_timeout_ms = conf->idle_timeout_ms;
	b->creds = cred_source_ref(conf->creds);
	r = oss_endpoint_dial_host(&b->endpoint, b->name, b->dial_host, sizeof(b->dial_host));
	if (r == 0)
		r = oss_endpoint_authority(&b->endpoint, b->name, b->authority,
					   sizeof(b->authority));
	if (r == 0)
		r = sigcache_new(&b->signatures);
	if (r != 0)
		oss_bucket_unref(b);
	else
		*ret_bucket = b;
	return r;
}

struct oss_bucket *oss_bucket_ref(struct oss_bucket *b)
{
	atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
	return b;
}

void oss_bucket_unref(struct oss_bucket *b)
{
	if (b == NULL || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
		return;
	sigcache_free(b->signatures);
	cred_source_unref(b->creds);
	source_set_unref(b->sources);
	free(b);
}

const char *oss_bucket_name(const struct oss_bucket *b)
{
	return b->name;
}

const struct oss_endpoint *oss_bucket_endpoint(const struct oss_bucket *b)
{
	return &b->endpoint;
}

struct cred_source *oss_bucket_creds(const struct oss_bucket *b)
{
	return b->creds;
}

int64_t oss_bucket_clock_offset(const struct oss_bucket *b)
{
	return atomic_load_explicit(&b->clock_offset, memory_order_relaxed);
}

void oss_bucket_set_clock_offset(struct oss_bucket *b, int64_t seconds)
{
	atomic_store_explicit(&b->clock_offset, seconds, memory_order_relaxed);
	sigcache_clear(b->signatures);
}
