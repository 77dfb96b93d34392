#include "test/unit/cache_fixture.h"

#include <pthread.h>

static struct fixture f;

static int start(void **state)
{
	(void)state;
	fixture_start(&f, 4 * CHUNK, VERIFY_OFF);
	return 0;
}

static int end(void **state)
{
	(void)state;
	fixture_end(&f);
	return 0;
}

static void test_eviction_raises_the_generation_and_frees_the_pages(void **state)
{
	struct object *o = fixture_object(&f, 8 * CHUNK);
	uint64_t before, after;
	uint32_t i;

	(void)state;
	object_use(o);
	for (i = 0; i < 4; i++)
		assert_int_equal(load(o, i, FETCH_DEMAND), 0);
	before = word_of(&f, o, 3);
	assert_int_equal(load(o, 4, FETCH_DEMAND), 0);
	after = word_of(&f, o, 3);
	assert_int_equal(chunk_word_state(after), CHUNK_EMPTY);
	assert_int_equal(chunk_word_generation(after), chunk_word_generation(before) + 1);
	assert_int_equal(memfile_used(&o->mem), 4 * CHUNK);
	/* Refilled, it has the generation of its second life. */
	chunk_touch(o, 0);
	assert_int_equal(load(o, 3, FETCH_DEMAND), 0);
	assert_int_equal(chunk_word_generation(word_of(&f, o, 3)),
			 chunk_word_generation(before) + 1);
	assert_bytes(o, 3 * CHUNK, CHUNK);
	object_unref(o);
}

static void test_states_answer_a_wish(void **state)
{
	struct object *o = fixture_object(&f, 2 * CHUNK);
	struct fill *fill;

	(void)state;
	assert_int_equal(chunk_get_state(o, 0), CHUNK_EMPTY);
	assert_int_equal(chunk_want(o, 0, 1, false), CHUNK_EMPTY);
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(chunk_get_state(o, 0), CHUNK_LOADING);
	assert_int_equal(chunk_want(o, 0, 1, false), CHUNK_LOADING);
	write_rest(fill, false);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_int_equal(chunk_want(o, 0, 1, true), CHUNK_READY);
	/* Clients may name what is not there. */
	assert_int_equal(chunk_want(o, 2, 1, false), CHUNK_FAILED);
	assert_int_equal(chunk_get_state(o, UINT32_MAX), CHUNK_FAILED);
	chunk_touch(o, UINT32_MAX);
	assert_int_equal(chunk_want(o, 0, UINT32_MAX, false), CHUNK_READY);
	object_unref(o);
}

static void test_a_retry_of_a_failed_object_fails_anew(void **state)
{
	struct object *o = fixture_object(&f, 2 * CHUNK);
	uint64_t before;

	(void)state;
	object_fail(o, -ESTALE, false);
	before = word_of(&f, o, 1);
	assert_int_equal(chunk_word_state(before), CHUNK_FAILED);
	assert_int_equal(chunk_want(o, 1, 1, false), CHUNK_FAILED);
	assert_true(word_of(&f, o, 1) == before);
	assert_int_equal(chunk_want(o, 1, 1, true), CHUNK_FAILED);
	assert_int_equal(chunk_word_generation(word_of(&f, o, 1)),
			 chunk_word_generation(before) + 1);
	assert_int_equal(chunk_word_watermark(word_of(&f, o, 1)), ESTALE);
	object_unref(o);
}

static void test_pins_count_and_are_bounded(void **state)
{
	struct object *o = fixture_object(&f, 8 * CHUNK);
	struct cache_stats stats;

	(void)state;
	object_use(o);
	assert_int_equal(chunk_pin(o, 0, 4), -ENOSPC); /* one of the four stays free */
	cache_stats(f.cache, &stats);
	assert_int_equal(stats.pinned, 0);
	assert_int_equal(chunk_pin(o, 0, 3), 0); /* not present: it counts all the same */
	assert_int_equal(chunk_pin(o, 0, 3), 0); /* twice costs nothing */
	assert_int_equal(chunk_pin(o, 3, 1), -ENOSPC);
	assert_int_equal(chunk_pin(o, 7, 2), -EINVAL);
	assert_int_equal(chunk_pin(o, 9, 0), -EINVAL);
	chunk_unpin(o, 0, 3);
	cache_stats(f.cache, &stats);
	assert_int_equal(stats.pinned, 3 * CHUNK);
	chunk_unpin(o, 2, 1);
	assert_int_equal(chunk_pin(o, 3, 1), 0);
	chunk_unpin(o, 0, 2);
	chunk_unpin(o, 3, 1);
	cache_stats(f.cache, &stats);
	assert_int_equal(stats.pinned, 0);
	object_unref(o);
}

