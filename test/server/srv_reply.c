#include "test/server/srv_reply.h"

#include "test/server/srv_text.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

void srv_reply_reset(struct srv_reply *r)
{
	struct srv_buf fields = r->fields, text = r->text;

	srv_object_unref(r->object);
	memset(r, 0, sizeof(*r));
	srv_buf_reset(&fields);
	srv_buf_reset(&text);
	r->fields = fields;
	r->text = text;
}

void srv_reply_fini(struct srv_reply *r)
{
	srv_object_unref(r->object);
	srv_buf_free(&r->fields);
	srv_buf_free(&r->text);
}

void srv_reply_field(struct srv_conn *c, const char *name, const char *value)
{
	srv_buf_fmt(&c->reply.fields, "%s: %s\r\n", name, value);
}

void srv_reply_field_u64(struct srv_conn *c, const char *name, uint64_t value)
{
	srv_buf_fmt(&c->reply.fields, "%s: %llu\r\n", name, (unsigned long long)value);
}

void srv_reply_empty(struct srv_conn *c, int status)
{
	c->reply.status = status;
	c->reply.length = 0;
	c->reply.no_body = status == 204 || status == 304;
}

void srv_reply_xml(struct srv_conn *c, int status)
{
	c->reply.status = status;
	c->reply.length = c->reply.text.len;
	c->reply.has_type = true;
	srv_reply_field(c, "Content-Type", "application/xml");
}

void srv_reply_object(struct srv_conn *c, int status, struct srv_object *o, uint64_t first,
		      uint64_t length)
{
	c->reply.status = status;
	c->reply.object = srv_object_ref(o);
	c->reply.first = first;
	c->reply.length = length;
}

static void write_error(struct srv_conn *c, enum srv_error_id id, const struct srv_error *row)
{
	bool s3 = c->req.dialect == SRV_S3;
	struct srv_reply *r = &c->reply;
	struct srv_buf line = { 0 };

	srv_reply_reset(r);
	c->detail.req = &c->req;
	c->detail.request_id = c->request_id;
	c->detail.access_key_id = c->verdict.ak;
	c->detail.signature = c->verdict.signature;
	c->detail.string_to_sign = c->verdict.string_to_sign.p;
	c->detail.request_time = c->verdict.request_time;
	c->detail.now = srv_clock_now();
	srv_error_xml(&r->text, id, row, &c->detail);
	r->status = s3 && row->s3_status != 0 ? row->s3_status : row->status;
	r->length = r->text.len;
	r->has_type = true;
	srv_reply_field(c, "Content-Type", "application/xml");
	if (!s3)
		srv_reply_field(c, "x-oss-ec", row->ec);
	if (row->qos_delay_ms != 0)
		srv_reply_field_u64(c, "x-oss-qos-delay-time", row->qos_delay_ms);
	if (c->req.method == SRV_HEAD && !s3) {
		srv_buf_base64(&line, r->text.p, r->text.len);
		srv_reply_field(c, "x-oss-err", line.p);
	}
	if (c->req.method == SRV_HEAD)
		r->length = 0;
	if (s3 && id == SRV_E_WRONG_REGION)
		srv_reply_field(c, "x-amz-bucket-region", c->store->options->sign.region);
	srv_buf_free(&line);
}

void srv_reply_error(struct srv_conn *c, enum srv_error_id id)
{
	write_error(c, id, srv_error_row(id));
}

/* What the request itself does not give to an error that it did not cause. */
static void invent_details(struct srv_conn *c, enum srv_error_id id)
{
	c->detail.endpoint = "oss-cn-beijing.aliyuncs.com";
	c->detail.upload_id = "0004B9895DBBB6EC98E36";
	c->detail.condition = "If-Match";
	if (id == SRV_E_MAX_KEYS) {
		c->detail.argument_name = "max-keys";
		c->detail.argument_value = "1001";
	}
}

void srv_reply_fault(struct srv_conn *c)
{
	const struct srv_plan *p = &c->plan;
	struct srv_error row = { .name = "fault",
				 .status = p->status,
				 .code = p->code[0] != '\0' ? p->code : "InternalError",
				 .message = "A test asked for this answer.",
				 .ec = "0000-00000000" };
	enum srv_error_id id = SRV_E_NONE;

	if (p->code[0] != '\0')
		id = srv_error_find(p->code, p->status);
	if (id != SRV_E_NONE) {
		row = *srv_error_row(id);
		row.s3_status = row.status != p->status ? 0 : row.s3_status;
		row.status = p->status;
	}
	if (p->qos_ms >= 0)
		row.qos_delay_ms = (unsigned)p->qos_ms;
	invent_details(c, id);
	write_error(c, id, &row);
	if (p->body == SRV_PLAN_XML && p->location[0] == '\0')
		return;
	/* A proxy's answer: none of the service's own headers. */
	srv_reply_reset(&c->reply);
	c->reply.status = p->status;
	if (p->qos_ms >= 0)
		srv_reply_field_u64(c, "x-oss-qos-delay-time", (uint64_t)p->qos_ms);
	if (p->location[0] != '\0')
		srv_reply_field(c, "Location", p->location);
	if (p->body == SRV_PLAN_HTML) {
		srv_buf_fmt(&c->reply.text,
			    "<html><head><title>%d</title></head><body><h1>%d</h1>"
			    "<p>a proxy & its <br> page</body></html>\n",
			    p->status, p->status);
		srv_reply_field(c, "Content-Type", "text/html");
		c->reply.has_type = true;
		c->reply.length = c->req.method == SRV_HEAD ? 0 : c->reply.text.len;
	}
}

