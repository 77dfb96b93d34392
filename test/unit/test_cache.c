#include "test/unit/cache_fixture.h"

#include "daemon/base/log.h"
#include "daemon/cache/memavail.h"

#include <stdio.h>

static struct fixture f;

static int end(void **state)
{
	(void)state;
	fixture_end(&f);
	return 0;
}

static void load_some(struct object *o, uint32_t first, uint32_t nr)
{
	uint32_t i;

	for (i = first; i < first + nr; i++)
		assert_int_equal(load(o, i, FETCH_DEMAND), 0);
}

static void test_configurations_that_cannot_work_are_refused(void **state)
{
	struct cache_conf conf = {
		.size = CHUNK, .chunk_shift = SHIFT, .max_objects = 1, .expire_ms = 0
	};
	struct cache *c;

	(void)state;
	log_open("/dev/null", LOG_LEVEL_ERROR);
	assert_int_equal(cache_new(&conf, &c), -EINVAL); /* one chunk is none to spare */
	conf.size = 2 * CHUNK;
	conf.chunk_shift = CHUNK_SHIFT_MAX + 1;
	assert_int_equal(cache_new(&conf, &c), -EINVAL);
	conf.chunk_shift = CHUNK_SHIFT_MIN - 1;
	assert_int_equal(cache_new(&conf, &c), -EINVAL);
	conf.chunk_shift = SHIFT;
	conf.max_objects = 0;
	assert_int_equal(cache_new(&conf, &c), -EINVAL);
	conf.max_objects = 1;
	assert_int_equal(cache_new(&conf, &c), 0);
	assert_int_equal(cache_size(c), 2 * CHUNK);
	assert_int_equal(cache_chunk_shift(c), SHIFT);
	cache_free(c);
	cache_free(NULL);
	log_close();
}

static void test_without_a_size_the_memory_decides(void **state)
{
	struct cache_conf conf = { .chunk_shift = SHIFT, .max_objects = 1 };
	uint64_t available = memavail_bytes("");
	struct cache *c;

	(void)state;
	assert_int_equal(cache_new(&conf, &c), 0);
	assert_in_range(cache_size(c), available / 2, available);
	cache_free(c);
}

static void test_more_than_there_is_warns_with_both_figures(void **state)
{
	struct cache_conf conf = { .size = (uint64_t)1 << 50,
				   .chunk_shift = SHIFT,
				   .max_objects = 1 };
	char path[] = "/tmp/test_cache.XXXXXX", line[512] = "";
	uint64_t available = memavail_bytes("");
	struct cache *c;
	FILE *file;

	(void)state;
	close(mkstemp(path));
	assert_int_equal(log_open(path, LOG_LEVEL_WARN), 0);
	assert_int_equal(cache_new(&conf, &c), 0);
	log_close();
	assert_true(cache_size(c) < available); /* it does not believe it */
	cache_free(c);
	file = fopen(path, "r");
	assert_non_null(file);
	assert_non_null(fgets(line, sizeof(line), file));
	fclose(file);
	unlink(path);
	assert_non_null(strstr(line, "1073741824 MiB"));
	assert_non_null(strstr(strstr(line, "only"), "MiB of memory are available"));
}

/* ---- memory that runs out ------------------------------------------------------------ */

static int start_large(void **state)
{
	(void)state;
	fixture_start(&f, 64 * CHUNK, VERIFY_OFF);
	return log_open("/dev/null", LOG_LEVEL_ERROR);
}

static int end_large(void **state)
{
	log_close();
	return end(state);
}

static void test_the_cache_shrinks_before_memory_runs_out(void **state)
{
	struct object *o = fixture_object(&f, 64 * CHUNK);
	struct cache_stats stats;
	uint32_t i;

	(void)state;
	object_use(o);
	load_some(o, 0, 64);
	for (i = 0; i < 64; i++)
		chunk_touch(o, i);
	fixture_tick(&f, 0);
	assert_int_equal(cache_size(f.cache), 64 * CHUNK);
	/* Others took the rest: half of a fifth of what the cache could have must be left. */
	f.memory = 0;
	fixture_tick(&f, 1000);
	assert_int_equal(cache_size(f.cache), 64 * CHUNK - 64 * CHUNK / 10);
	assert_true(cache_used(f.cache) <= cache_size(f.cache));
	assert_int_equal(state_of(&f, o, 0), CHUNK_EMPTY); /* the oldest went */
	assert_int_equal(state_of(&f, o, 63), CHUNK_READY);
	assert_int_equal(memfile_used(&o->mem), cache_used(f.cache));
	cache_stats(f.cache, &stats);
	assert_int_equal(stats.evictions, 7);
	/* And it grows back when they let go. */
	f.memory = 1024 * MIB;
	fixture_tick(&f, 5000);
	assert_int_equal(cache_size(f.cache), 64 * CHUNK);
	object_unref(o);
}

