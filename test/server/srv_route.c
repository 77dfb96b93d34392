#include "test/server/srv_route.h"

#include "test/server/srv_op.h"
#include "test/server/srv_range.h"
#include "test/server/srv_reply.h"
#include "test/server/srv_text.h"
#include "test/server/synth.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define CONTROL_PREFIX "/.ctl/"

#define OP(n, cls, in, w, f)                                                                       \
	{                                                                                          \
		.name = n, .count = cls, .intake = in, .writes = w, .run = f                       \
	}

static const struct srv_op op_get =
	OP("GetObject", SRV_COUNT_GET, SRV_INTAKE_DISCARD, false, srv_op_get);
static const struct srv_op op_head =
	OP("HeadObject", SRV_COUNT_HEAD, SRV_INTAKE_DISCARD, false, srv_op_get);
static const struct srv_op op_meta =
	OP("GetObjectMeta", SRV_COUNT_HEAD, SRV_INTAKE_DISCARD, false, srv_op_object_meta);
static const struct srv_op op_put =
	OP("PutObject", SRV_COUNT_PUT, SRV_INTAKE_FILE, true, srv_op_put);
static const struct srv_op op_delete =
	OP("DeleteObject", SRV_COUNT_DELETE, SRV_INTAKE_DISCARD, true, srv_op_delete);
static const struct srv_op op_restore =
	OP("RestoreObject", SRV_COUNT_POST, SRV_INTAKE_MEMORY, true, srv_op_restore);
static const struct srv_op op_list =
	OP("ListObjects", SRV_COUNT_LIST, SRV_INTAKE_MEMORY, false, srv_op_list);
static const struct srv_op op_service =
	OP("ListBuckets", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, true, srv_op_service);
static const struct srv_op op_bucket_head =
	OP("HeadBucket", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, false, srv_op_bucket_head);
static const struct srv_op op_bucket_put =
	OP("PutBucket", SRV_COUNT_OTHER, SRV_INTAKE_MEMORY, true, srv_op_bucket_put);
static const struct srv_op op_bucket_delete =
	OP("DeleteBucket", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, true, srv_op_bucket_delete);
static const struct srv_op op_describe =
	OP("GetBucketInfo", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, false, srv_op_bucket_describe);
static const struct srv_op op_location =
	OP("GetBucketLocation", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, false, srv_op_bucket_location);
static const struct srv_op op_delete_many =
	OP("DeleteMultipleObjects", SRV_COUNT_POST, SRV_INTAKE_MEMORY, true, srv_op_delete_many);
static const struct srv_op op_upload_begin =
	OP("InitiateMultipartUpload", SRV_COUNT_POST, SRV_INTAKE_MEMORY, true, srv_op_upload_begin);
static const struct srv_op op_upload_part =
	OP("UploadPart", SRV_COUNT_PUT, SRV_INTAKE_FILE, true, srv_op_upload_part);
static const struct srv_op op_upload_complete = OP("CompleteMultipartUpload", SRV_COUNT_POST,
						   SRV_INTAKE_MEMORY, true, srv_op_upload_complete);
static const struct srv_op op_upload_abort =
	OP("AbortMultipartUpload", SRV_COUNT_DELETE, SRV_INTAKE_DISCARD, true, srv_op_upload_abort);
static const struct srv_op op_upload_parts =
	OP("ListParts", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, true, srv_op_upload_parts);
static const struct srv_op op_uploads =
	OP("ListMultipartUploads", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, true, srv_op_uploads);
static const struct srv_op op_control =
	OP("Control", SRV_COUNT_OTHER, SRV_INTAKE_MEMORY, false, srv_op_control);
static const struct srv_op op_control_put =
	OP("ControlPut", SRV_COUNT_OTHER, SRV_INTAKE_FILE, false, srv_op_control_put);
static const struct srv_op op_refuse =
	OP("Unknown", SRV_COUNT_OTHER, SRV_INTAKE_DISCARD, true, srv_op_refuse);

/* Sub-resources that stand for operations which the store does not have. */
static bool asks_for_more(const struct srv_req *r)
{
	static const char *const names[] = { "acl",	 "tagging", "lifecycle", "versioning",
					     "versions", "policy",  "cors",	 "website",
					     "logging",	 "symlink", "append",	 "callback" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (srv_req_param(r, names[i]) != NULL)
			return true;
	}
	return srv_req_field(r, "x-oss-copy-source") != NULL ||
	       srv_req_field(r, "x-amz-copy-source") != NULL;
}

