/* Multipart uploads, from the first request to the last. */
#include "test/server/srv_op.h"

#include "test/server/srv_reply.h"
#include "test/server/srv_text.h"
#include "test/server/srv_upload.h"
#include "test/server/srv_xml.h"
#include "test/server/synth.h"

#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define XML_HEAD "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
#define S3_NS	 " xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\""

static const char *namespace(const struct srv_conn *c)
{
	return c->req.dialect == SRV_S3 ? S3_NS : "";
}

static bool wants_url(const struct srv_conn *c)
{
	const char *encoding = srv_req_value(&c->req, "encoding-type");

	return encoding != NULL && strcmp(encoding, "url") == 0;
}

static void add_key(const struct srv_conn *c, struct srv_buf *out, const char *key, size_t len)
{
	if (!wants_url(c))
		srv_buf_xml(out, key, len);
	else if (c->req.dialect == SRV_S3)
		srv_buf_uri_s3list(out, key, len);
	else
		srv_buf_uri(out, key, len, false);
}

static void name_upload(struct srv_conn *c, struct srv_upload_name *n)
{
	n->id = srv_req_value(&c->req, "uploadId");
	n->bucket = c->req.bucket;
	n->key = c->req.key;
	n->key_len = c->req.key_len;
	c->detail.upload_id = n->id;
}

static void name_elements(struct srv_conn *c, const char *upload_id)
{
	struct srv_buf *out = &c->reply.text;

	if (wants_url(c))
		srv_buf_str(out, "<EncodingType>url</EncodingType>");
	srv_buf_fmt(out, "<Bucket>%s</Bucket><Key>", c->req.bucket);
	add_key(c, out, c->req.key, c->req.key_len);
	srv_buf_str(out, "</Key>");
	if (upload_id != NULL)
		srv_buf_fmt(out, "<UploadId>%s</UploadId>", upload_id);
}

void srv_op_upload_begin(struct srv_conn *c)
{
	struct srv_store *s = c->store;
	struct srv_upload *up;
	uint64_t n;

	if (!srv_op_check_body(c))
		return;
	if (!srv_index_has_bucket(s->index, c->req.bucket)) {
		srv_reply_error(c, SRV_E_NO_SUCH_BUCKET);
		return;
	}
	up = srv_alloc(sizeof(*up));
	n = atomic_fetch_add(&s->next_id, 1);
	snprintf(up->id, sizeof(up->id), "%016llX%016llX", (unsigned long long)n,
		 (unsigned long long)synth_mix(n ^ srv_mono_ns()));
	snprintf(up->bucket, sizeof(up->bucket), "%s", c->req.bucket);
	up->object = srv_op_new_object(c);
	strcpy(up->object->type, "Multipart");
	up->made = srv_clock_now();
	srv_buf_fmt(&c->reply.text, XML_HEAD "<InitiateMultipartUploadResult%s>", namespace(c));
	name_elements(c, up->id);
	srv_buf_str(&c->reply.text, "</InitiateMultipartUploadResult>\n");
	srv_uploads_add(s->uploads, up);
	srv_reply_xml(c, 200);
}

static void take_part(struct srv_upload *up, void *arg)
{
	srv_upload_set_part(up, arg);
}

void srv_op_upload_part(struct srv_conn *c)
{
	const char *number = srv_req_value(&c->req, "partNumber");
	struct srv_intake *in = &c->intake;
	struct srv_upload_name name;
	struct srv_object shown = { 0 };
	struct srv_buf etag = { 0 };
	struct srv_part part = { 0 };
	uint64_t n;

	if (!srv_op_check_body(c))
		return;
	if (number == NULL || !srv_parse_u64(number, &n) || n < 1 || n > SRV_PARTS_MAX) {
		c->detail.argument_name = "partNumber";
		c->detail.argument_value = number;
		srv_reply_error(c, SRV_E_INVALID_ARGUMENT);
		return;
	}
	name_upload(c, &name);
	part.number = (unsigned)n;
	part.path = in->path;
	part.size = in->size;
	part.mtime = srv_clock_now();
	memcpy(part.md5, in->md5_sum, sizeof(part.md5));
	memcpy(part.crc, in->crc, sizeof(part.crc));
	if (!srv_uploads_with(c->store->uploads, &name, take_part, &part)) {
		srv_reply_error(c, SRV_E_NO_SUCH_UPLOAD);
		return;
	}
	in->path = NULL;
	srv_reply_empty(c, 200);
	srv_buf_hex(&etag, part.md5, sizeof(part.md5), true);
	srv_op_etag(c, etag.p);
	srv_buf_free(&etag);
	srv_object_set_crc(&shown, part.crc);
	if (c->req.dialect == SRV_OSS)
		srv_op_crc(c, &shown);
}