/* ---- notices ------------------------------------------------------------------------- */

struct result {
	int calls;
	int result;
};

static void take(int result, void *arg)
{
	struct result *r = arg;

	r->result = result;
	__atomic_add_fetch(&r->calls, 1, __ATOMIC_RELEASE);
}

static void test_a_notice_comes_once_when_the_bytes_are_there(void **state)
{
	struct object *o = fixture_object(&f, 2 * CHUNK);
	struct result early = { 0 }, whole = { 0 }, late = { 0 };
	unsigned char buf[8192];
	struct fill *fill;

	(void)state;
	pattern_fill(buf, 0, sizeof(buf));
	assert_int_equal(chunk_notify(o, 0, 8192, take, &early), 0);
	assert_int_equal(chunk_notify(o, 0, CHUNK, take, &whole), 0);
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(fill_write(fill, buf, 4096), 0);
	assert_int_equal(early.calls, 0);
	assert_int_equal(fill_write(fill, buf + 4096, 4096), 0);
	assert_int_equal(early.calls, 1);
	assert_int_equal(early.result, 0);
	assert_int_equal(whole.calls, 0);
	write_rest(fill, false);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_int_equal(whole.calls, 1);
	assert_int_equal(early.calls, 1);
	assert_int_equal(chunk_notify(o, 0, 100, take, &late), 0);
	assert_int_equal(late.calls, 1); /* inside the call */
	assert_int_equal(chunk_notify(o, 2, 100, take, &late), -EINVAL);
	object_unref(o);
}

static void test_a_notice_tells_failures(void **state)
{
	struct object *o = fixture_object(&f, 3 * CHUNK);
	struct result chunk = { 0 }, again = { 0 }, whole = { 0 }, gone = { 0 };
	struct fill *fill;

	(void)state;
	assert_int_equal(chunk_notify(o, 0, 1, take, &chunk), 0);
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(fill_finish(fill, -EAGAIN), -EAGAIN);
	assert_int_equal(chunk.calls, 0); /* another fill may come */
	fill = begin(o, 0, FETCH_DEMAND);
	assert_int_equal(fill_finish(fill, -EACCES), -EACCES);
	assert_int_equal(chunk.calls, 1);
	assert_int_equal(chunk.result, -EACCES);
	assert_int_equal(chunk_notify(o, 0, 1, take, &again), 0);
	assert_int_equal(again.result, -EACCES);
	assert_int_equal(chunk_notify(o, 1, 1, take, &whole), 0);
	object_fail(o, -ESTALE, false);
	assert_int_equal(whole.calls, 1);
	assert_int_equal(whole.result, -ESTALE);
	object_unref(o);

	o = fixture_object(&f, CHUNK);
	assert_int_equal(chunk_notify(o, 0, 1, take, &gone), 0);
	object_drop(o);
	assert_int_equal(gone.calls, 1);
	assert_int_equal(gone.result, -ECANCELED);
	assert_int_equal(chunk_notify(o, 0, 1, take, &gone), 0);
	assert_int_equal(gone.calls, 2);
	object_unref(o);
}

static void test_a_cancelled_notice_does_not_come(void **state)
{
	struct object *o = fixture_object(&f, CHUNK);
	struct result mine = { 0 }, other = { 0 };

	(void)state;
	assert_int_equal(chunk_notify(o, 0, 1, take, &mine), 0);
	assert_int_equal(chunk_notify(o, 0, 1, take, &other), 0);
	assert_int_equal(chunk_notify(o, 0, CHUNK, take, &mine), 0);
	chunk_notify_cancel(o, &mine);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	assert_int_equal(mine.calls, 0);
	assert_int_equal(other.calls, 1);
	object_unref(o);
}