static const struct srv_op *choose_for_object(const struct srv_req *r)
{
	bool upload = srv_req_param(r, "uploadId") != NULL;

	switch (r->method) {
	case SRV_GET:
		if (upload)
			return &op_upload_parts;
		return srv_req_param(r, "objectMeta") != NULL ? &op_meta : &op_get;
	case SRV_HEAD:
		return srv_req_param(r, "objectMeta") != NULL ? &op_meta : &op_head;
	case SRV_PUT:
		return upload ? &op_upload_part : &op_put;
	case SRV_DELETE:
		return upload ? &op_upload_abort : &op_delete;
	case SRV_POST:
		if (upload)
			return &op_upload_complete;
		if (srv_req_param(r, "uploads") != NULL)
			return &op_upload_begin;
		if (srv_req_param(r, "restore") != NULL)
			return &op_restore;
		break;
	}
	return &op_refuse;
}

static const struct srv_op *choose_for_bucket(const struct srv_req *r)
{
	switch (r->method) {
	case SRV_GET:
		if (srv_req_param(r, "bucketInfo") != NULL)
			return &op_describe;
		if (srv_req_param(r, "location") != NULL)
			return &op_location;
		return srv_req_param(r, "uploads") != NULL ? &op_uploads : &op_list;
	case SRV_HEAD:
		return &op_bucket_head;
	case SRV_PUT:
		return &op_bucket_put;
	case SRV_DELETE:
		return &op_bucket_delete;
	case SRV_POST:
		if (srv_req_param(r, "delete") != NULL)
			return &op_delete_many;
		break;
	}
	return &op_refuse;
}

static const struct srv_op *choose(const struct srv_req *r)
{
	if (asks_for_more(r))
		return &op_refuse;
	if (r->bucket[0] == '\0')
		return r->method == SRV_GET ? &op_service : &op_refuse;
	return r->key != NULL ? choose_for_object(r) : choose_for_bucket(r);
}

static void log_refusal(const struct srv_conn *c)
{
	const struct srv_verdict *v = &c->verdict;

	if (!c->store->options->verbose || v->error == SRV_E_NONE)
		return;
	fprintf(stderr, "  refused: %s; access key id '%s', signature '%s'\n",
		srv_error_row(v->error)->name, v->ak, v->signature);
	if (v->canonical.len > 0)
		fprintf(stderr, "  canonical request:\n%s\n", v->canonical.p);
	if (v->string_to_sign.len > 0)
		fprintf(stderr, "  string to sign:\n%s\n", v->string_to_sign.p);
}

/* Who may do what.  Sets c->error. */
static void check_access(struct srv_conn *c)
{
	struct srv_store *s = c->store;
	struct srv_verdict *v = &c->verdict;

	srv_sign_verify(&c->req, s->creds, &s->options->sign, v);
	c->error = v->error;
	if (v->error != SRV_E_NONE) {
		srv_counts_add(&s->counts.refused, 1);
		return;
	}
	if (!v->anonymous) {
		srv_counts_add(&s->counts.verified, 1);
		return;
	}
	/* A store without keys serves everybody. */
	if (!srv_creds_empty(s->creds) &&
	    (c->op->writes || !srv_index_is_anonymous(s->index, c->req.bucket))) {
		c->error = SRV_E_ANONYMOUS;
		srv_counts_add(&s->counts.refused, 1);
		return;
	}
	srv_counts_add(&s->counts.anonymous, 1);
}

/* What holds for every request to a bucket or an object. */
static void check_resource(struct srv_conn *c)
{
	struct srv_req *r = &c->req;

	if (c->error != SRV_E_NONE || r->bucket[0] == '\0')
		return;
	if (r->path_style && c->store->options->virtual_only) {
		c->error = SRV_E_SECOND_LEVEL;
	} else if (r->key != NULL &&
		   (r->key_len > SRV_KEY_MAX || memchr(r->key, '\0', r->key_len) != NULL ||
		    r->key[0] == '\\')) {
		c->error = SRV_E_OBJECT_NAME;
	} else if (srv_index_endpoint(c->store->index, r->bucket, c->endpoint,
				      sizeof(c->endpoint))) {
		c->detail.endpoint = c->endpoint;
		c->error = SRV_E_WRONG_ENDPOINT;
	}
}

