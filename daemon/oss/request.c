#include "daemon/oss/request.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/clock.h"
#include "daemon/http/client.h"
#include "daemon/oss/bucket_internal.h"
#include "daemon/oss/cred.h"
#include "daemon/oss/date.h"
#include "daemon/oss/error.h"
#include "daemon/oss/sigcache.h"
#include "daemon/oss/textsink.h"

#define MAX_OWN_HEADERS 8
#define TARGET_MAX	(32u << 10)
#define SAME_CLOCK_S	60  /* a clock that is off by less was not what the store minded */
#define MAX_SKEW_S	900 /* what stores put up with */

struct oss_request {
	struct http_client *client;
	struct http_exchange *exchange;
	struct oss_bucket *bucket;
	struct cred *cred; /* what it was signed with */
	struct oss_request_events events;
	void *arg;
	char *key;
	char *about;
	uint64_t body_len;
	bool from_cache;      /* the signature was an old one */
	int64_t clock_offset; /* that it was signed with */
	bool is_refused;      /* on_head has filled in the result */
	struct oss_result result;
	struct textsink refusal; /* body of an answer that is no success */
};

struct oss_subject oss_request_subject(const struct oss_request *r)
{
	return (struct oss_subject){
		.endpoint = &r->bucket->endpoint,
		.bucket = r->bucket->name,
		.key = r->key != NULL ? r->key : r->about,
		.is_anonymous = cred_is_anonymous(r->cred),
	};
}

static void request_free(struct oss_request *r)
{
	textsink_fini(&r->refusal);
	cred_unref(r->cred);
	oss_bucket_unref(r->bucket);
	free(r->key);
	free(r->about);
	free(r);
}

/* The only way out. */
static void finish(struct oss_request *r, const struct http_response *head)
{
	struct oss_request_events events = r->events;
	struct oss_result result = r->result;
	void *arg = r->arg;

	request_free(r);
	events.on_done(&result, head, arg);
}

/* ---- the answer ----------------------------------------------------------- */

int oss_parse_u64(const char *text, uint64_t *ret_value)
{
	size_t len = strlen(text);
	unsigned long long v;

	if (len == 0 || len > 20 || strspn(text, "0123456789") != len)
		return -EINVAL;
	errno = 0;
	v = strtoull(text, NULL, 10);
	if (errno != 0)
		return -EINVAL;
	*ret_value = v;
	return 0;
}

int oss_parse_etag(const char *header, char *buf, size_t len)
{
	size_t n;

	if (strncmp(header, "W/", 2) == 0)
		header += 2;
	n = strlen(header);
	if (n >= 2 && header[0] == '"' && header[n - 1] == '"') {
		header++;
		n -= 2;
	}
	if (n >= len)
		return -EINVAL;
	memcpy(buf, header, n);
	buf[n] = '\0';
	return 0;
}

static const char *first_header(const struct http_response *head, const char *a, const char *b)
{
	const char *value = http_response_header(head, a);

	return value != NULL ? value : http_response_header(head, b);
}

static void read_head(struct oss_request *r, const struct http_response *head)
{
	struct oss_result *res = &r->result;
	const char *value;
	uint64_t ms;
	size_t i;

	res->status = http_response_status(head);
	value = first_header(head, "x-oss-request-id", "x-amz-request-id");
	if (value != NULL)
		snprintf(res->request_id, sizeof(res->request_id), "%s", value);
	for (i = 0; res->request_id[i] != '\0'; i++) {
		if (res->request_id[i] < 0x20 || res->request_id[i] == 0x7f)
			res->request_id[i] = '?';
	}
	value = http_response_header(head, "x-oss-hash-crc64ecma");
	res->has_crc64 = value != NULL && oss_parse_u64(value, &res->crc64) == 0;
	value = http_response_header(head, "x-oss-qos-delay-time");
	if (value != NULL && oss_parse_u64(value, &ms) == 0)
		res->delay_ms = ms < 60000 ? (unsigned)ms : 60000;
	value = http_response_header(head, "Retry-After"); /* the form with a date is not used */
	if (value != NULL && oss_parse_u64(value, &ms) == 0 && ms <= 60 &&
	    res->delay_ms < ms * 1000)
		res->delay_ms = (unsigned)ms * 1000;
}

static int on_head(const struct http_response *head, struct sink **ret_sink, void *arg)
{
	struct oss_request *r = arg;
	int status = http_response_status(head), error;

	read_head(r, head);
	if (status < 200 || status > 299) {
		*ret_sink = &r->refusal.sink;
		return 0;
	}
	error = r->events.on_head(head, ret_sink, &r->result, r->arg);
	r->is_refused = error != 0;
	return error;
}

/* Nothing that the store repeats may carry our keys into a log. */
static void remove_secrets(const struct oss_request *r, struct oss_error *e)
{
	const char *token = cred_token(r->cred);

	if (cred_is_anonymous(r->cred))
		return;
	if (strstr(e->message, cred_secret(r->cred)) != NULL ||
	    strstr(e->message, cred_id(r->cred)) != NULL ||
	    (token != NULL && strstr(e->message, token) != NULL))
		e->message[0] = '\0';
}