static const char *reason(int status)
{
	static const struct {
		int status;
		const char *text;
	} rows[] = {
		{ 200, "OK" },
		{ 202, "Accepted" },
		{ 204, "No Content" },
		{ 206, "Partial Content" },
		{ 301, "Moved Permanently" },
		{ 302, "Found" },
		{ 304, "Not Modified" },
		{ 307, "Temporary Redirect" },
		{ 400, "Bad Request" },
		{ 403, "Forbidden" },
		{ 404, "Not Found" },
		{ 405, "Method Not Allowed" },
		{ 409, "Conflict" },
		{ 411, "Length Required" },
		{ 412, "Precondition Failed" },
		{ 416, "Requested Range Not Satisfiable" },
		{ 429, "Too Many Requests" },
		{ 431, "Request Header Fields Too Large" },
		{ 500, "Internal Server Error" },
		{ 501, "Not Implemented" },
		{ 502, "Bad Gateway" },
		{ 503, "Service Unavailable" },
		{ 504, "Gateway Timeout" },
		{ 505, "HTTP Version Not Supported" },
	};
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].status == status)
			return rows[i].text;
	}
	return "Status";
}

static void write_head(struct srv_conn *c, uint64_t length)
{
	struct srv_buf *h = &c->out.head;
	bool s3 = c->req.dialect == SRV_S3;
	char date[SRV_DATE_LEN];

	srv_buf_reset(h);
	srv_date_http(date, srv_clock_now());
	srv_buf_fmt(h, "HTTP/1.1 %d %s\r\nServer: %s\r\nDate: %s\r\n", c->reply.status,
		    reason(c->reply.status), s3 ? "AmazonS3" : "AliyunOSS", date);
	if (c->reply.status != 204)
		srv_buf_fmt(h, "Content-Length: %llu\r\n", (unsigned long long)length);
	srv_buf_fmt(h, "Connection: %s\r\n", c->reply.close ? "close" : "keep-alive");
	srv_buf_fmt(h, "%s: %s\r\n", s3 ? "x-amz-request-id" : "x-oss-request-id", c->request_id);
	if (!s3)
		srv_buf_fmt(h, "x-oss-server-time: %llu\r\n",
			    (unsigned long long)((srv_mono_ns() - c->started_ns) / 1000000));
	if (c->plan.gzip)
		srv_buf_str(h, "Content-Encoding: gzip\r\n");
	srv_buf_add(h, c->reply.fields.p, c->reply.fields.len);
	srv_buf_str(h, "\r\n");
}

/* Whatever comes first ends the body. */
static void stop_at(struct srv_out *o, int64_t at, enum srv_out_end end)
{
	if (at >= 0 && (uint64_t)at < o->stop) {
		o->stop = (uint64_t)at;
		o->end = end;
	}
}

void srv_reply_finish(struct srv_conn *c)
{
	struct srv_reply *r = &c->reply;
	const struct srv_plan *p = &c->plan;
	struct srv_out *o = &c->out;
	uint64_t declared = r->length;
	bool body = !r->no_body && c->req.method != SRV_HEAD;

	if (!c->req.keep_alive)
		r->close = true;
	o->head_at = 0;
	o->at = 0;
	o->pending = NULL;
	o->pending_len = 0;
	o->real = body ? r->length : 0;
	o->stop = o->real;
	o->end = r->close ? SRV_OUT_CLOSE : SRV_OUT_KEEP;
	if (o->fd != -1)
		close(o->fd);
	o->fd = -1;
	if (r->object != NULL && r->object->path != NULL && o->real > 0) {
		o->fd = open(r->object->path, O_RDONLY | O_CLOEXEC);
		if (o->fd == -1) {
			r->close = true;
			o->stop = 0;
			o->end = SRV_OUT_CLOSE;
		}
	}
	if (body && p->overlong > 0) {
		o->stop += p->overlong;
		o->end = SRV_OUT_CLOSE;
		if (p->overlong_declared)
			declared += p->overlong;
	}
	if (p->length_change != 0 && r->status < 300) {
		if (p->length_change < 0 && (uint64_t)-p->length_change > declared)
			declared = 0;
		else
			declared += (uint64_t)p->length_change;
		o->end = SRV_OUT_CLOSE;
	}
	if (body) {
		stop_at(o, p->truncate_at, SRV_OUT_CLOSE);
		stop_at(o, p->reset_at, SRV_OUT_RESET);
		stop_at(o, p->stall_at, SRV_OUT_STALL);
	}
	write_head(c, declared);
}
