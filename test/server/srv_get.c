/* GET and HEAD of objects: conditions, ranges, the header lines that describe an object. */
#include "test/server/srv_op.h"

#include "test/server/srv_hash.h"
#include "test/server/srv_range.h"
#include "test/server/srv_reply.h"
#include "test/server/srv_text.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

const char *srv_op_field(const struct srv_conn *c, const char *oss, const char *s3)
{
	const char *v = srv_req_field(&c->req, c->req.dialect == SRV_S3 ? s3 : oss);

	return v;
}

void srv_op_etag(struct srv_conn *c, const char *etag)
{
	char text[sizeof(((struct srv_object *)0)->etag) + 8];
	size_t i;

	snprintf(text, sizeof(text), "\"%s%s\"", etag, c->plan.other_etag ? "-9" : "");
	if (c->req.dialect == SRV_S3) {
		for (i = 0; text[i] != '\0'; i++)
			text[i] = (char)tolower((unsigned char)text[i]);
	}
	srv_reply_field(c, "ETag", text);
}

void srv_op_crc(struct srv_conn *c, const struct srv_object *o)
{
	uint64_t crc;

	if (c->plan.no_crc ||
	    atomic_load_explicit(&o->crc_state, memory_order_acquire) != SRV_CRC_KNOWN)
		return;
	if (c->req.dialect == SRV_OSS) {
		crc = o->crc[SRV_CRC_XZ] ^ (c->plan.wrong_crc ? 1 : 0);
		srv_reply_field_u64(c, "x-oss-hash-crc64ecma", crc);
	} else {
		struct srv_buf b = { 0 };
		unsigned char big[8];
		int i;

		crc = o->crc[SRV_CRC_NVME] ^ (c->plan.wrong_crc ? 1 : 0);
		for (i = 0; i < 8; i++)
			big[i] = (unsigned char)(crc >> (56 - 8 * i));
		srv_buf_base64(&b, big, sizeof(big));
		srv_reply_field(c, "x-amz-checksum-crc64nvme", b.p);
		srv_reply_field(c, "x-amz-checksum-type", "FULL_OBJECT");
		srv_buf_free(&b);
	}
}

/* Does one of the quoted, comma-separated tags in the header name this object? */
static bool tag_matches(const char *header, const char *etag)
{
	size_t len = strlen(etag);

	while (*header != '\0') {
		size_t n;

		header += strspn(header, " ,");
		if (strncmp(header, "W/", 2) == 0)
			header += 2;
		if (*header == '*')
			return true;
		if (*header == '"') {
			header++;
			n = strcspn(header, "\"");
		} else {
			n = strcspn(header, " ,");
		}
		if (n == len && strncasecmp(header, etag, n) == 0)
			return true;
		header += n;
		if (*header == '"')
			header++;
		header += strcspn(header, ",");
	}
	return false;
}

/* False: the reply is written. */
static bool check_conditions(struct srv_conn *c, const struct srv_object *o)
{
	const char *match = srv_req_field(&c->req, "if-match");
	const char *none = srv_req_field(&c->req, "if-none-match");
	const char *since = srv_req_field(&c->req, "if-modified-since");
	const char *until = srv_req_field(&c->req, "if-unmodified-since");
	int64_t t;

	if (match != NULL && !tag_matches(match, o->etag)) {
		c->detail.condition = "If-Match";
		srv_reply_error(c, SRV_E_PRECONDITION);
		return false;
	}
	if (match == NULL && until != NULL && srv_date_parse_http(until, &t) && o->mtime > t) {
		c->detail.condition = "If-Unmodified-Since";
		srv_reply_error(c, SRV_E_PRECONDITION);
		return false;
	}
	if ((none != NULL && tag_matches(none, o->etag)) ||
	    (none == NULL && since != NULL && srv_date_parse_http(since, &t) && o->mtime <= t)) {
		srv_reply_empty(c, 304);
		srv_op_etag(c, o->etag);
		return false;
	}
	return true;
}

