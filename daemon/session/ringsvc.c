#include "daemon/session/ringsvc.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"

void ringsvc_init(struct ringsvc *rs, struct wire_session *shared)
{
	*rs = (struct ringsvc){ .shared = shared };
	ring_init(&rs->submit, &shared->submit, WIRE_NR_SUBMISSIONS);
	ring_init(&rs->complete, &shared->complete, WIRE_NR_COMPLETIONS);
	/* Nothing is there yet: the first submission kicks. */
	(void)ring_sleep(&rs->submit);
}

void ringsvc_fini(struct ringsvc *rs)
{
	free(rs->backlog);
	*rs = (struct ringsvc){ 0 };
}

/* The client may write here at any time: each word is loaded once. */
static void copy_submission(const struct wire_submission *from, struct wire_submission *to)
{
	uint64_t words[sizeof(*to) / sizeof(uint64_t)];
	const uint64_t *in = (const uint64_t *)from;
	size_t i;

	static_assert(sizeof(words) == sizeof(*to), "whole words");
	for (i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		words[i] = __atomic_load_n(&in[i], __ATOMIC_RELAXED);
	memcpy(to, words, sizeof(words));
}

int ringsvc_drain(struct ringsvc *rs, unsigned budget, ringsvc_submission_fn *fn, void *arg)
{
	struct wire_submission entry;
	uint32_t slot;
	int r;

	ring_awake(&rs->submit);
	for (;;) {
		r = ring_peek(&rs->submit, &slot);
		if (r == -EAGAIN) {
			if (!ring_sleep(&rs->submit))
				return 0;
			ring_awake(&rs->submit);
			/* The client moved the tail between the two looks; a second look decides. */
			r = ring_peek(&rs->submit, &slot);
			if (r == -EAGAIN)
				return -EPROTO;
		}
		if (r != 0)
			return r;
		if (budget-- == 0)
			return 1;
		copy_submission(&rs->shared->submissions[slot], &entry);
		ring_consumed(&rs->submit);
		r = fn(&entry, arg);
		if (r != 0)
			return r;
	}
}

uint32_t ringsvc_peek_touches(const struct ringsvc *rs, ringsvc_touch_fn *fn, void *arg)
{
	/* Acquire: the slots below the tail were written before, or are still 0. */
	uint32_t tail = __atomic_load_n(&rs->shared->touch_tail, __ATOMIC_ACQUIRE);
	uint32_t at = rs->touch_cursor;

	if (tail - at > WIRE_NR_TOUCHES)
		at = tail - WIRE_NR_TOUCHES;
	for (; at != tail; at++) {
		/* Acquire: what the client submitted before this touch is in the ring. */
		uint64_t touch = __atomic_load_n(&rs->shared->touches[at % WIRE_NR_TOUCHES],
						 __ATOMIC_ACQUIRE);

		if ((uint32_t)touch != 0)
			fn((uint32_t)(touch >> 32), (uint32_t)touch - 1, arg);
	}
	return tail;
}

unsigned ringsvc_drain_touches(struct ringsvc *rs, uint32_t end, ringsvc_touch_fn *fn, void *arg)
{
	unsigned nr = 0;

	/* The log is lossy: what was written over is gone. */
	if (end - rs->touch_cursor > WIRE_NR_TOUCHES)
		rs->touch_cursor = end - WIRE_NR_TOUCHES;
	for (; rs->touch_cursor != end; rs->touch_cursor++) {
		uint64_t *slot = &rs->shared->touches[rs->touch_cursor % WIRE_NR_TOUCHES];
		uint64_t touch = __atomic_exchange_n(slot, 0, __ATOMIC_RELAXED);

		if ((uint32_t)touch == 0)
			continue;
		fn((uint32_t)(touch >> 32), (uint32_t)touch - 1, arg);
		nr++;
	}
	return nr;
}

bool ringsvc_has_touches(const struct ringsvc *rs)
{
	/* After ring_sleep(): a client that did not kick for its touch is seen here. */
	return __atomic_load_n(&rs->shared->touch_tail, __ATOMIC_SEQ_CST) != rs->touch_cursor;
}

/* 1: signal; 0; -EAGAIN: the ring is full; -EPROTO. */
static int push(struct ringsvc *rs, const struct wire_completion *completion)
{
	uint32_t slot;
	int r;

	r = ring_reserve(&rs->complete, &slot);
	if (r != 0)
		return r;
	rs->shared->completions[slot] = *completion;
	if (!ring_publish(&rs->complete))
		return 0;
	/* One signal a sleep.  If this takes away the flag of a newer one, the signal ends that. */
	__atomic_fetch_and(&rs->shared->complete.flags, ~RING_NEED_WAKEUP, __ATOMIC_SEQ_CST);
	return 1;
}

int ringsvc_flush(struct ringsvc *rs)
{
	bool signal = false;
	int r;

	while (rs->backlog_nr > 0) {
		r = push(rs, &rs->backlog[rs->backlog_first]);
		if (r == -EAGAIN)
			break;
		if (r < 0)
			return r;
		signal |= r == 1;
		rs->backlog_first = (rs->backlog_first + 1) % RINGSVC_BACKLOG_MAX;
		rs->backlog_nr--;
	}
	return signal;
}

int ringsvc_complete(struct ringsvc *rs, const struct wire_completion *completion)
{
	int flushed, r;

	flushed = ringsvc_flush(rs);
	if (flushed < 0)
		return flushed;
	if (rs->backlog_nr == 0) {
		r = push(rs, completion);
		if (r != -EAGAIN)
			return r < 0 ? r : (flushed | r);
	}
	if (rs->backlog_nr == RINGSVC_BACKLOG_MAX)
		return -ENOBUFS;
	if (rs->backlog == NULL)
		rs->backlog = xcalloc(RINGSVC_BACKLOG_MAX, sizeof(*rs->backlog));
	rs->backlog[(rs->backlog_first + rs->backlog_nr++) % RINGSVC_BACKLOG_MAX] = *completion;
	return flushed;
}

unsigned ringsvc_backlog(const struct ringsvc *rs)
{
	return rs->backlog_nr;
}

void ringsvc_set_want_touch(struct ringsvc *rs, bool want)
{
	__atomic_store_n(&rs->shared->want_touch, want, __ATOMIC_RELAXED);
}
