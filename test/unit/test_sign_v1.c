#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "test/unit/vectors_sign.h"

static void check_vector(const struct jv *v)
{
	const struct jv *input = jv_get(v, "input"), *expected = jv_get(v, "expected");
	const char *expires = jv_str(input, "expires_unix");
	struct strbuf query;
	struct signature s;
	struct sign_case c;

	sign_case_init(&c, input, jv_str(input, "security_token"));
	if (expires == NULL) {
		assert_int_equal(sign_v1.sign(&c.req, c.cred, &s), 0);
		assert_string_equal(signature_header(&s, "Authorization"),
				    jv_str(expected, "authorization"));
		if (signature_header(&s, "Date") != NULL)
			assert_string_equal(signature_header(&s, "Date"),
					    jv_str(expected, "date_header"));
		signature_fini(&s);
	} else {
		strbuf_init(&query, SIGN_MAX_BYTES);
		c.req.expires_s = (unsigned)(jv_int(input, "expires_unix") - c.req.unix_time);
		assert_int_equal(sign_v1.sign_query(&c.req, c.cred, &query), 0);
		assert_same_query(strbuf_str(&query), jv_str(expected, "wire_query"));
		strbuf_fini(&query);
	}
	assert_string_equal(strbuf_str(&c.trace.string_to_sign),
			    jv_str(expected, "string_to_sign"));
	assert_string_equal(c.trace.signature, jv_str(expected, "signature"));
	if (jv_find(v, "published_signature") != NULL)
		assert_string_equal(c.trace.signature, jv_str(v, "published_signature"));
	sign_case_fini(&c);
}

static void test_every_vector_comes_out(void **state)
{
	struct jv *file = jv_load("v1.json"), *v;

	(void)state;
	jv_each(v, jv_get(file, "vectors")) check_vector(v);
	assert_int_equal(jv_count(jv_get(file, "vectors")), 16);
	jv_free(file);
}

/* The text that is signed with one parameter in the query. */
static void sign_with(const char *name, struct sign_trace *trace)
{
	struct oss_param query = { name, "v" };
	struct sign_request req = {
		.method = "GET",
		.bucket = "bucket",
		.key = "key",
		.query = &query,
		.nr_query = 1,
		.trace = trace,
	};
	struct signature s;
	struct cred *cred;

	assert_int_equal(cred_new("ak", "sk", NULL, 0, &cred), 0);
	assert_int_equal(sign_v1.sign(&req, cred, &s), 0);
	signature_fini(&s);
	cred_unref(cred);
}

static bool is_signed(const char *name)
{
	struct sign_trace trace;
	char want[128];
	bool found;

	sign_trace_init(&trace);
	sign_with(name, &trace);
	snprintf(want, sizeof(want), "/bucket/key?%s=v", name);
	found = strstr(strbuf_str(&trace.string_to_sign), want) != NULL;
	sign_trace_fini(&trace);
	return found;
}

static void test_exactly_the_listed_parameters_are_part_of_the_resource(void **state)
{
	static const char *const others[] = { "list-type",   "prefix",	     "delimiter",
					      "max-keys",    "marker",	     "start-after",
					      "fetch-owner", "encoding-type" };
	struct jv *file = jv_load("v1.json"), *v;
	size_t i;

	(void)state;
	jv_each(v, jv_get(file, "sub_resources_signed")) assert_true(is_signed(v->str));
	assert_true(is_signed("x-oss-process"));
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(is_signed(others[i]));
	jv_free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_vector_comes_out),
		cmocka_unit_test(test_exactly_the_listed_parameters_are_part_of_the_resource),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