/* Seconds from the time that the request was signed with to the store's; 0 if it does not tell. */
static int64_t skew(const struct oss_request *r, const struct http_response *head)
{
	const char *date = http_response_header(head, "Date");
	int64_t server;

	if (date == NULL || date_parse_http(date, &server) != 0)
		return 0;
	return server - (int64_t)time(NULL) - r->clock_offset;
}

static void set_clock(struct oss_request *r, const struct http_response *head)
{
	int64_t by = skew(r, head);

	if (llabs(by) < SAME_CLOCK_S) {
		r->result.action = OSS_FATAL;
		return;
	}
	r->result.action = OSS_RETRY_NOW;
	oss_bucket_set_clock_offset(r->bucket, r->clock_offset + by);
}

/* Put right what the verdict asks for; if that cannot be done, trying again is no use. */
static void apply(struct oss_request *r, enum oss_remedy remedy, const struct http_response *head)
{
	struct cred_source *creds = r->bucket->creds;
	bool changed;

	switch (remedy) {
	case OSS_REMEDY_NONE:
		return;
	case OSS_REMEDY_CLOCK:
		set_clock(r, head);
		return;
	case OSS_REMEDY_RESIGN:
	case OSS_REMEDY_REFRESH:
	case OSS_REMEDY_AWAIT:
		break;
	}
	changed = cred_source_refresh(creds, r->cred, true);
	if (changed || (remedy == OSS_REMEDY_RESIGN && r->from_cache))
		r->result.action = OSS_RETRY_NOW;
	else if (remedy == OSS_REMEDY_AWAIT && cred_source_can_change(creds))
		r->result.action = OSS_RETRY_SLOW;
	else
		r->result.action = OSS_FATAL;
}

/* The store has refused. */
static void judge(struct oss_request *r, const struct http_response *head)
{
	struct oss_subject subject = oss_request_subject(r);
	const char *header = http_response_header(head, "x-oss-err");
	struct oss_error e;
	enum oss_remedy remedy;

	if (strbuf_len(&r->refusal.text) > 0)
		(void)oss_error_parse(strbuf_str(&r->refusal.text), strbuf_len(&r->refusal.text),
				      &e); /* leaves e empty when it is none */
	else if (header != NULL)
		(void)oss_error_parse_header(header, &e);
	else
		memset(&e, 0, sizeof(e));
	if (e.region[0] == '\0') {
		header = http_response_header(head, "x-amz-bucket-region");
		if (header != NULL)
			snprintf(e.region, sizeof(e.region), "%.63s", header);
	}
	/* S3 gives no reason to a HEAD; this one can be seen. */
	if (r->result.status == 403 && e.code[0] == '\0' && llabs(skew(r, head)) > MAX_SKEW_S)
		snprintf(e.code, sizeof(e.code), "RequestTimeTooSkewed");
	remove_secrets(r, &e);
	remedy = oss_result_refuse(&r->result, &subject, r->result.status, &e);
	if (r->result.status == 403 && r->key != NULL)
		sigcache_drop(r->bucket->signatures, r->key);
	apply(r, remedy, head);
}

static void on_done(int error, const struct http_response *head, void *arg)
{
	struct oss_request *r = arg;
	struct oss_subject subject = oss_request_subject(r);
	int status = head != NULL ? http_response_status(head) : 0;

	if (status >= 200 && status <= 299 && !r->is_refused)
		r->result.bytes = http_exchange_bytes(r->exchange);
	else /* what is not taken says nothing of the object either */
		r->result.has_crc64 = false;
	if (r->is_refused) {
		finish(r, head);
		return;
	}
	if (head != NULL && (status < 200 || status > 299))
		judge(r, head); /* even if its body did not come whole */
	else if (error != 0)
		oss_result_break(&r->result, &subject, error, http_error_text(r->client));
	else if (r->body_len != 0 && r->result.bytes != r->body_len)
		oss_result_set(&r->result, &subject, OSS_RETRY, -EIO,
			       "%" PRIu64 " of %" PRIu64 " bytes arrived", r->result.bytes,
			       r->body_len);
	finish(r, head);
}

/* ---- the request ---------------------------------------------------------- */

static int build_target(const struct oss_request *r, const struct oss_request_conf *conf,
			struct strbuf *target)
{
	bool s3 = r->bucket->endpoint.dialect == OSS_DIALECT_S3;

	strbuf_addc(target, '/');
	if (r->bucket->endpoint.addressing == OSS_ADDRESS_PATH) {
		strbuf_adds(target, r->bucket->name);
		strbuf_addc(target, '/');
	}
	if (conf->key != NULL)
		canon_encode(target, conf->key, strlen(conf->key), true);
	if (conf->nr_query == 0)
		return strbuf_error(target);
	strbuf_addc(target, '?');
	return canon_query(target, conf->query, conf->nr_query, s3);
}

