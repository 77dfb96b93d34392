#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"
#include "daemon/http/client.h"
#include "daemon/http/reqhead.h"
#include "daemon/http/response.h"

static char text[RESPONSE_HEAD_MAX + 64];

/* The text must live as long as the response does: one at a time. */
static int parse_len(const char *head, size_t len, struct http_response *ret, const char **ret_why)
{
	assert_true(len <= sizeof(text));
	memcpy(text, head, len);
	return response_parse(text, len, ret, ret_why);
}

static struct http_response good(const char *head)
{
	struct http_response res;
	const char *why = "";

	if (parse_len(head, strlen(head), &res, &why) != 0)
		fail_msg("refused: %s", why);
	return res;
}

static void bad_len(const char *head, size_t len, const char *words)
{
	struct http_response res;
	const char *why = "";

	assert_int_equal(parse_len(head, len, &res, &why), -EPROTO);
	if (strstr(why, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void bad(const char *head, const char *words)
{
	bad_len(head, strlen(head), words);
}

static void test_fields_are_found_without_regard_to_case(void **state)
{
	struct http_response res = good("HTTP/1.1 206 Partial Content\r\n"
					"ETag:\"abc\"\r\n"
					"x-oss-request-id: \t 5C06 \t\r\n"
					"Empty:\r\n"
					"Last: \xc3\xa9\r\n\r\n");

	(void)state;
	assert_int_equal(http_response_status(&res), 206);
	assert_string_equal(http_response_header(&res, "etag"), "\"abc\"");
	assert_string_equal(http_response_header(&res, "X-OSS-Request-Id"), "5C06");
	assert_string_equal(http_response_header(&res, "empty"), "");
	assert_string_equal(http_response_header(&res, "last"), "\xc3\xa9");
	assert_null(http_response_header(&res, "x-oss-request"));
	assert_int_equal(http_response_length(&res), -1);
	assert_true(res.keep_alive);
	response_fini(&res);
}

static void test_a_reason_is_not_needed(void **state)
{
	struct http_response res = good("HTTP/1.1 200\r\n\r\n");

	(void)state;
	assert_int_equal(res.status, 200);
	response_fini(&res);
	res = good("HTTP/1.1 503 \r\n\r\n");
	assert_int_equal(res.status, 503);
	response_fini(&res);
}

static void test_bad_status_lines_are_refused(void **state)
{
	(void)state;
	bad("HTTP/1.2 200 OK\r\n\r\n", "status line");
	bad("HTTP/2.0 200 OK\r\n\r\n", "status line");
	bad("http/1.1 200 OK\r\n\r\n", "status line");
	bad("HTTP/1.1  200 OK\r\n\r\n", "three digits");
	bad("HTTP/1.1 2000 OK\r\n\r\n", "three digits");
	bad("HTTP/1.1 20x OK\r\n\r\n", "three digits");
	bad("HTTP/1.1 099 Low\r\n\r\n", "between 100 and 599");
	bad("HTTP/1.1 600 High\r\n\r\n", "between 100 and 599");
	bad("HTTP/1.1 200 O\nK: v\r\n\r\n", "control");
	bad_len("HTTP/1.1 200 O\0K\r\n\r\n", 20, "control");
	bad("\r\n\r\n", "status line");
	bad("HTTP/1.1\r\n\r\n", "status line");
}

static void test_bad_header_lines_are_refused(void **state)
{
	(void)state;
	bad("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "folded");
	bad("HTTP/1.1 200 OK\r\n\tc: d\r\n\r\n", "folded");
	bad("HTTP/1.1 200 OK\r\nA : b\r\n\r\n", "without a name");
	bad("HTTP/1.1 200 OK\r\n: b\r\n\r\n", "without a name");
	bad("HTTP/1.1 200 OK\r\nnothing\r\n\r\n", "without a name");
	bad("HTTP/1.1 200 OK\r\nA(b): c\r\n\r\n", "without a name");
	bad("HTTP/1.1 200 OK\r\nA: b\rc\r\n\r\n", "control");
	bad("HTTP/1.1 200 OK\r\nA: b\nC: d\r\n\r\n", "control");
	bad("HTTP/1.1 200 OK\r\nA: \x7f\r\n\r\n", "control");
	bad_len("HTTP/1.1 200 OK\r\nA: b\0c\r\n\r\n", 26, "control");
	bad("HTTP/1.1 200 OK\r\n\r\nX\r\n", "bytes after the head");
	bad("HTTP/1.1 200 OK\r\nA: b\r\n", "no end");
}

static void test_framing_must_be_unambiguous(void **state)
{
	struct http_response res;

	(void)state;
	bad("HTTP/1.1 200 OK\r\nContent-Length: 1\r\ncontent-length: 2\r\n\r\n", "that differ");
	bad("HTTP/1.1 200 OK\r\nContent-Length: 1, 1\r\n\r\n", "not a number");
	bad("HTTP/1.1 200 OK\r\nContent-Length: +1\r\n\r\n", "not a number");
	bad("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n", "not a number");
	bad("HTTP/1.1 200 OK\r\nContent-Length: 0x1\r\n\r\n", "not a number");
	bad("HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\n", "not a number");
	bad("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\n", "too large");
	bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "other than chunked");
	bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n", "other than chunked");
	bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "other than chunked");
	bad("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n", "both");
	bad("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.0");
	res = good("HTTP/1.1 200 OK\r\nContent-Length: 7\r\nContent-Length: 7\r\n\r\n");
	assert_int_equal(res.length, 7);
	response_fini(&res);
	res = good("HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n");
	assert_int_equal(res.length, INT64_MAX);
	response_fini(&res);
	res = good("HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n");
	assert_true(res.chunked);
	assert_int_equal(http_response_length(&res), -1);
	response_fini(&res);
}

static void test_keep_alive_follows_version_and_connection(void **state)
{
	static const struct {
		const char *head;
		bool keep_alive;
	} cases[] = {
		{ "HTTP/1.1 200 OK\r\n\r\n", true },
		{ "HTTP/1.0 200 OK\r\n\r\n", false },
		{ "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", true },
		{ "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", false },
		{ "HTTP/1.1 200 OK\r\nConnection: foo,CLOSE ,bar\r\n\r\n", false },
		{ "HTTP/1.1 200 OK\r\nConnection: closed\r\n\r\n", true },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct http_response res = good(cases[i].head);

		assert_int_equal(res.keep_alive, cases[i].keep_alive);
		response_fini(&res);
	}
}

static void test_the_number_of_headers_is_bounded(void **state)
{
	size_t len;
	char *head = malloc(20 + (RESPONSE_FIELDS_MAX + 2) * 6);
	struct http_response res;
	int i;

	(void)state;
	len = (size_t)snprintf(head, 20, "HTTP/1.1 200 OK\r\n");
	for (i = 0; i < RESPONSE_FIELDS_MAX; i++, len += 6)
		memcpy(head + len, "A: b\r\n", 6);
	memcpy(head + len, "\r\n", 3);
	res = good(head);
	assert_int_equal(res.nr_fields, RESPONSE_FIELDS_MAX);
	response_fini(&res);
	memcpy(head + len, "A: b\r\n\r\n", 9);
	bad(head, "too many header lines");
	free(head);
}

static void test_the_end_of_a_head_is_found_however_it_is_cut(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nA: b\r\n\r\nbody\r\n\r\n";
	size_t end = strlen("HTTP/1.1 200 OK\r\nA: b\r\n\r\n"), first, len, scan;

	(void)state;
	for (first = 0; first < end; first++) {
		scan = 0;
		assert_int_equal(response_find_end(head, first, &scan), 0);
		assert_int_equal(response_find_end(head, sizeof(head) - 1, &scan), end);
		scan = 0;
		for (len = first; len < end; len++)
			assert_int_equal(response_find_end(head, len, &scan), 0);
		assert_int_equal(response_find_end(head, end, &scan), end);
	}
}

static void test_which_responses_have_a_body(void **state)
{
	struct http_response res = { .status = 200 };

	(void)state;
	assert_true(response_has_body(&res, false));
	assert_false(response_has_body(&res, true));
	res.status = 204;
	assert_false(response_has_body(&res, false));
	res.status = 304;
	assert_false(response_has_body(&res, false));
	res.status = 404;
	assert_true(response_has_body(&res, false));
}

/* ---- requests -------------------------------------------------------------------- */

static const struct http_request plain = {
	.method = "GET",
	.host = "10.0.0.1",
	.port = 80,
	.authority = "store.example:8080",
	.target = "/b/k?x=1",
};

static void expect_request(const struct http_request *req, const char *expected)
{
	struct strbuf out;

	assert_int_equal(reqhead_write(req, &out), 0);
	assert_string_equal(strbuf_str(&out), expected);
	strbuf_wipe(&out);
}

static void test_requests_are_written_with_their_headers(void **state)
{
	const struct http_header headers[] = { { "Range", "bytes=0-9" },
					       { "host", "store.example:8080" },
					       { "Authorization", "OSS4 x" } };
	struct http_request req = plain;

	(void)state;
	expect_request(&req, "GET /b/k?x=1 HTTP/1.1\r\nHost: store.example:8080\r\n\r\n");
	req.headers = headers;
	req.nr_headers = 3;
	expect_request(&req, "GET /b/k?x=1 HTTP/1.1\r\nHost: store.example:8080\r\n"
			     "Range: bytes=0-9\r\nAuthorization: OSS4 x\r\n\r\n");
	req.nr_headers = 0;
	req.method = "POST";
	expect_request(&req, "POST /b/k?x=1 HTTP/1.1\r\nHost: store.example:8080\r\n"
			     "Content-Length: 0\r\n\r\n");
	req.method = "PUT";
	req.body = "abc";
	req.body_len = 3;
	expect_request(&req, "PUT /b/k?x=1 HTTP/1.1\r\nHost: store.example:8080\r\n"
			     "Content-Length: 3\r\n\r\nabc");
}

static void test_requests_that_would_not_be_one_are_refused(void **state)
{
	static const struct http_header bad_headers[] = {
		{ "A", "b\r\nC: d" }, { "A", "b\n" },	    { "A:", "b" },
		{ "", "b" },	      { "A b", "c" },	    { "Transfer-Encoding", "chunked" },
		{ "Host", "other" },  { "A", "\x01 bell" },
	};
	struct http_request req = plain;
	struct strbuf out;
	char *longest;
	size_t i;

	(void)state;
	req.nr_headers = 1;
	for (i = 0; i < sizeof(bad_headers) / sizeof(bad_headers[0]); i++) {
		req.headers = &bad_headers[i];
		assert_int_equal(reqhead_write(&req, &out), -EINVAL);
	}
	req = plain;
	req.target = "/k HTTP/1.1\r\nX: y";
	assert_int_equal(reqhead_write(&req, &out), -EINVAL);
	req.target = "/k\xc3\xa9";
	assert_int_equal(reqhead_write(&req, &out), -EINVAL);
	longest = malloc(REQHEAD_MAX + 1);
	memset(longest, 'x', REQHEAD_MAX);
	longest[REQHEAD_MAX] = '\0';
	req.target = longest;
	assert_int_equal(reqhead_write(&req, &out), -E2BIG);
	free(longest);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields_are_found_without_regard_to_case),
		cmocka_unit_test(test_a_reason_is_not_needed),
		cmocka_unit_test(test_bad_status_lines_are_refused),
		cmocka_unit_test(test_bad_header_lines_are_refused),
		cmocka_unit_test(test_framing_must_be_unambiguous),
		cmocka_unit_test(test_keep_alive_follows_version_and_connection),
		cmocka_unit_test(test_the_number_of_headers_is_bounded),
		cmocka_unit_test(test_the_end_of_a_head_is_found_however_it_is_cut),
		cmocka_unit_test(test_which_responses_have_a_body),
		cmocka_unit_test(test_requests_are_written_with_their_headers),
		cmocka_unit_test(test_requests_that_would_not_be_one_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