static bool same_md5(const unsigned char md5[16], const char *hex, size_t len)
{
	struct srv_buf b = { 0 };
	bool r;

	while (len > 0 && *hex == '"') {
		hex++;
		len--;
	}
	while (len > 0 && hex[len - 1] == '"')
		len--;
	srv_buf_hex(&b, md5, 16, false);
	r = len == 32 && strncasecmp(b.p, hex, 32) == 0;
	srv_buf_free(&b);
	return r;
}

static struct srv_part *find_part(struct srv_upload *up, unsigned number)
{
	size_t i;

	for (i = 0; i < up->nr; i++) {
		if (up->parts[i].number == number)
			return &up->parts[i];
	}
	return NULL;
}

/* Which parts the client wants joined.  Returns an error or SRV_E_NONE. */
static enum srv_error_id choose_parts(struct srv_conn *c, struct srv_upload *up,
				      struct srv_part **list, size_t *ret_nr)
{
	const char *all = srv_req_field(&c->req, "x-oss-complete-all");
	const char *p = c->intake.memory.p, *item;
	size_t left = c->intake.memory.len, len, nr = 0, i;
	uint64_t number, before = 0;

	if (all != NULL && strcmp(all, "yes") == 0) {
		if (left > 0)
			return SRV_E_BOTH_COMPLETE;
		for (i = 0; i < up->nr; i++)
			list[nr++] = &up->parts[i];
		*ret_nr = nr;
		return nr > 0 ? SRV_E_NONE : SRV_E_INVALID_PART;
	}
	while (srv_xml_next(&p, &left, "Part", &item, &len)) {
		struct srv_buf text = { 0 }, etag = { 0 };
		struct srv_part *part = NULL;
		bool ok = srv_xml_text(item, len, "PartNumber", &text) &&
			  srv_parse_u64(text.p, &number) && number <= SRV_PARTS_MAX &&
			  srv_xml_text(item, len, "ETag", &etag);

		if (ok)
			part = find_part(up, (unsigned)number);
		if (part != NULL && !same_md5(part->md5, etag.p, etag.len))
			part = NULL;
		srv_buf_free(&text);
		srv_buf_free(&etag);
		if (!ok || nr == SRV_PARTS_MAX)
			return SRV_E_MALFORMED_XML;
		if (number <= before)
			return SRV_E_PART_ORDER;
		if (part == NULL)
			return SRV_E_INVALID_PART;
		before = number;
		list[nr++] = part;
	}
	*ret_nr = nr;
	return nr > 0 ? SRV_E_NONE : SRV_E_MALFORMED_XML;
}

static bool append_file(int out, const char *path)
{
	int in = open(path, O_RDONLY | O_CLOEXEC);
	char *buf;
	ssize_t n;

	if (in == -1)
		return false;
	buf = srv_alloc(1u << 20);
	while ((n = read(in, buf, 1u << 20)) > 0) {
		if (write(out, buf, (size_t)n) != n) {
			n = -1;
			break;
		}
	}
	free(buf);
	close(in);
	return n == 0;
}

/* One file from all parts, and what follows from them.  NULL: it could not be written. */
static struct srv_object *join_parts(struct srv_conn *c, struct srv_upload *up,
				     struct srv_part **list, size_t nr)
{
	struct srv_object *o = srv_object_copy(up->object);
	uint64_t crc[SRV_CRC_KINDS] = { 0 };
	EVP_MD_CTX *md5 = EVP_MD_CTX_new();
	struct srv_buf etag = { 0 };
	unsigned char sum[16];
	unsigned len = sizeof(sum);
	bool ok;
	size_t i;
	int out, kind;

