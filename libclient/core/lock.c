#include "libclient/core/lock.h"
#include "libclient/core/epoch.h"
#include "libclient/core/sys.h"

#include <errno.h>
#include <stdbool.h>

#define WAITERS	 0x80000000u
#define SOMEBODY 1u /* owner of a lock: nobody asks who */
#define SLICE_MS 200u
#define NR_SPINS 64u

static inline uint32_t *low_half(struct lock *l)
{
	return (uint32_t *)&l->word; /* little-endian: chunktab.h asserts it */
}

static inline uint32_t owner_of(uint64_t word)
{
	return (uint32_t)word & ~WAITERS;
}

/* Free, or held by a thread that did not come along when we were forked. */
static inline bool is_free(uint64_t word, uint32_t epoch)
{
	return owner_of(word) == 0 || (uint32_t)(word >> 32) != epoch;
}

static bool take(struct lock *l, uint32_t owner, uint32_t epoch)
{
	uint64_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);

	/* Acquire pairs with the release in leave(). */
	return is_free(word, epoch) &&
	       __atomic_compare_exchange_n(&l->word, &word, (uint64_t)epoch << 32 | owner, false,
					   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

/* Say that we wait, and sleep a slice.  True: it was taken instead. */
static bool take_or_sleep(struct lock *l, uint32_t owner, uint32_t epoch)
{
	uint64_t word = __atomic_load_n(&l->word, __ATOMIC_RELAXED);

	if (is_free(word, epoch))
		/* With the mark: there may be other sleepers. */
		return __atomic_compare_exchange_n(&l->word, &word,
						   (uint64_t)epoch << 32 | WAITERS | owner, false,
						   __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
	if (((uint32_t)word & WAITERS) == 0 &&
	    !__atomic_compare_exchange_n(&l->word, &word, word | WAITERS, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED))
		return false;
	sys_futex_wait(low_half(l), (uint32_t)word | WAITERS, SLICE_MS);
	return false;
}

static void leave(struct lock *l)
{
	/* Release pairs with the acquire in take(). */
	uint64_t word = __atomic_exchange_n(&l->word, 0, __ATOMIC_RELEASE);

	if (((uint32_t)word & WAITERS) != 0)
		sys_futex_wake(low_half(l), 1);
}

void lock_enter_inner(struct lock *l)
{
	uint32_t epoch = epoch_now();
	unsigned i;

	for (i = 0; i < NR_SPINS; i++)
		if (take(l, SOMEBODY, epoch))
			return;
	while (!take_or_sleep(l, SOMEBODY, epoch))
		;
}

void lock_leave_inner(struct lock *l)
{
	leave(l);
}

uint64_t lock_enter(struct lock *l)
{
	uint64_t signals = sys_block_signals();

	lock_enter_inner(l);
	return signals;
}

void lock_leave(struct lock *l, uint64_t signals)
{
	leave(l);
	sys_restore_signals(signals);
}

/*
 * Its owner may have been cancelled, or ended as a vfork child, inside: then it is free.  What a gate
 * guards is sound at every instant.  True: it was.
 */
static bool free_if_dead(struct lock *l, uint64_t word, uint32_t epoch)
{
	return !is_free(word, epoch) && sys_call2(__NR_tkill, owner_of(word), 0) == -ESRCH &&
	       __atomic_compare_exchange_n(&l->word, &word, 0, false, __ATOMIC_ACQUIRE,
					   __ATOMIC_RELAXED);
}

int gate_try(struct gate *g)
{
	uint32_t epoch = epoch_now(), tid = (uint32_t)sys_gettid();
	uint64_t word = __atomic_load_n(&g->lock.word, __ATOMIC_RELAXED);

	if (!is_free(word, epoch) && owner_of(word) == tid)
		return -EDEADLK;
	if (take(&g->lock, tid, epoch) ||
	    (free_if_dead(&g->lock, word, epoch) && take(&g->lock, tid, epoch)))
		return 0;
	return -EAGAIN;
}

int gate_enter(struct gate *g, unsigned timeout_ms)
{
	uint32_t epoch = epoch_now(), tid = (uint32_t)sys_gettid();
	uint64_t deadline;
	int r = gate_try(g);

	if (r != -EAGAIN)
		return r;
	deadline = sys_now_ms() + timeout_ms;
	while (!take_or_sleep(&g->lock, tid, epoch)) {
		free_if_dead(&g->lock, __atomic_load_n(&g->lock.word, __ATOMIC_RELAXED), epoch);
		if (sys_now_ms() > deadline)
			return -ETIMEDOUT;
	}
	return 0;
}

void gate_leave(struct gate *g)
{
	leave(&g->lock);
}
