/*
 * state.h - what the cache's lock guards: the cache, its objects, their chunks.
 * For the files of this folder only; everybody else reads cache.h.
 *
 * A chunk has a private state (struct chunk, the truth) and a public word in
 * the chunk table, which chunk_show() derives from it.  The private state is
 * EMPTY, LOADING (a fill has it), READY or EVICTING (its pages are being given
 * back without the lock).  FAILED is an errno beside the private state.
 *
 * Each function named x_locked, and each that takes a struct chunk, wants the
 * cache's lock held.
 */
#ifndef DAEMON_CACHE_STATE_H
#define DAEMON_CACHE_STATE_H

#include "common/chunktab.h"
#include "daemon/cache/cache.h"
#include "daemon/cache/memfile.h"

#include <pthread.h>
#include <sys/queue.h>

#define HOLD_MS		 10000u /* a chunk that was asked for and never touched */
#define MAX_LATER_WAKES	 16u
#define DRAIN_SLICE_LEN	 (256ull << 20) /* given up in one go, not to block the caller long */
#define MIN_BOUND_CHUNKS 4u		/* what stays when memory runs out */

enum lru_list {
	LRU_NONE = 0,  /* not READY, or pinned */
	LRU_TOUCHED,   /* least recently touched first */
	LRU_UNTOUCHED, /* in the order of arrival */
	LRU_HELD,      /* asked for and not yet touched; longest held first */
};

struct chunk {
	TAILQ_ENTRY(chunk) link; /* of the list that `list` names */
	struct object *object;
	struct fill *fill;	/* LOADING */
	uint64_t crc;		/* once crc_known; outlives eviction */
	uint64_t touch;		/* when, by the cache's count of touches; 0: nobody has read it */
	uint64_t hold_until_ms; /* on LRU_HELD; 0: the next tick starts the time */
	uint32_t pins;
	uint32_t want_end; /* the least end somebody waits for; atomic */
	uint16_t error;	   /* FAILED with this errno; 0: not */
	uint8_t state;	   /* enum chunk_state, never FAILED */
	uint8_t list;	   /* enum lru_list */
	/* Somebody sleeps on the word, or has a notice; atomic.  See chunk_interest() and progress(). */
	uint8_t interest;
	bool wanted; /* to be held once it is READY */
	bool crc_known;
	bool filled_before;
};
TAILQ_HEAD(chunk_list, chunk);

struct notice {
	TAILQ_ENTRY(notice) link;
	struct object *object;
	uint32_t chunk;
	uint32_t end;
	chunk_notice_fn *fn;
	void *arg;
	int result;
	pthread_t thread; /* that runs it */
};
TAILQ_HEAD(notice_list, notice);

struct object {
	struct cache *cache;
	struct table *table;
	char *key;
	char *etag;
	uint64_t size;
	void *owner;
	void (*on_gone)(void *owner);
	uint32_t nr_chunks;
	uint32_t first_word;
	struct memfile mem;
	const unsigned char *map; /* read-only, for CRCs and uffill; NULL when nobody needs it */
	bool covered;		  /* uffill_copy() goes into it */
	/* Serialises writes into `mem` and punches; a thread that has the cache's lock never takes it. */
	pthread_mutex_t fill_lock;

	unsigned refs;	/* who holds a pointer; fills too */
	unsigned users; /* descriptors and mappings of clients */
	unsigned io;	/* who may use `mem` without the lock: fills, punches, object_retire() */
	bool ever_used;
	bool doomed;	/* object_drop(): given up as soon as nobody uses it */
	bool dropped;	/* given up; all words are EMPTY */
	bool drained;	/* ... and no chunk has pages */
	bool closed;	/* ... and `mem` is closed */
	bool gone;	/* on_gone() was called */
	bool condemned; /* `error` holds for READY chunks as well; they go as the LRU takes them */
	int error;	/* of the object as a whole */
	int stop; /* atomic, fills read it without the lock: 0, or why their bytes are in vain */
	uint32_t drain_next;
	uint32_t nr_ready, nr_loading, nr_pinned;
	uint64_t resident;	/* bytes of memory its chunks may take: claimed until punched */
	uint64_t present;	/* bytes READY */
	uint64_t idle_since_ms; /* without users; 0: the next tick starts the time */

	enum verify_mode verify;
	enum object_verdict verdict;
	bool veiled; /* strict and not verified: nothing is shown */
	bool crc_given;
	uint64_t crc_store, crc_own;
	uint32_t nr_crcs; /* chunks with crc_known */

