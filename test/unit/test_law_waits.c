/*
 * No lost wake-ups: whoever sleeps on a chunk's word is woken by what ends its
 * wait, whether the daemon knew of it or not, and however many there are.
 */
#include "test/unit/cache_fixture.h"

#include "common/futex.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <sys/syscall.h>

#define MANY 40u /* more than the cache wakes without letting go of its lock */

struct sleeper {
	pthread_t thread;
	const uint64_t *word;
	uint64_t end;
	uint64_t seen; /* the word that ended the wait */
	bool hung;
	pid_t tid; /* atomic; 0: not yet begun */
};

/* A client that has posted its FETCH and now sleeps for as long as it takes. */
static void *sleep_on_word(void *arg)
{
	struct sleeper *s = arg;

	__atomic_store_n(&s->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	for (;;) {
		s->seen = chunk_word_load(s->word);
		if (chunk_word_covers(s->seen, s->end) || chunk_word_state(s->seen) == CHUNK_FAILED)
			return NULL;
		if (futex_wait(chunk_word_futex(s->word), (uint32_t)s->seen, 10000) == -ETIMEDOUT) {
			s->hung = true;
			return NULL;
		}
	}
}

/* The kernel's word for what a thread does; '?' if it does not tell. */
static char state_of_thread(pid_t tid)
{
	char path[64], text[128] = "", *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return '?';
	if (read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = '\0';
	close(fd);
	end = strrchr(text, ')');
	return end != NULL && end[1] == ' ' ? end[2] : '?';
}

/* Returns when it sleeps. */
static void start_sleeper(struct sleeper *s, const struct fixture *f, const struct object *o,
			  uint32_t chunk, uint64_t end)
{
	pid_t tid;

	*s = (struct sleeper){ .word = &f->view->words[object_first_word(o) + chunk], .end = end };
	assert_int_equal(pthread_create(&s->thread, NULL, sleep_on_word, s), 0);
	while ((tid = __atomic_load_n(&s->tid, __ATOMIC_ACQUIRE)) == 0)
		sched_yield();
	while (strchr("S?", state_of_thread(tid)) == NULL)
		sched_yield();
}

static void assert_woken(struct sleeper *s, enum chunk_state state)
{
	pthread_join(s->thread, NULL);
	assert_false(s->hung);
	assert_int_equal(chunk_word_state(s->seen), state);
}

/* The last page of an object is not whole: no watermark covers it, only READY does. */
static void test_the_end_of_an_object_wakes_who_waits_for_its_last_bytes(void **state)
{
	const uint64_t size = CHUNK + 5000;
	struct fixture f;
	struct object *o;
	struct fill *fill;
	struct sleeper s;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, size);
	assert_int_equal(chunk_want(o, 1, 5000, false), CHUNK_EMPTY);
	fill = begin(o, 1, FETCH_DEMAND);
	write_rest(fill, false);
	start_sleeper(&s, &f, o, 1, 5000);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_woken(&s, CHUNK_READY);
	object_unref(o);
	fixture_end(&f);
}

/* Its FETCH lies in the ring while the chunk, prefetched, becomes READY: nobody knew of the sleeper. */
static void test_a_wish_that_comes_after_the_bytes_wakes(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	struct sleeper s;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	fill = begin(o, 0, FETCH_PREFETCH);
	write_rest(fill, false);
	start_sleeper(&s, &f, o, 0, CHUNK);
	assert_int_equal(fill_finish(fill, 0), 0);
	assert_int_equal(chunk_want(o, 0, CHUNK, false), CHUNK_READY);
	assert_woken(&s, CHUNK_READY);
	object_unref(o);
	fixture_end(&f);
}

static void test_a_wish_that_comes_after_the_failure_wakes(void **state)
{
	struct fixture f;
	struct object *o;
	struct fill *fill;
	struct sleeper s;

	(void)state;
	fixture_start(&f, 8 * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, CHUNK);
	fill = begin(o, 0, FETCH_PREFETCH);
	start_sleeper(&s, &f, o, 0, CHUNK);
	assert_int_equal(fill_finish(fill, -EACCES), -EACCES);
	assert_int_equal(chunk_want(o, 0, CHUNK, false), CHUNK_FAILED);
	assert_woken(&s, CHUNK_FAILED);
	assert_int_equal(chunk_word_watermark(s.seen), EACCES);
	object_unref(o);
	fixture_end(&f);
}

static void test_all_who_wait_are_woken_however_many_they_are(void **state)
{
	static struct sleeper s[MANY];
	struct fixture f;
	struct object *o;
	unsigned i;

	(void)state;
	fixture_start(&f, MANY * CHUNK, VERIFY_OFF);
	o = fixture_object(&f, MANY * CHUNK);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(chunk_want(o, i, 1, false), CHUNK_EMPTY);
		start_sleeper(&s[i], &f, o, i, 1);
	}
	object_fail(o, -ESTALE, false);
	for (i = 0; i < MANY; i++)
		assert_woken(&s[i], CHUNK_FAILED);
	object_unref(o);
	fixture_end(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_end_of_an_object_wakes_who_waits_for_its_last_bytes),
		cmocka_unit_test(test_a_wish_that_comes_after_the_bytes_wakes),
		cmocka_unit_test(test_a_wish_that_comes_after_the_failure_wakes),
		cmocka_unit_test(test_all_who_wait_are_woken_however_many_they_are),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
