#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>

#include "daemon/base/log.h"
#include "daemon/http/sink.h"
#include "daemon/oss/date.h"
#include "daemon/oss/error.h"
#include "daemon/oss/get.h"
#include "daemon/oss/textsink.h"
#include "test/unit/json.h"
#include "test/unit/loopback.h"

struct memory_sink {
	struct sink sink;
	char bytes[4096];
	size_t len;
	int error; /* what write() shall return */
};

struct fixture {
	struct loopback lb;
	struct memory_sink sink;
	struct oss_result res;
	unsigned nr_done;
};

static int take(struct sink *s, const void *buf, size_t len)
{
	struct memory_sink *m = (struct memory_sink *)s;

	assert_true(m->len + len <= sizeof(m->bytes));
	memcpy(m->bytes + m->len, buf, len);
	m->len += len;
	return m->error;
}

static const struct sink_ops memory_ops = { .write = take };

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	log_set_level(LOG_LEVEL_ERROR);
	f.sink.sink.ops = &memory_ops;
	lb_start(&f.lb);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lb_stop(&f->lb);
	return 0;
}

static void on_done(const struct oss_result *res, void *arg)
{
	struct fixture *f = arg;

	f->res = *res;
	f->nr_done++;
	event_base_loopbreak(f->lb.base);
}

static void start(struct fixture *f, uint64_t offset, uint64_t length, uint64_t size,
		  const char *etag, struct oss_get **ret_get)
{
	struct oss_range_get range = {
		.key = "models/a b+\xe6\xa8\xa1.bin",
		.offset = offset,
		.length = length,
		.object_size = size,
		.etag = etag,
		.sink = &f->sink.sink,
	};

	f->sink.len = 0;
	memset(&f->res, 0x5a, sizeof(f->res));
	assert_int_equal(oss_get_start(f->lb.client, f->lb.bucket, &range, on_done, f, ret_get), 0);
}

static void get(struct fixture *f, uint64_t offset, uint64_t length, uint64_t size,
		const char *etag)
{
	struct oss_get *g;

	start(f, offset, length, size, etag, &g);
	lb_run(&f->lb);
}

static void assert_sink(const struct fixture *f, const char *bytes)
{
	assert_int_equal(f->sink.len, strlen(bytes));
	assert_memory_equal(f->sink.bytes, bytes, f->sink.len);
}

static void test_a_range_arrives_and_the_request_asks_for_all_it_must(void **state)
{
	struct fixture *f = *state;
	char buf[512];

	lb_say_body(&f->lb,
		    "206 Partial Content\r\nContent-Range: bytes 5-9/20\r\nETag: \"ABC\"\r\n"
		    "x-oss-request-id: 5C06\r\nx-oss-hash-crc64ecma: 18446744073709551615\r\n",
		    "hello");
	get(f, 5, 5, 20, "ABC");
	assert_int_equal(f->res.error, 0);
	assert_int_equal(f->res.action, OSS_DONE);
	assert_int_equal(f->res.status, 206);
	assert_int_equal(f->res.bytes, 5);
	assert_true(f->res.has_crc64);
	assert_true(f->res.crc64 == UINT64_MAX);
	assert_string_equal(f->res.request_id, "5C06");
	assert_sink(f, "hello");

	assert_int_equal(strncmp(lb_head(&f->lb, 0),
				 "GET /bucket/models/a%20b%2B%E6%A8%A1.bin HTTP/1.1\r\n", 50),
			 0);
	assert_string_equal(lb_header(&f->lb, 0, "Range", buf), "bytes=5-9");
	assert_string_equal(lb_header(&f->lb, 0, "If-Match", buf), "\"ABC\"");
	assert_string_equal(lb_header(&f->lb, 0, "Accept-Encoding", buf), "identity");
	assert_string_equal(lb_header(&f->lb, 0, "x-oss-range-behavior", buf), "standard");
	assert_string_equal(lb_header(&f->lb, 0, "x-oss-content-sha256", buf), "UNSIGNED-PAYLOAD");
	assert_non_null(strstr(lb_header(&f->lb, 0, "Authorization", buf),
			       "OSS4-HMAC-SHA256 Credential=TestId/"));
	assert_null(strstr(lb_head(&f->lb, 0), "TestSecret"));
}

