/*
 * cache.h - object memory, chunk tables, LRU, pins and expiry: which bytes of
 * which objects are in memory, and who may see them.  Knows no HTTP, no store
 * and no session: a fill is handed bytes, by whom is not its business.
 *
 * An object has one memory file of exactly its size (sparse) and a row of
 * words in its mount's chunk table.  A chunk is EMPTY, being filled by exactly
 * one `struct fill`, READY or FAILED.  Only READY chunks that are neither
 * pinned nor held are evicted: generation up and EVICTING, fence, punch, EMPTY.
 *
 * Threads: any, unless said otherwise.  One lock in the cache guards states,
 * lists and accounting (never held across a system call that moves data); one
 * lock an object serialises what is written into its memory file.  Order:
 * object's fill lock, then the cache's lock.  Callbacks run without locks.
 */
#ifndef DAEMON_CACHE_CACHE_H
#define DAEMON_CACHE_CACHE_H

#include "daemon/cache/memfile.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cache;
struct fill;
struct object;
struct table; /* one chunk table: common/chunktab.h in shared memory */

enum verify_mode {
	VERIFY_OFF = 0,
	VERIFY_ON,     /* the object's CRC is checked when its last chunk has arrived */
	VERIFY_STRICT, /* no byte is served before that */
};

struct cache_conf {
	uint64_t size;	      /* bytes of chunks; 0: from the memory available */
	unsigned chunk_shift; /* CHUNK_SHIFT_MIN..CHUNK_SHIFT_MAX */
	unsigned expire_ms;   /* after an object's last user is gone */
	unsigned max_objects; /* open memory files */
	enum verify_mode verify;
	const char *memory_dir;	  /* a tmpfs of the daemon's own; NULL: memfds */
	enum memfile_pages pages; /* that it has */
	unsigned nr_cpus;	  /* that this process may use */
};

/* The classes of design §5, most urgent first. */
enum fetch_class {
	FETCH_DEMAND = 0, /* someone waits */
	FETCH_READAHEAD,  /* of an open file */
	FETCH_PREFETCH,	  /* nobody has asked yet */
	FETCH_NR_CLASSES,
};

int cache_new(const struct cache_conf *conf, struct cache **ret_cache);
/*
 * The daemon is about to end: nothing is punched from now on.  What clients map stays as it is
 * when we have gone; what nobody maps goes with its file.
 */
void cache_end(struct cache *c);
void cache_free(struct cache *c); /* every table and object is gone by then */

uint64_t cache_size(const struct cache *c); /* the bound now */
uint64_t cache_used(const struct cache *c);
unsigned cache_chunk_shift(const struct cache *c);
bool cache_keeps_unused(const struct cache *c); /* objects without users stay for a while */
/*
 * Called when chunks became evictable or were freed after a fill_begin() had
 * answered -ENOSPC: who waits for room tries again.  From any thread, no lock held.
 */
void cache_on_room(struct cache *c, void (*on_room)(void *arg), void *arg);
/* True while a full cache refuses readahead or prefetch: clients then tell what they touch. */
bool cache_wants_touch(const struct cache *c);
/*
 * Periodic work, called by the control loop: expiry of objects without users,
 * the memory available looked at again, stray pages punched, holds that ran
 * out.  now_ms is monotonic.  Returns the milliseconds until it wants to be
 * called again, or -1 when nothing is pending (an idle daemon has no timer).
 */
long cache_tick(struct cache *c, uint64_t now_ms);
/*
 * Called when cache_tick() should run sooner than it last said: something to
 * expire after it had said -1, chunks to give up, or cache_wants_touch() became
 * true.  From any thread, no lock held: post a cache_tick() to the control loop.
 * Once for each cache_tick().
 */
void cache_on_due(struct cache *c, void (*on_due)(void *arg), void *arg);
/* Change what may change while running: size, expire_ms, verify (objects opened later). */
void cache_reconfigure(struct cache *c, const struct cache_conf *conf);

