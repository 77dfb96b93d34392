#include "test/unit/cache_fixture.h"

#include "common/futex.h"

#include <fcntl.h>
#include <pthread.h>

static void test_a_filled_chunk_is_ready_and_has_the_bytes(void **state)
{
	struct fixture f;
	struct object *o;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 3 * CHUNK + 5000);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 3, FETCH_DEMAND), 0);
	assert_int_equal(state_of(&f, o, 0), CHUNK_READY);
	assert_int_equal(state_of(&f, o, 1), CHUNK_EMPTY);
	assert_int_equal(state_of(&f, o, 3), CHUNK_READY);
	assert_bytes(o, 0, CHUNK);
	assert_bytes(o, 3 * CHUNK, 5000);
	assert_int_equal(cache_used(f.cache), CHUNK + 8192);
	assert_int_equal(object_present_bytes(o), CHUNK + 5000);
	assert_false(object_is_complete(o));
	assert_int_equal(load(o, 1, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 2, FETCH_DEMAND), 0);
	assert_true(object_is_complete(o));
	object_unref(o);
	assert_int_equal(cache_used(f.cache), 0);
	fixture_end(&f);
}

static void test_a_chunk_is_filled_by_one_only(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *first, *second;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 2 * CHUNK);
	first = begin(o, 1, FETCH_PREFETCH);
	assert_ptr_equal(fill_object(first), o);
	assert_int_equal(fill_chunk(first), 1);
	assert_int_equal(fill_offset(first), CHUNK);
	assert_int_equal(fill_end(first), 2 * CHUNK);
	assert_int_equal(fill_begin(o, 1, FETCH_DEMAND, &second), -EALREADY);
	assert_int_equal(fill_begin(o, 2, FETCH_DEMAND, &second), -EINVAL);
	write_rest(first, false);
	assert_int_equal(fill_finish(first, 0), 0);
	assert_int_equal(fill_begin(o, 1, FETCH_DEMAND, &second), -EALREADY);
	object_unref(o);
	fixture_end(&f);
}

static void test_bytes_of_a_pipe_land_in_order(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	unsigned char buf[16384];
	int pipes[2];
	uint64_t sent = 0;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_ON);
	o = fixture_object(&f, CHUNK + 777);
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	assert_int_equal(fill_splice(fill, pipes[0], 4096), -EAGAIN);
	while (fill_offset(fill) < fill_end(fill)) {
		ssize_t n;

		pattern_fill(buf, sent, sizeof(buf));
		assert_int_equal(write(pipes[1], buf, sizeof(buf)), sizeof(buf));
		sent += sizeof(buf);
		while (fill_offset(fill) < sent) {
			n = fill_splice(fill, pipes[0], 5000);
			assert_in_range(n, 1, 5000);
		}
	}
	assert_int_equal(fill_splice(fill, pipes[0], 1), -EMSGSIZE);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_bytes(o, 0, CHUNK);
	/* The tail, from a pipe that holds more than the chunk does. */
	fill = begin(o, 1, FETCH_DEMAND);
	pattern_fill(buf, CHUNK, 777);
	assert_int_equal(write(pipes[1], buf, sizeof(buf)), sizeof(buf));
	assert_int_equal(fill_splice(fill, pipes[0], sizeof(buf)), 777);
	close(pipes[1]);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_bytes(o, CHUNK, 777);
	object_set_crc(o, pattern_crc(CHUNK + 777));
	assert_int_equal(object_verdict(o, NULL), VERDICT_GOOD);
	close(pipes[0]);
	object_unref(o);
	fixture_end(&f);
}

static void test_more_bytes_than_the_chunk_holds_are_refused(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 100);
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(fill_write(fill, "0123456789", 10), 0);
	assert_int_equal(fill_write(fill, (char[91]){ 0 }, 91), -EMSGSIZE);
	assert_int_equal(fill_offset(fill), 10);
	assert_int_equal(fill_finish(fill, -EIO), -EIO);
	object_unref(o);
	fixture_end(&f);
}

static void test_a_short_chunk_is_an_error_for_its_readers(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(fill_write(fill, (char[5000]){ 1 }, 5000), 0);
	assert_int_equal(fill_finish(fill, 0), -EIO);
	assert_int_equal(state_of(&f, o, 0), CHUNK_FAILED);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), EIO);
	assert_int_equal(cache_used(f.cache), 0);
	assert_int_equal(fill_begin(o, 0, FETCH_DEMAND, &fill), -EIO);
	object_unref(o);
	fixture_end(&f);
}

