#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <strings.h>

#include <cmocka.h>

#include "daemon/oss/digest.h"
#include "test/unit/vectors_sign.h"

/* Every step that the vector has, against the step that was made. */
static void check_steps(const struct sign_case *c, const struct jv *expected)
{
	const char *request = strbuf_str(&c->trace.canonical_request);
	static const char *const keys[] = { "key_date", "key_region", "key_product",
					    "signing_key" };
	unsigned char hash[DIGEST_SHA256_LEN];
	int i;

	assert_string_equal(request, jv_str(expected, "canonical_request"));
	assert_int_equal(digest_sha256(request, strlen(request), hash), 0);
	assert_hex(hash, sizeof(hash), jv_str(expected, "canonical_request_sha256"));
	assert_string_equal(c->trace.scope, jv_str(expected, "scope"));
	assert_string_equal(strbuf_str(&c->trace.string_to_sign),
			    jv_str(expected, "string_to_sign"));
	for (i = 0; i < 4; i++)
		assert_hex(c->trace.key[i], 32, jv_str(expected, keys[i]));
	assert_string_equal(c->trace.signature, jv_str(expected, "signature"));
}

static void check_header_vector(const struct jv *v)
{
	const struct jv *input = jv_get(v, "input"), *expected = jv_get(v, "expected"), *m;
	struct signature s;
	struct sign_case c;

	sign_case_init(&c, input, jv_str(input, "security_token"));
	assert_int_equal(sign_v4.sign(&c.req, c.cred, &s), 0);
	check_steps(&c, expected);
	assert_string_equal(signature_header(&s, "Authorization"),
			    jv_str(expected, "authorization"));
	jv_each(m, jv_get(expected, "wire_headers_added"))
	{
		if (strcasecmp(m->name, "Date") != 0 && strcasecmp(m->name, "Authorization") != 0)
			assert_string_equal(signature_header(&s, m->name), m->str);
	}
	signature_fini(&s);
	sign_case_fini(&c);
}

static void test_every_header_vector_comes_out_step_by_step(void **state)
{
	struct jv *file = jv_load("v4_header.json"), *v;
	size_t nr = 0;

	(void)state;
	jv_each(v, jv_get(file, "vectors")) check_header_vector(v), nr++;
	jv_each(v, jv_get(file, "published")) check_header_vector(v), nr++;
	assert_int_equal(nr, 33);
	jv_free(file);
}

static void check_query_vector(const struct jv *v)
{
	const struct jv *input = jv_get(v, "input"), *expected = jv_get(v, "expected");
	struct strbuf query;
	struct sign_case c;

	sign_case_init(&c, input, jv_str(input, "security_token"));
	strbuf_init(&query, SIGN_MAX_BYTES);
	assert_int_equal(sign_v4.sign_query(&c.req, c.cred, &query), 0);
	check_steps(&c, expected);
	assert_same_query(strbuf_str(&query), jv_str(expected, "wire_query"));
	strbuf_fini(&query);
	sign_case_fini(&c);
}

static void test_every_presigned_vector_comes_out_step_by_step(void **state)
{
	struct jv *file = jv_load("v4_presigned.json"), *v;
	size_t nr = 0;

	(void)state;
	jv_each(v, jv_get(file, "vectors")) check_query_vector(v), nr++;
	jv_each(v, jv_get(file, "published")) check_query_vector(v), nr++;
	assert_int_equal(nr, 12);
	jv_free(file);
}

static void test_range_and_if_match_leave_the_signature_alone(void **state)
{
	struct http_header headers[3] = { { "x-oss-range-behavior", "standard" },
					  { "Range", "bytes=0-9" },
					  { "If-Match", "\"A\"" } };
	struct sign_request req = {
		.method = "GET",
		.bucket = "model-bucket",
		.key = "a/b",
		.headers = headers,
		.nr_headers = 3,
		.region = "cn-hangzhou",
		.product = "oss",
		.unix_time = 1767323045,
	};
	struct signature a, b;
	struct cred *cred;

	(void)state;
	assert_int_equal(cred_new("ak", "sk", NULL, 0, &cred), 0);
	assert_int_equal(sign_v4.sign(&req, cred, &a), 0);
	headers[1].value = "bytes=10-19";
	headers[2].value = "\"B\"";
	assert_int_equal(sign_v4.sign(&req, cred, &b), 0);
	assert_string_equal(signature_header(&a, "Authorization"),
			    signature_header(&b, "Authorization"));
	headers[0].value = "other";
	signature_fini(&b);
	assert_int_equal(sign_v4.sign(&req, cred, &b), 0);
	assert_string_not_equal(signature_header(&a, "Authorization"),
				signature_header(&b, "Authorization"));
	signature_fini(&a);
	signature_fini(&b);
	cred_unref(cred);
}

static void test_too_many_headers_are_an_error_and_not_a_wrong_signature(void **state)
{
	struct http_header headers[CANON_MAX_HEADERS + 1];
	struct sign_request req = {
		.method = "GET",
		.bucket = "model-bucket",
		.headers = headers,
		.nr_headers = CANON_MAX_HEADERS + 1,
		.region = "cn-hangzhou",
		.product = "oss",
	};
	struct signature s;
	struct cred *cred;
	size_t i;

	(void)state;
	for (i = 0; i <= CANON_MAX_HEADERS; i++)
		headers[i] = (struct http_header){ "x-oss-meta-a", "1" };
	assert_int_equal(cred_new("ak", "sk", NULL, 0, &cred), 0);
	assert_int_equal(sign_v4.sign(&req, cred, &s), -E2BIG);
	cred_unref(cred);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_header_vector_comes_out_step_by_step),
		cmocka_unit_test(test_every_presigned_vector_comes_out_step_by_step),
		cmocka_unit_test(test_range_and_if_match_leave_the_signature_alone),
		cmocka_unit_test(test_too_many_headers_are_an_error_and_not_a_wrong_signature),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
