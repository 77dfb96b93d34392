#include "test/unit/cache_fixture.h"

#include "daemon/cache/fill.h"

#include <fcntl.h>
#include <pthread.h>

#define LENGTH (CHUNK + 12345) /* two chunks; the last page is not whole */

static _Thread_local uint32_t seed = 1;

static uint32_t draw(uint32_t below)
{
	seed = seed * 1664525u + 1013904223u;
	return (seed >> 8) % below;
}

/* A cache on a machine with that many CPUs. */
static struct object *start(struct fixture *f, unsigned nr_cpus, enum verify_mode verify)
{
	fixture_start_conf(
		f, &(struct cache_conf){ .size = 8 * CHUNK, .verify = verify, .nr_cpus = nr_cpus });
	return fixture_object(f, LENGTH);
}

static void end(struct fixture *f, struct object *o)
{
	object_unref(o);
	fixture_end(f);
}

/* Where a sandbox has taken userfaultfd away, everything goes under the lock. */
static void skip_unless_covered(struct fixture *f, struct object *o)
{
	if (o->covered)
		return;
	print_message("no userfaultfd here\n");
	end(f, o);
	skip();
}

/* A piece of the chunk, written or spliced; lengths around pages and far from them. */
static void bring_piece(struct fill *fill, const int pipes[2], bool splices)
{
	static const uint32_t lens[] = { 1, 100, 4095, 4096, 4097, 8192, 12288, 50000 };
	unsigned char buf[50000];
	uint64_t at = fill_offset(fill);
	size_t len = lens[draw(8)];

	if (len > fill_end(fill) - at)
		len = (size_t)(fill_end(fill) - at);
	pattern_fill(buf, at, len);
	if (splices) {
		assert_int_equal(write(pipes[1], buf, len), len);
		while (fill_offset(fill) < at + len)
			assert_true(fill_splice(fill, pipes[0],
						(size_t)(at + len - fill_offset(fill))) > 0);
	} else {
		assert_int_equal(fill_write(fill, buf, len), 0);
	}
	assert_int_equal(fill_offset(fill), at + len);
}

static void bring_all(struct object *o, bool with_splices)
{
	struct fill *fill;
	uint32_t chunk;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	for (chunk = 0; chunk < object_nr_chunks(o); chunk++) {
		fill = begin(o, chunk, FETCH_DEMAND);
		while (fill_offset(fill) < fill_end(fill))
			bring_piece(fill, pipes, with_splices && draw(3) == 0);
		assert_int_equal(fill_finish(fill, 0), 0);
	}
	close(pipes[0]);
	close(pipes[1]);
	assert_bytes(o, 0, LENGTH);
	object_set_crc(o, pattern_crc(LENGTH));
	assert_int_equal(object_verdict(o, NULL), VERDICT_GOOD);
}

static void test_pieces_of_any_length_make_the_object(void **state)
{
	struct fixture f;
	struct object *o;
	int i;

	(void)state;
	for (i = 0; i < 20; i++) {
		o = start(&f, 16, VERIFY_ON);
		bring_all(o, i % 2 != 0);
		end(&f, o);
	}
}

struct half {
	struct object *o;
	uint32_t first;
};

/* Every second chunk, spliced when nobody else is at it. */
static void *bring_half(void *arg)
{
	const struct half *h = arg;
	uint32_t chunk;
	int pipes[2];

	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	for (chunk = h->first; chunk < object_nr_chunks(h->o); chunk += 2) {
		struct fill *fill = begin(h->o, chunk, FETCH_DEMAND);

		while (fill_offset(fill) < fill_end(fill))
			bring_piece(fill, pipes, fill_splices(fill));
		assert_int_equal(fill_finish(fill, 0), 0);
	}
	close(pipes[0]);
	close(pipes[1]);
	return NULL;
}

static void test_two_threads_fill_one_object(void **state)
{
	struct half halves[2];
	pthread_t thread;
	struct fixture f;
	struct object *o;

	(void)state;
	fixture_start_conf(
		&f, &(struct cache_conf){ .size = 16 * CHUNK, .verify = VERIFY_ON, .nr_cpus = 16 });
	o = fixture_object(&f, 7 * CHUNK + 777);
	object_set_crc(o, pattern_crc(7 * CHUNK + 777));
	halves[0] = (struct half){ o, 0 };
	halves[1] = (struct half){ o, 1 };
	assert_int_equal(pthread_create(&thread, NULL, bring_half, &halves[0]), 0);
	bring_half(&halves[1]);
	pthread_join(thread, NULL);
	assert_bytes(o, 0, 7 * CHUNK + 777);
	assert_int_equal(object_verdict(o, NULL), VERDICT_GOOD);
	end(&f, o);
}

static void test_without_userfaultfd_they_do_too(void **state)
{
	struct fixture f;
	struct object *o;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_ON);
	close(f.cache->uffd);
	f.cache->uffd = -1;
	o = fixture_object(&f, LENGTH);
	assert_false(o->covered);
	bring_all(o, true);
	end(&f, o);
}

