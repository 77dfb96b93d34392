#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/oss/retry.h"

#define MOST UINT32_MAX /* the random number that waits longest */

static void test_statuses_and_codes_map_as_the_table_says(void **state)
{
	static const struct {
		int status;
		const char *code;
		enum oss_action action;
		int error;
	} rows[] = {
		{ 200, NULL, OSS_DONE, 0 },
		{ 206, "", OSS_DONE, 0 },
		{ 400, "InvalidArgument", OSS_FATAL, -EIO },
		{ 400, "RequestTimeout", OSS_RETRY, -ETIMEDOUT },
		{ 400, "BadRequest", OSS_RETRY, -EIO },
		{ 400, "ExpiredToken", OSS_RETRY_NOW, -EACCES },
		{ 401, NULL, OSS_RETRY, -EACCES },
		{ 403, NULL, OSS_RETRY_NOW, -EACCES },
		{ 403, "UserDisable", OSS_FATAL, -EACCES },
		{ 403, "InDebt", OSS_FATAL, -EACCES },
		{ 403, "InvalidObjectState", OSS_FATAL, -EACCES },
		{ 404, NULL, OSS_FATAL, -ENOENT },
		{ 404, "NoSuchBucket", OSS_FATAL, -ENOENT },
		{ 405, "MethodNotAllowed", OSS_FATAL, -EIO },
		{ 408, NULL, OSS_RETRY, -ETIMEDOUT },
		{ 412, NULL, OSS_FATAL, -ESTALE },
		{ 416, "InvalidRange", OSS_FATAL, -ESTALE },
		{ 429, NULL, OSS_RETRY_SLOW, -EIO },
		{ 500, "InternalError", OSS_RETRY, -EIO },
		{ 500, NULL, OSS_RETRY, -EIO },
		{ 502, NULL, OSS_RETRY, -EIO },
		{ 503, NULL, OSS_RETRY_SLOW, -EIO },
		{ 503, "SlowDown", OSS_RETRY_SLOW, -EIO },
		{ 503, "SomeNewQpsLimitExceeded", OSS_RETRY_SLOW, -EIO },
		{ 504, NULL, OSS_RETRY, -ETIMEDOUT },
		{ 301, NULL, OSS_FATAL, -EIO },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct oss_verdict v = oss_classify(rows[i].status, rows[i].code);

		assert_int_equal(v.action, rows[i].action);
		assert_int_equal(v.error, rows[i].error);
	}
}

static void test_broken_connections_are_tried_again_and_bad_certificates_are_not(void **state)
{
	(void)state;
	assert_int_equal(oss_classify_transport(-ECONNRESET).action, OSS_RETRY);
	assert_int_equal(oss_classify_transport(-ECONNRESET).error, -EIO);
	assert_int_equal(oss_classify_transport(-EPROTO).action, OSS_RETRY);
	assert_int_equal(oss_classify_transport(-ETIMEDOUT).error, -ETIMEDOUT);
	assert_int_equal(oss_classify_transport(-ECONNREFUSED).error, -EHOSTUNREACH);
	assert_int_equal(oss_classify_transport(-ENOENT).error, -EHOSTUNREACH);
	assert_int_equal(oss_classify_transport(-EACCES).action, OSS_FATAL);
	assert_int_equal(oss_classify_transport(-ENOSPC).action, OSS_FATAL);
	assert_int_equal(oss_classify_transport(-ENOSPC).error, -ENOSPC);
}

static void test_the_backoff_doubles_to_its_cap_and_jitters_from_zero(void **state)
{
	static const int64_t most[] = { 199, 399, 799, 1599, 3199, 6399, 12799, 19999, 19999 };
	struct oss_retry_conf conf = { .budget_ms = 1000000 };
	struct oss_retry r;
	size_t i;

	(void)state;
	oss_retry_init(&r, &conf, 0);
	for (i = 0; i < sizeof(most) / sizeof(most[0]); i++)
		assert_int_equal(oss_retry_next(&r, OSS_RETRY, 0, 0, MOST), most[i]);
	oss_retry_init(&r, &conf, 0);
	for (i = 0; i < 5; i++)
		assert_int_equal(oss_retry_next(&r, OSS_RETRY, 0, 0, 0), 0);
}

static void test_a_throttled_request_waits_at_least_half_a_second(void **state)
{
	struct oss_retry r;

	(void)state;
	oss_retry_init(&r, NULL, 0);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY_SLOW, 0, 0, 0), 500);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY_SLOW, 0, 0, 0), 1000);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY_SLOW, 0, 0, MOST), 3999);
}

static void test_what_the_store_asks_for_is_waited(void **state)
{
	struct oss_retry r;

	(void)state;
	oss_retry_init(&r, NULL, 0);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY, 5000, 0, 0), 5000);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY_SLOW, 3000, 0, 0), 3000);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY, 4000000, 0, 0), 20000);
}

static void test_no_attempt_begins_after_the_budget(void **state)
{
	struct oss_retry_conf conf = { .budget_ms = 1000 };
	struct oss_retry r;

	(void)state;
	oss_retry_init(&r, &conf, 5000);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY, 0, 5900, 0), 0);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY, 200, 5900, 0), -1);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY, 0, 6000, 0), -1);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY_NOW, 0, 6000, 0), -1);
	oss_retry_progress(&r, 6000);
	assert_int_equal(oss_retry_next(&r, OSS_RETRY, 0, 6000, MOST), 199);
}

static void test_putting_right_is_tried_a_few_times_only(void **state)
{
	struct oss_retry r;
	int i, nr = 0;

	(void)state;
	oss_retry_init(&r, NULL, 0);
	for (i = 0; i < 10; i++)
		nr += oss_retry_next(&r, OSS_RETRY_NOW, 0, 0, 0) == 0;
	assert_int_equal(nr, 3);
	assert_int_equal(oss_retry_next(&r, OSS_FATAL, 0, 0, 0), -1);
	assert_int_equal(oss_retry_next(&r, OSS_DONE, 0, 0, 0), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_statuses_and_codes_map_as_the_table_says),
		cmocka_unit_test(
			test_broken_connections_are_tried_again_and_bad_certificates_are_not),
		cmocka_unit_test(test_the_backoff_doubles_to_its_cap_and_jitters_from_zero),
		cmocka_unit_test(test_a_throttled_request_waits_at_least_half_a_second),
		cmocka_unit_test(test_what_the_store_asks_for_is_waited),
		cmocka_unit_test(test_no_attempt_begins_after_the_budget),
		cmocka_unit_test(test_putting_right_is_tried_a_few_times_only),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
