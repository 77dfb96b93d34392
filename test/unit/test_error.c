#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/oss/endpoint.h"
#include "daemon/oss/error.h"
#include "daemon/oss/result.h"
#include "test/unit/json.h"

static const struct oss_endpoint endpoint = {
	.dialect = OSS_DIALECT_OSS,
	.host = "oss-cn-hangzhou.aliyuncs.com",
	.region = "cn-hangzhou",
	.product = "oss",
};

static const struct oss_subject subject = { &endpoint, "model-bucket", "models/a", false };

/* The words of the vectors, as what this code does then. */
static void check_action(const char *wanted, const struct oss_result *res, enum oss_remedy remedy)
{
	static const struct {
		const char *word;
		enum oss_action action;
		enum oss_remedy remedy;
		int error;
	} meanings[] = {
		{ "not_found", OSS_FATAL, OSS_REMEDY_NONE, -ENOENT },
		{ "fatal_config", OSS_FATAL, OSS_REMEDY_NONE, 0 },
		{ "fatal", OSS_FATAL, OSS_REMEDY_NONE, 0 },
		{ "refresh_credentials_once_then_fatal", OSS_RETRY_NOW, OSS_REMEDY_REFRESH,
		  -EACCES },
		{ "refresh_credentials_and_retry", OSS_RETRY_NOW, OSS_REMEDY_AWAIT, -EACCES },
		{ "resign_once_then_fatal", OSS_RETRY_NOW, OSS_REMEDY_RESIGN, -EACCES },
		{ "adjust_clock_offset_and_retry", OSS_RETRY_NOW, OSS_REMEDY_CLOCK, -EACCES },
		{ "object_changed", OSS_FATAL, OSS_REMEDY_NONE, -ESTALE },
		{ "needs_restore", OSS_FATAL, OSS_REMEDY_NONE, -EACCES },
		{ "retry_backoff_1s", OSS_RETRY_SLOW, OSS_REMEDY_NONE, -EIO },
		{ "retry_new_connection", OSS_RETRY, OSS_REMEDY_NONE, -ETIMEDOUT },
		{ "retry", OSS_RETRY, OSS_REMEDY_NONE, -EIO },
	};
	size_t i;

	if (strcmp(wanted, "retry_backoff") == 0) { /* 500 and 503 alike in the vectors */
		assert_int_equal(res->action, res->status == 503 ? OSS_RETRY_SLOW : OSS_RETRY);
		assert_int_equal(res->error, -EIO);
		return;
	}
	for (i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
		if (strcmp(meanings[i].word, wanted) != 0)
			continue;
		assert_int_equal(res->action, meanings[i].action);
		assert_int_equal(remedy, meanings[i].remedy);
		if (meanings[i].error != 0)
			assert_int_equal(res->error, meanings[i].error);
		assert_true(res->error < 0);
		return;
	}
	fail_msg("the vectors ask for \"%s\"", wanted);
}

static void check_case(const struct jv *c, const struct oss_error *e)
{
	struct oss_result res = { .error = 0 };
	enum oss_remedy remedy;

	assert_string_equal(e->code, jv_str(c, "code"));
	assert_string_equal(e->message, jv_str(c, "message"));
	assert_string_equal(e->request_id, jv_str(c, "request_id"));
	assert_string_equal(e->ec, jv_str(c, "ec"));
	remedy = oss_result_refuse(&res, &subject, (int)jv_int(c, "status"), e);
	check_action(jv_str(c, "client_action"), &res, remedy);
	assert_int_equal(res.status, jv_int(c, "status"));
	assert_string_equal(res.code, e->code);
	assert_non_null(strstr(res.text, "oss://model-bucket/models/a: "));
	assert_non_null(strstr(res.text, e->code));
	assert_non_null(strstr(res.text, e->request_id));
	assert_null(strchr(res.text, '\n'));
}

static void test_every_error_answer_is_read_and_judged(void **state)
{
	struct jv *file = jv_load("errors_xml.json"), *c;
	struct oss_error e;
	size_t nr = 0;

	(void)state;
	jv_each(c, jv_get(file, "cases"))
	{
		const struct jv *body = jv_get(c, "body");

		assert_int_equal(oss_error_parse(body->str, body->len, &e), 0);
		check_case(c, &e);
		assert_int_equal(oss_error_parse_header(jv_str(c, "head_x_oss_err_base64"), &e), 0);
		check_case(c, &e);
		nr++;
	}
	assert_int_equal(nr, 27);
	jv_free(file);
}

