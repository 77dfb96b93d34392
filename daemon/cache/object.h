/*
 * object.h - the life of an object: used, idle, given up, drained, closed,
 * freed.  The cache's lock is held.
 *
 *	given up   words EMPTY, no fill starts; on cache.draining
 *	drained    no chunk has pages
 *	closed     and nobody uses the memory file: it is closed
 *	freed      and nobody has a reference
 */
#ifndef DAEMON_CACHE_OBJECT_H
#define DAEMON_CACHE_OBJECT_H

#include "daemon/cache/state.h"

/* Take the next step of the life if it is due; o may be dead afterwards. */
void object_settle(struct object *o);
/* For cache_unlock(): closes files, calls on_gone(), without the lock; o may be dead then. */
void object_retire(struct object *o);
/* Punch about `len` bytes of objects given up, without the lock.  True if there were any. */
bool object_drain(struct cache *c, uint64_t len);
/* Give up what has been idle for long enough.  Milliseconds until the next one, or -1. */
long object_expire(struct cache *c);
void object_fail_locked(struct object *o, int error, bool drop);
/* Pins are gone: what waited for that happens. */
void object_unpinned(struct object *o);

#endif
