/*
 * straggler.h - which downloads are slower than their peers by a clear margin,
 * and so better continued on another connection.  Cancels nothing.
 *
 * Threads: the caller's lock.
 */
#ifndef DAEMON_MOUNT_STRAGGLER_H
#define DAEMON_MOUNT_STRAGGLER_H

#include <stdbool.h>
#include <stdint.h>

#define STRAGGLER_PEERS	 16   /* whose rates are remembered */
#define STRAGGLER_AGE_MS 5000 /* younger ones are given time */
#define STRAGGLER_MARGIN 8    /* times slower than the median */
#define STRAGGLER_CUTS	 3    /* of one chunk, at most */

struct straggler_rates {
	uint64_t rates[STRAGGLER_PEERS]; /* bytes a second */
	unsigned nr, next;
};

/* One more peer has brought `bytes`. */
void straggler_add(struct straggler_rates *s, uint64_t bytes, uint64_t ms);
/* 0: too few peers are known. */
uint64_t straggler_median(const struct straggler_rates *s);
bool straggler_is(uint64_t median, uint64_t bytes, uint64_t ms);

#endif
