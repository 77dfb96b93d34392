#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/oss/date.h"
#include "daemon/oss/digest.h"
#include "daemon/oss/sign_v4.h"
#include "test/unit/vectors_sign.h"

/* The S3 vectors give a path where OSS ones give bucket and key. */
static void from_path(struct sign_case *c, const char *path)
{
	assert_true(path[0] == '/');
	c->req.bucket = NULL;
	c->req.key = path + 1;
}

static void check_steps(const struct sign_case *c, const struct jv *expected)
{
	assert_string_equal(strbuf_str(&c->trace.canonical_request),
			    jv_str(expected, "canonical_request"));
	assert_string_equal(c->trace.scope, jv_str(expected, "scope"));
	assert_string_equal(strbuf_str(&c->trace.string_to_sign),
			    jv_str(expected, "string_to_sign"));
	assert_hex(c->trace.key[3], 32, jv_str(expected, "signing_key"));
	assert_string_equal(c->trace.signature, jv_str(expected, "signature"));
}

static void check_vector(const struct jv *v)
{
	const struct jv *input = jv_get(v, "input"), *expected = jv_get(v, "expected");
	bool presigned = jv_str(input, "expires_seconds") != NULL;
	const char *request = jv_str(expected, "canonical_request");
	struct strbuf query;
	struct signature s;
	struct sign_case c;
	size_t i;

	sign_case_init(&c, input, jv_str(input, "session_token"));
	from_path(&c, jv_str(input, "path"));
	c.req.host = jv_str(input, "host");
	c.req.product = jv_str(input, "service");
	c.req.payload_hash = jv_str(input, "payload_hash");
	/* Some vectors sign Range and Date, some send them unsigned. */
	for (i = 0; i < c.req.nr_headers; i++) {
		if (strstr(request, "range:") != NULL || strstr(request, "date:Fri") != NULL)
			c.also_signed[c.req.nr_also_signed++] = c.headers[i].name;
	}
	if (presigned) {
		strbuf_init(&query, SIGN_MAX_BYTES);
		assert_int_equal(sign_s3.sign_query(&c.req, c.cred, &query), 0);
		assert_same_query(strbuf_str(&query), jv_str(expected, "wire_query"));
		strbuf_fini(&query);
	} else {
		assert_int_equal(sign_s3.sign(&c.req, c.cred, &s), 0);
		assert_string_equal(signature_header(&s, "Authorization"),
				    jv_str(expected, "authorization"));
		signature_fini(&s);
	}
	check_steps(&c, expected);
	sign_case_fini(&c);
}

static void test_every_vector_comes_out(void **state)
{
	struct jv *file = jv_load("s3_sigv4.json"), *v;

	(void)state;
	jv_each(v, jv_get(file, "vectors")) check_vector(v);
	assert_int_equal(jv_count(jv_get(file, "vectors")), 15);
	jv_free(file);
}

static void test_a_bucket_in_the_path_is_signed_and_one_in_the_host_is_not(void **state)
{
	struct sign_trace trace;
	struct sign_request req = {
		.method = "GET",
		.bucket = "model-bucket",
		.key = "k",
		.host = "h",
		.region = "us-east-1",
		.product = "s3",
		.trace = &trace,
	};
	struct signature s;
	struct cred *cred;
	int in_path;

	(void)state;
	assert_int_equal(cred_new("ak", "sk", NULL, 0, &cred), 0);
	for (in_path = 0; in_path < 2; in_path++) {
		sign_trace_init(&trace);
		req.bucket_in_path = in_path == 1;
		assert_int_equal(sign_s3.sign(&req, cred, &s), 0);
		assert_non_null(strstr(strbuf_str(&trace.canonical_request),
				       in_path ? "GET\n/model-bucket/k\n" : "GET\n/k\n"));
		signature_fini(&s);
		sign_trace_fini(&trace);
	}
	cred_unref(cred);
}

/* ---- the suite of aws-c-auth: another service, whose paths are encoded twice ------------- */

/* Dot segments and doubled slashes go, as every service but S3 has it. */
static void normalize(char *path)
{
	char *out[64], *save = NULL, *part, copy[512];
	bool ends_in_slash = path[strlen(path) - 1] == '/';
	size_t nr = 0, i, used = 0;

	strcpy(copy, path);
	for (part = strtok_r(copy, "/", &save); part != NULL; part = strtok_r(NULL, "/", &save)) {
		if (strcmp(part, ".") == 0)
			continue;
		if (strcmp(part, "..") == 0)
			nr -= nr > 0;
		else
			out[nr++] = part;
	}
	path[0] = '/';
	path[1] = '\0';
	for (i = 0; i < nr; i++)
		used += (size_t)sprintf(path + used, "/%s", out[i]);
	if (ends_in_slash && nr > 0)
		strcpy(path + used, "/");
}

