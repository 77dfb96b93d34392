/* Operations on buckets and on the service, and the deletion of many objects at once. */
#include "test/server/srv_op.h"

#include "test/server/srv_reply.h"
#include "test/server/srv_text.h"
#include "test/server/srv_xml.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XML_HEAD   "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define S3_NS	   " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

#define DELETE_MAX 1000

static bool need_bucket(struct srv_conn *c)
{
	if (srv_index_has_bucket(c->store->index, c->req.bucket))
		return true;
	srv_reply_error(c, SRV_E_NO_SUCH_BUCKET);
	return false;
}

static void add_bucket(const char *name, int64_t made, void *arg)
{
	struct srv_conn *c = arg;
	struct srv_buf *out = &c->reply.text;
	const char *region = c->store->options->region;
	char date[SRV_DATE_LEN];

	srv_date_iso(date, made);
	srv_buf_fmt(out, "<Bucket><CreationDate>%s</CreationDate>", date);
	if (c->req.dialect == SRV_OSS)
		srv_buf_fmt(out,
			    "<ExtranetEndpoint>oss-%s.aliyuncs.com</ExtranetEndpoint>"
			    "<IntranetEndpoint>oss-%s-internal.aliyuncs.com</IntranetEndpoint>"
			    "<Location>oss-%s</Location><StorageClass>Standard</StorageClass>",
			    region, region, region);
	srv_buf_fmt(out, "<Name>%s</Name></Bucket>", name);
}

void srv_op_service(struct srv_conn *c)
{
	srv_buf_fmt(&c->reply.text,
		    XML_HEAD "<ListAllMyBucketsResult%s><Owner><ID>0022012****</ID>"
			     "<DisplayName>user-example</DisplayName></Owner><Buckets>",
		    c->req.dialect == SRV_S3 ? S3_NS : "");
	srv_index_buckets(c->store->index, add_bucket, c);
	srv_buf_str(&c->reply.text, "</Buckets></ListAllMyBucketsResult>\n");
	srv_reply_xml(c, 200);
}

void srv_op_bucket_head(struct srv_conn *c)
{
	if (!need_bucket(c))
		return;
	srv_reply_empty(c, 200);
	if (c->req.dialect == SRV_S3)
		srv_reply_field(c, "x-amz-bucket-region", c->store->options->region);
}

void srv_op_bucket_put(struct srv_conn *c)
{
	if (!srv_op_check_body(c))
		return;
	if (srv_index_make_bucket(c->store->index, c->req.bucket) != 0) {
		srv_reply_error(c, SRV_E_INTERNAL);
		return;
	}
	srv_reply_empty(c, 200);
}

void srv_op_bucket_delete(struct srv_conn *c)
{
	int r = srv_index_drop_bucket(c->store->index, c->req.bucket);

	if (r == -ENOENT)
		srv_reply_error(c, SRV_E_NO_SUCH_BUCKET);
	else if (r != 0)
		srv_reply_error(c, SRV_E_BUCKET_NOT_EMPTY);
	else
		srv_reply_empty(c, 204);
}

void srv_op_bucket_describe(struct srv_conn *c)
{
	const char *region = c->store->options->region;

	if (!need_bucket(c))
		return;
	srv_buf_fmt(&c->reply.text,
		    XML_HEAD "<BucketInfo><Bucket>"
			     "<CreationDate>2026-01-02T03:04:05.000Z</CreationDate>"
			     "<ExtranetEndpoint>oss-%s.aliyuncs.com</ExtranetEndpoint>"
			     "<IntranetEndpoint>oss-%s-internal.aliyuncs.com</IntranetEndpoint>"
			     "<Location>oss-%s</Location><Name>%s</Name>"
			     "<StorageClass>Standard</StorageClass>"
			     "<DataRedundancyType>LRS</DataRedundancyType>"
			     "<Owner><ID>0022012****</ID><DisplayName>user-example</DisplayName>"
			     "</Owner><AccessControlList><Grant>private</Grant>"
			     "</AccessControlList></Bucket></BucketInfo>\n",
		    region, region, region, c->req.bucket);
	srv_reply_xml(c, 200);
}

void srv_op_bucket_location(struct srv_conn *c)
{
	bool s3 = c->req.dialect == SRV_S3;

	if (!need_bucket(c))
		return;
	srv_buf_fmt(&c->reply.text, XML_HEAD "<LocationConstraint%s>%s%s</LocationConstraint>\n",
		    s3 ? S3_NS : "", s3 ? "" : "oss-", c->store->options->region);
	srv_reply_xml(c, 200);
}

/* One <Object> of the request: delete it, and say so unless asked to be quiet. */
static void delete_one(struct srv_conn *c, const char *object, size_t len, bool quiet, bool url)
{
	struct srv_buf key = { 0 };
	struct srv_buf *out = &c->reply.text;

	if (!srv_xml_text(object, len, "Key", &key) || key.len == 0) {
		srv_buf_free(&key);
		return;
	}
	srv_index_remove(c->store->index, c->req.bucket, key.p, key.len);
	if (!quiet) {
		srv_buf_str(out, "<Deleted><Key>");
		if (url)
			srv_buf_uri(out, key.p, key.len, false);
		else
			srv_buf_xml(out, key.p, key.len);
		srv_buf_str(out, "</Key></Deleted>");
	}
	srv_buf_free(&key);
}

void srv_op_delete_many(struct srv_conn *c)
{
	const char *encoding = srv_req_value(&c->req, "encoding-type");
	bool url = encoding != NULL && strcmp(encoding, "url") == 0;
	const char *p = c->intake.memory.p, *item;
	size_t left = c->intake.memory.len, len, nr = 0;
	struct srv_buf quiet = { 0 };

	if (!srv_op_check_body(c) || !need_bucket(c))
		return;
	if (c->req.dialect == SRV_OSS && srv_req_field(&c->req, "content-md5") == NULL) {
		c->detail.argument_name = "Content-MD5";
		srv_reply_error(c, SRV_E_INVALID_ARGUMENT);
		return;
	}
	srv_xml_text(p, left, "Quiet", &quiet);
	srv_buf_fmt(&c->reply.text, XML_HEAD "<DeleteResult%s>",
		    c->req.dialect == SRV_S3 ? S3_NS : "");
	if (url)
		srv_buf_str(&c->reply.text, "<EncodingType>url</EncodingType>");
	while (srv_xml_next(&p, &left, "Object", &item, &len)) {
		if (++nr > DELETE_MAX)
			break;
		delete_one(c, item, len, quiet.p != NULL && strcmp(quiet.p, "true") == 0, url);
	}
	srv_buf_free(&quiet);
	if (nr == 0 || nr > DELETE_MAX) {
		srv_reply_error(c, SRV_E_MALFORMED_XML);
		return;
	}
	srv_buf_str(&c->reply.text, "</DeleteResult>\n");
	srv_reply_xml(c, 200);
}

void srv_op_refuse(struct srv_conn *c)
{
	srv_reply_error(c, SRV_E_NOT_IMPLEMENTED);
}
