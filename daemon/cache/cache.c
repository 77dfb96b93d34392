#define LOG_MODULE "cache"
#include "daemon/cache/cache.h"

#include "common/futex.h"
#include "daemon/base/log.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/lru.h"
#include "daemon/cache/memavail.h"
#include "daemon/cache/object.h"
#include "daemon/cache/state.h"
#include "daemon/cache/stray.h"
#include "daemon/cache/uffill.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MIB		((uint64_t)1 << 20)
#define LOOK_SOON_MS	1000u /* while the cache grows or somebody uses it */
#define LOOK_SLOW_MS	5000u
#define MIN_SIZE_CHUNKS 2u

/* ---- the lock ----------------------------------------------------------------------- */

void cache_lock(const struct cache *c)
{
	pthread_mutex_lock((pthread_mutex_t *)&c->lock);
}

void cache_pause_locked(struct cache *c)
{
	pthread_mutex_unlock(&c->lock);
}

void cache_resume(struct cache *c)
{
	pthread_mutex_lock(&c->lock);
}

/* Wakes and callbacks, once each, without the lock. */
static void run_later(struct cache *c)
{
	const uint32_t *wakes[MAX_LATER_WAKES];
	unsigned i, nr_wakes = c->nr_later_wakes;
	bool room = c->later_room, due = c->later_due;

	memcpy(wakes, c->later_wakes, sizeof(wakes));
	c->nr_later_wakes = 0;
	c->later_room = false;
	c->later_due = false;
	cache_pause_locked(c);
	/* A table that is gone by now has nobody asleep: such a wake is an error or nothing. */
	for (i = 0; i < nr_wakes; i++)
		futex_wake_all(wakes[i]);
	if (room && c->on_room != NULL)
		c->on_room(c->on_room_arg);
	if (due && c->on_due != NULL)
		c->on_due(c->on_due_arg);
	cache_resume(c);
}

void cache_unlock(const struct cache *cc)
{
	struct cache *c = (struct cache *)cc;
	struct object *o;

	for (;;) {
		if (c->nr_later_wakes > 0 || c->later_room || c->later_due) {
			run_later(c);
		} else if (!TAILQ_EMPTY(&c->ripe)) {
			notice_run(c);
		} else if ((o = TAILQ_FIRST(&c->later)) != NULL) {
			TAILQ_REMOVE(&c->later, o, later_link);
			object_retire(o);
		} else {
			break;
		}
	}
	pthread_mutex_unlock(&c->lock);
}

void cache_need_tick_locked(struct cache *c, bool now)
{
	if (c->tick_due || (!now && c->has_timer))
		return;
	c->tick_due = true;
	c->later_due = true;
}

/* ---- memory available ---------------------------------------------------------------- */

static uint64_t ask_machine(void *arg)
{
	(void)arg;
	return memavail_bytes("");
}

/* What the cache holds itself is not lost: bounds follow from both together. */
static void set_bound(struct cache *c, uint64_t available)
{
	uint64_t least = c->pinned + ((uint64_t)MIN_BOUND_CHUNKS << c->chunk_shift);
	/* What was claimed and has not come yet is still among the available. */
	uint64_t ours = c->used - c->coming + __atomic_load_n(&c->came, __ATOMIC_RELAXED);
	uint64_t held = ours + available < available ? UINT64_MAX : ours + available;
	uint64_t reserve = memavail_reserve(held), old = c->bound, wish = held - reserve;

	if (c->size_conf != 0)
		c->goal = c->size_conf;
	else if (wish > c->goal + c->goal / 16) /* not for every page that somebody frees */
		c->goal = wish;
	/* A daemon that starts when memory is short works all the same, and grows later. */
	if (c->size_conf == 0 && c->goal < least)
		c->goal = least;
	/* Half of the reserve may go to others before the cache gives way. */
	c->bound = held - reserve / 2;
	if (c->bound < least)
		c->bound = least;
	if (c->bound > c->goal)
		c->bound = c->goal;
	c->looked_used = c->used;
	c->look_at_used = c->used + (c->goal / 64 > 64 * MIB ? c->goal / 64 : 64 * MIB);
	__atomic_store_n(&c->look_due, 0, __ATOMIC_RELAXED); /* a hint, see cache_wants_look() */
	if (c->bound > old)
		room_arose(c, true);
	if (c->used > c->bound)
		cache_need_tick_locked(c, true);
}

bool cache_wants_look(const struct cache *c)
{
	/* A look too many or too late does no harm: nothing to pair with. */
	return __atomic_load_n(&c->look_due, __ATOMIC_RELAXED) != 0;
}

