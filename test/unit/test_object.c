#include "test/unit/cache_fixture.h"

#include "daemon/cache/fill.h"

static struct fixture f;
static int nr_gone;

static int start(void **state)
{
	(void)state;
	nr_gone = 0;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	return 0;
}

static int end(void **state)
{
	(void)state;
	fixture_end(&f);
	return 0;
}

static void gone(void *owner)
{
	assert_ptr_equal(owner, &f);
	nr_gone++;
}

static struct object *make(uint64_t size)
{
	struct object_spec spec = { "a/b", "\"e\"", size, &f, gone };
	struct object *o;

	assert_int_equal(object_new(f.cache, f.table, &spec, &o), 0);
	return o;
}

static void test_an_object_knows_what_it_was_given(void **state)
{
	char key[] = "a/b", etag[] = "\"e\"";
	struct object_spec spec = { key, etag, 2 * CHUNK + 1, &f, gone };
	struct object *o;

	(void)state;
	assert_int_equal(object_new(f.cache, f.table, &spec, &o), 0);
	key[0] = etag[0] = 'x'; /* copied */
	assert_string_equal(object_key(o), "a/b");
	assert_string_equal(object_etag(o), "\"e\"");
	assert_int_equal(object_size(o), 2 * CHUNK + 1);
	assert_int_equal(object_nr_chunks(o), 3);
	assert_ptr_equal(object_owner(o), &f);
	assert_int_equal(object_error(o), 0);
	assert_false(object_is_complete(o));
	assert_false(object_is_dropped(o));
	object_unref(object_ref(o));
	assert_int_equal(nr_gone, 0);
	object_unref(o);
	assert_int_equal(nr_gone, 1);
}

static void test_sizes_that_cannot_be_are_refused(void **state)
{
	struct object_spec spec = { .key = "k", .etag = "e" };
	struct object *o;

	(void)state;
	assert_int_equal(object_new(f.cache, f.table, &spec, &o), -EINVAL);
	spec.size = UINT64_MAX;
	assert_int_equal(object_new(f.cache, f.table, &spec, &o), -ENOSPC);
}

static void test_chunks_are_given_up_after_the_last_user(void **state)
{
	struct object *o = make(2 * CHUNK);
	uint64_t before;

	(void)state;
	object_use(o);
	object_use(o);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	before = word_of(&f, o, 0);
	object_unuse(o);
	fixture_tick(&f, 500000);
	assert_false(object_is_dropped(o)); /* one is left */
	f.nr_due = 0;
	object_unuse(o);
	assert_int_equal(f.nr_due, 1);
	assert_in_range(fixture_tick(&f, 0), 0, 120000);
	fixture_tick(&f, 119999);
	assert_false(object_is_dropped(o));
	assert_int_equal(state_of(&f, o, 0), CHUNK_READY);
	fixture_tick(&f, 1);
	assert_true(object_is_dropped(o));
	assert_int_equal(state_of(&f, o, 0), CHUNK_EMPTY);
	assert_false(chunk_word_still(before, word_of(&f, o, 0)));
	assert_int_equal(cache_used(f.cache), 0);
	assert_int_equal(object_client_fd(o), -1); /* its memory file is closed */
	assert_int_equal(nr_gone, 0);
	object_unref(o);
	assert_int_equal(nr_gone, 1);
	assert_int_equal(fixture_tick(&f, 1), -1); /* idle: no timer */
}

static void test_who_comes_back_in_time_finds_everything(void **state)
{
	struct object *o = make(CHUNK);

	(void)state;
	object_use(o);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	object_unuse(o);
	fixture_tick(&f, 0);
	fixture_tick(&f, 100000);
	object_use(o);
	fixture_tick(&f, 100000);
	object_unuse(o);
	fixture_tick(&f, 0);
	fixture_tick(&f, 119999);
	assert_int_equal(state_of(&f, o, 0), CHUNK_READY);
	object_unref(o);
}

static void test_expiry_of_zero_gives_up_at_once(void **state)
{
	struct object *o = make(2 * CHUNK);

	(void)state;
	f.conf.expire_ms = 0;
	cache_reconfigure(f.cache, &f.conf);
	assert_int_equal(load(o, 1, FETCH_PREFETCH), 0);
	fixture_tick(&f, 1000);
	assert_false(object_is_dropped(o)); /* never had a user: it stays */
	object_use(o);
	object_unuse(o);
	assert_true(object_is_dropped(o));
	assert_int_equal(cache_used(f.cache), 0);
	object_unref(o);
}

static void test_pins_keep_an_object_that_nobody_uses(void **state)
{
	struct object *o = make(2 * CHUNK);

	(void)state;
	object_use(o);
	assert_int_equal(load(o, 1, FETCH_DEMAND), 0);
	assert_int_equal(chunk_pin(o, 1, 1), 0);
	object_unuse(o);
	fixture_tick(&f, 0);
	fixture_tick(&f, 500000);
	assert_false(object_is_dropped(o));
	assert_bytes(o, CHUNK, CHUNK);
	f.nr_due = 0;
	chunk_unpin(o, 1, 1);
	assert_int_equal(f.nr_due, 1);
	fixture_tick(&f, 0);
	assert_true(object_is_dropped(o));
	object_unref(o);
}

static void test_a_drop_waits_for_users(void **state)
{
	struct object *o = make(CHUNK), *unused = make(CHUNK);

	(void)state;
	object_use(o);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	object_drop(o);
	assert_false(object_is_dropped(o));
	assert_bytes(o, 0, CHUNK);
	object_unuse(o);
	assert_true(object_is_dropped(o)); /* no expiry for what is not wanted */
	object_drop(unused);
	assert_true(object_is_dropped(unused));
	assert_int_equal(cache_used(f.cache), 0);
	object_unref(o);
	object_unref(unused);
}