static int sign_anew(struct oss_request *r, const struct oss_request_conf *conf,
		     struct signature *ret_signature)
{
	const struct oss_bucket *b = r->bucket;
	struct sign_request req = {
		.method = conf->method,
		.bucket = b->name,
		.key = conf->key,
		.bucket_in_path = b->endpoint.addressing == OSS_ADDRESS_PATH,
		.host = b->authority,
		.query = conf->query,
		.nr_query = conf->nr_query,
		.headers = conf->headers,
		.nr_headers = conf->nr_headers,
		.region = b->endpoint.region,
		.product = b->endpoint.product,
		.unix_time = (int64_t)time(NULL) + r->clock_offset,
	};

	return b->scheme->sign(&req, r->cred, ret_signature);
}

/* Either *ret_entry holds the signature, or *own does. */
static int find_signature(struct oss_request *r, const struct oss_request_conf *conf,
			  struct sig_entry **ret_entry, struct signature *own)
{
	struct sigcache *cache = r->bucket->signatures;
	bool reuse = conf->reuse_signature && conf->key != NULL;
	uint64_t now = clock_ms();
	int error;

	*ret_entry = NULL;
	own->nr_headers = 0;
	if (cred_is_anonymous(r->cred))
		return 0;
	if (reuse) {
		*ret_entry = sigcache_get(cache, conf->key, r->cred, now);
		r->from_cache = *ret_entry != NULL;
		if (r->from_cache)
			return 0;
	}
	error = sign_anew(r, conf, own);
	if (error == 0 && reuse)
		error = sigcache_put(cache, conf->key, r->cred, now, own, ret_entry);
	return error;
}

static int send_request(struct oss_request *r, const struct oss_request_conf *conf,
			const char *target, const struct signature *signature)
{
	static const struct http_events events = { .on_head = on_head, .on_done = on_done };
	struct http_header headers[MAX_OWN_HEADERS + SIGN_MAX_HEADERS + 2];
	const struct oss_bucket *b = r->bucket;
	struct http_request req = {
		.method = conf->method,
		.host = b->dial_host,
		.port = b->endpoint.port,
		.tls = b->endpoint.tls,
		.authority = b->authority,
		.target = target,
		.headers = headers,
		.sources = b->sources,
		.connect_timeout_ms = b->connect_timeout_ms,
		.idle_timeout_ms = b->idle_timeout_ms,
	};
	size_t i, nr = 0;

	headers[nr++] = (struct http_header){ "User-Agent", "oss-connector/" OSSC_VERSION };
	headers[nr++] = (struct http_header){ "Accept-Encoding", "identity" };
	for (i = 0; i < conf->nr_headers; i++)
		headers[nr++] = conf->headers[i];
	for (i = 0; i < signature->nr_headers; i++)
		headers[nr++] = signature->headers[i];
	req.nr_headers = nr;
	return http_start(r->client, &req, &events, r, &r->exchange);
}

static int copy_text(char **ret, const char *text)
{
	*ret = text != NULL ? strdup(text) : NULL;
	return text != NULL && *ret == NULL ? -ENOMEM : 0;
}

int oss_request_start(struct http_client *client, struct oss_bucket *bucket,
		      const struct oss_request_conf *conf, const struct oss_request_events *events,
		      void *arg, struct oss_request **ret_request)
{
	struct sig_entry *entry = NULL;
	struct signature own = { .nr_headers = 0 };
	struct strbuf target;
	struct oss_request *r;
	int error;

	if (conf->nr_headers > MAX_OWN_HEADERS ||
	    (conf->key != NULL && (conf->key[0] == '\0' || strlen(conf->key) > OSS_KEY_MAX)))
		return -EINVAL;
	r = calloc(1, sizeof(*r));
	if (r == NULL)
		return -ENOMEM;
	r->client = client;
	r->bucket = oss_bucket_ref(bucket);
	r->cred = cred_source_get(bucket->creds);
	r->clock_offset = oss_bucket_clock_offset(bucket);
	r->events = *events;
	r->arg = arg;
	r->body_len = conf->body_len;
	textsink_init(&r->refusal, OSS_ERROR_MAX_BYTES);
	strbuf_init(&target, TARGET_MAX);
	error = copy_text(&r->key, conf->key);
	if (error == 0)
		error = copy_text(&r->about, conf->about);
	if (error == 0)
		error = build_target(r, conf, &target);
	if (error == 0)
		error = find_signature(r, conf, &entry, &own);
	if (error == 0)
		error = send_request(r, conf, strbuf_str(&target),
				     entry != NULL ? sig_entry_signature(entry) : &own);
	sig_entry_unref(entry);
	signature_fini(&own);
	strbuf_fini(&target);
	if (error != 0)
		request_free(r);
	else
		*ret_request = r;
	return error;
}

void oss_request_cancel(struct oss_request *r)
{
	if (r == NULL)
		return;
	http_cancel(r->exchange);
	request_free(r);
}

uint64_t oss_request_bytes(const struct oss_request *r)
{
	return http_exchange_bytes(r->exchange);
}
