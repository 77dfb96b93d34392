#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "common/strbuf.h"
#include "daemon/oss/canon.h"
#include "daemon/oss/cred.h"
#include "daemon/oss/digest.h"
#include "test/unit/json.h"

static struct cred *parse(const char *text)
{
	struct cred *c = NULL;
	char err[256] = "";

	if (cred_parse(text, strlen(text), &c, err, sizeof(err)) != 0)
		fail_msg("refused: %s", err);
	return c;
}

static void assert_temporary(const char *text, int64_t expiry)
{
	struct cred *c = parse(text);

	assert_string_equal(cred_id(c), "STS.TestTempAk0001");
	assert_string_equal(cred_secret(c), "TestTempSecret0001");
	assert_string_equal(cred_token(c), "CAISTestToken+/==");
	assert_int_equal(cred_expiry(c), expiry);
	cred_unref(c);
}

static void test_every_published_form_that_holds_keys_is_read(void **state)
{
	struct jv *file = jv_load("credentials.json");
	int64_t expiry = jv_int(file, "expiration_unix");
	struct cred *c;

	(void)state;
	assert_temporary(jv_str(file, "connector_file"), expiry);
	assert_temporary(jv_str(file, "process_output_oss_sdk"), expiry);
	assert_temporary(jv_str(file, "process_output_cli"), expiry);
	assert_temporary(jv_str(jv_get(file, "credentials_uri_response"), "body"), expiry);
	assert_temporary(jv_str(jv_get(jv_get(file, "imds"), "cred_response"), "body"), expiry);
	assert_temporary(jv_str(file, "cli_config"), CRED_EXPIRY_NEVER);

	c = parse(jv_str(file, "ini_file"));
	assert_string_equal(cred_id(c), "LTAI5tTestAccessKeyId0001");
	assert_string_equal(cred_secret(c), "TestSecret0123456789abcdefABCDEF");
	assert_null(cred_token(c));
	cred_unref(c);
	jv_free(file);
}

static void test_a_failure_reported_in_the_file_is_not_taken_for_keys(void **state)
{
	struct jv *file = jv_load("credentials.json"), *e;
	struct cred *c = NULL;
	char err[256];
	int nr = 0;

	(void)state;
	jv_each(e, jv_get(jv_get(file, "imds"), "errors"))
	{
		if (jv_str(e, "body") == NULL)
			continue;
		assert_int_equal(cred_parse(jv_str(e, "body"), strlen(jv_str(e, "body")), &c, err,
					    sizeof(err)),
				 -EINVAL);
		assert_non_null(strstr(err, "Code is not Success"));
		nr++;
	}
	assert_true(nr > 0);
	assert_null(c);
	jv_free(file);
}

/* The signature of AssumeRole, as far as what it is made of exists here. */
static void test_rpc_signatures_come_out_of_the_same_parts(void **state)
{
	struct jv *file = jv_load("credentials.json"), *v, *p;
	struct oss_param params[CANON_MAX_PARAMS];
	unsigned char hash[DIGEST_SHA1_LEN];
	char signature[DIGEST_BASE64_LEN], key[128];
	struct strbuf query, to_sign;
	size_t nr;

	(void)state;
	jv_each(v, jv_get(file, "rpc_signature"))
	{
		nr = 0;
		jv_each(p, jv_get(v, "params")) params[nr++] =
			(struct oss_param){ p->name, p->str };
		strbuf_init(&query, 4096);
		strbuf_init(&to_sign, 8192);
		assert_int_equal(canon_query(&query, params, nr, true), 0);
		assert_string_equal(strbuf_str(&query), jv_str(v, "canonical_query"));
		strbuf_addf(&to_sign, "%s&%%2F&", jv_str(v, "method"));
		canon_encode(&to_sign, strbuf_str(&query), strbuf_len(&query), false);
		assert_string_equal(strbuf_str(&to_sign), jv_str(v, "string_to_sign"));
		snprintf(key, sizeof(key), "%s&", jv_str(v, "access_key_secret"));
		assert_int_equal(digest_hmac_sha1(key, strlen(key), strbuf_str(&to_sign),
						  strbuf_len(&to_sign), hash),
				 0);
		digest_base64(hash, signature);
		assert_string_equal(signature, jv_str(v, "signature"));
		strbuf_fini(&query);
		strbuf_fini(&to_sign);
	}
	jv_free(file);
}

#define KEYS "\"AccessKeyId\":\"id\",\"AccessKeySecret\":\"secret\""

static void test_json_in_any_legal_layout_is_read(void **state)
{
	static const char *const texts[] = {
		"{" KEYS "}",
		"\xef\xbb\xbf \r\n{\n\t" KEYS "\n}\n\n",
		"{" KEYS ",\"SecurityToken\":null,\"Expiration\":null}",
		"{" KEYS ",\"SecurityToken\":\"\"}",
		"{\"x\":{\"y\":[1,2,{\"z\":null}]},\"n\":-1.5e3,\"t\":true," KEYS "}",
		"{\"AccessKeyId\":\"i\\u0064\",\"AccessKeySecret\":\"se\\u0063ret\"}",
		"{\"note\":\"\\ud83d\\ude00 \\\\ud83d\"," KEYS "}",
		"{\"note\":\"a\\/b\"," KEYS "}",
	};
	struct cred *c;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		c = parse(texts[i]);
		assert_string_equal(cred_id(c), "id");
		assert_string_equal(cred_secret(c), "secret");
		assert_null(cred_token(c));
		assert_int_equal(cred_expiry(c), CRED_EXPIRY_NEVER);
		cred_unref(c);
	}
}