	EVP_DigestInit_ex(md5, EVP_md5(), NULL);
	/* The first part's file grows into the whole. */
	out = open(list[0]->path, O_WRONLY | O_APPEND | O_CLOEXEC);
	ok = out != -1;
	for (i = 0; i < nr; i++) {
		if (ok && i > 0)
			ok = append_file(out, list[i]->path);
		EVP_DigestUpdate(md5, list[i]->md5, sizeof(list[i]->md5));
		for (kind = 0; kind < SRV_CRC_KINDS; kind++)
			crc[kind] = srv_crc_combine((enum srv_crc_kind)kind, crc[kind],
						    list[i]->crc[kind], list[i]->size);
	}
	if (out != -1)
		close(out);
	EVP_DigestFinal_ex(md5, sum, &len);
	EVP_MD_CTX_free(md5);
	srv_buf_hex(&etag, sum, sizeof(sum), true);
	snprintf(o->etag, sizeof(o->etag), "%s-%zu", etag.p, nr);
	srv_buf_free(&etag);
	if (!ok || srv_index_place(c->store->index, up->bucket, o, list[0]->path) != 0) {
		srv_object_unref(o);
		return NULL;
	}
	free(list[0]->path);
	list[0]->path = NULL;
	srv_object_set_crc(o, crc);
	return o;
}

static enum srv_error_id complete(struct srv_conn *c, struct srv_upload *up,
				  struct srv_object **ret)
{
	struct srv_part **list = srv_alloc(SRV_PARTS_MAX * sizeof(struct srv_part *));
	enum srv_error_id error;
	size_t nr = 0, i;

	error = choose_parts(c, up, list, &nr);
	for (i = 0; error == SRV_E_NONE && i + 1 < nr; i++) {
		if (list[i]->size < c->store->options->min_part)
			error = SRV_E_TOO_SMALL;
	}
	if (error == SRV_E_NONE) {
		*ret = join_parts(c, up, list, nr);
		if (*ret == NULL)
			error = SRV_E_INTERNAL;
	}
	free(list);
	return error;
}

void srv_op_upload_complete(struct srv_conn *c)
{
	struct srv_upload_name name;
	struct srv_upload *up;
	struct srv_object *o = NULL;
	enum srv_error_id error;
	char etag[96];
	size_t i;

	if (!srv_op_check_body(c))
		return;
	name_upload(c, &name);
	up = srv_uploads_take(c->store->uploads, &name);
	if (up == NULL) {
		srv_reply_error(c, SRV_E_NO_SUCH_UPLOAD);
		return;
	}
	error = complete(c, up, &o);
	if (error != SRV_E_NONE) {
		srv_uploads_add(c->store->uploads, up);
		srv_reply_error(c, error);
		return;
	}
	srv_upload_free(up);
	srv_index_put(c->store->index, c->req.bucket, srv_object_ref(o));
	snprintf(etag, sizeof(etag), "%s", o->etag);
	for (i = 0; c->req.dialect == SRV_S3 && etag[i] != '\0'; i++)
		etag[i] = (char)(etag[i] >= 'A' && etag[i] <= 'F' ? etag[i] + 32 : etag[i]);
	srv_buf_fmt(&c->reply.text, XML_HEAD "<CompleteMultipartUploadResult%s>", namespace(c));
	srv_buf_fmt(&c->reply.text, "<Location>http://%s/", c->req.host);
	srv_buf_uri(&c->reply.text, c->req.key, c->req.key_len, true);
	srv_buf_str(&c->reply.text, "</Location>");
	name_elements(c, NULL);
	srv_buf_fmt(&c->reply.text, "<ETag>\"%s\"</ETag></CompleteMultipartUploadResult>\n", etag);
	srv_reply_xml(c, 200);
	srv_op_etag(c, o->etag);
	if (c->req.dialect == SRV_OSS)
		srv_op_crc(c, o);
	srv_object_unref(o);
}

void srv_op_upload_abort(struct srv_conn *c)
{
	struct srv_upload_name name;
	struct srv_upload *up;

	name_upload(c, &name);
	up = srv_uploads_take(c->store->uploads, &name);
	if (up == NULL) {
		srv_reply_error(c, SRV_E_NO_SUCH_UPLOAD);
		return;
	}
	srv_upload_free(up);
	srv_reply_empty(c, 204);
}

