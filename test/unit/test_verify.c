#include "test/unit/cache_fixture.h"

#include "daemon/base/log.h"

#include <stdio.h>

#define SIZE (3 * CHUNK + 1234)

static char log_path[] = "/tmp/test_verify.XXXXXX";

static int start(void **state)
{
	int fd;

	strcpy(log_path + strlen(log_path) - 6, "XXXXXX");
	fd = mkstemp(log_path);
	if (fd == -1)
		return -1;
	close(fd);
	*state = calloc(1, sizeof(struct fixture));
	return log_open(log_path, LOG_LEVEL_WARN);
}

static int end(void **state)
{
	fixture_end(*state);
	free(*state);
	log_close();
	return unlink(log_path);
}

/* How many lines of the log hold all of the text. */
static int logged(const char *text)
{
	char line[1024];
	FILE *file = fopen(log_path, "r");
	int nr = 0;

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) != NULL)
		nr += strstr(line, text) != NULL;
	fclose(file);
	return nr;
}

static int load_spoiled(struct object *o, uint32_t chunk)
{
	struct fill *fill = begin(o, chunk, FETCH_DEMAND);

	write_rest(fill, true);
	return fill_finish(fill, 0);
}

static void load_some(struct object *o, uint32_t first, uint32_t nr)
{
	uint32_t i;

	for (i = first; i < first + nr; i++)
		assert_int_equal(load(o, i, FETCH_DEMAND), 0);
}

/* Everything else gives way to demand for another object's chunks. */
static void evict_all(struct fixture *f, struct object *o)
{
	struct object *other = fixture_object(f, f->conf.size);
	struct fill *fill;
	uint32_t i;

	object_use(other);
	for (i = 0; i < object_nr_chunks(o); i++)
		chunk_touch(o, i);
	for (i = 0; i < object_nr_chunks(other); i++) {
		fill = begin(other, i, FETCH_DEMAND);
		write_rest(fill, false);
		assert_int_equal(fill_finish(fill, 0), 0);
	}
	object_unref(other);
}

static void test_right_bytes_are_verified_when_the_last_has_come(void **state)
{
	struct fixture *f = *state;
	struct cache_stats stats;
	struct object *o;
	uint64_t crc = 0;

	fixture_start(f, 8 * CHUNK, VERIFY_ON);
	o = fixture_object(f, SIZE);
	object_set_crc(o, pattern_crc(SIZE));
	object_set_crc(o, 99); /* only the first counts */
	load_some(o, 2, 2);
	load_some(o, 0, 1);
	assert_int_equal(object_verdict(o, &crc), VERDICT_PENDING);
	assert_int_equal(state_of(f, o, 2), CHUNK_READY); /* served before */
	load_some(o, 1, 1);
	assert_int_equal(object_verdict(o, &crc), VERDICT_GOOD);
	assert_true(crc == pattern_crc(SIZE));
	cache_stats(f->cache, &stats);
	assert_int_equal(stats.verified, 1);
	assert_int_equal(stats.mismatches, 0);
	object_unref(o);
}

static void test_a_claimed_chunk_keeps_its_pages_when_the_sum_is_wrong(void **state)
{
	struct fixture *f = *state;
	struct object *o;
	unsigned char byte = 0;

	fixture_start(f, 8 * CHUNK, VERIFY_ON);
	o = fixture_object(f, SIZE);
	object_set_crc(o, pattern_crc(SIZE));
	load_some(o, 0, 3);
	/* Who claimed it may map it as soon as its last byte is shown: before its sum is known. */
	assert_int_equal(chunk_pin(o, 3, 1), 0);
	assert_int_equal(load_spoiled(o, 3), -EIO);
	assert_int_equal(state_of(f, o, 3), CHUNK_FAILED);
	assert_int_equal(pread(o->mem.fd, &byte, 1, (off_t)(3 * CHUNK)), 1);
	assert_int_not_equal(byte, 0);
	chunk_unpin(o, 3, 1);
	object_unref(o);
}

