/*
 * worker.h - one thread with its event_base, and the mailbox through which
 * other threads reach it.  What runs there is not its business.
 *
 * Threads: worker_post() from any thread; worker_base() is for code that runs
 * on the worker (or before worker_start()); the rest from the thread that made it.
 */
#ifndef DAEMON_BASE_WORKER_H
#define DAEMON_BASE_WORKER_H

#include <stdbool.h>

struct event_base;
struct worker;

typedef void worker_fn(void *arg);

/*
 * Priorities of events (event_priority_set()); a new one has the first.  Of those that may come
 * later a few run, then everything else that has become ready meanwhile, then a few again.
 */
enum {
	WORKER_SOON = 1,
	WORKER_LATER = 2
};

/* name: at most 15 bytes, shown by ps -T.  Makes the base and the mailbox, no thread yet. */
int worker_new(const char *name, struct worker **ret_worker);
struct event_base *worker_base(struct worker *w);
/* Runs the loop in a thread of its own (all signals blocked). */
int worker_start(struct worker *w);
/* Runs the loop in the calling thread until worker_stop(). */
int worker_run(struct worker *w);
/*
 * Run fn(arg) on the worker, in the order of posting, never before returning
 * from the loop's current callback.  -ENOMEM is the only error; after
 * worker_stop() posted work still runs once before the loop ends.
 */
int worker_post(struct worker *w, worker_fn *fn, void *arg);
/* Ask the loop to end (any thread), wait for the thread if there is one. */
void worker_stop(struct worker *w);
void worker_free(struct worker *w);
bool worker_is_current(const struct worker *w);

#endif