static void show_parts(struct srv_upload *up, void *arg)
{
	struct srv_conn *c = arg;
	struct srv_buf *out = &c->reply.text, list = { 0 };
	const char *max_text = srv_req_value(&c->req, "max-parts");
	const char *marker_text = srv_req_value(&c->req, "part-number-marker");
	uint64_t max = 1000, marker = 0, last = 0, nr = 0;
	char date[SRV_DATE_LEN];
	bool more = false;
	size_t i;

	if (max_text == NULL || !srv_parse_u64(max_text, &max) || max < 1 || max > 1000)
		max = 1000;
	if (marker_text == NULL || !srv_parse_u64(marker_text, &marker))
		marker = 0;
	for (i = 0; i < up->nr; i++) {
		struct srv_part *p = &up->parts[i];

		if (p->number <= marker)
			continue;
		if (nr == max) {
			more = true;
			break;
		}
		nr++;
		last = p->number;
		srv_date_iso(date, p->mtime);
		srv_buf_fmt(&list,
			    "<Part><PartNumber>%u</PartNumber><LastModified>%s</LastModified>"
			    "<ETag>\"",
			    p->number, date);
		srv_buf_hex(&list, p->md5, sizeof(p->md5), c->req.dialect == SRV_OSS);
		srv_buf_fmt(&list, "\"</ETag><Size>%llu</Size>", (unsigned long long)p->size);
		if (c->req.dialect == SRV_OSS)
			srv_buf_fmt(&list, "<HashCrc64ecma>%llu</HashCrc64ecma>",
				    (unsigned long long)p->crc[SRV_CRC_XZ]);
		srv_buf_str(&list, "</Part>");
	}
	srv_buf_fmt(out, XML_HEAD "<ListPartsResult%s>", namespace(c));
	name_elements(c, up->id);
	srv_buf_fmt(out,
		    "<StorageClass>%s</StorageClass><PartNumberMarker>%llu</PartNumberMarker>"
		    "<NextPartNumberMarker>%llu</NextPartNumberMarker><MaxParts>%llu</MaxParts>"
		    "<IsTruncated>%s</IsTruncated>",
		    up->object->storage_class, (unsigned long long)marker, (unsigned long long)last,
		    (unsigned long long)max, more ? "true" : "false");
	srv_buf_add(out, list.p, list.len);
	srv_buf_str(out, "</ListPartsResult>\n");
	srv_buf_free(&list);
	srv_reply_xml(c, 200);
}

void srv_op_upload_parts(struct srv_conn *c)
{
	struct srv_upload_name name;

	name_upload(c, &name);
	if (!srv_uploads_with(c->store->uploads, &name, show_parts, c))
		srv_reply_error(c, SRV_E_NO_SUCH_UPLOAD);
}

static void show_upload(const struct srv_upload *up, void *arg)
{
	struct srv_conn *c = arg;
	char date[SRV_DATE_LEN];

	srv_date_iso(date, up->made);
	srv_buf_str(&c->reply.text, "<Upload><Key>");
	add_key(c, &c->reply.text, up->object->key, up->object->key_len);
	srv_buf_fmt(&c->reply.text,
		    "</Key><UploadId>%s</UploadId><Initiated>%s</Initiated></Upload>", up->id,
		    date);
}

void srv_op_uploads(struct srv_conn *c)
{
	if (!srv_index_has_bucket(c->store->index, c->req.bucket)) {
		srv_reply_error(c, SRV_E_NO_SUCH_BUCKET);
		return;
	}
	srv_buf_fmt(&c->reply.text,
		    XML_HEAD
		    "<ListMultipartUploadsResult%s>%s<Bucket>%s</Bucket><KeyMarker></KeyMarker>"
		    "<UploadIdMarker></UploadIdMarker><NextKeyMarker></NextKeyMarker>"
		    "<NextUploadIdMarker></NextUploadIdMarker><MaxUploads>1000</MaxUploads>"
		    "<IsTruncated>false</IsTruncated>",
		    namespace(c), wants_url(c) ? "<EncodingType>url</EncodingType>" : "",
		    c->req.bucket);
	srv_uploads_each(c->store->uploads, c->req.bucket, show_upload, c);
	srv_buf_str(&c->reply.text, "</ListMultipartUploadsResult>\n");
	srv_reply_xml(c, 200);
}