struct cache_stats {
	uint64_t size, used, pinned;
	uint64_t objects, chunks_ready, chunks_loading;
	uint64_t evictions, evicted_bytes;
	uint64_t verified, mismatches, refills; /* refills: chunks filled a second time */
};
void cache_stats(const struct cache *c, struct cache_stats *ret);

/* ---- tables ------------------------------------------------------------------ */

int table_new(struct cache *c, struct table **ret_table);
void table_ref(struct table *t);
void table_unref(struct table *t);	    /* objects hold references */
int table_client_fd(const struct table *t); /* read-only; owned by the table */
size_t table_len(const struct table *t);
void table_set_serial(struct table *t, uint64_t snapshot_serial);

/* ---- objects ----------------------------------------------------------------- */

/*
 * A new object, all chunks EMPTY.  `owner` is kept for object_owner() (the
 * fetch side's own record); on_gone(owner) runs once when the object is freed.
 * key and etag are copied.  -ENOSPC: no room in the table; -EMFILE: too many.
 */
struct object_spec {
	const char *key; /* of the store, for logs and requests */
	const char *etag;
	uint64_t size; /* > 0 */
	void *owner;
	void (*on_gone)(void *owner);
};
int object_new(struct cache *c, struct table *t, const struct object_spec *spec,
	       struct object **ret_object);
/*
 * True: one more object_new() drops none that is cached.  At max_objects it drops
 * the least recently used object without users; prefetch asks first and waits.
 */
bool cache_has_object_room(const struct cache *c);
/* Memory references: who holds a pointer. */
struct object *object_ref(struct object *o);
void object_unref(struct object *o);
/*
 * Users: descriptors and mappings of clients.  When the last one leaves, the
 * object's chunks are given up expire_ms later (0: at once) unless someone
 * comes back.  An object that never had a user stays until object_drop().
 * Who calls object_use() then asks object_is_dropped(): it may have come too late.
 */
void object_use(struct object *o);
void object_unuse(struct object *o);
/* Give up all chunks as soon as nobody uses it (its mount is gone, or a newer version exists). */
void object_drop(struct object *o);

const char *object_key(const struct object *o);
const char *object_etag(const struct object *o);
uint64_t object_size(const struct object *o);
uint32_t object_nr_chunks(const struct object *o);
uint64_t object_first_word(const struct object *o);
int object_client_fd(const struct object *o); /* read-only; owned by the object */
void *object_owner(const struct object *o);
bool object_is_complete(const struct object *o); /* every chunk READY now */
bool object_is_dropped(const struct object *o);	 /* chunks were given up: make a new one */
uint64_t object_present_bytes(const struct object *o);

/*
 * The object as a whole failed (-ESTALE: changed in the store, -EIO: CRC
 * mismatch, -EACCES, ...): what is not READY becomes FAILED with this errno,
 * with `drop` READY chunks as well; fill_begin() answers it from now on.
 */
void object_fail(struct object *o, int error, bool drop);
int object_error(const struct object *o); /* 0 or the errno given above */

/* The store's CRC-64 of the whole object, from a response header; the first one counts. */
void object_set_crc(struct object *o, uint64_t crc);
enum object_verdict {
	VERDICT_PENDING = 0, /* chunks are missing */
	VERDICT_UNKNOWN,     /* the store gave no CRC, or verify is off */
	VERDICT_GOOD,
	VERDICT_BAD,
};
/* ret_crc: of the bytes that came once all have, else what the store said, else 0. */
enum object_verdict object_verdict(const struct object *o, uint64_t *ret_crc);
/* What the store said, whatever has come; also where verify is off.  False: nothing so far. */
bool object_stored_crc(const struct object *o, uint64_t *ret_crc);
bool object_is_loading(const struct object *o); /* a chunk is on its way */
/*
 * VERIFY_STRICT: until the verdict a chunk shows LOADING without a watermark,
 * present or not, so whoever wants one must bring each chunk once: this is the
 * first chunk from `from` on that has neither arrived nor is on its way, or -1
 * (always, once there is a verdict, and without strict).  Fill as FETCH_DEMAND.
 * When one chunk fails, all who wait for the object get its errno; a retry of
 * any chunk forgives all.
 */