void cache_look_at_memory(struct cache *c)
{
	uint64_t available, goal = 0, bound = 0;
	bool news = false;

	/* Acquire and release: the next to look sees what this one has set. */
	if (__atomic_exchange_n(&c->looking, 1, __ATOMIC_ACQUIRE) != 0)
		return; /* another thread is at it */
	available = c->ask_memory(c->ask_memory_arg);
	if (available != UINT64_MAX) {
		cache_lock(c);
		set_bound(c, available);
		goal = c->goal;
		bound = c->bound;
		news = bound < goal && !c->is_short;
		c->is_short = bound < goal;
		cache_unlock(c);
	}
	if (news)
		log_warn("memory is short: %" PRIu64 " MiB are left, so the cache shrinks from "
			 "%" PRIu64 " MiB to %" PRIu64 " MiB; set a smaller cache.size",
			 available / MIB, goal / MIB, bound / MIB);
	__atomic_store_n(&c->looking, 0, __ATOMIC_RELEASE);
}

/* ---- the cache ----------------------------------------------------------------------- */

/* Sizes that cannot work are refused, those that may not are told. */
static int check_size(uint64_t size, unsigned chunk_shift, uint64_t available)
{
	if (size != 0 && size < (uint64_t)MIN_SIZE_CHUNKS << chunk_shift) {
		log_error("cache.size is %" PRIu64 " bytes; it must hold at least %u chunks of "
			  "%" PRIu64 " MiB (cache.chunkSize)",
			  size, MIN_SIZE_CHUNKS, ((uint64_t)1 << chunk_shift) / MIB);
		return -EINVAL;
	}
	if (size == 0 && available == UINT64_MAX) {
		log_error("the memory available cannot be read from /proc/meminfo: set cache.size");
		return -EINVAL;
	}
	if (size > available)
		log_warn("cache.size is %" PRIu64 " MiB, but only %" PRIu64
			 " MiB of memory are available: the cache stays smaller",
			 size / MIB, available / MIB);
	return 0;
}

static void init_lists(struct cache *c)
{
	TAILQ_INIT(&c->touched);
	TAILQ_INIT(&c->untouched);
	TAILQ_INIT(&c->held);
	TAILQ_INIT(&c->objects);
	TAILQ_INIT(&c->draining);
	TAILQ_INIT(&c->idle);
	TAILQ_INIT(&c->unused);
	TAILQ_INIT(&c->ripe);
	TAILQ_INIT(&c->running);
	TAILQ_INIT(&c->later);
}

int cache_new(const struct cache_conf *conf, struct cache **ret_cache)
{
	struct cache *c;
	uint64_t available;
	int r;

	if (conf->chunk_shift < CHUNK_SHIFT_MIN || conf->chunk_shift > CHUNK_SHIFT_MAX ||
	    conf->max_objects == 0)
		return -EINVAL;
	c = xcalloc(1, sizeof(*c));
	c->chunk_shift = conf->chunk_shift;
	c->expire_ms = conf->expire_ms;
	c->max_objects = conf->max_objects;
	c->verify = conf->verify;
	c->memory_dir = xstrdup(conf->memory_dir);
	c->pages = conf->pages;
	c->nr_cpus = conf->nr_cpus;
	/* It would put small pages where large ones can be. */
	c->uffd = conf->pages != MEMFILE_SMALL ? -ENOTSUP : uffill_open();
	c->size_conf = conf->size;
	c->ask_memory = ask_machine;
	pthread_mutex_init(&c->lock, NULL);
	pthread_cond_init(&c->punched, NULL);
	pthread_cond_init(&c->noticed, NULL);
	init_lists(c);

	available = c->ask_memory(NULL);
	r = check_size(c->size_conf, c->chunk_shift, available);
	if (r != 0) {
		cache_free(c);
		return r;
	}
	set_bound(c, available);
	c->is_short = c->bound < c->goal; /* said by check_size() */
	c->tick_due = c->later_due = false;
	*ret_cache = c;
	return 0;
}

void cache_end(struct cache *c)
{
	cache_lock(c);
	c->ending = true;
	cache_unlock(c);
}

void cache_free(struct cache *c)
{
	if (c == NULL)
		return;
	cache_lock(c);
	BUG_ON(!TAILQ_EMPTY(&c->objects));
	object_drain(c, UINT64_MAX);
	c->on_room = NULL;
	c->on_due = NULL;
	cache_unlock(c);
	pthread_cond_destroy(&c->noticed);
	pthread_cond_destroy(&c->punched);
	pthread_mutex_destroy(&c->lock);
	if (c->uffd >= 0)
		close(c->uffd);
	free(c->memory_dir);
	free(c);
}

