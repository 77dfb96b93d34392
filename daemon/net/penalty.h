/*
 * penalty.h - how long something whose connects failed is left out: 1 s,
 * doubling up to 30 s, then one connection may try it again.  Used for source
 * addresses and for addresses of servers.
 *
 * Threads: any; all fields are atomics.  Times are monotonic milliseconds.
 */
#ifndef DAEMON_NET_PENALTY_H
#define DAEMON_NET_PENALTY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define PENALTY_FIRST_MS 1000u
#define PENALTY_MAX_MS	 30000u

struct penalty {
	_Atomic unsigned streak;       /* failures in a row; 0: it is well */
	_Atomic uint64_t failed_ms;    /* when the streak last grew */
	_Atomic uint64_t out_until_ms; /* nobody should try before */
};

unsigned penalty_streak(const struct penalty *p);
/* May it be used now?  A true answer promises nothing when several ask: see penalty_claim(). */
bool penalty_is_out(const struct penalty *p, uint64_t now_ms);
/* How long nobody should try it yet. */
uint64_t penalty_left_ms(const struct penalty *p, uint64_t now_ms);
/*
 * Use it now: true when it is well, or when the caller is the one that may try
 * it after its time was over (it then counts as out for everyone else).
 */
bool penalty_claim(struct penalty *p, uint64_t now_ms);
/* A connect begun at started_ms failed.  Those begun before the last failure add nothing. */
void penalty_add(struct penalty *p, uint64_t started_ms, uint64_t now_ms);
void penalty_clear(struct penalty *p);

#endif
