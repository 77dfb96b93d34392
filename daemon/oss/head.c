#include "daemon/oss/head.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/http/client.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/date.h"
#include "daemon/oss/request.h"

struct oss_head {
	struct oss_request *request;
	oss_head_cb *on_done;
	void *arg;
	uint64_t size;
	char etag[256];
};

static const char *header_or_empty(const struct http_response *head, const char *a, const char *b)
{
	const char *value = http_response_header(head, a);

	if (value == NULL && b != NULL)
		value = http_response_header(head, b);
	return value != NULL ? value : "";
}

static int on_head(const struct http_response *head, struct sink **ret_sink, struct oss_result *res,
		   void *arg)
{
	const char *length = header_or_empty(head, "Content-Length", NULL);
	const char *etag = header_or_empty(head, "ETag", NULL);
	struct oss_head *h = arg;
	struct oss_subject subject = oss_request_subject(h->request);

	*ret_sink = NULL;
	if (oss_parse_u64(length, &h->size) != 0 || h->size > INT64_MAX) {
		oss_result_set(res, &subject, OSS_RETRY, -EIO,
			       "the answer does not say how long the object is");
		return -EPROTO;
	}
	if (oss_parse_etag(etag, h->etag, sizeof(h->etag)) != 0) {
		oss_result_set(res, &subject, OSS_FATAL, -EIO, "its ETag is too long");
		return -EPROTO;
	}
	return 0;
}

static void on_done(struct oss_result *res, const struct http_response *head, void *arg)
{
	struct oss_head *h = arg;
	struct oss_object_meta meta = { .size = h->size, .etag = h->etag };

	if (res->error != 0) {
		h->on_done(res, NULL, h->arg);
		free(h);
		return;
	}
	if (date_parse_http(header_or_empty(head, "Last-Modified", NULL), &meta.mtime) != 0)
		meta.mtime = 0;
	meta.type = header_or_empty(head, "x-oss-object-type", NULL);
	meta.class = header_or_empty(head, "x-oss-storage-class", "x-amz-storage-class");
	meta.has_crc64 = res->has_crc64;
	meta.crc64 = res->crc64;
	h->on_done(res, &meta, h->arg);
	free(h);
}

int oss_head_start(struct http_client *client, struct oss_bucket *bucket, const char *key,
		   bool meta_only, oss_head_cb *on_head_done, void *arg, struct oss_head **ret_head)
{
	static const struct oss_request_events events = { .on_head = on_head, .on_done = on_done };
	static const struct oss_param object_meta = { "objectMeta", NULL };
	struct oss_request_conf conf = { .method = "HEAD", .key = key };
	struct oss_head *h;
	int r;

	if (key == NULL)
		return -EINVAL;
	if (meta_only && oss_bucket_endpoint(bucket)->dialect == OSS_DIALECT_OSS) {
		conf.query = &object_meta;
		conf.nr_query = 1;
	}
	h = calloc(1, sizeof(*h));
	if (h == NULL)
		return -ENOMEM;
	h->on_done = on_head_done;
	h->arg = arg;
	r = oss_request_start(client, bucket, &conf, &events, h, &h->request);
	if (r != 0)
		free(h);
	else
		*ret_head = h;
	return r;
}

void oss_head_cancel(struct oss_head *h)
{
	if (h == NULL)
		return;
	oss_request_cancel(h->request);
	free(h);
}
