#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/mount/straggler.h"
#include "daemon/mount/throttle.h"

/*
 * A store of the mind: so many milliseconds to the first byte, so many bytes a
 * millisecond on each connection and on all of them, and a 503 for who comes
 * when so many are served already.  Of what all share some get more than
 * others, so that they do not go in step.  Work never ends.
 */
#define MOST  512
#define CHUNK (8u << 20)

struct sim {
	struct throttle t;
	double delay_ms, each, all;
	unsigned bearable; /* 0: any number */
	uint64_t size;
	uint64_t now_ms, bytes;
	unsigned nr, nr_refused, peak, nr_begun;
	struct {
		double waits_ms, left, weight;
		unsigned epoch;
	} requests[MOST];
};

static void sim_begin(struct sim *s)
{
	unsigned epoch;

	while (throttle_enter(&s->t, false, s->now_ms, &epoch)) {
		if (s->bearable != 0 && s->nr >= s->bearable) {
			throttle_slow(&s->t, epoch, s->now_ms);
			throttle_leave(&s->t);
			s->nr_refused++;
			break;
		}
		assert_true(s->nr < MOST);
		s->requests[s->nr].waits_ms = s->delay_ms;
		s->requests[s->nr].left = (double)s->size;
		s->requests[s->nr].weight = 0.5 + (s->nr_begun++ * 7919 % 101) / 100.0;
		s->requests[s->nr++].epoch = epoch;
	}
	if (throttle_free(&s->t, false) == 0)
		throttle_lack(&s->t);
	if (s->nr > s->peak)
		s->peak = s->nr;
}

/* One millisecond passes.  The bytes that came. */
static double sim_step(struct sim *s)
{
	double all = 0, share, came = 0;
	unsigned i;

	sim_begin(s);
	for (i = 0; i < s->nr; i++)
		all += s->requests[i].waits_ms <= 0 ? s->requests[i].weight : 0;
	s->now_ms++;
	for (i = 0; i < s->nr; i++) {
		if (s->requests[i].waits_ms > 0) {
			s->requests[i].waits_ms -= 1;
			continue;
		}
		share = s->all * s->requests[i].weight / all;
		share = share < s->each ? share : s->each;
		came += s->requests[i].left < share ? s->requests[i].left : share;
		s->bytes += (uint64_t)(s->requests[i].left < share ? s->requests[i].left : share);
		s->requests[i].left -= share;
		if (s->requests[i].left > 0)
			continue;
		throttle_leave(&s->t);
		throttle_good(&s->t, s->bytes, s->now_ms);
		s->requests[i--] = s->requests[--s->nr];
	}
	if (s->now_ms % 1000 == 0)
		throttle_look(&s->t, s->bytes, s->now_ms);
	return came;
}

/* Bytes a millisecond. */
static double sim_run(struct sim *s, unsigned ms)
{
	double bytes = 0;
	unsigned i;

	for (i = 0; i < ms; i++)
		bytes += sim_step(s);
	return bytes / ms;
}

/* What it keeps, but for a trial that is under way. */
static unsigned found(const struct throttle *t)
{
	return t->half != 0 ? t->half : t->limit;
}

static void test_it_finds_how_many_a_delay_and_caps_need(void **state)
{
	/* Milliseconds; megabytes a second each and in all. */
	static const struct {
		double delay, each, all;
		unsigned most;
	} rows[] = {
		{ 1, 25, 1000, 80 },	{ 20, 25, 1000, 96 },	  { 100, 25, 1000, 128 },
		{ 1, 100, 2000, 64 },	{ 100, 100, 2000, 128 },  { 1, 400, 2000, 64 },
		{ 20, 400, 10000, 64 }, { 100, 400, 10000, 256 }, { 100, 25, 100000, 256 },
		{ 1, 25, 100000, 256 }, { 100, 1000, 100, 64 },
	};
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct sim s = {
			.delay_ms = rows[i].delay,
			.each = rows[i].each * 1000,
			.all = rows[i].all * 1000,
			.size = CHUNK,
		};
		const double taken = rows[i].delay + CHUNK / s.each;
		double rate, best = 256 * CHUNK / taken;

		throttle_init(&s.t, 256);
		sim_run(&s, 6000);
		rate = sim_run(&s, 10000);
		if (best > s.all)
			best = s.all;
		if (rate < 0.95 * best || found(&s.t) > rows[i].most)
			fail_msg("row %u: %.0f of %.0f bytes/ms with %u requests", i, rate, best,
				 found(&s.t));
	}
}

static void test_small_files_take_all_there_are_at_once(void **state)
{
	struct sim s = { .delay_ms = 20, .each = 100000, .all = 1000000, .size = 30000 };

	(void)state;
	throttle_init(&s.t, 256);
	sim_run(&s, 400);
	assert_int_equal(s.t.limit, 256);
}

static void test_slow_connections_need_not_end_a_chunk_to_get_company(void **state)
{
	struct sim s = { .delay_ms = 50, .each = 1000, .all = 1e9, .size = CHUNK };

	(void)state;
	throttle_init(&s.t, 256);
	sim_run(&s, 10000);
	assert_int_equal(s.t.limit, 256);
}