static void test_a_200_will_do_only_for_the_whole_object(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "200 OK\r\nETag: \"abc\"\r\n", "hello");
	get(f, 0, 5, 5, "ABC");
	assert_int_equal(f->res.error, 0);
	assert_sink(f, "hello");

	lb_say_body(&f->lb, "200 OK\r\nETag: \"abc\"\r\n", "hello");
	get(f, 0, 4, 5, "ABC");
	assert_int_equal(f->res.error, -EIO);
	assert_int_equal(f->res.action, OSS_RETRY);
	assert_non_null(strstr(f->res.text, "the store ignored the range"));
	assert_sink(f, "");
}

static void test_an_answer_to_another_question_never_reaches_the_sink(void **state)
{
	static const struct {
		const char *head;
		int error;
		enum oss_action action;
		const char *part;
	} rows[] = {
		{ "206 P\r\nETag: \"abc\"\r\n", -EIO, OSS_RETRY, "does not say which range" },
		{ "206 P\r\nETag: \"abc\"\r\nContent-Range: bytes 4-8/20\r\n", -EIO, OSS_RETRY,
		  "another range" },
		{ "206 P\r\nETag: \"abc\"\r\nContent-Range: bytes 5-10/20\r\n", -EIO, OSS_RETRY,
		  "another range" },
		{ "206 P\r\nETag: \"abc\"\r\nContent-Range: bytes 5-9/*\r\n", -EIO, OSS_RETRY,
		  "does not say which range" },
		{ "206 P\r\nETag: \"abc\"\r\nContent-Range: bytes 5-9/20x\r\n", -EIO, OSS_RETRY,
		  "does not say which range" },
		{ "206 P\r\nETag: \"abc\"\r\nContent-Range: bytes 5-9/21\r\n", -ESTALE, OSS_FATAL,
		  "another size" },
		{ "206 P\r\nETag: \"abd\"\r\nContent-Range: bytes 5-9/20\r\n", -ESTALE, OSS_FATAL,
		  "another ETag" },
		{ "206 P\r\nContent-Range: bytes 5-9/20\r\n", -EIO, OSS_RETRY, "no ETag" },
		{ "206 P\r\nETag: \"abc\"\r\nContent-Range: bytes 5-9/20\r\n"
		  "Content-Encoding: gzip\r\n",
		  -EIO, OSS_RETRY, "compressed" },
		{ "204 No Content\r\nETag: \"abc\"\r\n", -EIO, OSS_RETRY, "holds no range" },
	};
	struct fixture *f = *state;
	char head[256];
	size_t i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		snprintf(head, sizeof(head), "%sx-oss-hash-crc64ecma: 1\r\n", rows[i].head);
		lb_say_body(&f->lb, head, "hello");
		get(f, 5, 5, 20, "abc");
		assert_int_equal(f->res.error, rows[i].error);
		assert_int_equal(f->res.action, rows[i].action);
		if (strstr(f->res.text, rows[i].part) == NULL)
			fail_msg("row %zu: \"%s\"", i, f->res.text);
		assert_int_equal(f->res.bytes, 0);
		/* Its checksum is that of whatever it answers. */
		assert_false(f->res.has_crc64);
		assert_sink(f, "");
	}
	lb_say_body(&f->lb, "206 P\r\nETag: \"abc\"\r\nContent-Range: bytes 5-9/20\r\n", "hello!");
	get(f, 5, 5, 20, "abc");
	assert_non_null(strstr(f->res.text, "another length"));
	assert_sink(f, "");
}