static void test_a_fill_of_an_object_given_up_is_in_vain(void **state)
{
	struct object *o = make(2 * CHUNK);
	struct fill *fill = begin(o, 0, FETCH_PREFETCH), *other;

	(void)state;
	assert_int_equal(fill_write(fill, (char[4096]){ 1 }, 4096), 0);
	object_drop(o);
	assert_int_equal(fill_write(fill, "x", 1), -ECANCELED);
	assert_int_equal(fill_begin(o, 1, FETCH_DEMAND, &other), -ECANCELED);
	assert_int_equal(chunk_want(o, 1, 1, true), CHUNK_FAILED);
	assert_int_equal(chunk_pin(o, 0, 1), -ECANCELED);
	assert_int_equal(cache_used(f.cache), CHUNK);
	assert_int_equal(nr_gone, 0);
	object_unref(o); /* the fill has one of its own */
	assert_int_equal(nr_gone, 0);
	assert_int_equal(fill_finish(fill, 0), -ECANCELED);
	assert_int_equal(nr_gone, 1);
	assert_int_equal(cache_used(f.cache), 0);
}

static void test_a_large_object_is_given_up_in_slices(void **state)
{
	struct object *o;
	uint32_t i;

	(void)state;
	f.conf.size = 600 * CHUNK;
	cache_reconfigure(f.cache, &f.conf);
	o = make(600 * CHUNK);
	for (i = 0; i < 600; i++) { /* one byte a chunk costs little memory */
		struct fill *fill = begin(o, i, FETCH_DEMAND);

		fill->done = fill->len - 1;
		assert_int_equal(fill_write(fill, "x", 1), 0);
		assert_int_equal(fill_finish(fill, 0), 0);
	}
	object_drop(o);
	assert_true(object_is_dropped(o));
	for (i = 0; i < 600; i++)
		assert_int_equal(state_of(&f, o, i), CHUNK_EMPTY);
	assert_int_equal(cache_used(f.cache), 344 * CHUNK);
	assert_int_equal(fixture_tick(&f, 0), 0); /* at once again */
	assert_int_equal(cache_used(f.cache), 88 * CHUNK);
	fixture_tick(&f, 0);
	assert_int_equal(cache_used(f.cache), 0);
	object_unref(o);
}

static void test_a_failure_leaves_what_is_ready_unless_it_is_to_go(void **state)
{
	struct object *o = make(3 * CHUNK);
	struct fill *fill, *other;

	(void)state;
	object_use(o);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	fill = begin(o, 1, FETCH_DEMAND);
	object_fail(o, -ESTALE, false);
	assert_int_equal(object_error(o), -ESTALE);
	assert_int_equal(state_of(&f, o, 0), CHUNK_READY);
	assert_int_equal(state_of(&f, o, 1), CHUNK_FAILED);
	assert_int_equal(state_of(&f, o, 2), CHUNK_FAILED);
	assert_int_equal(fill_write(fill, "x", 1), -ESTALE);
	assert_int_equal(fill_finish(fill, -ECANCELED), -ESTALE);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 1)), ESTALE);
	assert_int_equal(fill_begin(o, 2, FETCH_DEMAND, &other), -ESTALE);
	object_fail(o, -EIO, true);
	assert_int_equal(object_error(o), -ESTALE); /* the first counts */
	assert_int_equal(state_of(&f, o, 0), CHUNK_FAILED);
	object_unref(o);
}

static void test_at_the_limit_the_longest_unused_object_goes(void **state)
{
	struct object *o[16], *more;
	struct object_spec spec = { .key = "k", .etag = "e", .size = CHUNK };
	int i;

	(void)state;
	for (i = 0; i < 16; i++) {
		assert_true(cache_has_object_room(f.cache));
		o[i] = make(CHUNK);
		object_use(o[i]);
	}
	assert_false(cache_has_object_room(f.cache));
	assert_int_equal(object_new(f.cache, f.table, &spec, &more), -EMFILE);
	object_unuse(o[5]);
	object_unuse(o[3]);
	object_unuse(o[4]);
	assert_int_equal(object_new(f.cache, f.table, &spec, &more), 0);
	assert_true(object_is_dropped(o[5]));
	object_use(o[3]);
	object_unuse(o[3]);
	object_unref(more); /* never used and gone */
	assert_int_equal(object_new(f.cache, f.table, &spec, &more), 0);
	object_use(more);
	object_unref(make(CHUNK));
	assert_true(object_is_dropped(o[4]));
	assert_false(object_is_dropped(o[3]));
	object_unref(more);
	for (i = 0; i < 16; i++)
		object_unref(o[i]);
}

#define OBJECT_TEST(t) cmocka_unit_test_setup_teardown(t, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		OBJECT_TEST(test_an_object_knows_what_it_was_given),
		OBJECT_TEST(test_sizes_that_cannot_be_are_refused),
		OBJECT_TEST(test_chunks_are_given_up_after_the_last_user),
		OBJECT_TEST(test_who_comes_back_in_time_finds_everything),
		OBJECT_TEST(test_expiry_of_zero_gives_up_at_once),
		OBJECT_TEST(test_pins_keep_an_object_that_nobody_uses),
		OBJECT_TEST(test_a_drop_waits_for_users),
		OBJECT_TEST(test_a_fill_of_an_object_given_up_is_in_vain),
		OBJECT_TEST(test_a_large_object_is_given_up_in_slices),
		OBJECT_TEST(test_a_failure_leaves_what_is_ready_unless_it_is_to_go),
		OBJECT_TEST(test_at_the_limit_the_longest_unused_object_goes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
