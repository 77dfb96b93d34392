#include "test/unit/cache_fixture.h"

/* Which chunks of an object are present, as digits: "0134". */
static const char *present(const struct fixture *f, const struct object *o)
{
	static char text[64];
	size_t len = 0;
	uint32_t i;

	for (i = 0; i < object_nr_chunks(o) && i < 36; i++)
		if (state_of(f, o, i) == CHUNK_READY)
			text[len++] = (char)(i < 10 ? '0' + i : 'a' + i - 10);
	text[len] = '\0';
	return text;
}

static void load_all(struct object *o, uint32_t first, uint32_t nr, enum fetch_class class)
{
	uint32_t i;

	for (i = first; i < first + nr; i++)
		assert_int_equal(load(o, i, class), 0);
}

static void test_demand_evicts_what_was_touched_longest_ago(void **state)
{
	struct fixture f;
	struct object *o;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 0, 4, FETCH_DEMAND);
	chunk_touch(o, 2);
	chunk_touch(o, 1);
	chunk_touch(o, 2);
	assert_int_equal(load(o, 4, FETCH_DEMAND), 0);
	assert_string_equal(present(&f, o), "0234");
	chunk_touch(o, 4);
	assert_int_equal(load(o, 5, FETCH_DEMAND), 0);
	assert_string_equal(present(&f, o), "0345");
	assert_int_equal(cache_used(f.cache), 4 * CHUNK);
	object_unref(o);
	fixture_end(&f);
}

static void test_demand_then_evicts_the_newest_that_nobody_touched(void **state)
{
	struct fixture f;
	struct object *o;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 0, 4, FETCH_READAHEAD);
	assert_int_equal(load(o, 5, FETCH_DEMAND), 0);
	assert_string_equal(present(&f, o), "0125");
	object_unref(o);
	fixture_end(&f);
}

static void test_readahead_evicts_only_what_was_touched(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 0, 4, FETCH_READAHEAD);
	assert_int_equal(fill_begin(o, 4, FETCH_READAHEAD, &fill), -ENOSPC);
	/* The reader stands in what it touched last, or at the border of the last two. */
	chunk_touch(o, 0);
	chunk_touch(o, 1);
	assert_int_equal(fill_begin(o, 4, FETCH_READAHEAD, &fill), -ENOSPC);
	chunk_touch(o, 2);
	assert_int_equal(load(o, 4, FETCH_READAHEAD), 0);
	assert_string_equal(present(&f, o), "1234");
	assert_int_equal(fill_begin(o, 5, FETCH_READAHEAD, &fill), -ENOSPC);
	object_unref(o);
	fixture_end(&f);
}

/* Brought, and entered by its reader. */
static void enter(struct object *o, uint32_t chunk)
{
	chunk_want(o, chunk, 1, false);
	assert_int_equal(load(o, chunk, FETCH_DEMAND), 0);
	chunk_touch(o, chunk);
}

/* One load instruction reads the last bytes of chunk 5 and the first of chunk 6, in a lazy mapping. */
static void test_a_reader_on_a_border_has_both_chunks(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 0, 4, FETCH_READAHEAD);
	enter(o, 5);
	enter(o, 6);
	assert_string_equal(present(&f, o), "0156");
	assert_int_equal(fill_begin(o, 7, FETCH_READAHEAD, &fill), -ENOSPC);
	/* It goes on: what it has passed makes room, not what it has yet to read. */
	enter(o, 7);
	assert_string_equal(present(&f, o), "0167");
	object_unref(o);
	fixture_end(&f);
}

/* A reader passes chunk 0 while it is still arriving, and is in chunk 2 when 0 is whole. */
static void test_the_order_is_that_of_touches_not_of_arrivals(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 1, 3, FETCH_READAHEAD);
	assert_int_equal(fill_begin(o, 0, FETCH_READAHEAD, &fill), 0);
	chunk_touch(o, 0);
	chunk_touch(o, 1);
	chunk_touch(o, 2);
	write_rest(fill, false);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_int_equal(load(o, 4, FETCH_READAHEAD), 0);
	assert_string_equal(present(&f, o), "1234");
	object_unref(o);
	fixture_end(&f);
}

static void test_a_hold_ends_with_the_objects_last_user(void **state)
{
	struct fixture f;
	struct object *gone, *o;
	uint32_t i;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	gone = fixture_object(&f, 8 * CHUNK);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(gone);
	object_use(o);
	for (i = 0; i < 4; i++) {
		chunk_want(gone, i, 1, false);
		assert_int_equal(load(gone, i, FETCH_DEMAND), 0);
	}
	assert_int_equal(load(o, 0, FETCH_DEMAND), -ENOSPC);
	object_unuse(gone);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	object_unref(gone);
	object_unref(o);
	fixture_end(&f);
}

