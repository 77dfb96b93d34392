/* Workers: the mailbox keeps its order, and nothing posted before the end is lost. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <event2/event.h>

#include "daemon/base/worker.h"

#define NR_POSTERS 4
#define NR_LETTERS 5000

struct fixture {
	struct worker *w;
	unsigned next[NR_POSTERS]; /* touched on the worker only, until it has ended */
	unsigned nr_run, nr_wrong;
	int trace[8], nr_trace;
};

struct letter {
	struct fixture *f;
	unsigned poster, number;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_int_equal(worker_new("test-worker-name", &f->w), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	worker_free(f->w);
	free(f);
	return 0;
}

static void count(void *arg)
{
	struct letter *l = arg;
	struct fixture *f = l->f;

	f->nr_wrong += l->number != f->next[l->poster]++ || !worker_is_current(f->w);
	f->nr_run++;
	free(l);
}

struct poster {
	struct fixture *f;
	unsigned number;
	pthread_t thread;
};

static void *post_many(void *arg)
{
	const struct poster *p = arg;
	unsigned i;

	for (i = 0; i < NR_LETTERS; i++) {
		struct letter *l = malloc(sizeof(*l));

		*l = (struct letter){ .f = p->f, .poster = p->number, .number = i };
		if (worker_post(p->f->w, count, l) != 0)
			abort();
	}
	return NULL;
}

static void test_letters_of_one_poster_keep_their_order(void **state)
{
	struct fixture *f = *state;
	struct poster posters[NR_POSTERS];
	unsigned i;

	assert_int_equal(worker_start(f->w), 0);
	assert_false(worker_is_current(f->w));
	for (i = 0; i < NR_POSTERS; i++) {
		posters[i] = (struct poster){ .f = f, .number = i };
		assert_int_equal(pthread_create(&posters[i].thread, NULL, post_many, &posters[i]),
				 0);
	}
	for (i = 0; i < NR_POSTERS; i++)
		pthread_join(posters[i].thread, NULL);
	worker_stop(f->w);
	assert_int_equal(f->nr_run, NR_POSTERS * NR_LETTERS);
	assert_int_equal(f->nr_wrong, 0);
}

static void stop_from_within(void *arg)
{
	struct fixture *f = arg;

	f->trace[f->nr_trace++] = 1;
	worker_stop(f->w);
}

static void trace_two(void *arg)
{
	struct fixture *f = arg;

	f->trace[f->nr_trace++] = 2;
}

static void trace_three(void *arg)
{
	struct fixture *f = arg;

	f->trace[f->nr_trace++] = 3;
}

static void post_three(void *arg)
{
	struct fixture *f = arg;

	worker_post(f->w, trace_three, f);
	/* Posted work never runs inside the callback that posts it. */
	f->trace[f->nr_trace++] = 4;
}

static void test_what_is_posted_before_the_end_still_runs_once(void **state)
{
	struct fixture *f = *state;

	worker_post(f->w, stop_from_within, f);
	worker_post(f->w, trace_two, f);
	worker_post(f->w, post_three, f);
	assert_int_equal(worker_run(f->w), 0);
	assert_int_equal(f->nr_trace, 4);
	assert_int_equal(f->trace[0], 1);
	assert_int_equal(f->trace[1], 2);
	assert_int_equal(f->trace[2], 4);
	assert_int_equal(f->trace[3], 3);
}

static void test_letters_after_the_end_are_dropped_with_the_worker(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(worker_start(f->w), 0);
	worker_stop(f->w);
	worker_stop(f->w);
	assert_int_equal(worker_post(f->w, trace_two, f), 0);
	worker_free(f->w);
	assert_int_equal(f->nr_trace, 0);
	assert_int_equal(worker_new("again", &f->w), 0);
}

static void record_thread(void *arg)
{
	struct fixture *f = arg;
	sigset_t blocked;
	char name[16] = "";

	pthread_getname_np(pthread_self(), name, sizeof(name));
	pthread_sigmask(SIG_BLOCK, NULL, &blocked);
	f->trace[0] = strcmp(name, "test-worker-nam") == 0;
	f->trace[1] = sigismember(&blocked, SIGTERM) == 1;
}

static void test_the_thread_has_its_name_and_takes_no_signals(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(worker_start(f->w), 0);
	worker_post(f->w, record_thread, f);
	worker_stop(f->w);
	assert_true(f->trace[0]);
	assert_true(f->trace[1]);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;

	(void)fd;
	(void)what;
	f->trace[f->nr_trace++] = 5;
	worker_stop(f->w);
}

static void test_the_base_serves_other_events_too(void **state)
{
	struct fixture *f = *state;
	const struct timeval soon = { .tv_usec = 1000 };

	assert_int_equal(event_base_once(worker_base(f->w), -1, EV_TIMEOUT, on_timer, f, &soon), 0);
	assert_int_equal(worker_run(f->w), 0);
	assert_int_equal(f->trace[0], 5);
}

#define NR_LATER 256

struct crowd {
	struct fixture *f;
	unsigned nr_run;    /* of those that may come later */
	unsigned nr_before; /* of them when the letter came */
};

static void on_letter(void *arg)
{
	struct crowd *c = arg;

	c->nr_before = c->nr_run;
	worker_stop(c->f->w);
}

static void on_later(evutil_socket_t fd, short what, void *arg)
{
	struct crowd *c = arg;

	(void)fd;
	(void)what;
	if (c->nr_run++ == 0)
		worker_post(c->f->w, on_letter, c);
}

static void test_what_comes_meanwhile_goes_before_those_that_may_come_later(void **state)
{
	struct fixture *f = *state;
	struct crowd c = { .f = f };
	struct event *many[NR_LATER];
	unsigned i;

	for (i = 0; i < NR_LATER; i++) {
		many[i] = event_new(worker_base(f->w), -1, 0, on_later, &c);
		assert_int_equal(event_priority_set(many[i], WORKER_LATER), 0);
		event_active(many[i], EV_TIMEOUT, 0);
	}
	assert_int_equal(worker_run(f->w), 0);
	assert_in_range(c.nr_before, 1, 16);
	for (i = 0; i < NR_LATER; i++)
		event_free(many[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_letters_of_one_poster_keep_their_order),
		TEST(test_what_is_posted_before_the_end_still_runs_once),
		TEST(test_letters_after_the_end_are_dropped_with_the_worker),
		TEST(test_the_thread_has_its_name_and_takes_no_signals),
		TEST(test_the_base_serves_other_events_too),
		TEST(test_what_comes_meanwhile_goes_before_those_that_may_come_later),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