/* The rule for ranges, against each row of what servers do. */
static void check_range_row(struct fixture *f, const struct jv *answer, uint64_t first,
			    uint64_t last, uint64_t size)
{
	const char *range = jv_str(answer, "content_range");
	int status = (int)jv_int(answer, "status");
	size_t len = (size_t)jv_int(answer, "content_length"), n;
	char head[256], exact[64], text[2048];
	bool right;

	snprintf(exact, sizeof(exact), "bytes %llu-%llu/%llu", (unsigned long long)first,
		 (unsigned long long)last, (unsigned long long)size);
	right = (status == 206 && strcmp(range, exact) == 0) ||
		(status == 200 && first == 0 && last + 1 == size && len == size);
	n = (size_t)snprintf(head, sizeof(head), "HTTP/1.1 %d X\r\nContent-Length: %zu\r\n", status,
			     len);
	if (range != NULL)
		snprintf(head + n, sizeof(head) - n, "Content-Range: %s\r\n", range);
	n = (size_t)snprintf(text, sizeof(text), "%s\r\n", head);
	memset(text + n, 'd', len);
	lb_say_bytes(&f->lb, text, n + len, true);
	get(f, first, last - first + 1, size, NULL);
	assert_int_equal(f->res.error == 0, right);
	assert_int_equal(f->sink.len, right ? len : 0);
	if (status == 416)
		assert_int_equal(f->res.error, -ESTALE);
}

static void test_every_row_of_range_semantics_is_taken_or_refused_rightly(void **state)
{
	static const char *const modes[] = { "oss_default", "oss_standard", "s3" };
	struct jv *file = jv_load("range.json"), *c;
	struct fixture *f = *state;
	unsigned long long first, last;
	size_t m;
	int n;

	for (m = 0; m < 3; m++) {
		jv_each(c, jv_get(file, "cases"))
		{
			uint64_t size = (uint64_t)jv_int(c, "size");

			/* What cannot be asked is asked as the first half. */
			n = 0;
			if (sscanf(jv_str(c, "range"), "bytes=%llu-%llu%n", &first, &last, &n) !=
				    2 ||
			    jv_str(c, "range")[n] != '\0' || last < first) {
				first = 0;
				last = 499;
			}
			/* A size from an older listing: the range was right then. */
			if (last >= size)
				size = last + 1;
			check_range_row(f, jv_get(c, modes[m]), first, last, size);
		}
	}
	jv_free(file);
}

static void test_one_signature_serves_all_ranges_of_a_key(void **state)
{
	struct fixture *f = *state;
	char a[512], b[512];

	lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 0-4/20\r\n", "hello");
	lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 5-9/20\r\n", "world");
	get(f, 0, 5, 20, NULL);
	/* The second would be signed otherwise if it were signed anew now. */
	get(f, 5, 5, 20, NULL);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(lb_header(&f->lb, 0, "Authorization", a),
			    lb_header(&f->lb, 1, "Authorization", b));
	assert_string_equal(lb_header(&f->lb, 0, "x-oss-date", a),
			    lb_header(&f->lb, 1, "x-oss-date", b));
	oss_bucket_set_clock_offset(f->lb.bucket, 86400);
	lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 5-9/20\r\n", "world");
	get(f, 5, 5, 20, NULL);
	assert_string_not_equal(lb_header(&f->lb, 1, "x-oss-date", a),
				lb_header(&f->lb, 2, "x-oss-date", b));
}

#define ERROR_XML(code)                                                                            \
	"<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>m</Message></Error>"

static void test_a_refused_signature_is_made_anew_if_it_was_an_old_one(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 0-4/20\r\n", "hello");
	lb_say_body(&f->lb, "403 F\r\n", ERROR_XML("SignatureDoesNotMatch"));
	lb_say_body(&f->lb, "403 F\r\n", ERROR_XML("SignatureDoesNotMatch"));
	get(f, 0, 5, 20, NULL);
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_RETRY_NOW);
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_FATAL);
	assert_int_equal(f->res.error, -EACCES);
	assert_string_equal(f->res.code, "SignatureDoesNotMatch");
	assert_non_null(strstr(f->res.text, "OSS_ACCESS_KEY_SECRET"));
}

static void say_skewed(struct fixture *f, int64_t by)
{
	char head[128], date[DATE_HTTP_LEN];

	date_format_http((int64_t)time(NULL) + by, date);
	snprintf(head, sizeof(head), "403 F\r\nDate: %s\r\n", date);
	lb_say_body(&f->lb, head, ERROR_XML("RequestTimeTooSkewed"));
}

static void test_a_wrong_clock_is_set_by_the_stores(void **state)
{
	struct fixture *f = *state;
	int64_t offset;

	say_skewed(f, 3600);
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_RETRY_NOW);
	offset = oss_bucket_clock_offset(f->lb.bucket);
	assert_true(offset >= 3595 && offset <= 3605);
	/* The same complaint at the same time: the clock is not what is wrong. */
	say_skewed(f, 3600);
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_FATAL);
	assert_non_null(strstr(f->res.text, "clock"));
}

