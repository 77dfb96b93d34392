/*
 * pace.h - whether a response still comes fast enough to be waited for.  A
 * server that sends a byte now and then is never silent, and would hold its
 * connection for ever.  Reads no clock.
 *
 * Threads: one.
 */
#ifndef DAEMON_HTTP_PACE_H
#define DAEMON_HTTP_PACE_H

#include <stdbool.h>
#include <stdint.h>

#define PACE_LEAST 1024 /* bytes that must arrive in one window */

struct pace {
	uint64_t since_ms;
	uint64_t bytes; /* that had arrived then */
};

static inline void pace_init(struct pace *p, uint64_t bytes, uint64_t now_ms)
{
	*p = (struct pace){ .since_ms = now_ms, .bytes = bytes };
}

/* bytes: all that have arrived so far.  True: too few since the window began. */
static inline bool pace_is_too_slow(struct pace *p, uint64_t bytes, unsigned window_ms,
				    uint64_t now_ms)
{
	if (bytes - p->bytes >= PACE_LEAST) {
		pace_init(p, bytes, now_ms);
		return false;
	}
	return now_ms - p->since_ms >= window_ms;
}

#endif
