/* PUT, DELETE and restore of objects, and the checks that every body goes through. */
#include "test/server/srv_op.h"

#include "test/server/srv_reply.h"
#include "test/server/srv_text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool sum_matches(const char *base64, const unsigned char *sum, size_t n)
{
	unsigned char got[64];

	return srv_base64_decode(base64, strlen(base64), got, sizeof(got)) == (int)n &&
	       memcmp(got, sum, n) == 0;
}

/* The checksums that S3 clients send, before the body or behind it. */
static bool check_s3_sums(struct srv_conn *c)
{
	struct srv_intake *in = &c->intake;
	unsigned char big[8];
	char *trailer;
	const char *v;
	bool ok = true;
	int i;

	if (in->kind != SRV_INTAKE_FILE)
		return true;
	for (i = 0; i < 8; i++)
		big[i] = (unsigned char)(in->crc[SRV_CRC_NVME] >> (56 - 8 * i));
	trailer = srv_intake_trailer(in, "x-amz-checksum-crc64nvme");
	v = trailer != NULL ? trailer : srv_req_field(&c->req, "x-amz-checksum-crc64nvme");
	if (v != NULL)
		ok = sum_matches(v, big, 8);
	free(trailer);

	for (i = 0; i < 4; i++)
		big[i] = (unsigned char)(in->crc32 >> (24 - 8 * i));
	trailer = srv_intake_trailer(in, "x-amz-checksum-crc32");
	v = trailer;
	if (v == NULL && in->sha256 != NULL)
		v = srv_req_field(&c->req, "x-amz-checksum-crc32");
	if (v != NULL)
		ok = ok && sum_matches(v, big, 4);
	free(trailer);
	return ok;
}

bool srv_op_check_body(struct srv_conn *c)
{
	const char *md5 = srv_req_field(&c->req, "content-md5");
	const char *decoded = srv_req_field(&c->req, "x-amz-decoded-content-length");
	struct srv_intake *in = &c->intake;
	uint64_t n;

	if (in->too_large) {
		srv_reply_error(c, SRV_E_TOO_LARGE);
		return false;
	}
	if (in->broken) {
		srv_reply_error(c, SRV_E_BAD_REQUEST);
		c->reply.close = true;
		return false;
	}
	if (md5 != NULL && !sum_matches(md5, in->md5_sum, sizeof(in->md5_sum))) {
		srv_reply_error(c, SRV_E_INVALID_DIGEST);
		return false;
	}
	if (in->sha256 != NULL && strcasecmp(in->sha256_hex, c->verdict.payload_sha256) != 0) {
		srv_reply_error(c, SRV_E_PAYLOAD_MISMATCH);
		return false;
	}
	if (in->aws_chunked && decoded != NULL && (!srv_parse_u64(decoded, &n) || n != in->size)) {
		srv_reply_error(c, SRV_E_BAD_REQUEST);
		return false;
	}
	if (c->req.dialect == SRV_S3 && !check_s3_sums(c)) {
		srv_reply_error(c, SRV_E_INVALID_DIGEST);
		return false;
	}
	return true;
}

/* User metadata, in one text; NULL: none. */
static char *read_meta(const struct srv_req *r)
{
	const char *prefix = r->dialect == SRV_S3 ? "x-amz-meta-" : "x-oss-meta-";
	struct srv_buf b = { 0 };
	size_t i, n = strlen(prefix);

	for (i = 0; i < r->nr_fields; i++) {
		if (strncmp(r->fields[i].name, prefix, n) == 0)
			srv_buf_fmt(&b, "%s: %s\n", r->fields[i].name + n, r->fields[i].value);
	}
	return b.p;
}

static void set_class(struct srv_object *o, const struct srv_conn *c)
{
	static const char *const names[][2] = {
		{ "STANDARD_IA", "IA" },
		{ "GLACIER", "Archive" },
		{ "DEEP_ARCHIVE", "ColdArchive" },
		{ "STANDARD", "Standard" },
	};
	const char *v = srv_op_field(c, "x-oss-storage-class", "x-amz-storage-class");
	size_t i;

	if (v == NULL)
		return;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(v, names[i][0]) == 0)
			v = names[i][1];
	}
	snprintf(o->storage_class, sizeof(o->storage_class), "%s", v);
}

