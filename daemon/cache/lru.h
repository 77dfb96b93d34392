/*
 * lru.h - which chunk goes next, and the accounting of room: bytes of memory
 * that chunks may take, claimed before a fill and given back after a punch.
 * Evicts nothing itself.  The cache's lock is held.
 */
#ifndef DAEMON_CACHE_LRU_H
#define DAEMON_CACHE_LRU_H

#include "daemon/cache/state.h"

/* To the end of a list; what became evictable is told to who waits for room. */
void lru_move(struct chunk *ch, enum lru_list to);
/* The list where a READY chunk belongs, by its pins, wishes and touches. */
void lru_settle(struct chunk *ch);
/* What this class may evict now, or NULL. */
struct chunk *lru_victim(struct cache *c, enum fetch_class class);
/*
 * Holds that began before and have lasted HOLD_MS end; the others' time starts.
 * Milliseconds until the next one ends, or -1.
 */
long lru_end_holds(struct cache *c);

/* Nobody uses the object any more: who asked for its chunks is gone. */
void lru_end_holds_of(struct object *o);

/* 0: claimed.  -EAGAIN: not without evicting.  -ENOSPC: not even so, for this class. */
int room_claim(struct object *o, uint32_t chunk, enum fetch_class class);
void room_give_back(struct object *o, uint32_t chunk);
/* The class was told -ENOSPC: cache_on_room() is owed. */
void room_refused(struct cache *c, enum fetch_class class);
/* Room arose, for demand only or for all classes. */
void room_arose(struct cache *c, bool for_all);
/* The object's first user came: its chunks no longer count as nobody's. */
void room_opened(struct object *o);

#endif