static void test_a_start_without_memory_still_moves_and_grows_later(void **state)
{
	struct object *o;

	(void)state;
	f.conf.size = 0;
	cache_reconfigure(f.cache, &f.conf);
	f.memory = 0;
	f.cache->goal = 0; /* as at the start */
	cache_look_at_memory(f.cache);
	o = fixture_object(&f, 16 * CHUNK);
	object_use(o);
	load_some(o, 0, 1);
	f.memory = 64 * CHUNK;
	cache_look_at_memory(f.cache);
	assert_true(cache_size(f.cache) >= 32 * CHUNK);
	object_unref(o);
}

static void test_growth_looks_at_the_memory_without_any_tick(void **state)
{
	struct object *o;

	(void)state;
	f.conf.size = 256 * CHUNK;
	cache_reconfigure(f.cache, &f.conf);
	o = fixture_object(&f, 256 * CHUNK);
	f.memory = 10 * MIB;
	load_some(o, 0, 64);
	assert_int_equal(cache_size(f.cache), 256 * CHUNK); /* 64 MiB went unnoticed */
	load_some(o, 64, 1);
	assert_true(cache_size(f.cache) <= 64 * CHUNK + f.memory);
	object_unref(o);
}

static void test_pins_survive_a_shortage_and_demand_still_moves(void **state)
{
	struct object *o = fixture_object(&f, 64 * CHUNK);
	uint32_t i;

	(void)state;
	object_use(o);
	load_some(o, 0, 40);
	assert_int_equal(chunk_pin(o, 0, 40), 0);
	f.memory = 0;
	fixture_tick(&f, 1000);
	assert_int_equal(cache_size(f.cache), 40 * CHUNK + MIN_BOUND_CHUNKS * CHUNK);
	for (i = 0; i < 40; i++)
		assert_int_equal(state_of(&f, o, i), CHUNK_READY);
	load_some(o, 40, 24);
	assert_int_equal(cache_used(f.cache), 44 * CHUNK);
	chunk_unpin(o, 0, 40);
	object_unref(o);
}

static void test_a_small_cgroup_can_pin_seven_tenths_of_itself(void **state)
{
	uint64_t limit = 1024 * MIB, used_by_others = 60 * MIB, size;

	(void)state;
	f.conf.size = 0;
	f.memory = limit - used_by_others;
	cache_reconfigure(f.cache, &f.conf);
	size = cache_size(f.cache);
	assert_true(size - size / 32 >= limit * 7 / 10);
	assert_true(size <= f.memory - f.memory / 10);
}

static void test_a_smaller_size_takes_effect_with_the_next_tick(void **state)
{
	struct object *o = fixture_object(&f, 64 * CHUNK);

	(void)state;
	load_some(o, 0, 64);
	f.nr_due = 0;
	f.conf.size = 16 * CHUNK;
	cache_reconfigure(f.cache, &f.conf);
	assert_int_equal(f.nr_due, 1);
	fixture_tick(&f, 0);
	assert_int_equal(cache_used(f.cache), 16 * CHUNK);
	f.conf.size = 1; /* refused: it stays as it was */
	cache_reconfigure(f.cache, &f.conf);
	assert_int_equal(cache_size(f.cache), 16 * CHUNK);
	object_unref(o);
}

/* ---- the tick --------------------------------------------------------------------------- */

static int start_small(void **state)
{
	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	return 0;
}

static void test_an_idle_cache_wants_no_timer(void **state)
{
	struct object *o;

	(void)state;
	assert_int_equal(fixture_tick(&f, 1), -1);
	o = fixture_object(&f, CHUNK);
	assert_int_equal(fixture_tick(&f, 1), -1);
	assert_int_equal(load(o, 0, FETCH_PREFETCH), 0);
	assert_in_range(fixture_tick(&f, 1), 1, 5000); /* memory is watched */
	object_drop(o);
	object_unref(o);
	assert_int_equal(fixture_tick(&f, 1), -1);
}

static void test_who_posts_ticks_is_told_once_for_each(void **state)
{
	struct object *o = fixture_object(&f, CHUNK);

	(void)state;
	f.nr_due = 0;
	object_use(o);
	object_unuse(o);
	object_use(o);
	object_unuse(o);
	assert_int_equal(f.nr_due, 1);
	fixture_tick(&f, 0);
	object_use(o);
	object_unuse(o);
	assert_int_equal(f.nr_due, 2);
	object_unref(o);
}

/* ---- pages that readers made -------------------------------------------------------------- */

