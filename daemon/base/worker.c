#include "daemon/base/worker.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/base/xalloc.h"

#define NAME_MAX_LEN	  15
#define DRAINS_AT_END_MAX 64 /* work posted by work, while the loop ends */
#define PRIORITIES	  3  /* libevent gives new events the middle one, WORKER_SOON */
#define LATER_AT_A_TIME	  16 /* events of that one, or ... */
#define LATER_US	  1000

struct letter {
	struct letter *next;
	worker_fn *fn;
	void *arg;
};

/*
 * The mailbox is a list under a lock.  Only the letter that makes it non-empty
 * signals the eventfd; the loop takes the whole list at once and runs it
 * without the lock, so that what it posts itself comes with the next turn.
 */
struct worker {
	struct event_base *base;
	struct event *wake;
	int wake_fd;
	bool has_thread;
	bool stopping; /* under the lock */
	pthread_t thread;
	pthread_mutex_t lock;
	struct letter *first;
	struct letter **last;
	char name[NAME_MAX_LEN + 1];
};

static _Thread_local const struct worker *current;

static void ring(struct worker *w)
{
	const uint64_t one = 1;
	ssize_t n;

	/* EAGAIN: the counter is full, which wakes just as well. */
	do
		n = write(w->wake_fd, &one, sizeof(one));
	while (n == -1 && errno == EINTR);
}

static struct letter *take_all(struct worker *w, bool *ret_stopping)
{
	struct letter *first;

	pthread_mutex_lock(&w->lock);
	first = w->first;
	w->first = NULL;
	w->last = &w->first;
	*ret_stopping = w->stopping;
	pthread_mutex_unlock(&w->lock);
	return first;
}

static void run_all(struct letter *l)
{
	while (l != NULL) {
		struct letter *next = l->next;

		l->fn(l->arg);
		free(l);
		l = next;
	}
}

static void worker_on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct worker *w = arg;
	struct letter *letters;
	uint64_t count;
	bool stopping;
	int turns = 0;

	(void)what;
	/* Nothing to read is no fault: the list is looked at anyway. */
	while (read(fd, &count, sizeof(count)) == -1 && errno == EINTR)
		;
	letters = take_all(w, &stopping);
	run_all(letters);
	if (!stopping)
		return;
	/* What was posted by what just ran still has its turn, within reason. */
	while (turns++ < DRAINS_AT_END_MAX && (letters = take_all(w, &stopping)) != NULL)
		run_all(letters);
	event_base_loopbreak(w->base);
}

static struct event_base *new_base(void)
{
	const struct timeval slice = { .tv_usec = LATER_US };
	struct event_config *conf = event_config_new();
	struct event_base *base = NULL;

	if (conf != NULL && event_config_set_max_dispatch_interval(conf, &slice, LATER_AT_A_TIME,
								   WORKER_LATER) == 0)
		base = event_base_new_with_config(conf);
	if (conf != NULL)
		event_config_free(conf);
	if (base != NULL && event_base_priority_init(base, PRIORITIES) == -1) {
		event_base_free(base);
		return NULL;
	}
	return base;
}

int worker_new(const char *name, struct worker **ret_worker)
{
	struct worker *w = xcalloc(1, sizeof(*w));
	int r;

	w->last = &w->first;
	snprintf(w->name, sizeof(w->name), "%s", name);
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (w->wake_fd == -1) {
		r = -errno;
		goto err_free;
	}
	r = -ENOMEM;
	w->base = new_base();
	if (w->base == NULL)
		goto err_close;
	w->wake = event_new(w->base, w->wake_fd, EV_READ | EV_PERSIST, worker_on_wake, w);
	if (w->wake == NULL || event_add(w->wake, NULL) == -1)
		goto err_base;
	r = -pthread_mutex_init(&w->lock, NULL);
	if (r != 0)
		goto err_base;
	*ret_worker = w;
	return 0;

err_base:
	if (w->wake != NULL)
		event_free(w->wake);
	event_base_free(w->base);
err_close:
	close(w->wake_fd);
err_free:
	free(w);
	return r;
}

struct event_base *worker_base(struct worker *w)
{
	return w->base;
}

int worker_run(struct worker *w)
{
	const struct worker *outer = current;
	int r;

	current = w;
	r = event_base_loop(w->base, EVLOOP_NO_EXIT_ON_EMPTY);
	current = outer;
	return r == -1 ? -EIO : 0;
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;

	pthread_setname_np(pthread_self(), w->name);
	worker_run(w);
	return NULL;
}

int worker_start(struct worker *w)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	w->has_thread = r == 0;
	return -r;
}

int worker_post(struct worker *w, worker_fn *fn, void *arg)
{
	struct letter *l = malloc(sizeof(*l));
	bool was_empty;

	if (l == NULL)
		return -ENOMEM;
	l->next = NULL;
	l->fn = fn;
	l->arg = arg;

	pthread_mutex_lock(&w->lock);
	was_empty = w->first == NULL;
	*w->last = l;
	w->last = &l->next;
	/* Under the lock: the worker cannot run this letter, end and be freed before we signalled. */
	if (was_empty)
		ring(w);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

void worker_stop(struct worker *w)
{
	pthread_mutex_lock(&w->lock);
	w->stopping = true;
	ring(w);
	pthread_mutex_unlock(&w->lock);

	if (w->has_thread && !worker_is_current(w)) {
		pthread_join(w->thread, NULL);
		w->has_thread = false;
	}
}

void worker_free(struct worker *w)
{
	struct letter *l, *next;
	bool stopping;

	if (w == NULL)
		return;
	BUG_ON(worker_is_current(w));
	if (w->has_thread)
		worker_stop(w);
	/* Posted after the end: nobody is left to run it. */
	for (l = take_all(w, &stopping); l != NULL; l = next) {
		next = l->next;
		free(l);
	}
	event_free(w->wake);
	event_base_free(w->base);
	close(w->wake_fd);
	pthread_mutex_destroy(&w->lock);
	free(w);
}

bool worker_is_current(const struct worker *w)
{
	return current == w;
}