static void test_who_was_refused_hears_of_room_once(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 0, 4, FETCH_READAHEAD);
	assert_false(cache_wants_touch(f.cache));
	f.nr_room = f.nr_due = 0;
	cache_tick(f.cache, f.now);
	assert_int_equal(fill_begin(o, 4, FETCH_READAHEAD, &fill), -ENOSPC);
	assert_true(cache_wants_touch(f.cache));
	assert_int_equal(f.nr_due, 1); /* the control loop tells the clients */
	assert_int_equal(f.nr_room, 0);
	chunk_touch(o, 3);
	assert_int_equal(f.nr_room, 1);
	assert_false(cache_wants_touch(f.cache));
	chunk_touch(o, 2);
	assert_int_equal(f.nr_room, 1);
	object_unref(o);
	fixture_end(&f);
}

static void test_room_for_demand_is_an_arrival_too(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fills[2], *fill;

	(void)state;
	fixture_start(&f, 2 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	fills[0] = begin(o, 0, FETCH_READAHEAD);
	fills[1] = begin(o, 1, FETCH_READAHEAD);
	assert_int_equal(fill_begin(o, 2, FETCH_READAHEAD, &fill), -ENOSPC);
	f.nr_room = 0;
	write_rest(fills[0], false);
	assert_int_equal(fill_finish(fills[0], 0), 0);
	assert_int_equal(f.nr_room, 0); /* nothing that readahead may evict */
	assert_int_equal(fill_begin(o, 2, FETCH_DEMAND, &fill), 0);
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	assert_int_equal(f.nr_room, 1);
	fill = begin(o, 3, FETCH_DEMAND);
	assert_int_equal(fill_begin(o, 2, FETCH_DEMAND, &fills[0]), -ENOSPC);
	write_rest(fills[1], false);
	assert_int_equal(fill_finish(fills[1], 0), 0);
	assert_int_equal(f.nr_room, 2);
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	object_unref(o);
	fixture_end(&f);
}

static void test_what_was_asked_for_is_held_until_it_is_touched(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 2 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	assert_int_equal(chunk_want(o, 0, 1, false), CHUNK_EMPTY); /* before it is there */
	load_all(o, 0, 2, FETCH_DEMAND);
	assert_int_equal(chunk_want(o, 1, 1, false), CHUNK_READY); /* and after */
	assert_int_equal(fill_begin(o, 2, FETCH_DEMAND, &fill), -ENOSPC);
	f.nr_room = 0;
	chunk_touch(o, 1);
	assert_int_equal(f.nr_room, 1);
	assert_int_equal(load(o, 2, FETCH_DEMAND), 0);
	assert_string_equal(present(&f, o), "02");
	object_unref(o);
	fixture_end(&f);
}

static void test_a_hold_ends_after_a_bounded_time(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	long wait;

	(void)state;
	fixture_start(&f, 2 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	assert_int_equal(chunk_want(o, 0, 1, false), CHUNK_EMPTY);
	assert_int_equal(chunk_want(o, 1, 1, false), CHUNK_EMPTY);
	fixture_tick(&f, 60000); /* a slow store: the time runs from the arrival on */
	f.nr_due = 0;
	load_all(o, 0, 2, FETCH_DEMAND);
	assert_int_equal(f.nr_due, 1);
	wait = fixture_tick(&f, 0);
	assert_in_range(wait, 1, HOLD_MS);
	fixture_tick(&f, HOLD_MS / 2);
	assert_int_equal(chunk_want(o, 0, 1, false),
			 CHUNK_READY); /* asking again does not prolong */
	assert_int_equal(fill_begin(o, 2, FETCH_DEMAND, &fill), -ENOSPC);
	f.nr_room = 0;
	fixture_tick(&f, HOLD_MS / 2);
	assert_int_equal(f.nr_room, 1);
	/* The touch was lost: it counts as read. */
	assert_int_equal(load(o, 2, FETCH_DEMAND), 0);
	assert_string_equal(present(&f, o), "12");
	object_unref(o);
	fixture_end(&f);
}

static void test_a_refused_pin_leaves_what_nobody_has_read_unread(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 0, 4, FETCH_READAHEAD);
	assert_int_equal(chunk_pin(o, 0, 8), -ENOSPC);
	assert_int_equal(fill_begin(o, 4, FETCH_READAHEAD, &fill), -ENOSPC);
	assert_string_equal(present(&f, o), "0123");
	object_unref(o);
	fixture_end(&f);
}

static void test_pinned_chunks_stay_whatever_comes(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 8 * CHUNK);
	object_use(o);
	load_all(o, 0, 3, FETCH_DEMAND);
	assert_int_equal(chunk_pin(o, 0, 3), 0);
	chunk_touch(o, 0);
	assert_int_equal(load(o, 3, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 4, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 5, FETCH_DEMAND), 0);
	assert_string_equal(present(&f, o), "0125");
	assert_int_equal(chunk_want(o, 5, 1, false), CHUNK_READY);
	assert_int_equal(fill_begin(o, 6, FETCH_DEMAND, &fill), -ENOSPC);
	f.nr_room = 0;
	chunk_unpin(o, 1, 1);
	assert_int_equal(f.nr_room, 1);
	assert_int_equal(load(o, 6, FETCH_DEMAND), 0);
	assert_string_equal(present(&f, o), "0256");
	chunk_unpin(o, 0, 1);
	chunk_unpin(o, 2, 1);
	object_unref(o);
	fixture_end(&f);
}