static void count_request(struct srv_conn *c)
{
	struct srv_counts *counts = &c->store->counts;
	struct srv_req *r = &c->req;
	struct srv_buf name = { 0 };

	if (!c->counted) {
		c->counted = true;
		srv_counts_add(&c->source_tally->connections, 1);
		srv_counts_add(&counts->connections_total, 1);
		atomic_fetch_add(&counts->connections_now, 1);
	}
	srv_counts_add(&counts->requests[c->op->count], 1);
	srv_counts_add(&c->source_tally->requests, 1);
	srv_counts_add(&c->conn_tally->requests, 1);
	srv_buf_str(&name, r->bucket);
	if (r->key != NULL) {
		srv_buf_char(&name, '/');
		srv_buf_add(&name, r->key, r->key_len);
	}
	c->key_tally = srv_counts_tally(counts, SRV_TALLY_KEY, name.p, name.len);
	srv_counts_add(&c->key_tally->requests, 1);
	srv_counts_flight(counts, 1);
	c->in_flight = true;
	srv_buf_free(&name);
}

static void plan_faults(struct srv_conn *c)
{
	static const char *const methods[SRV_COUNT_CLASSES] = { "GET",	"HEAD",	  "LIST", "PUT",
								"POST", "DELETE", "OTHER" };
	const char *range = srv_req_field(&c->req, "range");
	struct srv_fault_request q = { .method = methods[c->op->count],
				       .target = c->key_tally->name,
				       .source = c->source,
				       .reused = c->nr_requests > 1,
				       .last = UINT64_MAX };

	if (range != NULL)
		srv_range_read(range, UINT64_C(1) << 62, SRV_RANGE_OSS_STANDARD, &q.first, &q.last);
	if (range != NULL && strncmp(range, "bytes=-", 7) == 0) {
		q.first = 0;
		q.last = UINT64_MAX;
	}
	if (srv_faults_plan(c->store->faults, &q, &c->plan))
		srv_counts_add(&c->store->counts.faults, 1);
}

static void start_intake(struct srv_conn *c)
{
	enum srv_intake_kind kind = c->op->intake;
	bool sha256 = strlen(c->verdict.payload_sha256) == 64;
	char *path = NULL;

	if (c->error != SRV_E_NONE || c->plan.status != 0)
		kind = SRV_INTAKE_DISCARD;
	else if (kind == SRV_INTAKE_DISCARD && sha256 && c->req.content_length > 0)
		kind = SRV_INTAKE_MEMORY;
	if (kind == SRV_INTAKE_FILE)
		path = srv_index_temp(c->store->index);
	if (!srv_intake_start(&c->intake, &c->req, kind, path, sha256)) {
		c->error = SRV_E_INTERNAL;
		srv_intake_fini(&c->intake);
		srv_intake_start(&c->intake, &c->req, SRV_INTAKE_DISCARD, NULL, false);
	}
}

/* A head that cannot be read: say so and close. */
static void refuse_head(struct srv_conn *c, int status)
{
	c->op = &op_refuse;
	c->error = status == 501 ? SRV_E_NOT_IMPLEMENTED : SRV_E_BAD_REQUEST;
	c->plan.status = status;
	c->req.keep_alive = false;
	c->req.content_length = -1;
	c->req.chunked = false;
	srv_intake_start(&c->intake, &c->req, SRV_INTAKE_DISCARD, NULL, false);
}

static bool answer_continue(struct srv_conn *c)
{
	static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";

	if (!c->req.expect_continue || c->intake.done)
		return true;
	if (c->error != SRV_E_NONE) {
		/* The client has not sent its body and never will. */
		c->intake.done = true;
		c->req.keep_alive = false;
		return true;
	}
	return srv_conn_send(c, line, sizeof(line) - 1, false) == (ssize_t)sizeof(line) - 1;
}

/* Kinds of payload that this store cannot check are refused rather than believed. */
static void check_payload_kind(struct srv_conn *c)
{
	const char *p = c->verdict.payload_sha256;

	if (c->error == SRV_E_NONE && p[0] != '\0' && strcmp(p, "UNSIGNED-PAYLOAD") != 0 &&
	    strcmp(p, "STREAMING-UNSIGNED-PAYLOAD-TRAILER") != 0 && strlen(p) != 64)
		c->error = SRV_E_NOT_IMPLEMENTED;
}