static void write_keys(const char *path, const char *token)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	fprintf(file,
		"{\"AccessKeyId\":\"STS.a\",\"AccessKeySecret\":\"b\",\"SecurityToken\":\"%s\"}",
		token);
	assert_int_equal(fclose(file), 0);
}

static void test_an_expired_token_waits_for_a_fresh_file(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/test_get.XXXXXX", err[256], buf[512];
	struct cred_source *creds;
	int fd = mkstemp(path);

	assert_true(fd != -1);
	close(fd);
	write_keys(path, "OldToken");
	assert_int_equal(cred_source_new_file(path, &creds, err, sizeof(err)), 0);
	lb_make_bucket(&f->lb, "oss://bucket/", "cn-test", creds);

	lb_say_body(&f->lb, "403 F\r\n", ERROR_XML("SecurityTokenExpired"));
	lb_say_body(&f->lb, "403 F\r\n", ERROR_XML("SecurityTokenExpired"));
	lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 0-4/20\r\n", "hello");
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_RETRY_SLOW);
	assert_non_null(strstr(f->res.text, "expired"));
	write_keys(path, "NewToken");
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_RETRY_NOW);
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(lb_header(&f->lb, 0, "x-oss-security-token", buf), "OldToken");
	assert_string_equal(lb_header(&f->lb, 2, "x-oss-security-token", buf), "NewToken");
	cred_source_unref(creds);
	unlink(path);
}

static void test_with_fixed_keys_an_expired_token_is_the_end(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "403 F\r\n", ERROR_XML("SecurityTokenExpired"));
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_FATAL);
	assert_int_equal(f->res.error, -EACCES);
}

static void test_without_keys_nothing_is_signed(void **state)
{
	struct fixture *f = *state;
	struct cred_source *creds;
	char err[256], buf[512];

	assert_int_equal(cred_source_new_static("", "", "", &creds, err, sizeof(err)), 0);
	lb_make_bucket(&f->lb, "oss://bucket/", "cn-test", creds);
	lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 0-4/20\r\n", "hello");
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(lb_header(&f->lb, 0, "Authorization", buf), "");
	assert_string_equal(lb_header(&f->lb, 0, "x-oss-date", buf), "");
	lb_say_body(&f->lb, "403 F\r\n", ERROR_XML("AccessDenied"));
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.error, -EACCES);
	assert_non_null(strstr(f->res.text, "without keys: set OSS_ACCESS_KEY_ID"));
	cred_source_unref(creds);
}

static void test_each_dialect_signs_in_its_own_way(void **state)
{
	static const struct {
		const char *path, *region, *scheme, *behaviour;
	} rows[] = {
		{ "oss://bucket/", "cn-test", "OSS4-HMAC-SHA256 ", "standard" },
		{ "oss://bucket/", NULL, "OSS TestId:", "standard" },
		{ "s3://bucket/", "eu-west-1", "AWS4-HMAC-SHA256 ", "" },
	};
	struct fixture *f = *state;
	char buf[512];
	size_t i;

	for (i = 0; i < 3; i++) {
		lb_make_bucket(&f->lb, rows[i].path, rows[i].region, f->lb.creds);
		lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 0-4/20\r\n", "hello");
		get(f, 0, 5, 20, NULL);
		assert_int_equal(f->res.error, 0);
		assert_int_equal(strncmp(lb_header(&f->lb, i, "Authorization", buf), rows[i].scheme,
					 strlen(rows[i].scheme)),
				 0);
		assert_string_equal(lb_header(&f->lb, i, "x-oss-range-behavior", buf),
				    rows[i].behaviour);
	}
}