static void test_pages_that_a_reader_made_in_the_hole_are_overwritten(void **state)
{
	const volatile unsigned char *view;
	struct fixture f;
	struct object *o;
	uint64_t at;

	(void)state;
	o = start(&f, 16, VERIFY_ON);
	view = mmap(NULL, LENGTH, PROT_READ, MAP_SHARED, object_client_fd(o), 0);
	assert_true(view != MAP_FAILED);
	for (at = 0; at < LENGTH; at += 4096 * (1 + draw(9)))
		assert_int_equal(view[at], 0);
	bring_all(o, false);
	for (at = 0; at < LENGTH; at += 1000)
		assert_int_equal(view[at], pattern(at));
	munmap((void *)view, LENGTH);
	end(&f, o);
}

static void test_only_whole_pages_are_shown(void **state)
{
	unsigned char buf[10000];
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	o = start(&f, 16, VERIFY_OFF);
	skip_unless_covered(&f, o);
	fill = begin(o, 0, FETCH_DEMAND);
	chunk_want(o, 0, 8192, false);
	pattern_fill(buf, 0, sizeof(buf));
	assert_int_equal(fill_write(fill, buf, 8191), 0);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), 0);
	assert_int_equal(fill_write(fill, buf + 8191, 1), 0);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 0)), 2);
	assert_bytes(o, 0, 8192);
	/* What waits for the rest of its page goes with the fill. */
	assert_int_equal(fill_write(fill, buf + 8192, 100), 0);
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	assert_int_equal(cache_used(f.cache), 0);
	end(&f, o);
}

static void test_whole_pages_do_not_wait_for_who_has_the_lock(void **state)
{
	static unsigned char buf[16 * 4096];
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	o = start(&f, 16, VERIFY_OFF);
	skip_unless_covered(&f, o);
	fill = begin(o, 0, FETCH_DEMAND);
	pattern_fill(buf, 0, sizeof(buf));
	alarm(20); /* or it would wait for itself */
	pthread_mutex_lock(&o->fill_lock);
	assert_int_equal(fill_write(fill, buf, 50), 0);
	assert_int_equal(fill_write(fill, buf + 50, sizeof(buf) - 50), 0);
	pthread_mutex_unlock(&o->fill_lock);
	alarm(0);
	assert_bytes(o, 0, sizeof(buf));
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	end(&f, o);
}

static void test_a_second_thread_copies_while_the_first_splices(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	o = start(&f, 16, VERIFY_OFF);
	skip_unless_covered(&f, o);
	assert_true(object_takes_writers(o));
	fill = begin(o, 0, FETCH_DEMAND);
	assert_true(fill_splices(fill));
	pthread_mutex_lock(&o->fill_lock);
	assert_false(fill_splices(fill));
	pthread_mutex_unlock(&o->fill_lock);
	assert_true(fill_splices(fill));
	/* Once in the middle of a page, it goes on as it began. */
	assert_int_equal(fill_write(fill, "x", 1), 0);
	assert_false(fill_splices(fill));
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	end(&f, o);
}

/* Pages of 4 KiB in their place would undo them. */
static void test_huge_pages_are_written_under_the_lock(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	fixture_start_conf(&f, &(struct cache_conf){ .size = 8 * CHUNK,
						     .verify = VERIFY_ON,
						     .pages = MEMFILE_HUGE,
						     .nr_cpus = 16 });
	o = fixture_object(&f, LENGTH);
	assert_false(o->covered);
	assert_true(object_takes_writers(o));
	fill = begin(o, 0, FETCH_DEMAND);
	pthread_mutex_lock(&o->fill_lock);
	assert_false(fill_splices(fill));
	pthread_mutex_unlock(&o->fill_lock);
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	bring_all(o, true);
	end(&f, o);
}

static void test_on_few_cpus_one_thread_splices(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;

	(void)state;
	o = start(&f, 2, VERIFY_OFF);
	assert_false(object_takes_writers(o));
	fill = begin(o, 0, FETCH_DEMAND);
	pthread_mutex_lock(&o->fill_lock);
	assert_true(fill_splices(fill));
	pthread_mutex_unlock(&o->fill_lock);
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	end(&f, o);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pieces_of_any_length_make_the_object),
		cmocka_unit_test(test_two_threads_fill_one_object),
		cmocka_unit_test(test_without_userfaultfd_they_do_too),
		cmocka_unit_test(test_pages_that_a_reader_made_in_the_hole_are_overwritten),
		cmocka_unit_test(test_only_whole_pages_are_shown),
		cmocka_unit_test(test_whole_pages_do_not_wait_for_who_has_the_lock),
		cmocka_unit_test(test_a_second_thread_copies_while_the_first_splices),
		cmocka_unit_test(test_huge_pages_are_written_under_the_lock),
		cmocka_unit_test(test_on_few_cpus_one_thread_splices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
