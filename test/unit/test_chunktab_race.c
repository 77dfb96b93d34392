/*
 * Threads that each are a client with a mapping of its own and the fetch side
 * at once, over a cache too small for what they read: chunks are evicted and
 * refilled under every copy.  No copy that the word vouches for may hold a
 * byte that is not the object's.
 */
#include "test/unit/cache_fixture.h"

#include "common/futex.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#define NR_THREADS 4
#define NR_CHUNKS  12
#define NR_COPIES  6000 /* good ones, by each thread */
#define NR_AT_ONCE 16	/* of one chunk */
#define SIZE	   (NR_CHUNKS * CHUNK - 12345)
#define MAX_COPY   (96u << 10)

struct race {
	struct fixture f;
	struct object *object;
	unsigned char *expected; /* the object's bytes */
	int stop;		 /* atomic */
};

struct reader {
	struct race *race;
	pthread_t thread;
	const unsigned char *map;
	const struct chunktab *table;
	unsigned char buf[MAX_COPY];
	uint64_t seed;
	unsigned good, torn, wrong, timeouts;
};

static uint64_t draw(struct reader *r, uint64_t below)
{
	r->seed = r->seed * 6364136223846793005u + 1442695040888963407u;
	return (r->seed >> 33) % below;
}

/* The fetch side: in pieces, and now and then given back half way. */
static void bring(struct reader *r, uint32_t chunk)
{
	struct race *race = r->race;
	struct fill *fill;
	bool gives_up = draw(r, 8) == 0;

	if (fill_begin(race->object, chunk, FETCH_DEMAND, &fill) != 0)
		return;
	while (fill_offset(fill) < fill_end(fill)) {
		uint64_t left = fill_end(fill) - fill_offset(fill), len = 60000;

		if (len > left)
			len = left;
		if (fill_write(fill, race->expected + fill_offset(fill), len) != 0)
			abort();
		if (gives_up && left < CHUNK / 2)
			break;
	}
	fill_finish(fill, gives_up ? -EAGAIN : 0);
}

/* One try of the read protocol.  True: a good copy, or what the word took for one. */
static bool copy(struct reader *r, uint32_t chunk, uint64_t offset, size_t len)
{
	struct object *o = r->race->object;
	const uint64_t *word = &r->table->words[object_first_word(o) + chunk];
	uint64_t before = chunk_word_load(word);
	uint64_t start = chunk * CHUNK + offset;
	enum chunk_state state;

	if (chunk_word_covers(before, offset + len)) {
		memcpy(r->buf, r->map + start, len);
		/* The bytes before the word: against the daemon's fence before it punches. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (!chunk_word_still(before, chunk_word_load(word))) {
			r->torn++;
			return false;
		}
		r->wrong += memcmp(r->buf, r->race->expected + start, len) != 0;
		if (draw(r, NR_AT_ONCE) == 0)
			chunk_touch(o, chunk);
		return true;
	}
	state = chunk_want(o, chunk, (uint32_t)(offset + len), true);
	if (state == CHUNK_EMPTY)
		bring(r, chunk);
	else if (state == CHUNK_LOADING &&
		 futex_wait(chunk_word_futex(word), (uint32_t)before, 10000) == -ETIMEDOUT)
		r->timeouts++;
	else
		sched_yield();
	return false;
}

static void *read_on(void *arg)
{
	struct reader *r = arg;

	while (r->good < NR_COPIES) {
		uint32_t chunk = (uint32_t)draw(r, NR_CHUNKS);
		uint64_t chunk_len = chunk == NR_CHUNKS - 1 ? SIZE - chunk * CHUNK : CHUNK;
		unsigned i;

		for (i = 0; i < NR_AT_ONCE; i++) {
			size_t len = draw(r, MAX_COPY) + 1;
			uint64_t offset = draw(r, chunk_len - len);

			while (!copy(r, chunk, offset, len))
				;
			r->good++;
		}
	}
	return NULL;
}

/* The control loop, with a clock that runs: holds end, stray pages are swept. */
static void *tick_on(void *arg)
{
	struct race *race = arg;

	/* Acquire pairs with the release in the test. */
	while (!__atomic_load_n(&race->stop, __ATOMIC_ACQUIRE)) {
		race->f.now += 500;
		cache_tick(race->f.cache, race->f.now);
		sched_yield();
	}
	return NULL;
}

static void start_reader(struct reader *r, struct race *race, unsigned nr)
{
	void *map;

	*r = (struct reader){ .race = race, .seed = 12345 + nr };
	map = mmap(NULL, SIZE, PROT_READ, MAP_SHARED, object_client_fd(race->object), 0);
	assert_true(map != MAP_FAILED);
	r->map = map;
	map = mmap(NULL, sizeof(struct chunktab), PROT_READ, MAP_SHARED,
		   table_client_fd(race->f.table), 0);
	assert_true(map != MAP_FAILED);
	r->table = map;
	assert_int_equal(pthread_create(&r->thread, NULL, read_on, r), 0);
}

static void end_reader(struct reader *r)
{
	munmap((void *)r->map, SIZE);
	munmap((void *)r->table, sizeof(struct chunktab));
}

static void race(enum verify_mode verify)
{
	static struct reader readers[NR_THREADS];
	struct race race = { .stop = 0 };
	struct cache_stats stats;
	unsigned i, torn = 0;
	pthread_t ticker;

	fixture_start(&race.f, 5 * CHUNK, verify);
	race.object = fixture_object(&race.f, SIZE);
	object_use(race.object);
	race.expected = malloc(SIZE);
	assert_non_null(race.expected);
	pattern_fill(race.expected, 0, SIZE);
	object_set_crc(race.object, crc64_update(0, race.expected, SIZE));
	for (i = 0; i < NR_THREADS; i++)
		start_reader(&readers[i], &race, i);
	assert_int_equal(pthread_create(&ticker, NULL, tick_on, &race), 0);
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(readers[i].thread, NULL);
	__atomic_store_n(&race.stop, 1, __ATOMIC_RELEASE); /* pairs with tick_on() */
	pthread_join(ticker, NULL);

	for (i = 0; i < NR_THREADS; i++) {
		assert_int_equal(readers[i].wrong, 0);
		assert_int_equal(readers[i].timeouts, 0); /* nobody was forgotten */
		torn += readers[i].torn;
		end_reader(&readers[i]);
	}
	cache_stats(race.f.cache, &stats);
	assert_true(cache_used(race.f.cache) <= 5 * CHUNK);
	assert_int_equal(stats.mismatches, 0);
	assert_true(stats.evictions > 100);
	print_message("%u copies, %u given up, %llu evictions, %llu refills\n",
		      NR_THREADS * NR_COPIES, torn, (unsigned long long)stats.evictions,
		      (unsigned long long)stats.refills);
	object_unuse(race.object);
	object_drop(race.object);
	assert_int_equal(cache_used(race.f.cache), 0);
	object_unref(race.object);
	fixture_end(&race.f);
	free(race.expected);
}

static void test_no_copy_is_torn_or_zero_while_chunks_come_and_go(void **state)
{
	(void)state;
	race(VERIFY_OFF);
}

static void test_nor_with_checksums(void **state)
{
	(void)state;
	race(VERIFY_ON);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_copy_is_torn_or_zero_while_chunks_come_and_go),
		cmocka_unit_test(test_nor_with_checksums),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