static void test_what_the_store_repeats_of_our_keys_is_not_repeated(void **state)
{
	static const char *const keys[] = { "TestId", "TestSecret", "TestToken" };
	struct fixture *f = *state;
	struct cred_source *creds;
	char body[256], err[256];
	size_t i;

	assert_int_equal(
		cred_source_new_static(keys[0], keys[1], keys[2], &creds, err, sizeof(err)), 0);
	lb_make_bucket(&f->lb, "oss://bucket/", "cn-test", creds);
	for (i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		snprintf(body, sizeof(body),
			 "<Error><Code>AccessDenied</Code><Message>key %s is "
			 "wrong</Message></Error>",
			 keys[i]);
		lb_say_body(&f->lb, "403 F\r\n", body);
		get(f, 0, 5, 20, NULL);
		assert_int_equal(f->res.error, -EACCES);
		assert_null(strstr(f->res.text, keys[i]));
	}
	cred_source_unref(creds);
}

static void test_what_a_refusal_says_is_read_up_to_a_bound(void **state)
{
	struct fixture *f = *state;
	struct textsink sink;
	char *body = malloc(2 * OSS_ERROR_MAX_BYTES), head[80];
	time_t begun;

	assert_non_null(body);
	memset(body, ' ', 2 * OSS_ERROR_MAX_BYTES);
	textsink_init(&sink, 10);
	assert_int_equal(sink.sink.ops->write(&sink.sink, body, 10), 0);
	assert_int_equal(sink.sink.ops->write(&sink.sink, body, 1), -EFBIG);
	assert_true(strbuf_len(&sink.text) <= 10);
	textsink_fini(&sink);

	/* A refusal without end that stops coming: what is there is enough, nobody waits for more. */
	body[OSS_ERROR_MAX_BYTES + 1000] = '\0';
	snprintf(head, sizeof(head), "HTTP/1.1 403 F\r\nContent-Length: 100000000\r\n\r\n");
	memcpy(body, head, strlen(head));
	lb_say(&f->lb, body);
	begun = time(NULL);
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.error, -EACCES);
	assert_true(time(NULL) - begun < 4); /* an idle connection ends after 5 s */

	/* The code stands behind the bound: not read. */
	memset(body, ' ', 2 * OSS_ERROR_MAX_BYTES);
	snprintf(body + OSS_ERROR_MAX_BYTES, OSS_ERROR_MAX_BYTES, "%s",
		 ERROR_XML("SecurityTokenExpired"));
	lb_say_body(&f->lb, "403 F\r\n", body);
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.error, -EACCES);
	assert_string_equal(f->res.code, "");
	free(body);
}

static void test_a_broken_body_says_how_much_came(void **state)
{
	static const char half[] = "HTTP/1.1 206 P\r\nContent-Range: bytes 0-9/20\r\n"
				   "Content-Length: 10\r\n\r\nhell";
	struct fixture *f = *state;

	lb_say_bytes(&f->lb, half, sizeof(half) - 1, true);
	get(f, 0, 10, 20, NULL);
	assert_int_equal(f->res.error, -EIO);
	assert_int_equal(f->res.action, OSS_RETRY);
	assert_int_equal(f->res.bytes, 4);
	assert_sink(f, "hell");
	assert_non_null(strstr(f->res.text, "oss://bucket/models/"));
}

static void test_throttling_says_how_long_to_wait(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "503 S\r\nx-oss-qos-delay-time: 350\r\n",
		    ERROR_XML("DownloadTrafficRateLimitExceeded"));
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_RETRY_SLOW);
	assert_int_equal(f->res.delay_ms, 350);
	lb_say_body(&f->lb, "429 S\r\nRetry-After: 2\r\n", "");
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_RETRY_SLOW);
	assert_int_equal(f->res.delay_ms, 2000);
}

static void test_a_page_of_a_proxy_is_judged_by_its_status(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "502 Bad Gateway\r\nContent-Type: text/html\r\n",
		    "<html><body><h1>502 Bad Gateway</h1></body></html>");
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.action, OSS_RETRY);
	assert_int_equal(f->res.error, -EIO);
	assert_string_equal(f->res.code, "");
	assert_non_null(strstr(f->res.text, "HTTP 502"));
	assert_sink(f, "");
}

static void test_a_replaced_object_is_stale(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "412 P\r\n", ERROR_XML("PreconditionFailed"));
	get(f, 0, 5, 20, "OLD");
	assert_int_equal(f->res.error, -ESTALE);
	assert_int_equal(f->res.action, OSS_FATAL);
}

