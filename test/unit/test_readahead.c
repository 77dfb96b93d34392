#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/mount/readahead.h"

#define NR   1000
#define MOST 64

static uint32_t asked(struct readahead *ra, uint32_t chunk, uint32_t most)
{
	struct readahead_range r = readahead_access(ra, chunk, NR, most);

	return r.end - r.first;
}

static void test_a_look_at_the_head_brings_at_most_four_chunks_more(void **state)
{
	struct readahead ra = { 0 };
	uint32_t nr = 0;
	int i;

	(void)state;
	/* 1 MiB in small reads: all of them in chunk 0. */
	for (i = 0; i < 256; i++)
		nr += asked(&ra, 0, MOST);
	assert_in_range(nr, 1, 4);
}

static void test_a_sequential_reader_grows_the_window_to_its_bound_and_no_gap_is_left(void **state)
{
	struct readahead ra = { 0 };
	uint32_t at, end = 1, ahead = 0, widest = 0;

	(void)state;
	for (at = 0; at < NR; at++) {
		struct readahead_range r = readahead_access(&ra, at, NR, MOST);

		if (r.first != r.end) {
			assert_int_equal(r.first, end);
			end = r.end;
		}
		assert_true(end > at);
		ahead = end - at - 1;
		widest = ahead > widest ? ahead : widest;
		if (at == 1)
			assert_int_equal(ahead, 4);
		if (at == 2)
			assert_int_equal(ahead, 8);
	}
	assert_int_equal(widest, MOST);
	assert_int_equal(end, NR);
}

static void test_a_reader_that_skips_inside_its_window_stays_sequential(void **state)
{
	struct readahead ra = { 0 };

	(void)state;
	asked(&ra, 0, MOST);
	asked(&ra, 2, MOST);
	assert_true(asked(&ra, 5, MOST) > 0);
}

static void test_random_places_bring_nothing(void **state)
{
	static const uint32_t places[] = { 500, 20, 700, 300, 900, 100, 601, 401 };
	struct readahead ra = { 0 };
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		assert_int_equal(asked(&ra, places[i], MOST), 0);
	/* One that goes on from a random place is a reader again. */
	assert_true(asked(&ra, 402, MOST) > 0);
}

static void test_four_readers_of_one_object_do_not_disturb_each_other(void **state)
{
	struct readahead ra = { 0 };
	uint32_t i, reader, nr = 0;

	(void)state;
	for (i = 0; i < 50; i++)
		for (reader = 0; reader < 4; reader++)
			nr += asked(&ra, reader * 200 + i, 8);
	/*
	 * Each has asked for what it passed and a window more; those that began
	 * in the middle only from their second chunk on.
	 */
	assert_int_equal(nr, 4 * (49 + 8) - 3);
}

static void test_advice_overrules_what_was_seen(void **state)
{
	struct readahead ra = { .random = true };

	(void)state;
	assert_int_equal(asked(&ra, 0, MOST), 0);
	assert_int_equal(asked(&ra, 1, MOST), 0);
	ra = (struct readahead){ .sequential = true };
	assert_int_equal(asked(&ra, 0, MOST), MOST);
	ra = (struct readahead){ .sequential = true };
	assert_int_equal(asked(&ra, 77, MOST), MOST);
}

static void test_the_end_of_the_object_and_a_small_cache_bound_the_window(void **state)
{
	struct readahead ra = { .sequential = true };
	struct readahead_range r;

	(void)state;
	r = readahead_access(&ra, NR - 3, NR, MOST);
	assert_int_equal(r.end, NR);
	assert_int_equal(r.end - r.first, 2);
	assert_int_equal(asked(&ra, NR + 5, MOST), 0);
	assert_int_equal(readahead_most(64ull << 30, 23), READAHEAD_MOST);
	assert_int_equal(readahead_most(128ull << 20, 23), 2);
	assert_int_equal(readahead_most(8ull << 20, 23), 0);
	assert_int_equal(asked(&ra, 0, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_look_at_the_head_brings_at_most_four_chunks_more),
		cmocka_unit_test(
			test_a_sequential_reader_grows_the_window_to_its_bound_and_no_gap_is_left),
		cmocka_unit_test(test_a_reader_that_skips_inside_its_window_stays_sequential),
		cmocka_unit_test(test_random_places_bring_nothing),
		cmocka_unit_test(test_four_readers_of_one_object_do_not_disturb_each_other),
		cmocka_unit_test(test_advice_overrules_what_was_seen),
		cmocka_unit_test(test_the_end_of_the_object_and_a_small_cache_bound_the_window),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
