/*
 * throttle.h - how many requests to one store may be under way: doubled for as
 * long as more of them bring more, halved when the store asks for less, and
 * then back by an eighth a round.  Counts; waits for nothing, reads no clock.
 *
 * Threads: the caller's lock.
 */
#ifndef DAEMON_MOUNT_THROTTLE_H
#define DAEMON_MOUNT_THROTTLE_H

#include <stdbool.h>
#include <stdint.h>

#define THROTTLE_FIRST	 32   /* the limit at first */
#define THROTTLE_REST_MS 5000 /* between two trials of more, once one brought nothing */

struct throttle {
	unsigned max;	 /* what may be under way at best */
	unsigned limit;	 /* now; 1..max */
	unsigned active; /* requests under way */
	unsigned epoch;	 /* rises when the limit falls */
	/*
	 * A round is `limit` requests that came to a good end, so that what comes in
	 * bursts counts as a whole; where those take long, a second.
	 */
	unsigned nr_good;  /* in this round */
	uint64_t bytes;	   /* that had come when it began */
	uint64_t began_ms; /* the round */
	uint64_t last_good_ms;
	bool is_full;	     /* somebody was refused in it */
	bool is_settling;    /* it does not count: most of it was begun before the limit rose */
	uint64_t rate;	     /* work a second with this limit, or with `half` */
	unsigned half;	     /* a trial of more is under way: the limit before; 0: none */
	uint64_t first_rate; /* in its first round; 0: not yet known */
	unsigned target;     /* on the way back: the limit before the store spoke; 0: not so */
	uint64_t rest_until_ms;
};

void throttle_init(struct throttle *t, unsigned max);
void throttle_set_max(struct throttle *t, unsigned max);
/* Requests that may be begun now.  For a reader who waits a few more than the limit. */
unsigned throttle_free(const struct throttle *t, bool for_demand);
/* Take leave for one request.  The epoch goes to throttle_slow(). */
bool throttle_enter(struct throttle *t, bool for_demand, uint64_t now_ms, unsigned *ret_epoch);
void throttle_leave(struct throttle *t);
/* There was something to ask for, and no leave: more may be of use. */
void throttle_lack(struct throttle *t);
/* One that was let in during `epoch` was told to slow down: counts once an epoch. */
void throttle_slow(struct throttle *t, unsigned epoch, uint64_t now_ms);
/* One came to a good end; so many bytes have come in all, by whatever request. */
void throttle_good(struct throttle *t, uint64_t bytes, uint64_t now_ms);
/* To be called once a second or so while requests are under way. */
void throttle_look(struct throttle *t, uint64_t bytes, uint64_t now_ms);

#endif