/* name=value&..., each decoded, into the case's parameters. */
static void add_query(struct sign_case *c, char *query)
{
	char *save = NULL, *part, *value;

	for (part = strtok_r(query, "&", &save); part != NULL; part = strtok_r(NULL, "&", &save)) {
		value = strchr(part, '=');
		if (value != NULL)
			*value++ = '\0';
		canon_decode(part, false);
		if (value != NULL)
			canon_decode(value, false);
		c->query[c->req.nr_query++] = (struct oss_param){ part, value };
	}
}

struct suite_case {
	struct sign_case c;
	struct sign_dialect dialect;
	char target[512], payload[DIGEST_HEX_LEN], host[128];
};

static void suite_case_init(struct suite_case *s, const struct jv *v)
{
	struct sign_case *c = &s->c;
	unsigned char hash[DIGEST_SHA256_LEN];
	const char *body = jv_str(v, "body"), *token = jv_str(v, "token");
	char *query;
	struct jv *m;

	memset(s, 0, sizeof(*s));
	s->dialect = sign_dialect_s3;
	if (!jv_truth(v, "sign_body"))
		s->dialect.payload_header = NULL;
	sign_trace_init(&c->trace);
	c->req = (struct sign_request){
		.method = jv_str(v, "method"),
		.query = c->query,
		.headers = c->headers,
		.also_signed = c->also_signed,
		.region = jv_str(v, "region"),
		.product = jv_str(v, "service"),
		.payload_hash = s->payload,
		.host = s->host,
		.expires_s = (unsigned)jv_int(v, "expires"),
		.trace = &c->trace,
	};
	assert_int_equal(date_parse_iso(jv_str(v, "timestamp"), &c->req.unix_time), 0);
	assert_int_equal(digest_sha256(body, strlen(body), hash), 0);
	digest_hex(hash, s->payload);

	strcpy(s->target, jv_str(v, "target"));
	query = strchr(s->target, '?');
	if (query != NULL) {
		*query = '\0';
		add_query(c, query + 1);
	}
	if (jv_truth(v, "normalize"))
		normalize(s->target);
	c->req.key = s->target + 1;
	jv_each(m, jv_get(v, "headers"))
	{
		const char *name = m->child->str, *value = m->child->next->str;

		if (strcmp(name, "host") == 0) {
			strcpy(s->host, value);
			continue;
		}
		c->headers[c->req.nr_headers++] = (struct http_header){ name, value };
		c->also_signed[c->req.nr_also_signed++] = name;
	}
	if (jv_truth(v, "omit_session_token"))
		token = NULL;
	assert_int_equal(cred_new("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY", token,
				  0, &c->cred),
			 0);
}

static void check_suite_case(const struct jv *v)
{
	struct suite_case s;
	struct signature signature;
	struct strbuf query;

	suite_case_init(&s, v);
	if (s.c.req.expires_s == 0) {
		assert_int_equal(sign_v4_headers(&s.dialect, &s.c.req, s.c.cred, &signature), 0);
		signature_fini(&signature);
	} else {
		strbuf_init(&query, SIGN_MAX_BYTES);
		assert_int_equal(sign_v4_query(&s.dialect, &s.c.req, s.c.cred, &query), 0);
		strbuf_fini(&query);
	}
	if (strcmp(s.c.trace.signature, jv_str(v, "signature")) != 0)
		fail_msg("%s: %s", jv_str(v, "name"), strbuf_str(&s.c.trace.canonical_request));
	sign_case_fini(&s.c);
}

static void test_every_case_of_the_general_suite_comes_out(void **state)
{
	struct jv *file = jv_load("s3_sigv4.json"), *v;

	(void)state;
	jv_each(v, jv_get(file, "aws_suite")) check_suite_case(v);
	assert_int_equal(jv_count(jv_get(file, "aws_suite")), 76);
	jv_free(file);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_vector_comes_out),
		cmocka_unit_test(test_a_bucket_in_the_path_is_signed_and_one_in_the_host_is_not),
		cmocka_unit_test(test_every_case_of_the_general_suite_comes_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
