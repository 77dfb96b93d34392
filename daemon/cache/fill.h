/*
 * fill.h - what is known of a chunk on its way.  One thread at a time works on
 * a fill; `done` and `shown` are looked at by others.
 */
#ifndef DAEMON_CACHE_FILL_H
#define DAEMON_CACHE_FILL_H

#include "daemon/cache/state.h"
#include "daemon/cache/uffill.h"

struct fill {
	struct object *object;
	struct chunk *chunk;
	uint64_t start; /* in the object */
	uint64_t len;
	uint64_t done;	/* bytes that lie in the memory file; atomic */
	uint64_t crc;	/* of those, if `summed` */
	uint32_t shown; /* pages, as the word says; changed under the cache's lock; atomic */
	bool summed;
	bool quiet; /* nothing is shown before the whole chunk was compared (strict) */
	/* Has come behind `done`, and waits for the rest of its page: only whole pages go past the lock. */
	uint32_t rest_len;
	char rest[UFFILL_PAGE];
};

/* Publish as much as has arrived.  The cache's lock is held. */
void fill_show(struct fill *f);

#endif