static bool forbidden_overwrite(struct srv_conn *c)
{
	const char *forbid = srv_req_field(&c->req, "x-oss-forbid-overwrite");
	const char *none = srv_req_field(&c->req, "if-none-match");
	struct srv_object *o;

	if ((forbid == NULL || strcasecmp(forbid, "true") != 0) &&
	    (none == NULL || strcmp(none, "*") != 0))
		return false;
	o = srv_index_get(c->store->index, c->req.bucket, c->req.key, c->req.key_len);
	if (o == NULL)
		return false;
	srv_object_unref(o);
	srv_reply_error(c, c->req.dialect == SRV_S3 ? SRV_E_PRECONDITION : SRV_E_FILE_EXISTS);
	return true;
}

struct srv_object *srv_op_new_object(const struct srv_conn *c)
{
	struct srv_object *o = srv_object_new(c->req.key, c->req.key_len);
	const char *type = srv_req_field(&c->req, "content-type");

	o->meta = read_meta(&c->req);
	set_class(o, c);
	if (type != NULL)
		snprintf(o->content_type, sizeof(o->content_type), "%s", type);
	return o;
}

struct srv_object *srv_op_store(struct srv_conn *c, const char *bucket, struct srv_object *o)
{
	struct srv_intake *in = &c->intake;
	struct srv_buf etag = { 0 };

	srv_buf_hex(&etag, in->md5_sum, sizeof(in->md5_sum), true);
	snprintf(o->etag, sizeof(o->etag), "%s", etag.p);
	srv_buf_free(&etag);
	memcpy(o->md5, in->md5_sum, sizeof(o->md5));
	o->has_md5 = true;
	if (srv_index_place(c->store->index, bucket, o, in->path) != 0) {
		srv_object_unref(o);
		return NULL;
	}
	free(in->path);
	in->path = NULL;
	srv_object_set_crc(o, in->crc);
	srv_index_put(c->store->index, bucket, srv_object_ref(o));
	return o;
}

void srv_op_put(struct srv_conn *c)
{
	struct srv_object *o;

	if (!srv_op_check_body(c))
		return;
	if (!srv_index_has_bucket(c->store->index, c->req.bucket)) {
		srv_reply_error(c, SRV_E_NO_SUCH_BUCKET);
		return;
	}
	if (forbidden_overwrite(c))
		return;
	o = srv_op_store(c, c->req.bucket, srv_op_new_object(c));
	if (o == NULL) {
		srv_reply_error(c, SRV_E_INTERNAL);
		return;
	}
	srv_reply_empty(c, 200);
	srv_op_etag(c, o->etag);
	if (c->req.dialect == SRV_OSS)
		srv_op_crc(c, o);
	srv_object_unref(o);
}

void srv_op_delete(struct srv_conn *c)
{
	if (!srv_index_has_bucket(c->store->index, c->req.bucket)) {
		srv_reply_error(c, SRV_E_NO_SUCH_BUCKET);
		return;
	}
	/* What is not there is deleted already. */
	srv_index_remove(c->store->index, c->req.bucket, c->req.key, c->req.key_len);
	srv_reply_empty(c, 204);
}

void srv_op_restore(struct srv_conn *c)
{
	struct srv_object *o, *n;

	o = srv_index_get(c->store->index, c->req.bucket, c->req.key, c->req.key_len);
	if (o == NULL) {
		srv_reply_error(c, srv_index_has_bucket(c->store->index, c->req.bucket)
					   ? SRV_E_NO_SUCH_KEY
					   : SRV_E_NO_SUCH_BUCKET);
		return;
	}
	if (strstr(o->storage_class, "Archive") == NULL) {
		srv_reply_error(c, SRV_E_METHOD);
	} else if (strstr(o->restore, "\"true\"") != NULL) {
		srv_reply_error(c, SRV_E_RESTORE_IN_PROGRESS);
	} else if (o->restore[0] != '\0') {
		srv_reply_empty(c, 200);
	} else {
		n = srv_object_copy(o);
		n->owns_path = o->owns_path;
		o->owns_path = false;
		snprintf(n->restore, sizeof(n->restore), "ongoing-request=\"true\"");
		srv_index_put(c->store->index, c->req.bucket, n);
		srv_reply_empty(c, 202);
	}
	srv_object_unref(o);
}