int64_t object_next_unseen(const struct object *o, uint32_t from);

/* ---- chunks ------------------------------------------------------------------ */

enum chunk_state; /* common/chunktab.h */
enum chunk_state chunk_get_state(const struct object *o, uint32_t chunk);
/*
 * Someone waits for bytes [0, end) of the chunk: progress is published with a
 * futex wake from now on, the chunk is held (not evicted) until it is touched
 * or a bounded time has passed, and whoever already sleeps on the word wakes
 * if they are present.  retry: the reader saw FAILED; if the object itself is
 * sound the chunk becomes EMPTY, otherwise FAILED again with a new generation.
 * Returns the state afterwards: EMPTY means that the caller must see to a fill.
 */
enum chunk_state chunk_want(struct object *o, uint32_t chunk, uint32_t end, bool retry);
/* A reader passed here: most recently used, no longer held. */
void chunk_touch(struct object *o, uint32_t chunk);

/* One-shot notice for the C API's asynchronous reads.  result 0 or a negative errno. */
typedef void chunk_notice_fn(int result, void *arg);
/*
 * Call fn once, when bytes [0, end) of the chunk are READY or the chunk FAILED;
 * at once (inside the call) if so already; -ECANCELED when the object is given up.
 * From any thread, no lock held.  Does not start a fill.
 */
int chunk_notify(struct object *o, uint32_t chunk, uint32_t end, chunk_notice_fn *fn, void *arg);
/* Forget all notices with this arg; none runs after it returned, but the one that calls it. */
void chunk_notify_cancel(struct object *o, void *arg);

/* Pins count; they leave 1/32 of cache_size(), and one whole chunk at least: -ENOSPC beyond. */
int chunk_pin(struct object *o, uint32_t first, uint32_t nr);
void chunk_unpin(struct object *o, uint32_t first, uint32_t nr);

/* ---- fills ------------------------------------------------------------------- */

/*
 * Does it pay that several threads fill it at once?  Splices and writes of one memory file wait
 * for each other, but in large pages writes are short, and with userfaultfd they need not wait.
 */
bool object_takes_writers(const struct object *o);

/*
 * Claim an EMPTY chunk and the room for it.  0 and a fill; -EALREADY: present
 * or already being filled; -ENOSPC: nothing may be evicted for this class now
 * (cache_on_room() will tell); any other: the object failed.
 *
 * Room: demand evicts what was touched longest ago, then what nobody touched
 * (the newest of it first).  Readahead and prefetch evict only what was
 * touched; prefetch leaves half of a cache that cannot hold everything to
 * opened objects.
 */
int fill_begin(struct object *o, uint32_t chunk, enum fetch_class class, struct fill **ret_fill);
struct object *fill_object(const struct fill *f);
uint32_t fill_chunk(const struct fill *f);
uint64_t fill_offset(const struct fill *f); /* the next byte wanted, in the object */
uint64_t fill_end(const struct fill *f);    /* one past the chunk's last byte */
/*
 * Bytes in order; more than the chunk holds is -EMSGSIZE.  Publishes the watermark as it goes.
 * -ENOSPC: no memory left; finish with it, the chunk is EMPTY then, not FAILED.
 */
int fill_write(struct fill *f, const void *buf, size_t len);
/* Is fill_splice() better now?  Not while another thread is at it, where object_takes_writers(). */
bool fill_splices(struct fill *f);
/* Does somebody wait for bytes of it?  Without the lock, so it may be seen a moment late. */
bool fill_is_wanted(const struct fill *f);
/* From a pipe that has bytes: as many as were taken (> 0, never too many), or a negative errno. */
ssize_t fill_splice(struct fill *f, int pipe_fd, size_t len);
/*
 * Ends the fill and frees it.  error 0: the chunk is whole (-EIO is answered
 * and published if it is not).  -EAGAIN, -ENOSPC, -ENOMEM: give the chunk back,
 * EMPTY.  Any other negative errno: FAILED, readers get it.
 * 0: the chunk is whole; otherwise the errno: the one given, or the object's.
 */
int fill_finish(struct fill *f, int error);

#endif