static void test_what_the_sink_refuses_is_the_result(void **state)
{
	struct fixture *f = *state;

	f->sink.error = -ENOSPC;
	lb_say_body(&f->lb, "206 P\r\nContent-Range: bytes 0-4/20\r\n", "hello");
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.error, -ENOSPC);
	assert_int_equal(f->res.action, OSS_FATAL);
}

static void test_a_dead_server_is_unreachable(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in addr = { .sin_family = AF_INET };
	unsigned port = f->lb.port;
	socklen_t len = sizeof(addr);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* A port that is bound and not listened on refuses. */
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	assert_int_equal(bind(fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
	f->lb.port = ntohs(addr.sin_port);
	lb_make_bucket(&f->lb, "oss://bucket/", "cn-test", f->lb.creds);
	f->lb.port = port;
	get(f, 0, 5, 20, NULL);
	assert_int_equal(f->res.error, -EHOSTUNREACH);
	assert_int_equal(f->res.action, OSS_RETRY);
	assert_int_equal(f->res.status, 0);
	close(fd);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;

	(void)fd;
	(void)what;
	if (lb_nr_requests(&f->lb) == 1)
		event_base_loopbreak(f->lb.base);
}

static void test_a_cancelled_get_says_nothing(void **state)
{
	struct fixture *f = *state;
	struct timeval often = { .tv_usec = 1000 };
	struct event *turn = event_new(f->lb.base, -1, EV_PERSIST, on_turn, f);
	struct oss_get *g;

	lb_say_nothing(&f->lb);
	start(f, 0, 5, 20, NULL, &g);
	oss_get_cancel(g); /* before anything was sent */
	start(f, 0, 5, 20, NULL, &g);
	event_add(turn, &often);
	lb_run(&f->lb); /* until the server has the request */
	assert_int_equal(oss_get_bytes(g), 0);
	oss_get_cancel(g);
	event_free(turn);
	event_base_loop(f->lb.base, EVLOOP_NONBLOCK);
	assert_int_equal(f->nr_done, 0);
	oss_get_cancel(NULL);
}

static void test_ranges_that_cannot_be_are_refused_at_once(void **state)
{
	static const uint64_t bad[][3] = {
		{ 0, 0, 20 }, { 20, 1, 20 }, { 10, 11, 20 }, { UINT64_MAX, 2, 20 }, { 0, 1, 0 },
	};
	struct fixture *f = *state;
	struct oss_get *g = NULL;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oss_range_get range = {
			.key = "k",
			.offset = bad[i][0],
			.length = bad[i][1],
			.object_size = bad[i][2],
			.sink = &f->sink.sink,
		};

		assert_int_equal(oss_get_start(f->lb.client, f->lb.bucket, &range, on_done, f, &g),
				 -EINVAL);
	}
	assert_null(g);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_range_arrives_and_the_request_asks_for_all_it_must),
		TEST(test_a_200_will_do_only_for_the_whole_object),
		TEST(test_an_answer_to_another_question_never_reaches_the_sink),
		TEST(test_every_row_of_range_semantics_is_taken_or_refused_rightly),
		TEST(test_one_signature_serves_all_ranges_of_a_key),
		TEST(test_a_refused_signature_is_made_anew_if_it_was_an_old_one),
		TEST(test_a_wrong_clock_is_set_by_the_stores),
		TEST(test_an_expired_token_waits_for_a_fresh_file),
		TEST(test_with_fixed_keys_an_expired_token_is_the_end),
		TEST(test_without_keys_nothing_is_signed),
		TEST(test_each_dialect_signs_in_its_own_way),
		TEST(test_what_the_store_repeats_of_our_keys_is_not_repeated),
		TEST(test_what_a_refusal_says_is_read_up_to_a_bound),
		TEST(test_a_broken_body_says_how_much_came),
		TEST(test_throttling_says_how_long_to_wait),
		TEST(test_a_page_of_a_proxy_is_judged_by_its_status),
		TEST(test_a_replaced_object_is_stale),
		TEST(test_what_the_sink_refuses_is_the_result),
		TEST(test_a_dead_server_is_unreachable),
		TEST(test_a_cancelled_get_says_nothing),
		TEST(test_ranges_that_cannot_be_are_refused_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