static void test_what_is_wrong_is_said_without_repeating_a_value(void **state)
{
	static const struct {
		const char *text, *part;
	} bad[] = {
		{ "", "empty" },
		{ " \n\t ", "empty" },
		{ "{", "not JSON" },
		{ "{" KEYS, "not JSON" },
		{ "{" KEYS "} {" KEYS "}", "not JSON" },
		{ "{" KEYS "}\n---\n{}", "after the JSON object" },
		{ "{\"AccessKeyId\":\"secret\"}", "no AccessKeySecret" },
		{ "{\"AccessKeySecret\":\"secret\"}", "no AccessKeyId" },
		{ "{" KEYS ",\"AccessKeyId\":\"secret\"}", "AccessKeyId twice" },
		{ "{" KEYS ",\"access_key_id\":\"secret\"}", "AccessKeyId twice" },
		{ "{\"AccessKeyId\":17,\"AccessKeySecret\":\"secret\"}",
		  "AccessKeyId stands without quotes" },
		{ "{\"AccessKeyId\":[\"secret\"]}", "AccessKeyId is not a string" },
		{ "{" KEYS ",\"Expiration\":\"tomorrow\"}", "Expiration is not a time" },
		{ "{\"AccessKeyId\":\"i d\",\"AccessKeySecret\":\"secret\"}", "blank" },
		{ "{\"AccessKeyId\":\"id\\n\",\"AccessKeySecret\":\"secret\"}", "blank" },
		{ "{\"AccessKeyId\":\"i\\u0000d\",\"AccessKeySecret\":\"secret\"}", "NUL" },
		{ "{\"note\":\"\\ud83d\"," KEYS "}", "half" },
		{ "{\"note\":\"\\ude00\"," KEYS "}", "half" },
		{ "{AccessKeyId: secret}", "without quotes" },
		{ "{\"AccessKeyId\": &a \"secret\", \"AccessKeySecret\": *a}", "only YAML has" },
		{ "{\"AccessKeyId\": !!str \"secret\"}", "only YAML has" },
		{ "{\"AccessKeyId\": 'secret'}", "only YAML has" },
		{ "{\"profiles\":["
		  "{\"name\":\"a\"," KEYS "}]}",
		  "is current" },
		{ "{\"current\":\"b\",\"profiles\":[{\"name\":\"a\"," KEYS "}]}", "is current" },
		{ "{\"profiles\":{}}", "profiles" },
		{ "{" KEYS ",\"mode\":\"EcsRamRole\"}", "type is none that is built" },
		{ "secret", "neither a JSON object nor an ini file" },
		{ "[other]\naccess_key_id = secret\n", "no section [default]" },
		{ "[default]\ntype = oidc_role_arn\n", "type is none that is built" },
		{ "[default]\naccess_key_id = id\n", "no AccessKeySecret" },
		{ "[default]\naccess_key_id = secret\naccess_key_id = secret\n", "twice" },
		{ "{\"a\":[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]," KEYS "}",
		  "nested too deeply" },
	};
	struct cred *c = NULL;
	char err[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		if (cred_parse(bad[i].text, strlen(bad[i].text), &c, err, sizeof(err)) != -EINVAL)
			fail_msg("row %zu was taken", i);
		if (strstr(err, bad[i].part) == NULL)
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err, bad[i].part);
		assert_null(strstr(err, "secret"));
	}
	assert_null(c);
}

static void test_sizes_are_bounded(void **state)
{
	struct cred *c = NULL;
	char *text = malloc(70000), err[256];

	(void)state;
	assert_non_null(text);
	memset(text, ' ', 69999);
	text[69999] = '\0';
	assert_int_equal(cred_parse(text, 69999, &c, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "64 KiB"));
	sprintf(text, "{" KEYS ",\"SecurityToken\":\"");
	memset(text + strlen(text), 't', CRED_TOKEN_MAX + 1);
	strcpy(text + strlen("{" KEYS ",\"SecurityToken\":\"") + CRED_TOKEN_MAX + 1, "\"}");
	assert_int_equal(cred_parse(text, strlen(text), &c, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "SecurityToken is too long"));
	assert_int_equal(cred_parse("a\0b", 3, &c, err, sizeof(err)), -EINVAL);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_published_form_that_holds_keys_is_read),
		cmocka_unit_test(test_a_failure_reported_in_the_file_is_not_taken_for_keys),
		cmocka_unit_test(test_rpc_signatures_come_out_of_the_same_parts),
		cmocka_unit_test(test_json_in_any_legal_layout_is_read),
		cmocka_unit_test(test_what_is_wrong_is_said_without_repeating_a_value),
		cmocka_unit_test(test_sizes_are_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
