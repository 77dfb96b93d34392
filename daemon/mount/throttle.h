/*
 * throttle.h - how many requests may be under way when the store asks for
 * less: halved when it does, one more for each round of successes.  Counts;
 * waits for nothing and knows no clock.
 *
 * Threads: the caller's lock.
 */
#ifndef DAEMON_MOUNT_THROTTLE_H
#define DAEMON_MOUNT_THROTTLE_H

#include <stdbool.h>

struct throttle {
	unsigned max;	  /* what may be under way at best */
	unsigned limit;	  /* now; 1..max */
	unsigned active;  /* requests under way */
	unsigned nr_good; /* successes since the limit last rose */
	unsigned epoch;	  /* rises when the limit falls */
};

void throttle_init(struct throttle *t, unsigned max);
void throttle_set_max(struct throttle *t, unsigned max);
/* Take leave for one request.  The epoch goes to throttle_slow(). */
bool throttle_enter(struct throttle *t, unsigned *ret_epoch);
void throttle_leave(struct throttle *t);
/* One that was let in during `epoch` was told to slow down: counts once an epoch. */
void throttle_slow(struct throttle *t, unsigned epoch);
void throttle_good(struct throttle *t);

static inline unsigned throttle_free(const struct throttle *t)
{
	return t->active < t->limit ? t->limit - t->active : 0;
}

#endif
