/* What the environment asks of the preload library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/preload/conf.c"

#include <string.h>

static struct conf conf;

static char values[16][5000]; /* conf points into them */

static const char *judge_env(const char *const *envp)
{
	char *copy[17] = { NULL };
	const char *wrong;
	unsigned i;

	for (i = 0; i < 16 && envp[i] != NULL; i++)
		copy[i] = strcpy(values[i], envp[i]);

	memset(&conf, 0xff, sizeof(conf));
	conf_read(copy, &conf, &wrong);
	return wrong;
}

static void test_without_enable_connector_it_is_off(void **state)
{
	const char *nothing[] = { NULL };
	const char *zero[] = { "ENABLE_CONNECTOR=0", "MODEL_DIR=/m", NULL };

	(void)state;
	assert_null(judge_env(nothing));
	assert_int_equal(conf.role, CONF_OFF);
	assert_int_equal(conf.model_dir_len, 0);
	assert_null(judge_env(zero));
	assert_int_equal(conf.role, CONF_OFF);
}

static void test_a_primary_is_read(void **state)
{
	const char *env[] = {
		"ENABLE_CONNECTOR=1",
		"MODEL_DIR=//srv/./model//",
		"OSS_PATH=oss://bucket/p/",
		"OSS_ACCESS_KEY_ID=ak",
		"OSS_ACCESS_KEY_SECRET=sk",
		"HTTP_SOURCE_IP=10.0.0.1",
		"OSS_ENDPOINT=",
		NULL,
	};

	(void)state;
	assert_null(judge_env(env));
	assert_int_equal(conf.role, CONF_PRIMARY);
	assert_string_equal(conf.model_dir, "/srv/model");
	assert_int_equal(conf.model_dir_len, strlen("/srv/model"));
	assert_string_equal(conf.oss_path, "oss://bucket/p/");
	assert_string_equal(conf.access_key, "ak");
	assert_string_equal(conf.sources, "10.0.0.1");
	assert_null(conf.endpoint);
	assert_int_equal(conf.wait_ms, CONF_WAIT_SEC * 1000);
}

static void test_a_secondary_may_be_told_how_long_to_wait(void **state)
{
	const char *env[] = { "ENABLE_CONNECTOR=2", "MODEL_DIR=/m", "OSS_PATH=s3://b/",
			      "OSSC_WAIT_SEC=5", NULL };

	(void)state;
	assert_null(judge_env(env));
	assert_int_equal(conf.role, CONF_SECONDARY);
	assert_int_equal(conf.wait_ms, 5000);
}

/* Each of these says what is wrong, and leaves the library off. */
static void assert_refused(const char *const *env, const char *word)
{
	const char *wrong = judge_env(env);

	assert_non_null(wrong);
	assert_non_null(strstr(wrong, word));
	assert_int_equal(conf.role, CONF_OFF);
	assert_int_equal(conf.model_dir_len, 0);
}

static void test_wrong_settings_are_named(void **state)
{
	const char *role[] = { "ENABLE_CONNECTOR=3", NULL };
	const char *word[] = { "ENABLE_CONNECTOR=10", NULL };
	const char *no_dir[] = { "ENABLE_CONNECTOR=1", "OSS_PATH=oss://b/", NULL };
	const char *relative[] = { "ENABLE_CONNECTOR=1", "OSS_PATH=oss://b/", "MODEL_DIR=m", NULL };
	const char *root[] = { "ENABLE_CONNECTOR=1", "OSS_PATH=oss://b/", "MODEL_DIR=//./", NULL };
	const char *no_path[] = { "ENABLE_CONNECTOR=1", "MODEL_DIR=/m", NULL };
	const char *scheme[] = { "ENABLE_CONNECTOR=1", "OSS_PATH=http://b/", "MODEL_DIR=/m", NULL };
	const char *half[] = { "ENABLE_CONNECTOR=1", "OSS_PATH=oss://b/", "MODEL_DIR=/m",
			       "OSS_ACCESS_KEY_ID=ak", NULL };
	const char *wait[] = { "ENABLE_CONNECTOR=2", "OSS_PATH=oss://b/", "MODEL_DIR=/m",
			       "OSSC_WAIT_SEC=1s", NULL };

	(void)state;
	assert_refused(role, "ENABLE_CONNECTOR");
	assert_refused(word, "ENABLE_CONNECTOR");
	assert_refused(no_dir, "MODEL_DIR");
	assert_refused(relative, "MODEL_DIR");
	assert_refused(root, "MODEL_DIR");
	assert_refused(no_path, "OSS_PATH");
	assert_refused(scheme, "OSS_PATH");
	assert_refused(half, "OSS_ACCESS_KEY_SECRET");
	assert_refused(wait, "OSSC_WAIT_SEC");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_without_enable_connector_it_is_off),
		cmocka_unit_test(test_a_primary_is_read),
		cmocka_unit_test(test_a_secondary_may_be_told_how_long_to_wait),
		cmocka_unit_test(test_wrong_settings_are_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