static void test_the_watermark_follows_when_somebody_waits(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	unsigned char *buf = malloc(CHUNK);

	(void)state;
	assert_non_null(buf);
	pattern_fill(buf, 0, CHUNK);
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 2 * CHUNK);
	fill = begin(o, 0, FETCH_PREFETCH);
	assert_int_equal(fill_write(fill, buf, 10000), 0);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), 0); /* nobody waits */
	assert_false(fill_is_wanted(fill));
	/* A wish shows what is there already, whole pages only... */
	assert_int_equal(chunk_want(o, 0, 20000, false), CHUNK_LOADING);
	assert_true(fill_is_wanted(fill));
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), 2);
	/* ... and the page that was waited for as soon as it comes. */
	assert_int_equal(fill_write(fill, buf + 10000, 10000), 0);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), 2);
	assert_int_equal(fill_write(fill, buf + 20000, 1000), 0);
	assert_true(chunk_word_covers(word_of(&f, o, 0), 20000));
	/* From then on in large steps. */
	assert_int_equal(fill_write(fill, buf + 21000, 100000), 0);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), 5);
	assert_int_equal(fill_write(fill, buf + 121000, 200000), 0);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), 321000 / 4096);
	assert_bytes(o, 0, 321000 / 4096 * 4096);
	write_rest(fill, false);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_int_equal(state_of(&f, o, 0), CHUNK_READY);
	object_unref(o);
	fixture_end(&f);
	free(buf);
}

static void test_a_fill_given_back_leaves_an_empty_chunk_of_a_new_generation(void **state)
{
	static const int errors[] = { -EAGAIN, -ENOSPC, -ENOMEM };
	struct fixture f;
	struct object *o;
	size_t i;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	for (i = 0; i < 3; i++) {
		struct fill *fill = begin(o, 0, FETCH_DEMAND);
		uint64_t before;
		char byte;

		assert_int_equal(fill_write(fill, (char[8192]){ 1 }, 8192), 0);
		assert_int_equal(chunk_want(o, 0, 4096, false), CHUNK_LOADING);
		before = word_of(&f, o, 0);
		assert_true(chunk_word_covers(before, 4096));
		assert_int_equal(fill_finish(fill, errors[i]), errors[i]);
		assert_int_equal(state_of(&f, o, 0), CHUNK_EMPTY);
		assert_false(chunk_word_still(before, word_of(&f, o, 0)));
		assert_int_equal(cache_used(f.cache), 0);
		assert_int_equal(memfile_used(&o->mem), 0);
		assert_int_equal(pread(object_client_fd(o), &byte, 1, 0), 1);
		assert_int_equal(byte, 0); /* the pages are gone, and the word says so */
	}
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	assert_bytes(o, 0, CHUNK);
	object_unref(o);
	fixture_end(&f);
}

static void test_a_failed_fill_tells_its_errno(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	uint64_t before;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	fill = begin(o, 0, FETCH_DEMAND);
	before = word_of(&f, o, 0);
	assert_int_equal(fill_finish(fill, -ETIMEDOUT), -ETIMEDOUT);
	assert_int_equal(state_of(&f, o, 0), CHUNK_FAILED);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), ETIMEDOUT);
	assert_false(chunk_word_still(before, word_of(&f, o, 0)));
	assert_int_equal(chunk_want(o, 0, 1, false), CHUNK_FAILED);
	assert_int_equal(chunk_want(o, 0, 1, true), CHUNK_EMPTY);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	object_unref(o);
	fixture_end(&f);
}

/* ---- wake-ups --------------------------------------------------------------------- */

struct sleeper {
	const uint64_t *word;
	uint64_t end;
	uint64_t seen; /* the word that ended the wait */
	bool hung;
};

/* A client that has posted its FETCH and now sleeps for as long as it takes. */
static void *sleep_on_word(void *arg)
{
	struct sleeper *s = arg;

	for (;;) {
		s->seen = chunk_word_load(s->word);
		if (chunk_word_covers(s->seen, s->end) || chunk_word_state(s->seen) == CHUNK_FAILED)
			return NULL;
		if (futex_wait(chunk_word_futex(s->word), (uint32_t)s->seen, 20000) == -ETIMEDOUT) {
			s->hung = true;
			return NULL;
		}
	}
}