static const char *s3_class(const char *oss)
{
	if (strcmp(oss, "IA") == 0)
		return "STANDARD_IA";
	if (strcmp(oss, "Archive") == 0)
		return "GLACIER";
	if (strstr(oss, "ColdArchive") != NULL)
		return "DEEP_ARCHIVE";
	return NULL;
}

static void user_meta(struct srv_conn *c, const struct srv_object *o)
{
	const char *p = o->meta;

	while (p != NULL && *p != '\0') {
		size_t n = strcspn(p, "\n");

		srv_buf_fmt(&c->reply.fields, "%s-meta-%.*s\r\n",
			    c->req.dialect == SRV_S3 ? "x-amz" : "x-oss", (int)n, p);
		p += n + (p[n] == '\n');
	}
}

static void override(struct srv_conn *c, const char *param, const char *name)
{
	const struct srv_param *p = srv_req_param(&c->req, param);

	if (p != NULL && p->len > 0 && strpbrk(p->value, "\r\n") == NULL)
		srv_reply_field(c, name, p->value);
}

static void describe(struct srv_conn *c, const struct srv_object *o)
{
	bool s3 = c->req.dialect == SRV_S3;
	const char *mode = srv_req_field(&c->req, "x-amz-checksum-mode");
	bool ranged = c->reply.status == 206;
	char date[SRV_DATE_LEN];

	srv_date_http(date, o->mtime);
	srv_reply_field(c, "Last-Modified", date);
	srv_op_etag(c, o->etag);
	srv_reply_field(c, "Accept-Ranges", "bytes");
	if (srv_req_value(&c->req, "response-content-type") == NULL)
		srv_reply_field(c, "Content-Type", o->content_type);
	override(c, "response-content-type", "Content-Type");
	override(c, "response-cache-control", "Cache-Control");
	override(c, "response-content-disposition", "Content-Disposition");
	override(c, "response-content-encoding", "Content-Encoding");
	override(c, "response-expires", "Expires");
	c->reply.has_type = true;
	user_meta(c, o);
	if (s3) {
		if (s3_class(o->storage_class) != NULL)
			srv_reply_field(c, "x-amz-storage-class", s3_class(o->storage_class));
		if (o->restore[0] != '\0')
			srv_reply_field(c, "x-amz-restore", o->restore);
		if (!ranged && mode != NULL && strcasecmp(mode, "ENABLED") == 0)
			srv_op_crc(c, o);
		return;
	}
	srv_reply_field(c, "x-oss-object-type", o->type);
	srv_reply_field(c, "x-oss-storage-class", o->storage_class);
	if (o->restore[0] != '\0')
		srv_reply_field(c, "x-oss-restore", o->restore);
	if (o->has_md5) {
		struct srv_buf b = { 0 };

		srv_buf_base64(&b, o->md5, sizeof(o->md5));
		srv_reply_field(c, "Content-MD5", b.p);
		srv_buf_free(&b);
	}
	srv_op_crc(c, o);
}

static enum srv_range_rules range_rules(const struct srv_conn *c)
{
	const char *behaviour = srv_req_field(&c->req, "x-oss-range-behavior");

	if (c->req.dialect == SRV_S3)
		return SRV_RANGE_S3;
	return behaviour != NULL && strcmp(behaviour, "standard") == 0 ? SRV_RANGE_OSS_STANDARD
								       : SRV_RANGE_OSS_DEFAULT;
}

static void content_range(struct srv_conn *c, uint64_t first, uint64_t last, uint64_t size)
{
	char text[80];

	if (c->plan.wrong_range) {
		/* Another part of the same length, as a confused cache would give. */
		first += 1;
		last += 1;
	}
	snprintf(text, sizeof(text), "bytes %llu-%llu/%llu", (unsigned long long)first,
		 (unsigned long long)last, (unsigned long long)size);
	srv_reply_field(c, "Content-Range", text);
}

