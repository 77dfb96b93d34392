/*
 * lock.h - two locks on one futex word, both of which heal over fork: a lock
 * that a thread of the parent held is free in the child.
 *
 * lock: short sections that wait for nothing.  All signals are blocked while
 * it is held, so that a signal handler never meets a lock of its own thread.
 * gate: sections that talk to the daemon.  Signals stay as they are; a handler
 * that comes back into a gate of its own thread gets -EDEADLK.
 *
 * What they guard must be sound at every instant, because a fork may freeze it, and
 * because a gate whose thread is gone (cancelled inside) is free again.
 * Zeroed memory is a free lock.  Threads: any.
 */
#ifndef LIBCLIENT_CORE_LOCK_H
#define LIBCLIENT_CORE_LOCK_H

#include <stdint.h>

struct lock {
	uint64_t word; /* epoch:32 | waiters:1 | owner:31 */
};

/* Returns the signal mask to hand to lock_leave(). */
uint64_t lock_enter(struct lock *l);
void lock_leave(struct lock *l, uint64_t signals);
/* The same inside another lock, where signals are blocked already. */
void lock_enter_inner(struct lock *l);
void lock_leave_inner(struct lock *l);

struct gate {
	struct lock lock;
};

/* 0, -EDEADLK (this thread holds it already) or -ETIMEDOUT. */
int gate_enter(struct gate *g, unsigned timeout_ms);
/* 0, -EDEADLK, or -EAGAIN when somebody else holds it. */
int gate_try(struct gate *g);
void gate_leave(struct gate *g);

#endif