static void test_the_s3_form_is_read_too(void **state)
{
	struct jv *file = jv_load("errors_xml.json");
	const char *body = jv_str(jv_get(file, "s3_variant"), "body");
	struct oss_error e;

	(void)state;
	assert_int_equal(oss_error_parse(body, strlen(body), &e), 0);
	assert_string_equal(e.code, "NoSuchKey");
	assert_string_equal(e.request_id, "4442587FB7D0A2F9");
	jv_free(file);
}

static void test_the_text_says_what_to_do(void **state)
{
	static const struct {
		int status;
		struct oss_error e;
		const char *part;
	} rows[] = {
		{ 403, { .code = "InvalidObjectState" }, "is archived: restore it first" },
		{ 403, { .code = "SignatureDoesNotMatch" }, "check OSS_ACCESS_KEY_SECRET" },
		{ 403, { .code = "InvalidAccessKeyId" }, "check OSS_ACCESS_KEY_ID" },
		{ 403, { .code = "RequestTimeTooSkewed" }, "clock" },
		{ 403, { .code = "SecurityTokenExpired" }, "put a new one" },
		{ 403,
		  { .code = "AccessDenied", .endpoint = "oss-cn-beijing.aliyuncs.com" },
		  "set OSS_ENDPOINT to it" },
		{ 403,
		  { .code = "AccessDenied", .endpoint = "oss-cn-beijing.aliyuncs.com" },
		  "oss-cn-beijing.aliyuncs.com" },
		{ 400,
		  { .code = "AuthorizationHeaderMalformed", .region = "eu-west-1" },
		  "the bucket is in the region eu-west-1: set OSS_REGION to it" },
		{ 400,
		  { .code = "InvalidArgument",
		    .message = "Invalid signing region in Authorization header." },
		  "correct OSS_REGION" },
		{ 404, { .code = "NoSuchBucket" }, "there is no such bucket: check OSS_PATH" },
		{ 412, { .code = "" }, "was replaced in the store" },
		{ 403, { .code = "SecondLevelDomainForbidden" }, "virtual" },
		{ 301, { .code = "" }, "elsewhere" },
		{ 502, { .code = "" }, "fault of its own" },
	};
	struct oss_result res;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&res, 0, sizeof(res));
		(void)oss_result_refuse(&res, &subject, rows[i].status, &rows[i].e);
		if (strstr(res.text, rows[i].part) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", res.text, rows[i].part);
	}
}

static void test_what_is_no_error_document_leaves_the_status_alone(void **state)
{
	static const char *const bodies[] = {
		"",
		"<html><body>502 Bad Gateway</body></html>",
		"<Error><Code>NoSuchKey</Code>",
		"<Error><Message>m</Message></Error>",
		"not XML",
		"<!DOCTYPE e [<!ENTITY a \"b\">]><Error><Code>&a;</Code></Error>",
		"<Error><a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a></Error>",
	};
	struct oss_error e;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		assert_int_equal(oss_error_parse(bodies[i], strlen(bodies[i]), &e), -EPROTO);
		assert_string_equal(e.code, "");
		assert_string_equal(e.message, "");
	}
	assert_int_equal(oss_error_parse_header("%%%", &e), -EPROTO);
	assert_int_equal(oss_error_parse_header("aGVsbG8=", &e), -EPROTO);
}

static void test_texts_from_outside_stay_bounded_and_on_one_line(void **state)
{
	char xml[2000], long_text[1200];
	struct oss_result res = { .error = 0 };
	struct oss_subject s = subject;
	struct oss_error e;

	(void)state;
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	snprintf(xml, sizeof(xml),
		 "<Error><Code>A\nB</Code><Message>%s</Message><Endpoint>e\n2026 ERROR "
		 "forged</Endpoint></Error>",
		 long_text);
	assert_int_equal(oss_error_parse(xml, strlen(xml), &e), 0);
	assert_string_equal(e.code, "A B");
	assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
	assert_null(strchr(e.endpoint, '\n'));

	s.key = "a\nb\x7f";
	(void)oss_result_refuse(&res, &s, 500, &e);
	assert_null(strchr(res.text, '\n'));
	assert_non_null(strstr(res.text, "a?b?"));
	s.key = long_text;
	(void)oss_result_refuse(&res, &s, 500, &e);
	assert_true(strlen(res.text) < sizeof(res.text));
	assert_non_null(strstr(res.text, "xxx...: "));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_error_answer_is_read_and_judged),
		cmocka_unit_test(test_the_s3_form_is_read_too),
		cmocka_unit_test(test_the_text_says_what_to_do),
		cmocka_unit_test(test_what_is_no_error_document_leaves_the_status_alone),
		cmocka_unit_test(test_texts_from_outside_stay_bounded_and_on_one_line),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