static void test_stray_pages_are_found_and_punched(void **state)
{
	struct object *o = fixture_object(&f, 8 * CHUNK);
	const volatile unsigned char *map;
	uint32_t i;

	(void)state;
	map = mmap(NULL, 8 * CHUNK, PROT_READ, MAP_SHARED, object_client_fd(o), 0);
	assert_true(map != MAP_FAILED);
	object_use(o);
	load_some(o, 0, 5); /* chunk 3 went again */
	assert_int_equal(state_of(&f, o, 3), CHUNK_EMPTY);
	fixture_tick(&f, 60000);
	for (i = 0; i < 8 * 256; i++)
		assert_int_equal(map[i * 4096] != 0, i < 3 * 256 || i / 256 == 4);
	assert_int_equal(memfile_used(&o->mem), 8 * CHUNK);
	assert_int_equal(cache_used(f.cache), 4 * CHUNK); /* they never count as data */
	fixture_tick(&f, 60000);
	assert_int_equal(memfile_used(&o->mem), 4 * CHUNK);
	assert_bytes(o, 0, 3 * CHUNK);
	assert_bytes(o, 4 * CHUNK, CHUNK);
	munmap((void *)map, 8 * CHUNK);
	object_unref(o);
}

static void test_a_fill_overwrites_stray_pages(void **state)
{
	struct object *o = fixture_object(&f, CHUNK);
	const volatile unsigned char *map;

	(void)state;
	map = mmap(NULL, CHUNK, PROT_READ, MAP_SHARED, object_client_fd(o), 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(map[0] + map[CHUNK - 1], 0);
	load_some(o, 0, 1);
	assert_int_equal(map[0], pattern(0));
	assert_int_equal(map[CHUNK - 1], pattern(CHUNK - 1));
	munmap((void *)map, CHUNK);
	object_unref(o);
}

static void test_a_session_that_ends_has_its_stray_pages_swept_soon(void **state)
{
	struct object *o = fixture_object(&f, 4 * CHUNK);
	const volatile unsigned char *map;

	(void)state;
	map = mmap(NULL, 4 * CHUNK, PROT_READ, MAP_SHARED, object_client_fd(o), 0);
	assert_true(map != MAP_FAILED);
	object_use(o);
	fixture_tick(&f, 60000); /* the slow timer has just been */
	assert_int_equal(map[2 * CHUNK], 0);
	munmap((void *)map, 4 * CHUNK);
	object_unuse(o);
	assert_in_range(fixture_tick(&f, 0), 1, 1000);
	fixture_tick(&f, 1000);
	assert_int_equal(memfile_used(&o->mem), 0);
	object_unref(o);
}

static void test_many_stray_pages_are_punched_in_slices(void **state)
{
	struct object *o = fixture_object(&f, 600 * CHUNK);
	const volatile unsigned char *map;
	uint64_t i;

	(void)state;
	map = mmap(NULL, 600 * CHUNK, PROT_READ, MAP_SHARED, object_client_fd(o), 0);
	assert_true(map != MAP_FAILED);
	object_use(o);
	load_some(o, 1, 1);
	for (i = 0; i < 600 * CHUNK; i += 4096)
		assert_int_equal(map[i] != 0, i >> SHIFT == 1);
	munmap((void *)map, 600 * CHUNK);
	assert_int_equal(fixture_tick(&f, 60000), 0); /* more to do, after others had their turn */
	assert_in_range(memfile_used(&o->mem), 300 * CHUNK, 350 * CHUNK);
	fixture_tick(&f, 0);
	assert_true(fixture_tick(&f, 0) > 0);
	assert_int_equal(memfile_used(&o->mem), CHUNK);
	assert_bytes(o, CHUNK, CHUNK);
	object_unref(o);
}

#define LARGE_TEST(t) cmocka_unit_test_setup_teardown(t, start_large, end_large)
#define SMALL_TEST(t) cmocka_unit_test_setup_teardown(t, start_small, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_configurations_that_cannot_work_are_refused),
		cmocka_unit_test(test_without_a_size_the_memory_decides),
		cmocka_unit_test(test_more_than_there_is_warns_with_both_figures),
		LARGE_TEST(test_the_cache_shrinks_before_memory_runs_out),
		LARGE_TEST(test_a_start_without_memory_still_moves_and_grows_later),
		LARGE_TEST(test_growth_looks_at_the_memory_without_any_tick),
		LARGE_TEST(test_pins_survive_a_shortage_and_demand_still_moves),
		LARGE_TEST(test_a_small_cgroup_can_pin_seven_tenths_of_itself),
		LARGE_TEST(test_a_smaller_size_takes_effect_with_the_next_tick),
		SMALL_TEST(test_an_idle_cache_wants_no_timer),
		SMALL_TEST(test_who_posts_ticks_is_told_once_for_each),
		SMALL_TEST(test_stray_pages_are_found_and_punched),
		SMALL_TEST(test_many_stray_pages_are_punched_in_slices),
		SMALL_TEST(test_a_fill_overwrites_stray_pages),
		SMALL_TEST(test_a_session_that_ends_has_its_stray_pages_swept_soon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