static void start_sleeper(struct sleeper *s, pthread_t *thread, const struct fixture *f,
			  const struct object *o, uint64_t end)
{
	*s = (struct sleeper){ .word = &f->view->words[object_first_word(o)], .end = end };
	assert_int_equal(pthread_create(thread, NULL, sleep_on_word, s), 0);
}

static void test_a_sleeper_wakes_when_its_bytes_are_there(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	struct sleeper s;
	pthread_t thread;
	unsigned char buf[8192];

	(void)state;
	pattern_fill(buf, 0, sizeof(buf));
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	start_sleeper(&s, &thread, &f, o, 8192);
	assert_int_equal(chunk_want(o, 0, 8192, false), CHUNK_EMPTY);
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(fill_write(fill, buf, 8192), 0);
	pthread_join(thread, NULL);
	assert_false(s.hung);
	assert_int_equal(chunk_word_state(s.seen), CHUNK_LOADING);
	write_rest(fill, false);
	assert_int_equal(fill_finish(fill, 0), 0);
	object_unref(o);
	fixture_end(&f);
}

/* The daemon hears of the wish only when all has happened: the sleeper must not be forgotten. */
static void test_a_late_wish_wakes_who_sleeps_already(void **state)
{
	struct fixture f;
	struct object *o;
	struct sleeper s;
	pthread_t thread;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	start_sleeper(&s, &thread, &f, o, CHUNK);
	assert_int_equal(load(o, 0, FETCH_PREFETCH), 0);
	assert_int_equal(chunk_want(o, 0, CHUNK, false), CHUNK_READY);
	pthread_join(thread, NULL);
	assert_false(s.hung);
	object_unref(o);
	fixture_end(&f);
}

static void test_failure_wakes_sleepers(void **state)
{
	struct fixture f;
	struct object *o;
	struct sleeper s;
	pthread_t thread;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	start_sleeper(&s, &thread, &f, o, CHUNK);
	assert_int_equal(chunk_want(o, 0, CHUNK, false), CHUNK_EMPTY);
	object_fail(o, -ESTALE, false);
	pthread_join(thread, NULL);
	assert_false(s.hung);
	assert_int_equal(chunk_word_state(s.seen), CHUNK_FAILED);
	assert_int_equal(chunk_word_watermark(s.seen), ESTALE);
	object_unref(o);
	fixture_end(&f);
}

static void test_no_room_in_the_memory_file_gives_the_chunk_back_and_lowers_the_bound(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	uint32_t i;

	(void)state;
	fixture_start(&f, 64 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, 20 * CHUNK);
	for (i = 0; i < 10; i++)
		assert_int_equal(load(o, i, FETCH_DEMAND), 0);
	fill = begin(o, 10, FETCH_DEMAND);
	assert_int_equal(fill_finish(fill, -ENOSPC), -ENOSPC); /* as splice() had said */
	assert_int_equal(state_of(&f, o, 10), CHUNK_EMPTY);
	assert_int_equal(cache_size(f.cache), 10 * CHUNK);
	/* So the next one evicts instead of running into the same wall. */
	assert_int_equal(load(o, 10, FETCH_DEMAND), 0);
	assert_int_equal(cache_used(f.cache), 10 * CHUNK);
	/* Later the bound is tried again. */
	fixture_tick(&f, 5000);
	assert_int_equal(cache_size(f.cache), 64 * CHUNK);
	object_unref(o);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_filled_chunk_is_ready_and_has_the_bytes),
		cmocka_unit_test(test_a_chunk_is_filled_by_one_only),
		cmocka_unit_test(test_bytes_of_a_pipe_land_in_order),
		cmocka_unit_test(test_more_bytes_than_the_chunk_holds_are_refused),
		cmocka_unit_test(test_a_short_chunk_is_an_error_for_its_readers),
		cmocka_unit_test(test_the_watermark_follows_when_somebody_waits),
		cmocka_unit_test(test_a_fill_given_back_leaves_an_empty_chunk_of_a_new_generation),
		cmocka_unit_test(test_a_failed_fill_tells_its_errno),
		cmocka_unit_test(test_a_sleeper_wakes_when_its_bytes_are_there),
		cmocka_unit_test(test_a_late_wish_wakes_who_sleeps_already),
		cmocka_unit_test(test_failure_wakes_sleepers),
		cmocka_unit_test(
			test_no_room_in_the_memory_file_gives_the_chunk_back_and_lowers_the_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