/* A notice in the middle of running, until the test lets it go. */
struct gate {
	pthread_mutex_t lock;
	pthread_cond_t cond;
	bool inside, open, left;
	struct object *object;
};

static void pass_gate(int result, void *arg)
{
	struct gate *g = arg;

	(void)result;
	pthread_mutex_lock(&g->lock);
	g->inside = true;
	pthread_cond_broadcast(&g->cond);
	while (!g->open)
		pthread_cond_wait(&g->cond, &g->lock);
	g->left = true;
	pthread_mutex_unlock(&g->lock);
}

static void *load_for_gate(void *arg)
{
	struct gate *g = arg;

	return (void *)(intptr_t)load(g->object, 0, FETCH_DEMAND);
}

static void *open_gate(void *arg)
{
	struct gate *g = arg;

	pthread_mutex_lock(&g->lock);
	g->open = true;
	pthread_cond_broadcast(&g->cond);
	pthread_mutex_unlock(&g->lock);
	return NULL;
}

static void test_cancelling_waits_for_the_notice_that_runs(void **state)
{
	struct gate g = { .lock = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER };
	pthread_t loader, opener;
	void *r;

	(void)state;
	g.object = fixture_object(&f, CHUNK);
	assert_int_equal(chunk_notify(g.object, 0, 1, pass_gate, &g), 0);
	assert_int_equal(pthread_create(&loader, NULL, load_for_gate, &g), 0);
	pthread_mutex_lock(&g.lock);
	while (!g.inside)
		pthread_cond_wait(&g.cond, &g.lock);
	pthread_mutex_unlock(&g.lock);
	assert_int_equal(pthread_create(&opener, NULL, open_gate, &g), 0);
	chunk_notify_cancel(g.object, &g);
	assert_true(g.left);
	pthread_join(loader, &r);
	pthread_join(opener, NULL);
	assert_null(r);
	object_unref(g.object);
}

static void cancel_own(int result, void *arg)
{
	struct gate *g = arg;

	(void)result;
	chunk_notify_cancel(g->object, g); /* must not wait for itself */
	g->left = true;
}

static void test_a_notice_may_cancel_itself(void **state)
{
	struct gate g = { .object = fixture_object(&f, CHUNK) };

	(void)state;
	assert_int_equal(chunk_notify(g.object, 0, 1, cancel_own, &g), 0);
	assert_int_equal(load(g.object, 0, FETCH_DEMAND), 0);
	assert_true(g.left);
	object_unref(g.object);
}

static void test_pins_leave_room_for_a_whole_chunk(void **state)
{
	struct object *small = fixture_object(&f, 4096), *o = fixture_object(&f, 8 * CHUNK);

	(void)state;
	object_use(small);
	object_use(o);
	assert_int_equal(chunk_pin(o, 0, 3), 0);
	assert_int_equal(chunk_pin(small, 0, 1), -ENOSPC); /* a page less, and no chunk fits */
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 1, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 2, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 3, FETCH_DEMAND), 0);
	assert_int_equal(load(o, 4, FETCH_DEMAND), 0);
	chunk_unpin(o, 0, 3);
	object_unref(small);
	object_unref(o);
}

#define CHUNK_TEST(t) cmocka_unit_test_setup_teardown(t, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		CHUNK_TEST(test_eviction_raises_the_generation_and_frees_the_pages),
		CHUNK_TEST(test_states_answer_a_wish),
		CHUNK_TEST(test_a_retry_of_a_failed_object_fails_anew),
		CHUNK_TEST(test_pins_count_and_are_bounded),
		CHUNK_TEST(test_pins_leave_room_for_a_whole_chunk),
		CHUNK_TEST(test_a_notice_comes_once_when_the_bytes_are_there),
		CHUNK_TEST(test_a_notice_tells_failures),
		CHUNK_TEST(test_a_cancelled_notice_does_not_come),
		CHUNK_TEST(test_cancelling_waits_for_the_notice_that_runs),
		CHUNK_TEST(test_a_notice_may_cancel_itself),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
