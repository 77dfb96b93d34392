/*
 * Everything at once: objects come, are used, filled, pinned, failed, dropped
 * and go, from several threads.  In the end nothing may be left, and everybody
 * must have been told exactly once.
 */
#include "test/unit/cache_fixture.h"

#include "daemon/base/log.h"

#include <pthread.h>
#include <sched.h>

#define NR_THREADS 4
#define NR_SLOTS   6
#define NR_ROUNDS  4000
#define NR_CHUNKS  5

static struct fixture f;
static pthread_mutex_t slots_lock = PTHREAD_MUTEX_INITIALIZER;
static struct object *slots[NR_SLOTS];
static unsigned nr_made, nr_gone; /* atomic */

struct actor {
	pthread_t thread;
	uint64_t seed;
	unsigned char *zeros;
	unsigned nr_fills, nr_failures;
};

struct promise {	/* a notice that must come once, unless it is cancelled in time */
	unsigned calls; /* atomic */
};

static uint32_t draw(struct actor *a, uint32_t below)
{
	a->seed = a->seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(a->seed >> 33) % below;
}

static void gone(void *owner)
{
	(void)owner;
	__atomic_add_fetch(&nr_gone, 1, __ATOMIC_RELAXED); /* counts only */
}

static struct object *make(void)
{
	struct object_spec spec = {
		.key = "k", .etag = "e", .size = NR_CHUNKS * CHUNK - 100, .on_gone = gone
	};
	struct object *o = NULL;

	if (object_new(f.cache, f.table, &spec, &o) == 0)
		__atomic_add_fetch(&nr_made, 1, __ATOMIC_RELAXED); /* counts only */
	return o;
}

/* A reference to some object; a new one where there was none. */
static struct object *take(struct actor *a)
{
	uint32_t slot = draw(a, NR_SLOTS);
	struct object *o;

	pthread_mutex_lock(&slots_lock);
	if (slots[slot] != NULL && (object_is_dropped(slots[slot]) || draw(a, 50) == 0)) {
		object_drop(slots[slot]);
		object_unref(slots[slot]);
		slots[slot] = NULL;
	}
	if (slots[slot] == NULL)
		slots[slot] = make();
	o = slots[slot] == NULL ? NULL : object_ref(slots[slot]);
	pthread_mutex_unlock(&slots_lock);
	return o;
}

static void fill_one(struct actor *a, struct object *o, uint32_t chunk)
{
	static const int ends[] = { 0, 0, 0, 0, 0, -EAGAIN, -ENOSPC, -ETIMEDOUT };
	int error = ends[draw(a, 8)], r = 0;
	struct fill *fill;

	if (fill_begin(o, chunk, (enum fetch_class)draw(a, FETCH_NR_CLASSES), &fill) != 0)
		return;
	a->nr_fills++;
	while (r == 0 && fill_offset(fill) < fill_end(fill)) {
		uint64_t len = fill_end(fill) - fill_offset(fill);

		if (len > 300000)
			len = 300000;
		r = fill_write(fill, a->zeros, len);
		if (error != 0 && draw(a, 3) == 0)
			break;
	}
	if (fill_finish(fill, r != 0 ? r : error) != 0)
		a->nr_failures++;
}

static void promised(int result, void *arg)
{
	struct promise *p = arg;

	(void)result;
	__atomic_add_fetch(&p->calls, 1, __ATOMIC_RELEASE);
}

static void use_notice(struct actor *a, struct object *o, uint32_t chunk)
{
	struct promise p = { 0 };

	if (chunk_notify(o, chunk, draw(a, CHUNK), promised, &p) != 0)
		abort();
	if (draw(a, 2) == 0)
		fill_one(a, o, chunk);
	chunk_notify_cancel(o, &p);
	/* Acquire pairs with promised(): nobody touches `p` from here on. */
	if (__atomic_load_n(&p.calls, __ATOMIC_ACQUIRE) > 1)
		abort();
}

static void use_pin(struct actor *a, struct object *o, uint32_t chunk)
{
	object_use(o);
	if (chunk_pin(o, chunk, NR_CHUNKS - chunk) == 0) {
		fill_one(a, o, chunk);
		chunk_unpin(o, chunk, NR_CHUNKS - chunk);
	}
	object_unuse(o);
}

static void act(struct actor *a, struct object *o)
{
	uint32_t chunk = draw(a, NR_CHUNKS);

	switch (draw(a, 8)) {
	case 0:
		use_pin(a, o, chunk);
		break;
	case 1:
		use_notice(a, o, chunk);
		break;
	case 2:
		if (draw(a, 20) == 0)
			object_fail(o, -ESTALE, draw(a, 2) == 0);
		break;
	case 3:
		object_use(o);
		sched_yield();
		object_unuse(o);
		break;
	case 4:
		chunk_touch(o, chunk);
		break;
	default:
		if (chunk_want(o, chunk, draw(a, CHUNK), true) == CHUNK_EMPTY)
			fill_one(a, o, chunk);
	}
}

static void *act_on(void *arg)
{
	struct actor *a = arg;
	unsigned i;

	for (i = 0; i < NR_ROUNDS; i++) {
		struct object *o = take(a);

		if (o == NULL)
			continue;
		act(a, o);
		object_unref(o);
		if (i % 16 == 0) {
			struct cache_stats stats;

			cache_stats(f.cache, &stats);
			if (stats.used > f.conf.size)
				abort();
		}
		if (i % 64 == 0) /* any thread may */
			cache_tick(f.cache, START + i * 100);
	}
	return NULL;
}

static void test_nothing_is_left_when_all_are_gone(void **state)
{
	static struct actor actors[NR_THREADS];
	struct cache_stats stats;
	unsigned i, nr_fills = 0;

	(void)state;
	log_open("/dev/null", LOG_LEVEL_ERROR);
	fixture_start(&f, 9 * CHUNK, VERIFY_ON);
	f.conf.max_objects = f.cache->max_objects = NR_SLOTS;
	f.conf.expire_ms = 5000;
	cache_reconfigure(f.cache, &f.conf);
	for (i = 0; i < NR_THREADS; i++) {
		actors[i] = (struct actor){ .seed = i + 1, .zeros = calloc(1, 300000) };
		assert_non_null(actors[i].zeros);
		assert_int_equal(pthread_create(&actors[i].thread, NULL, act_on, &actors[i]), 0);
	}
	for (i = 0; i < NR_THREADS; i++) {
		pthread_join(actors[i].thread, NULL);
		nr_fills += actors[i].nr_fills;
		assert_true(actors[i].nr_failures > 0);
		free(actors[i].zeros);
	}
	for (i = 0; i < NR_SLOTS; i++)
		if (slots[i] != NULL)
			object_unref(slots[i]);
	fixture_tick(&f, 1000000);
	cache_stats(f.cache, &stats);
	assert_int_equal(stats.used, 0);
	assert_int_equal(stats.pinned, 0);
	assert_int_equal(stats.objects, 0);
	assert_int_equal(f.cache->unopened, 0);
	assert_int_equal(f.cache->total, 0);
	assert_int_equal(f.cache->nr_in_use, 0);
	assert_int_equal(nr_gone, nr_made);
	assert_true(nr_made > 50);
	assert_true(nr_fills > 500);
	fixture_end(&f);
	log_close();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing_is_left_when_all_are_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
