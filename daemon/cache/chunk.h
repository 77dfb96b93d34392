/*
 * chunk.h - the chunk's word and its way through the states: shown, failed,
 * evicted.  The cache's lock is held.
 */
#ifndef DAEMON_CACHE_CHUNK_H
#define DAEMON_CACHE_CHUNK_H

#include "daemon/cache/state.h"

/* Leave the generation, or raise it because readers may be copying what is about to go. */
enum chunk_bump {
	CHUNK_SAME = 0,
	CHUNK_RAISE,
};
/* Publish what follows from the private state; wakes and notifies who waits for it. */
void chunk_show(struct chunk *ch, enum chunk_bump bump);
uint64_t chunk_shown(const struct chunk *ch); /* the word as readers see it */

/*
 * Give back the pages of a READY, unpinned chunk.  Lets go of the lock while
 * punching; the object lives on.
 */
void chunk_evict(struct chunk *ch);
/* A fill's chunk that will not be READY: errno, or 0 for EMPTY.  Lets go of the lock as well. */
void chunk_undo(struct chunk *ch, int error);
/* Forget FAILED: of the chunk, or while veiled of the whole object. */
void chunk_forgive(struct chunk *ch);
/* Wait until no thread punches this chunk.  Lets go of the lock. */
void chunk_wait_punched(struct chunk *ch);

/* Someone waits for [0, end): its fill, if there is one, tells of progress from now on. */
void chunk_interest(struct chunk *ch, uint32_t end);

/* ---- notice.c: one-shot notices ---- */

/* Those that the chunk's word satisfies now will run when the lock is gone. */
void notice_ripen(struct chunk *ch);
/* All of the object's, with this result. */
void notice_ripen_all(struct object *o, int result);
/* For cache_unlock(): runs what is ripe, each without the lock. */
void notice_run(struct cache *c);

#endif
