#include "daemon/oss/get.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/http/client.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/request.h"

#define ETAG_MAX 256

struct oss_get {
	struct oss_request *request;
	uint64_t offset, length, object_size;
	char etag[ETAG_MAX];
	struct sink *sink;
	oss_get_cb *on_done;
	void *arg;
};

/* "bytes 0-499/1000": three numbers and nothing else. */
static int parse_content_range(const char *text, uint64_t *ret_first, uint64_t *ret_last,
			       uint64_t *ret_total)
{
	char buf[72], *dash, *slash;

	if (strncasecmp(text, "bytes ", 6) != 0 || strlen(text + 6) >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text + 6, strlen(text + 6) + 1);
	dash = strchr(buf, '-');
	slash = strchr(buf, '/');
	if (dash == NULL || slash == NULL || slash < dash)
		return -EINVAL;
	*dash = *slash = '\0';
	if (oss_parse_u64(buf, ret_first) != 0 || oss_parse_u64(dash + 1, ret_last) != 0)
		return -EINVAL;
	return oss_parse_u64(slash + 1, ret_total);
}

static int refuse(struct oss_get *g, struct oss_result *res, const char *what)
{
	struct oss_subject subject = oss_request_subject(g->request);

	oss_result_set(res, &subject, OSS_RETRY, -EIO,
		       "asked for %" PRIu64 " bytes at %" PRIu64 ", but %s (HTTP %d)%s%s",
		       g->length, g->offset, what, res->status,
		       res->request_id[0] != '\0' ? ", request id " : "", res->request_id);
	return -EPROTO;
}

static int refuse_version(struct oss_get *g, struct oss_result *res, const char *what)
{
	struct oss_subject subject = oss_request_subject(g->request);

	oss_result_set(res, &subject, OSS_FATAL, -ESTALE,
		       "it was replaced in the store after it was listed (%s): open it again",
		       what);
	return -ESTALE;
}

static int check_range(struct oss_get *g, const struct http_response *head, struct oss_result *res)
{
	const char *range = http_response_header(head, "Content-Range");
	uint64_t first, last, total;

	if (res->status == 200) {
		if (g->offset != 0 || g->length != g->object_size)
			return refuse(g, res, "the store ignored the range");
		return 0;
	}
	if (res->status != 206)
		return refuse(g, res, "the answer holds no range");
	if (range == NULL || parse_content_range(range, &first, &last, &total) != 0)
		return refuse(g, res, "the answer does not say which range it holds");
	if (total != g->object_size)
		return refuse_version(g, res, "it has another size now");
	if (first != g->offset || last != g->offset + g->length - 1)
		return refuse(g, res, "the answer holds another range");
	return 0;
}

static int check_version(struct oss_get *g, const struct http_response *head,
			 struct oss_result *res)
{
	const char *header = http_response_header(head, "ETag");
	char etag[ETAG_MAX];

	if (g->etag[0] == '\0')
		return 0;
	if (header == NULL)
		return refuse(g, res, "the answer has no ETag");
	if (oss_parse_etag(header, etag, sizeof(etag)) != 0 || strcasecmp(etag, g->etag) != 0)
		return refuse_version(g, res, "it has another ETag now");
	return 0;
}

static int on_head(const struct http_response *head, struct sink **ret_sink, struct oss_result *res,
		   void *arg)
{
	const char *coding = http_response_header(head, "Content-Encoding");
	struct oss_get *g = arg;
	int r;

	if (coding != NULL && coding[0] != '\0' && strcasecmp(coding, "identity") != 0)
		return refuse(g, res,
			      "the answer is compressed: take away what does so on the "
			      "way");
	r = check_version(g, head, res);
	if (r == 0)
		r = check_range(g, head, res);
	if (r != 0)
		return r;
	if (http_response_length(head) != (int64_t)g->length)
		return refuse(g, res, "the answer has another length");
	*ret_sink = g->sink;
	return 0;
}

static void on_done(struct oss_result *res, const struct http_response *head, void *arg)
{
	struct oss_get *g = arg;
	oss_get_cb *done = g->on_done;
	void *done_arg = g->arg;

	(void)head;
	free(g);
	done(res, done_arg);
}

int oss_get_start(struct http_client *client, struct oss_bucket *bucket,
		  const struct oss_range_get *range, oss_get_cb *on_get_done, void *arg,
		  struct oss_get **ret_get)
{
	static const struct oss_request_events events = { .on_head = on_head, .on_done = on_done };
	char bytes[64], if_match[ETAG_MAX + 2];
	struct http_header headers[3];
	struct oss_request_conf conf = {
		.method = "GET",
		.key = range->key,
		.headers = headers,
		.reuse_signature = true,
		.body_len = range->length,
	};
	struct oss_get *g;
	int r;

	if (range->key == NULL || range->length == 0 || range->object_size > INT64_MAX ||
	    range->offset >= range->object_size ||
	    range->length > range->object_size - range->offset)
		return -EINVAL;
	g = calloc(1, sizeof(*g));
	if (g == NULL)
		return -ENOMEM;
	g->offset = range->offset;
	g->length = range->length;
	g->object_size = range->object_size;
	g->sink = range->sink;
	g->on_done = on_get_done;
	g->arg = arg;
	if (range->etag != NULL && oss_parse_etag(range->etag, g->etag, sizeof(g->etag)) != 0) {
		free(g);
		return -EINVAL;
	}

	snprintf(bytes, sizeof(bytes), "bytes=%" PRIu64 "-%" PRIu64, g->offset,
		 g->offset + g->length - 1);
	headers[conf.nr_headers++] = (struct http_header){ "Range", bytes };
	if (g->etag[0] != '\0') {
		snprintf(if_match, sizeof(if_match), "\"%s\"", g->etag);
		headers[conf.nr_headers++] = (struct http_header){ "If-Match", if_match };
	}
	if (oss_bucket_endpoint(bucket)->dialect == OSS_DIALECT_OSS)
		headers[conf.nr_headers++] =
			(struct http_header){ "x-oss-range-behavior", "standard" };
	r = oss_request_start(client, bucket, &conf, &events, g, &g->request);
	if (r != 0)
		free(g);
	else
		*ret_get = g;
	return r;
}

void oss_get_cancel(struct oss_get *g)
{
	if (g == NULL)
		return;
	oss_request_cancel(g->request);
	free(g);
}

uint64_t oss_get_bytes(const struct oss_get *g)
{
	return oss_request_bytes(g->request);
}