void cache_reconfigure(struct cache *c, const struct cache_conf *conf)
{
	uint64_t available = c->ask_memory(c->ask_memory_arg);
	bool size_is_fine;

	/* What the cache holds counts as available to it. */
	available = available == UINT64_MAX ? available : available + cache_used(c);
	size_is_fine = conf->size == c->size_conf ||
		       check_size(conf->size, c->chunk_shift, available) == 0;
	cache_lock(c);
	available =
		available == UINT64_MAX || available < c->used ? available : available - c->used;
	c->expire_ms = conf->expire_ms;
	c->verify = conf->verify;
	if (size_is_fine && conf->size != c->size_conf) {
		c->size_conf = conf->size;
		c->goal = 0;
	}
	set_bound(c, available);
	cache_need_tick_locked(c, true);
	cache_unlock(c);
}

void cache_on_room(struct cache *c, void (*on_room)(void *arg), void *arg)
{
	cache_lock(c);
	c->on_room = on_room;
	c->on_room_arg = arg;
	cache_unlock(c);
}

void cache_on_due(struct cache *c, void (*on_due)(void *arg), void *arg)
{
	cache_lock(c);
	c->on_due = on_due;
	c->on_due_arg = arg;
	cache_unlock(c);
}

/* ---- the tick ------------------------------------------------------------------------ */

static long sooner(long a, long b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

/* Milliseconds until the memory available is looked at again, or -1. */
static long look_wait(const struct cache *c)
{
	bool busy = c->used != c->looked_used || c->nr_in_use > 0;
	uint64_t wait = busy ? LOOK_SOON_MS : LOOK_SLOW_MS;

	if (c->used == 0 && c->bound == c->goal)
		return -1;
	if (c->now_ms - c->looked_ms >= wait)
		return 0;
	return (long)(c->looked_ms + wait - c->now_ms);
}

/* Evict what is above the bound, some of it.  True: there is more to do. */
static bool shrink(struct cache *c)
{
	uint64_t done = 0;

	while (c->used > c->bound && done < DRAIN_SLICE_LEN) {
		struct chunk *ch = lru_victim(c, FETCH_DEMAND);

		if (ch == NULL)
			return false; /* pinned, held or on its way */
		done += chunk_len(ch->object, chunk_index(ch));
		chunk_evict(ch);
	}
	return c->used > c->bound;
}

long cache_tick(struct cache *c, uint64_t now_ms)
{
	bool looks, more;
	long next;

	cache_lock(c);
	c->now_ms = now_ms;
	c->tick_due = false;
	looks = look_wait(c) == 0;
	if (looks)
		c->looked_ms = now_ms;
	cache_unlock(c);
	if (looks)
		cache_look_at_memory(c);

	cache_lock(c);
	next = sooner(lru_end_holds(c), object_expire(c));
	object_drain(c, DRAIN_SLICE_LEN);
	more = shrink(c);
	next = sooner(next, stray_sweep(c));
	next = sooner(next, look_wait(c));
	if (more || !TAILQ_EMPTY(&c->draining))
		next = 0;
	c->has_timer = next >= 0;
	cache_unlock(c);
	return next;
}

/* ---- what is known of it --------------------------------------------------------------- */

unsigned cache_chunk_shift(const struct cache *c)
{
	return c->chunk_shift;
}

bool cache_keeps_unused(const struct cache *c)
{
	bool keeps;

	cache_lock(c);
	keeps = c->expire_ms > 0;
	cache_unlock(c);
	return keeps;
}

uint64_t cache_size(const struct cache *c)
{
	uint64_t size;

	cache_lock(c);
	size = c->bound;
	cache_unlock(c);
	return size;
}

uint64_t cache_used(const struct cache *c)
{
	uint64_t used;

	cache_lock(c);
	used = c->used;
	cache_unlock(c);
	return used;
}

bool cache_wants_touch(const struct cache *c)
{
	bool wants;

	cache_lock(c);
	wants = c->refused != 0;
	cache_unlock(c);
	return wants;
}

void cache_stats(const struct cache *c, struct cache_stats *ret)
{
	const struct object *o;

	cache_lock(c);
	*ret = c->stats;
	ret->size = c->bound;
	ret->used = c->used;
	ret->pinned = c->pinned;
	ret->objects = c->nr_objects;
	TAILQ_FOREACH(o, &c->objects, link)
	{
		ret->chunks_ready += o->nr_ready;
		ret->chunks_loading += o->nr_loading;
	}
	cache_unlock(c);
}