static void test_prefetch_leaves_half_to_opened_objects(void **state)
{
	struct fixture f;
	struct object *closed, *opened;
	struct fill *fill;
	uint32_t i;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	closed = fixture_object(&f, 8 * CHUNK);
	opened = fixture_object(&f, 8 * CHUNK);
	object_use(opened);
	load_all(closed, 0, 4, FETCH_PREFETCH);
	assert_int_equal(fill_begin(closed, 4, FETCH_PREFETCH, &fill), -ENOSPC);
	load_all(opened, 0, 3, FETCH_PREFETCH);
	/* The last sixteenth is for who waits. */
	assert_int_equal(fill_begin(opened, 3, FETCH_PREFETCH, &fill), -ENOSPC);
	assert_int_equal(load(opened, 3, FETCH_READAHEAD), 0);
	assert_int_equal(fill_begin(opened, 4, FETCH_READAHEAD, &fill), -ENOSPC);
	/* Once it is opened its chunks are no longer nobody's. */
	object_use(closed);
	for (i = 0; i < 4; i++)
		chunk_touch(opened, i);
	assert_int_equal(load(closed, 4, FETCH_PREFETCH), 0);
	assert_string_equal(present(&f, closed), "01234");
	assert_string_equal(present(&f, opened), "23");
	object_unref(closed);
	object_unref(opened);
	fixture_end(&f);
}

static void test_prefetch_may_fill_a_cache_that_holds_everything(void **state)
{
	struct fixture f;
	struct object *a, *b;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	a = fixture_object(&f, 5 * CHUNK);
	b = fixture_object(&f, 3 * CHUNK);
	load_all(a, 0, 5, FETCH_PREFETCH);
	load_all(b, 0, 3, FETCH_PREFETCH);
	assert_true(object_is_complete(a));
	assert_true(object_is_complete(b));
	object_unref(a);
	object_unref(b);
	fixture_end(&f);
}

/* A model four times the cache: one reader passes, readahead follows its touches. */
static void test_a_stream_larger_than_the_cache_loads_each_chunk_once(void **state)
{
	struct fixture f;
	struct object *o;
	struct cache_stats stats;
	uint32_t ahead = 0, i;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 32 * CHUNK);
	object_use(o);
	for (i = 0; i < 32; i++) {
		while (ahead < 32 && load(o, ahead, FETCH_READAHEAD) == 0)
			ahead++;
		assert_int_equal(state_of(&f, o, i), CHUNK_READY);
		assert_bytes(o, i * CHUNK, CHUNK);
		chunk_touch(o, i);
		assert_true(cache_used(f.cache) <= 8 * CHUNK);
	}
	cache_stats(f.cache, &stats);
	assert_int_equal(stats.refills, 0);
	assert_int_equal(stats.evictions, 24);
	assert_int_equal(stats.evicted_bytes, 24 * CHUNK);
	object_unref(o);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_demand_evicts_what_was_touched_longest_ago),
		cmocka_unit_test(test_demand_then_evicts_the_newest_that_nobody_touched),
		cmocka_unit_test(test_readahead_evicts_only_what_was_touched),
		cmocka_unit_test(test_a_reader_on_a_border_has_both_chunks),
		cmocka_unit_test(test_the_order_is_that_of_touches_not_of_arrivals),
		cmocka_unit_test(test_a_hold_ends_with_the_objects_last_user),
		cmocka_unit_test(test_who_was_refused_hears_of_room_once),
		cmocka_unit_test(test_room_for_demand_is_an_arrival_too),
		cmocka_unit_test(test_what_was_asked_for_is_held_until_it_is_touched),
		cmocka_unit_test(test_a_hold_ends_after_a_bounded_time),
		cmocka_unit_test(test_a_refused_pin_leaves_what_nobody_has_read_unread),
		cmocka_unit_test(test_pinned_chunks_stay_whatever_comes),
		cmocka_unit_test(test_prefetch_leaves_half_to_opened_objects),
		cmocka_unit_test(test_prefetch_may_fill_a_cache_that_holds_everything),
		cmocka_unit_test(test_a_stream_larger_than_the_cache_loads_each_chunk_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