static void test_what_the_store_said_is_known_before_the_bytes_and_without_verify(void **state)
{
	struct fixture *f = *state;
	struct fill *fill;
	struct object *o;
	uint64_t crc = 0;

	fixture_start(f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(f, SIZE);
	assert_false(object_stored_crc(o, &crc));
	assert_false(object_is_loading(o));
	fill = begin(o, 0, FETCH_DEMAND);
	assert_true(object_is_loading(o));
	object_set_crc(o, 77);
	write_rest(fill, false);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_false(object_is_loading(o));
	assert_true(object_stored_crc(o, &crc));
	assert_int_equal(crc, 77);
	/* Nobody compares: that is what off means. */
	load_some(o, 1, 3);
	assert_int_equal(object_verdict(o, NULL), VERDICT_UNKNOWN);
	assert_int_equal(object_error(o), 0);
	object_unref(o);
}

static void test_the_verdict_also_comes_with_a_late_crc(void **state)
{
	struct fixture *f = *state;
	struct object *o;
	uint64_t crc;

	fixture_start(f, 8 * CHUNK, VERIFY_ON);
	o = fixture_object(f, SIZE);
	load_some(o, 0, 4);
	assert_int_equal(object_verdict(o, &crc), VERDICT_UNKNOWN);
	assert_true(crc == pattern_crc(SIZE));
	object_set_crc(o, pattern_crc(SIZE));
	assert_int_equal(object_verdict(o, NULL), VERDICT_GOOD);
	object_unref(o);
}

static void test_a_flipped_bit_fails_the_object_before_it_is_complete(void **state)
{
	struct fixture *f = *state;
	struct cache_stats stats;
	struct object *o;
	struct fill *fill;
	uint32_t i;

	fixture_start(f, 8 * CHUNK, VERIFY_ON);
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	load_some(o, 0, 2);
	assert_int_equal(load_spoiled(o, 2), 0);
	assert_int_equal(chunk_pin(o, 1, 1), 0);
	assert_int_equal(load(o, 3, FETCH_DEMAND), -EIO);
	for (i = 0; i < 4; i++) {
		assert_int_equal(state_of(f, o, i), CHUNK_FAILED);
		assert_int_equal(chunk_word_watermark(word_of(f, o, i)), EIO);
	}
	assert_false(object_is_complete(o));
	assert_int_equal(object_verdict(o, NULL), VERDICT_BAD);
	assert_int_equal(object_error(o), -EIO);
	assert_int_equal(fill_begin(o, 3, FETCH_DEMAND, &fill), -EIO);
	assert_int_equal(chunk_want(o, 0, 1, true), CHUNK_FAILED);
	cache_stats(f->cache, &stats);
	assert_int_equal(stats.mismatches, 1);
	assert_int_equal(logged("models/weights.bin"), 1);
	/* Who has it mapped sees no zeros. */
	evict_all(f, o);
	assert_bytes(o, CHUNK, CHUNK);
	chunk_unpin(o, 1, 1);
	object_unref(o);
}

static void test_a_refill_must_have_the_crc_it_had(void **state)
{
	struct fixture *f = *state;
	struct cache_stats stats;
	struct object *o;

	fixture_start(f, 4 * CHUNK, VERIFY_ON);
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	load_some(o, 0, 4);
	evict_all(f, o);
	assert_int_equal(state_of(f, o, 0), CHUNK_EMPTY);
	assert_int_equal(object_verdict(o, NULL), VERDICT_GOOD);
	assert_int_equal(load_spoiled(o, 0), -EIO);
	assert_int_equal(state_of(f, o, 0), CHUNK_FAILED);
	assert_int_equal(logged("bytes 0 to 1048575"), 1);
	assert_int_equal(object_error(o), 0); /* only this transfer was bad */
	assert_int_equal(chunk_want(o, 0, 1, true), CHUNK_EMPTY);
	load_some(o, 0, 1);
	assert_int_equal(state_of(f, o, 0), CHUNK_READY);
	cache_stats(f->cache, &stats);
	assert_int_equal(stats.mismatches, 1);
	assert_int_equal(stats.refills, 1);
	object_unref(o);
}

static void test_the_verdict_outlives_eviction(void **state)
{
	struct fixture *f = *state;
	struct object *o;
	uint32_t i;

	fixture_start(f, 2 * CHUNK, VERIFY_ON); /* the object passes through */
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	for (i = 0; i < 4; i++) {
		load_some(o, i, 1);
		chunk_touch(o, i);
	}
	assert_int_equal(object_verdict(o, NULL), VERDICT_GOOD);
	object_unref(o);
}

static void test_off_knows_nothing(void **state)
{
	struct fixture *f = *state;
	struct object *o;

	fixture_start(f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(f, SIZE);
	object_set_crc(o, 1);
	assert_int_equal(object_verdict(o, NULL), VERDICT_UNKNOWN);
	load_some(o, 0, 4);
	assert_int_equal(object_verdict(o, NULL), VERDICT_UNKNOWN);
	assert_true(object_is_complete(o));
	object_unref(o);
}

/* ---- strict ---------------------------------------------------------------------------- */

static void assert_nothing_shown(struct fixture *f, struct object *o)
{
	uint32_t i;

	for (i = 0; i < object_nr_chunks(o); i++)
		assert_false(chunk_word_covers(word_of(f, o, i), 1));
	assert_false(object_is_complete(o));
}

static void test_strict_shows_nothing_before_the_verdict(void **state)
{
	struct fixture *f = *state;
	struct object *o;
	struct fill *fill;
	unsigned char buf[8192];

	fixture_start(f, 8 * CHUNK, VERIFY_STRICT);
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	assert_int_equal(object_next_unseen(o, 0), 0);
	fill = begin(o, 0, FETCH_DEMAND);
	pattern_fill(buf, 0, sizeof(buf));
	assert_int_equal(fill_write(fill, buf, sizeof(buf)), 0);
	assert_int_equal(chunk_want(o, 0, 4096, false), CHUNK_LOADING);
	assert_nothing_shown(f, o);
	assert_int_equal(object_next_unseen(o, 0), 1);
	write_rest(fill, false);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_int_equal(chunk_want(o, 0, 4096, false), CHUNK_LOADING);
	load_some(o, 1, 2);
	assert_nothing_shown(f, o);
	assert_int_equal(object_next_unseen(o, 0), 3);
	load_some(o, 3, 1);
	assert_int_equal(object_next_unseen(o, 0), -1);
	assert_true(object_is_complete(o));
	assert_int_equal(state_of(f, o, 0), CHUNK_READY);
	assert_bytes(o, 0, SIZE);
	object_unref(o);
}

static void test_strict_never_serves_a_flipped_bit(void **state)
{
	struct fixture *f = *state;
	struct object *o;

	fixture_start(f, 8 * CHUNK, VERIFY_STRICT);
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	assert_int_equal(load_spoiled(o, 0), 0);
	load_some(o, 1, 2);
	assert_nothing_shown(f, o);
	assert_int_equal(load(o, 3, FETCH_DEMAND), -EIO);
	assert_nothing_shown(f, o);
	assert_int_equal(state_of(f, o, 0), CHUNK_FAILED);
	assert_int_equal(logged("models/weights.bin"), 1);
	object_unref(o);
}

static void test_strict_passes_a_large_object_through_once_and_then_serves_it(void **state)
{
	struct fixture *f = *state;
	struct cache_stats stats;
	struct object *o;
	int64_t next;
	uint32_t i;

	fixture_start(f, 2 * CHUNK, VERIFY_STRICT);
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	assert_int_equal(chunk_want(o, 1, CHUNK, false), CHUNK_EMPTY);
	for (i = 0; (next = object_next_unseen(o, 0)) >= 0; i++) {
		load_some(o, (uint32_t)next, 1);
		/* Evicted or not, who waits need not ask for it again. */
		if (i >= 1 && i < 3)
			assert_int_equal(chunk_want(o, 1, CHUNK, false), CHUNK_LOADING);
		if (i < 3)
			assert_nothing_shown(f, o);
	}
	assert_int_equal(i, 4);
	assert_int_equal(object_verdict(o, NULL), VERDICT_GOOD);
	/* Now as with any other: present ones appear, the others are asked for. */
	for (i = 0; i < 4; i++) {
		enum chunk_state s = chunk_want(o, i, 1, false);

		assert_true(s == CHUNK_READY || s == CHUNK_EMPTY);
		if (s == CHUNK_EMPTY)
			load_some(o, i, 1);
		assert_int_equal(state_of(f, o, i), CHUNK_READY);
		assert_bytes(o, i * CHUNK, i < 3 ? CHUNK : 1234);
		chunk_touch(o, i);
	}
	cache_stats(f->cache, &stats);
	assert_in_range(stats.refills, 2, 4);
	assert_int_equal(stats.mismatches, 0);
	object_unref(o);
}

static void test_strict_compares_a_refill_before_it_is_seen(void **state)
{
	struct fixture *f = *state;
	struct object *o;
	struct fill *fill;

	fixture_start(f, 4 * CHUNK, VERIFY_STRICT);
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	load_some(o, 0, 4);
	f->cache->verify = VERIFY_OFF; /* for the other object */
	evict_all(f, o);
	fill = begin(o, 1, FETCH_DEMAND);
	assert_int_equal(chunk_want(o, 1, 1, false), CHUNK_LOADING);
	write_rest(fill, true);
	assert_int_equal(chunk_word_watermark(word_of(f, o, 1)), 0);
	assert_int_equal(fill_finish(fill, 0), -EIO);
	assert_int_equal(state_of(f, o, 1), CHUNK_FAILED);
	object_unref(o);
}

static void test_strict_without_a_crc_is_an_error(void **state)
{
	struct fixture *f = *state;
	struct object *o;

	fixture_start(f, 8 * CHUNK, VERIFY_STRICT);
	o = fixture_object(f, SIZE);
	load_some(o, 0, 3);
	assert_int_equal(load(o, 3, FETCH_DEMAND), -EIO);
	assert_nothing_shown(f, o);
	assert_int_equal(object_error(o), -EIO);
	assert_int_equal(object_verdict(o, NULL), VERDICT_UNKNOWN);
	assert_int_equal(logged("cannot be verified"), 1);
	object_set_crc(o, pattern_crc(SIZE)); /* too late: it has been refused */
	assert_nothing_shown(f, o);
	object_unref(o);
}

static void test_strict_failures_reach_all_who_wait_and_a_retry_forgives_all(void **state)
{
	struct fixture *f = *state;
	struct object *o;
	struct fill *fill;

	fixture_start(f, 8 * CHUNK, VERIFY_STRICT);
	o = fixture_object(f, SIZE);
	object_use(o);
	object_set_crc(o, pattern_crc(SIZE));
	load_some(o, 0, 2);
	assert_int_equal(chunk_want(o, 0, 1, false), CHUNK_LOADING);
	fill = begin(o, 2, FETCH_DEMAND);
	assert_int_equal(fill_finish(fill, -ETIMEDOUT), -ETIMEDOUT);
	assert_int_equal(state_of(f, o, 0), CHUNK_FAILED);
	assert_int_equal(chunk_word_watermark(word_of(f, o, 0)), ETIMEDOUT);
	assert_int_equal(state_of(f, o, 3), CHUNK_FAILED);
	assert_int_equal(object_next_unseen(o, 0), -1);
	assert_int_equal(chunk_want(o, 0, 1, true), CHUNK_LOADING);
	assert_int_equal(object_next_unseen(o, 0), 2);
	load_some(o, 2, 2);
	assert_true(object_is_complete(o));
	assert_int_equal(state_of(f, o, 0), CHUNK_READY);
	object_unref(o);
}

#define VERIFY_TEST(t) cmocka_unit_test_setup_teardown(t, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		VERIFY_TEST(test_right_bytes_are_verified_when_the_last_has_come),
		VERIFY_TEST(test_a_claimed_chunk_keeps_its_pages_when_the_sum_is_wrong),
		VERIFY_TEST(test_what_the_store_said_is_known_before_the_bytes_and_without_verify),
		VERIFY_TEST(test_the_verdict_also_comes_with_a_late_crc),
		VERIFY_TEST(test_a_flipped_bit_fails_the_object_before_it_is_complete),
		VERIFY_TEST(test_a_refill_must_have_the_crc_it_had),
		VERIFY_TEST(test_the_verdict_outlives_eviction),
		VERIFY_TEST(test_off_knows_nothing),
		VERIFY_TEST(test_strict_shows_nothing_before_the_verdict),
		VERIFY_TEST(test_strict_never_serves_a_flipped_bit),
		VERIFY_TEST(test_strict_passes_a_large_object_through_once_and_then_serves_it),
		VERIFY_TEST(test_strict_compares_a_refill_before_it_is_seen),
		VERIFY_TEST(test_strict_without_a_crc_is_an_error),
		VERIFY_TEST(test_strict_failures_reach_all_who_wait_and_a_retry_forgives_all),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