static void send_object(struct srv_conn *c, struct srv_object *o)
{
	const char *range = srv_req_field(&c->req, "range");
	uint64_t first = 0, last = o->size > 0 ? o->size - 1 : 0;
	enum srv_range_answer answer;

	answer = srv_range_read(range, o->size, range_rules(c), &first, &last);
	if (answer == SRV_RANGE_OUTSIDE) {
		char text[48];

		srv_reply_error(c, SRV_E_INVALID_RANGE);
		snprintf(text, sizeof(text), "bytes */%llu", (unsigned long long)o->size);
		srv_reply_field(c, "Content-Range", text);
		return;
	}
	if (c->plan.as_200)
		answer = SRV_RANGE_WHOLE;
	if (c->req.method == SRV_GET && o->size > 0)
		srv_counts_range(&c->store->counts, c->key_tally, first, last);
	if (answer == SRV_RANGE_PART) {
		srv_reply_object(c, 206, o, first, last - first + 1);
		content_range(c, first, last, o->size);
	} else {
		srv_reply_object(c, 200, o, 0, o->size);
	}
	describe(c, o);
}

static bool is_archived(const struct srv_object *o)
{
	return strstr(o->storage_class, "Archive") != NULL &&
	       strstr(o->restore, "ongoing-request=\"false\"") == NULL;
}

/* The object, if it is there and its checksum is known; else the reply is written or we wait. */
static struct srv_object *find(struct srv_conn *c)
{
	struct srv_store *s = c->store;
	struct srv_object *o = c->parked_on;

	c->parked_on = NULL;
	if (o == NULL)
		o = srv_index_get(s->index, c->req.bucket, c->req.key, c->req.key_len);
	if (o == NULL) {
		srv_reply_error(c, srv_index_has_bucket(s->index, c->req.bucket)
					   ? SRV_E_NO_SUCH_KEY
					   : SRV_E_NO_SUCH_BUCKET);
		return NULL;
	}
	if (!srv_object_crc_pending(o))
		return o;
	srv_hasher_add(s->hasher, o, true);
	srv_conn_park(c, o);
	srv_object_unref(o);
	return NULL;
}

/* The client may ask to be served slowly: bits a second, 100 KiB/s to 100 MiB/s. */
static bool read_traffic_limit(struct srv_conn *c)
{
	const char *v = srv_req_field(&c->req, "x-oss-traffic-limit");
	uint64_t bits;

	if (v == NULL)
		return true;
	if (!srv_parse_u64(v, &bits) || bits < 819200 || bits > 838860800) {
		c->detail.argument_name = "x-oss-traffic-limit";
		c->detail.argument_value = v;
		srv_reply_error(c, SRV_E_INVALID_ARGUMENT);
		return false;
	}
	if (c->plan.drip == 0 || bits / 8 < c->plan.drip)
		c->plan.drip = bits / 8;
	return true;
}

void srv_op_get(struct srv_conn *c)
{
	struct srv_object *o = find(c);

	if (o == NULL)
		return;
	if (!read_traffic_limit(c)) {
		srv_object_unref(o);
		return;
	}
	if (c->req.method == SRV_GET && is_archived(o))
		srv_reply_error(c, SRV_E_ARCHIVE);
	else if (check_conditions(c, o))
		send_object(c, o);
	srv_object_unref(o);
}

void srv_op_object_meta(struct srv_conn *c)
{
	struct srv_object *o = find(c);
	char date[SRV_DATE_LEN];

	if (o == NULL)
		return;
	c->reply.status = 200;
	c->reply.length = o->size;
	c->reply.no_body = true;
	srv_date_http(date, o->mtime);
	srv_reply_field(c, "Last-Modified", date);
	srv_op_etag(c, o->etag);
	srv_op_crc(c, o);
	srv_object_unref(o);
}