static void test_where_more_brings_nothing_it_stays_and_looks_again_later(void **state)
{
	struct sim s = { .delay_ms = 1, .each = 100000, .all = 100000, .size = CHUNK };

	(void)state;
	throttle_init(&s.t, 256);
	sim_run(&s, 40000);
	/* Chance may have made one trial look as if it had brought something. */
	assert_true(found(&s.t) <= 64);
	assert_true(s.peak <= 128);
	/* Another network card has come, say. */
	s.each = 25000;
	s.all = 10000000;
	sim_run(&s, 20000);
	assert_int_equal(s.t.limit, 256);
}

static void test_a_store_that_bears_less_gets_less_and_then_all_again(void **state)
{
	struct sim s = { .delay_ms = 20, .each = 25000, .all = 1e9, .size = CHUNK, .bearable = 40 };
	unsigned nr;
	double rate;

	(void)state;
	throttle_init(&s.t, 256);
	sim_run(&s, 20000);
	assert_true(s.nr_refused > 0);
	nr = s.nr_refused;
	rate = sim_run(&s, 20000);
	assert_true(rate > 0.7 * 40 * CHUNK / (20 + CHUNK / 25000.0));
	/* Once in a while it looks whether more is borne by now. */
	assert_true(s.nr_refused - nr < 20);
	s.bearable = 0;
	sim_run(&s, 60000);
	assert_int_equal(s.t.limit, 256);
}

static void test_a_pause_without_requests_counts_for_nothing(void **state)
{
	struct throttle t;
	unsigned epoch, i;

	(void)state;
	throttle_init(&t, 8);
	for (i = 0; i < 1000; i++) {
		assert_true(throttle_enter(&t, false, 1000 * (i + 1), &epoch));
		throttle_leave(&t);
		throttle_good(&t, (i + 1) * (uint64_t)CHUNK, 1000 * (i + 1) + 5);
	}
	assert_int_equal(t.limit, 8);
	assert_int_equal(t.half, 0);
}

static void test_a_reader_who_waits_may_be_one_more(void **state)
{
	struct throttle t;
	unsigned epoch, i;

	(void)state;
	throttle_init(&t, 8);
	for (i = 0; i < 8; i++)
		assert_true(throttle_enter(&t, false, 0, &epoch));
	assert_false(throttle_enter(&t, false, 0, &epoch));
	for (i = 0; i < 3; i++)
		assert_true(throttle_enter(&t, true, 0, &epoch));
	assert_false(throttle_enter(&t, true, 0, &epoch));
	assert_int_equal(throttle_free(&t, false), 0);
}

static void test_a_storm_of_refusals_halves_once(void **state)
{
	unsigned epochs[32], i, epoch;
	struct throttle t;

	(void)state;
	throttle_init(&t, 32);
	for (i = 0; i < 32; i++) {
		bool entered = throttle_enter(&t, false, 0, &epochs[i]);

		assert_true(entered);
	}
	assert_false(throttle_enter(&t, false, 0, &epoch));
	for (i = 0; i < 32; i++) {
		throttle_slow(&t, epochs[i], 0);
		throttle_leave(&t);
	}
	assert_int_equal(t.limit, 16);
	assert_int_equal(throttle_free(&t, false), 16);
}

static void test_the_limit_never_falls_below_one(void **state)
{
	struct throttle t;
	unsigned epoch, i;

	(void)state;
	throttle_init(&t, 8);
	for (i = 0; i < 10; i++) {
		assert_true(throttle_enter(&t, false, 0, &epoch));
		throttle_slow(&t, epoch, 0);
		throttle_leave(&t);
	}
	assert_int_equal(t.limit, 1);
	assert_true(throttle_enter(&t, false, 0, &epoch));
	assert_false(throttle_enter(&t, false, 0, &epoch));
}

static void test_rounds_of_successes_bring_it_back(void **state)
{
	struct throttle t;
	unsigned epoch, i;

	(void)state;
	throttle_init(&t, 16);
	throttle_enter(&t, false, 0, &epoch);
	throttle_slow(&t, epoch, 0);
	assert_int_equal(t.limit, 1);
	throttle_good(&t, 1, 1);
	assert_int_equal(t.limit, 2);
	throttle_good(&t, 2, 1);
	assert_int_equal(t.limit, 2);
	throttle_good(&t, 3, 1);
	assert_int_equal(t.limit, 3);
	for (i = 0; i < 1000; i++)
		throttle_good(&t, 4 + i, 1);
	assert_int_equal(t.limit, 16);
	assert_int_equal(t.target, 0);
}

static void test_another_maximum_bounds_the_limit(void **state)
{
	struct throttle t;

	(void)state;
	throttle_init(&t, 8);
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
		cmocka_unit_test(test_it_finds_how_many_a_delay_and_caps_need),
		cmocka_unit_test(test_small_files_take_all_there_are_at_once),
		cmocka_unit_test(test_slow_connections_need_not_end_a_chunk_to_get_company),
		cmocka_unit_test(test_where_more_brings_nothing_it_stays_and_looks_again_later),
		cmocka_unit_test(test_a_store_that_bears_less_gets_less_and_then_all_again),
		cmocka_unit_test(test_a_pause_without_requests_counts_for_nothing),
		cmocka_unit_test(test_a_reader_who_waits_may_be_one_more),
		cmocka_unit_test(test_a_storm_of_refusals_halves_once),
		cmocka_unit_test(test_the_limit_never_falls_below_one),
		cmocka_unit_test(test_rounds_of_successes_bring_it_back),
		cmocka_unit_test(test_another_maximum_bounds_the_limit),
		cmocka_unit_test(test_a_straggler_is_far_behind_the_median_and_not_young),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
