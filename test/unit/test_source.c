#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "daemon/net/addr.h"
#include "daemon/net/source.h"

#define T0 1000000u /* any time */

static struct source_set *parse(const char *list)
{
	struct source_set *set = NULL;
	char err[256] = "";

	assert_int_equal(source_set_parse(list, &set, err, sizeof(err)), 0);
	return set;
}

static void expect_refused(const char *list, int error, const char *words)
{
	struct source_set *set = NULL;
	char err[256] = "";

	assert_int_equal(source_set_parse(list, &set, err, sizeof(err)), error);
	assert_null(set);
	if (strstr(err, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err, words);
}

static unsigned pick(struct source_set *set, uint64_t now_ms)
{
	unsigned index = 99;

	assert_int_equal(source_pick(set, SOURCE_INET, now_ms, &index), 0);
	return index;
}

/* Make one connect from `index` fail, as begun and ended at now_ms. */
static void fail_one(struct source_set *set, unsigned index, uint64_t now_ms)
{
	source_failed(set, index, now_ms, now_ms);
	source_drop(set, index);
}

static bool is_out(struct source_set *set, unsigned index, uint64_t now_ms)
{
	struct source_stats stats;

	source_stats(set, index, now_ms, &stats);
	return stats.out_ms != 0;
}

static void test_a_list_is_parsed_with_blanks_around_entries(void **state)
{
	struct source_set *set = parse(" 127.0.0.1 ,\t127.0.0.2 ");

	(void)state;
	assert_int_equal(source_set_count(set), 2);
	assert_string_equal(source_text(set, 0), "127.0.0.1");
	assert_string_equal(source_text(set, 1), "127.0.0.2");
	assert_int_equal(source_families(set), SOURCE_INET);
	source_set_unref(set);
}

static void test_no_list_means_that_the_kernel_chooses(void **state)
{
	(void)state;
	assert_null(parse(NULL));
	assert_null(parse(""));
	assert_null(parse("  "));
	source_set_unref(NULL);
	assert_null(source_set_ref(NULL));
}

static void test_bad_lists_are_refused_with_a_reason(void **state)
{
	(void)state;
	expect_refused("127.0.0.1,127.0.0.1", -EINVAL, "127.0.0.1 is given twice");
	expect_refused("127.0.0.1,,127.0.0.2", -EINVAL, "entry 2");
	expect_refused("127.0.0.1,", -EINVAL, "empty");
	expect_refused("eth0", -EINVAL, "\"eth0\" is not an IPv4 or IPv6 address");
	expect_refused("127.0.0.1:80", -EINVAL, "not an IPv4");
	/* RFC 5737: nobody has it. */
	expect_refused("127.0.0.1,192.0.2.77", -EADDRNOTAVAIL, "192.0.2.77 does not belong");
}

static void test_more_addresses_than_a_set_holds_are_refused(void **state)
{
	char list[SOURCE_MAX * 16 + 16] = "127.0.1.1";
	size_t len = strlen(list);
	int i;

	(void)state;
	for (i = 1; i <= SOURCE_MAX; i++)
		len += (size_t)snprintf(list + len, sizeof(list) - len, ",127.0.1.%d", i + 1);
	expect_refused(list, -E2BIG, "more than 64");
}

static void test_connections_go_where_the_fewest_are(void **state)
{
	struct source_set *set = parse("127.0.0.1,127.0.0.2,127.0.0.3");
	unsigned i;

	(void)state;
	for (i = 0; i < 30; i++)
		pick(set, T0);
	for (i = 0; i < 3; i++)
		assert_int_equal(source_load(set, i), 10);
	source_drop(set, 1);
	assert_int_equal(source_least_load(set, SOURCE_INET, T0), 9);
	assert_int_equal(pick(set, T0), 1);
	source_set_unref(set);
}

static void test_a_family_that_the_set_lacks_is_an_error(void **state)
{
	struct source_set *set = parse("127.0.0.1");
	unsigned index;

	(void)state;
	assert_int_equal(source_pick(set, SOURCE_INET6, T0, &index), -EADDRNOTAVAIL);
	source_set_unref(set);
}

static void test_a_failed_address_is_left_out_and_then_tried_by_one(void **state)
{
	struct source_set *set = parse("127.0.0.1,127.0.0.2");
	unsigned i, bad = pick(set, T0), trials = 0;

	(void)state;
	fail_one(set, bad, T0);
	assert_true(is_out(set, bad, T0));
	for (i = 0; i < 8; i++)
		assert_int_equal(pick(set, T0 + 999), 1 - bad);
	/* Its time is over: exactly one of many goes there. */
	for (i = 0; i < 8; i++)
		trials += pick(set, T0 + 1000) == bad;
	assert_int_equal(trials, 1);
	source_connected(set, bad);
	assert_false(is_out(set, bad, T0 + 1000));
	assert_int_equal(pick(set, T0 + 1000), bad);
	source_set_unref(set);
}

static void test_the_time_out_doubles_up_to_thirty_seconds(void **state)
{
	static const unsigned expected_ms[] = { 1000, 2000, 4000, 8000, 16000, 30000, 30000 };
	struct source_set *set = parse("127.0.0.1,127.0.0.2");
	uint64_t now = T0;
	size_t i;

	(void)state;
	source_hold(set, 1); /* so that 0 is preferred whenever it may */
	source_hold(set, 1);
	for (i = 0; i < sizeof(expected_ms) / sizeof(expected_ms[0]); i++) {
		assert_int_equal(pick(set, now), 0);
		fail_one(set, 0, now);
		assert_true(is_out(set, 0, now + expected_ms[i] - 1));
		assert_false(is_out(set, 0, now + expected_ms[i]));
		now += expected_ms[i];
	}
	source_set_unref(set);
}

static void test_connects_that_fail_together_count_as_one_failure(void **state)
{
	struct source_set *set = parse("127.0.0.1,127.0.0.2");
	struct source_stats stats;
	int i;

	(void)state;
	for (i = 0; i < 10; i++)
		source_hold(set, 0);
	for (i = 0; i < 10; i++) {
		source_failed(set, 0, T0, T0 + 500 + (unsigned)i);
		source_drop(set, 0);
	}
	assert_true(is_out(set, 0, T0 + 1499));
	assert_false(is_out(set, 0, T0 + 1500));
	source_stats(set, 0, T0, &stats);
	assert_int_equal(stats.errors, 10);
	source_set_unref(set);
}

static void test_when_all_are_out_the_one_that_failed_least_is_used(void **state)
{
	struct source_set *set = parse("127.0.0.1,127.0.0.2");
	int i;

	(void)state;
	source_hold(set, 0);
	fail_one(set, 0, T0);
	source_hold(set, 0);
	fail_one(set, 0, T0 + 1000);
	source_hold(set, 1);
	fail_one(set, 1, T0 + 1000);
	for (i = 0; i < 4; i++)
		assert_int_equal(pick(set, T0 + 1100), 1);
	source_set_unref(set);
}

static void test_counters_are_kept_by_address(void **state)
{
	struct source_set *set = parse("127.0.0.1,127.0.0.2");
	struct source_stats stats;

	(void)state;
	source_hold(set, 1);
	source_connected(set, 1);
	source_count_bytes(set, 1, 5000000000u);
	source_count_error(set, 1);
	source_stats(set, 1, T0, &stats);
	assert_string_equal(stats.address, "127.0.0.2");
	assert_int_equal(stats.in_flight, 1);
	assert_int_equal(stats.connections, 1);
	assert_int_equal(stats.bytes, 5000000000u);
	assert_int_equal(stats.errors, 1);
	assert_false(stats.is_out);
	source_stats(set, 0, T0, &stats);
	assert_int_equal(stats.connections + stats.bytes + stats.errors + stats.in_flight, 0);
	source_set_unref(set);
}

static void *pick_and_drop(void *arg)
{
	struct source_set *set = arg;
	unsigned i, index;

	for (i = 0; i < 20000; i++) {
		if (source_pick(set, SOURCE_INET, T0 + i, &index) != 0)
			return set;
		if (i % 1000 == 7)
			source_failed(set, index, T0 + i, T0 + i);
		else
			source_connected(set, index);
		source_count_bytes(set, index, 3);
		source_drop(set, index);
	}
	source_set_unref(set);
	return NULL;
}

static void test_threads_share_a_set(void **state)
{
	struct source_set *set = parse("127.0.0.1,127.0.0.2,127.0.0.3");
	struct source_stats stats;
	pthread_t threads[4];
	uint64_t bytes = 0;
	void *failed;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(
			pthread_create(&threads[i], NULL, pick_and_drop, source_set_ref(set)), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	for (i = 0; i < 3; i++) {
		source_stats(set, i, T0, &stats);
		assert_int_equal(stats.in_flight, 0);
		bytes += stats.bytes;
	}
	assert_int_equal(bytes, 4 * 20000 * 3);
	source_set_unref(set);
}

static void test_addresses_are_read_and_written(void **state)
{
	char text[ADDR_TEXT_LEN];
	struct addr a, b;

	(void)state;
	assert_int_equal(addr_parse("10.1.2.3", &a), 0);
	assert_string_equal(addr_text(&a, text), "10.1.2.3");
	addr_set_port(&a, 443);
	assert_string_equal(addr_text(&a, text), "10.1.2.3:443");
	assert_int_equal(addr_parse("2001:DB8:0:0::1", &b), 0);
	assert_string_equal(addr_text(&b, text), "2001:db8::1");
	addr_set_port(&b, 80);
	assert_string_equal(addr_text(&b, text), "[2001:db8::1]:80");
	assert_false(addr_equal(&a, &b));
	assert_true(addr_equal(&a, &a));
	assert_int_equal(addr_parse("fe80::1%lo", &b), 0);
	assert_string_equal(addr_text(&b, text), "fe80::1%lo");
	assert_int_equal(addr_parse("fe80::1%nosuchnic0", &b), -EINVAL);
	assert_int_equal(addr_parse("10.1.2", &a), -EINVAL);
	assert_int_equal(addr_parse("10.1.2.3 ", &a), -EINVAL);
	assert_int_equal(addr_parse("", &a), -EINVAL);
	assert_false(addr_is_literal("store.example"));
	assert_true(addr_is_literal("::1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_list_is_parsed_with_blanks_around_entries),
		cmocka_unit_test(test_no_list_means_that_the_kernel_chooses),
		cmocka_unit_test(test_bad_lists_are_refused_with_a_reason),
		cmocka_unit_test(test_more_addresses_than_a_set_holds_are_refused),
		cmocka_unit_test(test_connections_go_where_the_fewest_are),
		cmocka_unit_test(test_a_family_that_the_set_lacks_is_an_error),
		cmocka_unit_test(test_a_failed_address_is_left_out_and_then_tried_by_one),
		cmocka_unit_test(test_the_time_out_doubles_up_to_thirty_seconds),
		cmocka_unit_test(test_connects_that_fail_together_count_as_one_failure),
		cmocka_unit_test(test_when_all_are_out_the_one_that_failed_least_is_used),
		cmocka_unit_test(test_counters_are_kept_by_address),
		cmocka_unit_test(test_threads_share_a_set),
		cmocka_unit_test(test_addresses_are_read_and_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
