#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/mount/straggler.h"
#include "daemon/mount/throttle.h"

static void test_a_storm_of_refusals_halves_once(void **state)
{
	struct throttle t;
	unsigned epochs[32], i;

	(void)state;
	throttle_init(&t, 32);
	for (i = 0; i < 32; i++)
		assert_true(throttle_enter(&t, &epochs[i]));
	assert_false(throttle_enter(&t, &epochs[0]));
	for (i = 0; i < 32; i++) {
		throttle_slow(&t, epochs[i]);
		throttle_leave(&t);
	}
	assert_int_equal(t.limit, 16);
	assert_int_equal(throttle_free(&t), 16);
}

static void test_the_limit_never_falls_below_one(void **state)
{
	struct throttle t;
	unsigned epoch, i;

	(void)state;
	throttle_init(&t, 8);
	for (i = 0; i < 10; i++) {
		assert_true(throttle_enter(&t, &epoch));
		throttle_slow(&t, epoch);
		throttle_leave(&t);
	}
	assert_int_equal(t.limit, 1);
	assert_true(throttle_enter(&t, &epoch));
	assert_false(throttle_enter(&t, &epoch));
}

static void test_successes_bring_it_back_one_by_one(void **state)
{
	struct throttle t;
	unsigned epoch, i;

	(void)state;
	throttle_init(&t, 8);
	throttle_enter(&t, &epoch);
	throttle_slow(&t, epoch);
	assert_int_equal(t.limit, 1);
	throttle_good(&t);
	assert_int_equal(t.limit, 2);
	throttle_good(&t);
	assert_int_equal(t.limit, 2);
	throttle_good(&t);
	assert_int_equal(t.limit, 3);
	for (i = 0; i < 1000; i++)
		throttle_good(&t);
	assert_int_equal(t.limit, 8);
}

static void test_another_maximum_keeps_a_lowered_limit(void **state)
{
	struct throttle t;

	(void)state;
	throttle_init(&t, 8);
	throttle_set_max(&t, 16);
	assert_int_equal(t.limit, 16);
	throttle_set_max(&t, 4);
	assert_int_equal(t.limit, 4);
	t.limit = 2;
	throttle_set_max(&t, 16);
	assert_int_equal(t.limit, 2);
}

static void test_a_straggler_is_far_behind_the_median_and_not_young(void **state)
{
	struct straggler_rates s = { 0 };
	uint64_t median;
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		straggler_add(&s, 8000000, 100);
	assert_int_equal(straggler_median(&s), 0);
	straggler_add(&s, 8000000, 100000);
	median = straggler_median(&s);
	assert_int_equal(median, 80000000);

	assert_true(straggler_is(median, 1000000, 6000));
	assert_false(straggler_is(median, 1000000, 4000));
	assert_false(straggler_is(median, 80000000, 6000));
	assert_false(straggler_is(0, 0, 60000));
	/* Only the last ones count. */
	for (i = 0; i < STRAGGLER_PEERS; i++)
		straggler_add(&s, 1000, 1000);
	assert_int_equal(straggler_median(&s), 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_storm_of_refusals_halves_once),
		cmocka_unit_test(test_the_limit_never_falls_below_one),
		cmocka_unit_test(test_successes_bring_it_back_one_by_one),
		cmocka_unit_test(test_another_maximum_keeps_a_lowered_limit),
		cmocka_unit_test(test_a_straggler_is_far_behind_the_median_and_not_young),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