static bool begin_control(struct srv_conn *c)
{
	bool put = c->req.method == SRV_PUT;

	c->op = put ? &op_control_put : &op_control;
	return srv_intake_start(&c->intake, &c->req, c->op->intake,
				put ? srv_index_temp(c->store->index) : NULL, false) &&
	       answer_continue(c);
}

bool srv_route_begin(struct srv_conn *c, size_t head_len)
{
	uint64_t id = atomic_fetch_add(&c->store->next_id, 1);
	struct srv_req *r = &c->req;
	int status;

	c->started_ns = srv_mono_ns();
	c->nr_requests++;
	srv_plan_init(&c->plan);
	srv_reply_reset(&c->reply);
	memset(&c->detail, 0, sizeof(c->detail));
	c->error = SRV_E_NONE;
	c->key_tally = NULL;
	snprintf(c->request_id, sizeof(c->request_id), "%08llX%016llX",
		 (unsigned long long)(srv_clock_now() & 0xffffffff),
		 (unsigned long long)synth_mix(id));
	status = srv_req_parse(r, c->in.p, head_len);
	if (status != 0) {
		refuse_head(c, status);
		return true;
	}
	if (strncmp(r->path, CONTROL_PREFIX, strlen(CONTROL_PREFIX)) == 0) {
		return begin_control(c);
	}
	if (!srv_req_resource(r, c->store->options->suffixes))
		c->error = SRV_E_BUCKET_NAME;
	c->op = choose(r);
	if (c->error == SRV_E_NONE)
		check_access(c);
	check_resource(c);
	check_payload_kind(c);
	if (c->error == SRV_E_NONE && c->op->intake == SRV_INTAKE_FILE && r->content_length < 0 &&
	    !r->chunked)
		c->error = SRV_E_NO_LENGTH;
	count_request(c);
	if (c->error == SRV_E_NONE && !srv_limits_admit(&c->store->limits))
		c->error = c->op->count == SRV_COUNT_LIST ? SRV_E_QPS_META : SRV_E_QPS_TOTAL;
	if (c->error == SRV_E_NONE)
		plan_faults(c);
	if (c->plan.close_before_head)
		return false;
	start_intake(c);
	return answer_continue(c);
}

void srv_route_run(struct srv_conn *c)
{
	if (c->op == &op_refuse && c->plan.status != 0 && c->key_tally == NULL) {
		srv_reply_error(c, c->error);
		c->reply.status = c->plan.status;
		c->reply.close = true;
		return;
	}
	if (c->error != SRV_E_NONE) {
		srv_reply_error(c, c->error);
	} else if (c->plan.status != 0) {
		srv_reply_fault(c);
	} else if (c->op->intake == SRV_INTAKE_DISCARD && c->intake.kind == SRV_INTAKE_MEMORY &&
		   !srv_op_check_body(c)) {
		return;
	} else {
		c->op->run(c);
	}
}

static void log_request(const struct srv_conn *c)
{
	const struct srv_verdict *v = &c->verdict;

	if (!c->store->options->verbose || c->op == &op_control || c->op == &op_control_put)
		return;
	fprintf(stderr, "%s %s %s -> %d, %llu bytes, %s, %s, %.1f ms\n", c->source,
		c->req.method_name != NULL ? c->req.method_name : "?",
		c->req.target != NULL ? c->req.target : "?", c->reply.status,
		(unsigned long long)c->out.at,
		v->anonymous		 ? "anonymous"
		: v->error != SRV_E_NONE ? "NOT verified"
					 : "verified",
		c->op->name, (double)(srv_mono_ns() - c->started_ns) / 1e6);
	log_refusal(c);
}

void srv_route_end(struct srv_conn *c)
{
	if (c->op != NULL)
		log_request(c);
	c->op = NULL;
	if (c->in_flight)
		srv_counts_flight(&c->store->counts, -1);
	c->in_flight = false;
	if (c->limited)
		srv_limits_end(&c->store->limits);
	c->limited = false;
	srv_intake_fini(&c->intake);
	srv_object_unref(c->parked_on);
	c->parked_on = NULL;
	srv_sign_fini(&c->verdict);
	memset(&c->verdict, 0, sizeof(c->verdict));
	srv_reply_reset(&c->reply);
	if (c->out.fd != -1)
		close(c->out.fd);
	c->out.fd = -1;
}