	struct notice_list notices;
	TAILQ_ENTRY(object) link;      /* cache.objects or cache.draining */
	TAILQ_ENTRY(object) idle_link; /* cache.idle or cache.unused; without users */
	TAILQ_ENTRY(object) later_link;
	bool on_later;
	struct chunk chunks[];
};
TAILQ_HEAD(object_list, object);

struct cache {
	pthread_mutex_t lock;
	pthread_cond_t punched; /* some chunk left EVICTING */
	pthread_cond_t noticed; /* some notice has run */
	unsigned chunk_shift;
	unsigned expire_ms;
	unsigned max_objects;
	enum verify_mode verify;
	char *memory_dir;
	int uffd; /* uffill_open(), or negative */
	enum memfile_pages pages;
	unsigned nr_cpus;
	uint64_t size_conf; /* 0: from the memory available */

	/* Bytes, chunks rounded up to pages. */
	uint64_t goal;	   /* the bound while memory lasts */
	uint64_t bound;	   /* the bound now */
	uint64_t used;	   /* claimed by fills until punched */
	uint64_t coming;   /* of `used`, claimed by fills that have not ended */
	uint64_t came;	   /* of `coming`, bytes that lie in memory by now; atomic */
	uint64_t pinned;   /* by pins, present or not */
	uint64_t unopened; /* of `used`, by objects that never had a user */
	uint64_t total;	   /* of all objects that are not given up, present or not */

	struct chunk_list touched, untouched, held;
	struct object_list objects;  /* not given up */
	struct object_list draining; /* given up, pages left */
	struct object_list idle;     /* had users; longest without first */
	struct object_list unused;   /* never had one */
	uint32_t nr_objects;	     /* on `objects` */
	uint32_t nr_in_use;	     /* objects with users */
	uint32_t nr_users;	     /* of all objects */
	uint32_t nr_touched;	     /* chunks on `touched` */
	uint64_t touches;	     /* counted, to order them */

	/* The memory available, asked for as the cache grows. */
	uint64_t (*ask_memory)(void *arg);
	void *ask_memory_arg;
	uint64_t look_at_used; /* the next time `used` reaches this */
	int look_due;	       /* it has; atomic */
	uint64_t looked_used, looked_ms;
	bool is_short; /* of memory: the bound is below the goal */
	int looking;   /* atomic: one thread at a time */

	uint64_t now_ms; /* of the last tick */
	uint64_t stray_ms;
	bool ending; /* nothing is punched: see cache_end() */
	bool stray_due;
	bool has_timer;	  /* the last tick did not say -1 */
	bool tick_due;	  /* on_due() was called */
	unsigned refused; /* classes that were told -ENOSPC, a bit each */

	/* What cache_unlock() does once the lock is gone. */
	bool later_room, later_due;
	const uint32_t *later_wakes[MAX_LATER_WAKES];
	unsigned nr_later_wakes;
	struct notice_list ripe;
	struct notice_list running;
	struct object_list later; /* each counts in its own `io` */

	void (*on_room)(void *arg);
	void *on_room_arg;
	void (*on_due)(void *arg);
	void *on_due_arg;

	struct cache_stats stats; /* counters; the levels are filled in when asked */
};

static inline uint64_t round_to_pages(uint64_t len)
{
	return (len + CHUNKTAB_PAGE - 1) & ~(uint64_t)(CHUNKTAB_PAGE - 1);
}

static inline uint32_t chunk_index(const struct chunk *ch)
{
	return (uint32_t)(ch - ch->object->chunks);
}

static inline uint64_t chunk_offset(const struct object *o, uint32_t chunk)
{
	return (uint64_t)chunk << o->cache->chunk_shift;
}

/* The last chunk is shorter. */
static inline uint64_t chunk_len(const struct object *o, uint32_t chunk)
{
	uint64_t offset = chunk_offset(o, chunk), len = 1ull << o->cache->chunk_shift;

	return o->size - offset < len ? o->size - offset : len;
}

/* ---- cache.c ------------------------------------------------------------------- */

/* Getters have a const cache; its lock is not part of what they promise to leave alone. */
void cache_lock(const struct cache *c);
/* Lets go of the lock, then runs what was left for later (callbacks, wakes, closing files). */
void cache_unlock(const struct cache *c);
/* For the middle of a function that takes the lock again: runs nothing. */
void cache_pause_locked(struct cache *c);
void cache_resume(struct cache *c);
/* A tick is needed: now, or only some time (then a timer that runs already will do). */
void cache_need_tick_locked(struct cache *c, bool now);
/* `used` has grown enough to look at the memory available again.  Both without the lock. */
bool cache_wants_look(const struct cache *c);
void cache_look_at_memory(struct cache *c);

#endif
