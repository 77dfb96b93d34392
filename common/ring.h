/*
 * ring.h - a single-producer, single-consumer ring in memory that two
 * processes share and in which neither trusts the other.  Moves entries and
 * says when the other side must be woken; does not wake it.
 *
 * Geometry lives in private copies.  An index that the peer wrote is read once
 * and then judged.  Producers in several threads bring their own lock.
 */
#ifndef COMMON_RING_H
#define COMMON_RING_H

#include "common/wire.h"

#include <errno.h>
#include <stdatomic.h>

#define RING_NEED_WAKEUP 1u

struct ring {
	struct wire_ring *shared;
	uint32_t mask;	 /* slots - 1 */
	uint32_t cursor; /* own index: tail for a producer, head for a consumer */
};

static inline void ring_init(struct ring *r, struct wire_ring *shared, uint32_t nr_slots)
{
	r->shared = shared;
	r->mask = nr_slots - 1;
	r->cursor = 0;
}

/* Producer: the slot to fill next.  -EAGAIN: full.  -EPROTO: the peer broke the ring. */
static inline int ring_reserve(const struct ring *r, uint32_t *ret_slot)
{
	/* Acquire pairs with the release in ring_consumed(). */
	uint32_t head = __atomic_load_n(&r->shared->head, __ATOMIC_ACQUIRE);
	uint32_t used = r->cursor - head;

	if (used > r->mask + 1)
		return -EPROTO;
	if (used == r->mask + 1)
		return -EAGAIN;
	*ret_slot = r->cursor & r->mask;
	return 0;
}

/* Producer: publish the slot.  True: the consumer sleeps and must be signalled. */
static inline bool ring_publish(struct ring *r)
{
	r->cursor++;
	__atomic_store_n(&r->shared->tail, r->cursor, __ATOMIC_RELEASE);
	/* Against ring_sleep(): either it sees our tail or we see its flag. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return (__atomic_load_n(&r->shared->flags, __ATOMIC_RELAXED) & RING_NEED_WAKEUP) != 0;
}

/* Consumer: the slot to read next.  -EAGAIN: empty.  -EPROTO: the peer broke the ring. */
static inline int ring_peek(const struct ring *r, uint32_t *ret_slot)
{
	/* Acquire pairs with the release in ring_publish(). */
	uint32_t tail = __atomic_load_n(&r->shared->tail, __ATOMIC_ACQUIRE);
	uint32_t used = tail - r->cursor;

	if (used > r->mask + 1)
		return -EPROTO;
	if (used == 0)
		return -EAGAIN;
	*ret_slot = r->cursor & r->mask;
	return 0;
}

/* Consumer: the slot was copied out and may be reused. */
static inline void ring_consumed(struct ring *r)
{
	r->cursor++;
	__atomic_store_n(&r->shared->head, r->cursor, __ATOMIC_RELEASE);
}

/* Consumer: about to sleep.  True: something came meanwhile, do not sleep. */
static inline bool ring_sleep(struct ring *r)
{
	__atomic_fetch_or(&r->shared->flags, RING_NEED_WAKEUP, __ATOMIC_SEQ_CST);
	return __atomic_load_n(&r->shared->tail, __ATOMIC_SEQ_CST) != r->cursor;
}

/* Consumer: awake, producers need not signal. */
static inline void ring_awake(struct ring *r)
{
	__atomic_fetch_and(&r->shared->flags, ~RING_NEED_WAKEUP, __ATOMIC_RELAXED);
}

#endif
