#include "daemon/net/penalty.h"

static unsigned duration_ms(unsigned streak)
{
	unsigned ms = PENALTY_FIRST_MS;

	while (streak-- > 1 && ms < PENALTY_MAX_MS)
		ms *= 2;
	return ms < PENALTY_MAX_MS ? ms : PENALTY_MAX_MS;
}

/*
 * Relaxed throughout: each field stands for itself, and a stale view costs at
 * most one connection that goes where it need not.
 */
unsigned penalty_streak(const struct penalty *p)
{
	return atomic_load_explicit(&p->streak, memory_order_relaxed);
}

uint64_t penalty_left_ms(const struct penalty *p, uint64_t now_ms)
{
	uint64_t until = atomic_load_explicit(&p->out_until_ms, memory_order_relaxed);

	return penalty_streak(p) != 0 && until > now_ms ? until - now_ms : 0;
}

bool penalty_is_out(const struct penalty *p, uint64_t now_ms)
{
	return penalty_left_ms(p, now_ms) != 0;
}

bool penalty_claim(struct penalty *p, uint64_t now_ms)
{
	unsigned streak = penalty_streak(p);
	uint64_t until = atomic_load_explicit(&p->out_until_ms, memory_order_relaxed);

	if (streak == 0)
		return true;
	if (until > now_ms)
		return false;
	return atomic_compare_exchange_strong_explicit(&p->out_until_ms, &until,
						       now_ms + duration_ms(streak),
						       memory_order_relaxed, memory_order_relaxed);
}

void penalty_add(struct penalty *p, uint64_t started_ms, uint64_t now_ms)
{
	uint64_t failed = atomic_load_explicit(&p->failed_ms, memory_order_relaxed);
	unsigned streak;

	/* A burst of connects that fail together is one failure. */
	if (penalty_streak(p) != 0 && started_ms < failed)
		return;
	if (!atomic_compare_exchange_strong_explicit(&p->failed_ms, &failed, now_ms,
						     memory_order_relaxed, memory_order_relaxed))
		return;
	streak = atomic_fetch_add_explicit(&p->streak, 1, memory_order_relaxed) + 1;
	atomic_store_explicit(&p->out_until_ms, now_ms + duration_ms(streak), memory_order_relaxed);
}

void penalty_clear(struct penalty *p)
{
	/* Read first: in the usual case the cache line stays shared. */
	if (penalty_streak(p) != 0)
		atomic_store_explicit(&p->streak, 0, memory_order_relaxed);
}
