#include "daemon/cache/object.h"

#include "daemon/base/xalloc.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/lru.h"
#include "daemon/cache/table.h"
#include "daemon/cache/uffill.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- given up, drained, closed, freed ------------------------------------------------- */

/* Where an object without users stands. */
static struct object_list *idle_list(const struct object *o)
{
	return o->ever_used ? &o->cache->idle : &o->cache->unused;
}

static void give_up(struct object *o)
{
	struct cache *c = o->cache;
	uint32_t i;

	o->dropped = true;
	/* Only to spare fills some work. */
	__atomic_store_n(&o->stop, -ECANCELED, __ATOMIC_RELAXED);
	if (o->users == 0)
		TAILQ_REMOVE(idle_list(o), o, idle_link);
	else
		c->nr_in_use--;
	TAILQ_REMOVE(&c->objects, o, link);
	c->nr_objects--;
	c->total -= round_to_pages(o->size);
	for (i = 0; i < o->nr_chunks; i++) {
		struct chunk *ch = &o->chunks[i];

		if (ch->pins != 0) { /* nobody is left to unpin it */
			ch->pins = 0;
			c->pinned -= round_to_pages(chunk_len(o, i));
		}
		lru_move(ch, LRU_NONE);
		if (chunk_word_state(chunk_shown(ch)) != CHUNK_EMPTY)
			chunk_show(ch, CHUNK_RAISE);
	}
	notice_ripen_all(o, -ECANCELED);
	TAILQ_INSERT_TAIL(&c->draining, o, link);
	cache_need_tick_locked(c, true);
}

/* The next chunk with pages of an object given up.  A fill's own chunk is the fill's affair. */
static struct chunk *next_to_drain(struct object *o)
{
	while (o->drain_next < o->nr_chunks) {
		struct chunk *ch = &o->chunks[o->drain_next++];

		if (ch->state == CHUNK_READY)
			return ch;
	}
	return NULL;
}

bool object_drain(struct cache *c, uint64_t len)
{
	struct object *o;
	uint64_t done = 0;
	bool any = false;

	while (done < len && (o = TAILQ_FIRST(&c->draining)) != NULL) {
		struct chunk *ch = next_to_drain(o);

		any = true;
		if (ch != NULL) {
			done += chunk_len(o, chunk_index(ch));
			chunk_evict(ch);
		} else {
			TAILQ_REMOVE(&c->draining, o, link);
			o->drained = true;
			object_settle(o);
		}
	}
	return any;
}

static void free_object(struct object *o)
{
	table_give(o->table, o->first_word, o->nr_chunks);
	table_unref(o->table);
	pthread_mutex_destroy(&o->fill_lock);
	free(o->key);
	free(o->etag);
	free(o);
}

void object_settle(struct object *o)
{
	if (o->refs == 0 && !o->dropped)
		give_up(o);
	if (o->on_later)
		return;
	if ((o->refs == 0 && !o->gone) || (o->drained && !o->closed && o->io == 0)) {
		o->on_later = true;
		o->io++;
		TAILQ_INSERT_TAIL(&o->cache->later, o, later_link);
	} else if (o->gone && o->closed && o->io == 0) {
		free_object(o);
	}
}

static void close_file(struct object *o)
{
	if (o->map != NULL)
		munmap((void *)o->map, o->size);
	memfile_close(&o->mem);
}

void object_retire(struct object *o)
{
	struct cache *c = o->cache;
	bool gone = o->refs == 0 && !o->gone;
	bool closes = o->drained && !o->closed && o->io == 1; /* this one */

	o->on_later = false;
	o->gone |= gone;
	o->closed |= closes;
	cache_pause_locked(c);
	if (gone && o->on_gone != NULL)
		o->on_gone(o->owner);
	if (closes)
		close_file(o);
	cache_resume(c);
	o->io--;
	object_settle(o);
}

/* ---- new ------------------------------------------------------------------------------ */

/* The memory file, and the row in the table. */
static int open_file(struct object *o)
{
	struct cache *c = o->cache;
	void *map;
	int r;

	r = memfile_new(c->memory_dir, o->size, &o->mem);
	if (r != 0)
		return r;
	if (o->verify != VERIFY_OFF || c->uffd >= 0) {
		map = mmap(NULL, o->size, PROT_READ, MAP_SHARED, o->mem.fd, 0);
		if (map == MAP_FAILED) {
			r = -errno;
			memfile_close(&o->mem);
			return r;
		}
		o->map = map;
		o->covered = c->uffd >= 0 && uffill_cover(c->uffd, map, o->size) == 0;
	}
	r = table_take(o->table, o->nr_chunks, &o->first_word);
	if (r != 0)
		close_file(o);
	return r;
}

/* The least recently used object without users, in favour of a new one. */
static struct object *find_droppable(const struct cache *c)
{
	struct object *o;

	TAILQ_FOREACH(o, &c->idle, idle_link)
	if (o->nr_pinned == 0 && o->nr_loading == 0)
		return o;
	/* As with chunks: what came last is what is needed last. */
	TAILQ_FOREACH_REVERSE(o, &c->unused, object_list, idle_link)
	if (o->nr_pinned == 0 && o->nr_loading == 0)
		return o;
	return NULL;
}

static int admit(struct object *o)
{
	struct cache *c = o->cache;
	int r = 0;

	cache_lock(c);
	if (c->nr_objects >= c->max_objects) {
		struct object *old = find_droppable(c);

		if (old != NULL)
			give_up(old);
		else
			r = -EMFILE;
	}
	if (r == 0) {
		TAILQ_INSERT_TAIL(&c->objects, o, link);
		TAILQ_INSERT_TAIL(&c->unused, o, idle_link);
		c->nr_objects++;
		c->total += round_to_pages(o->size);
	}
	cache_unlock(c);
	return r;
}

bool cache_has_object_room(const struct cache *c)
{
	bool has;

	cache_lock(c);
	has = c->nr_objects < c->max_objects;
	cache_unlock(c);
	return has;
}

static struct object *make(struct cache *c, struct table *t, const struct object_spec *spec,
			   uint32_t nr_chunks)
{
	struct object *o;
	uint32_t i;

	o = calloc(1, sizeof(*o) + nr_chunks * sizeof(o->chunks[0]));
	if (o == NULL)
		return NULL;
	o->cache = c;
	o->table = t;
	o->key = xstrdup(spec->key);
	o->etag = xstrdup(spec->etag);
	o->size = spec->size;
	o->owner = spec->owner;
	o->on_gone = spec->on_gone;
	o->nr_chunks = nr_chunks;
	o->refs = 1;
	o->mem = (struct memfile){ -1, -1 };
	o->verify = c->verify;
	o->veiled = o->verify == VERIFY_STRICT;
	o->verdict = o->verify == VERIFY_OFF ? VERDICT_UNKNOWN : VERDICT_PENDING;
	pthread_mutex_init(&o->fill_lock, NULL);
	TAILQ_INIT(&o->notices);
	for (i = 0; i < nr_chunks; i++) {
		o->chunks[i].object = o;
		o->chunks[i].want_end = UINT32_MAX;
	}
	table_ref(t);
	return o;
}

int object_new(struct cache *c, struct table *t, const struct object_spec *spec,
	       struct object **ret_object)
{
	struct object *o;
	int r;

	if (spec->size == 0)
		return -EINVAL;
	if (spec->size > (uint64_t)CHUNKTAB_NR_WORDS << c->chunk_shift)
		return -ENOSPC;
	o = make(c, t, spec, chunk_count(spec->size, c->chunk_shift));
	if (o == NULL)
		return -ENOMEM;
	r = open_file(o);
	if (r == 0) {
		r = admit(o);
		if (r == 0) {
			*ret_object = o;
			return 0;
		}
		close_file(o);
		table_give(t, o->first_word, o->nr_chunks);
	}
	table_unref(t);
	pthread_mutex_destroy(&o->fill_lock);
	free(o->key);
	free(o->etag);
	free(o);
	return r;
}

/* ---- references and users --------------------------------------------------------------- */

struct object *object_ref(struct object *o)
{
	cache_lock(o->cache);
	o->refs++;
	cache_unlock(o->cache);
	return o;
}

void object_unref(struct object *o)
{
	struct cache *c = o->cache;

	cache_lock(c);
	BUG_ON(o->refs == 0);
	if (--o->refs == 0) {
		object_settle(o);
		object_drain(c, DRAIN_SLICE_LEN);
	}
	cache_unlock(c);
}

void object_use(struct object *o)
{
	struct cache *c = o->cache;

	cache_lock(c);
	c->nr_users++;
	if (o->users++ == 0 && !o->dropped) {
		TAILQ_REMOVE(idle_list(o), o, idle_link);
		c->nr_in_use++;
		if (!o->ever_used)
			room_opened(o);
		o->ever_used = true;
	}
	cache_unlock(c);
}

/* Without users: given up now if that is what was asked for. */
static void give_up_if_due(struct object *o)
{
	struct cache *c = o->cache;

	if (o->dropped || o->users != 0 || o->nr_pinned != 0)
		return;
	if (o->doomed || (o->ever_used && c->expire_ms == 0)) {
		give_up(o);
		object_drain(c, DRAIN_SLICE_LEN);
	}
}

void object_unuse(struct object *o)
{
	struct cache *c = o->cache;

	cache_lock(c);
	BUG_ON(o->users == 0 || c->nr_users == 0);
	c->nr_users--;
	room_arose(c, true); /* fewer chunks are stood in */
	if (--o->users == 0 && !o->dropped) {
		c->nr_in_use--;
		lru_end_holds_of(o);
		TAILQ_INSERT_TAIL(&c->idle, o, idle_link);
		o->idle_since_ms = 0;
		c->stray_due = true;
		cache_need_tick_locked(c, true);
		give_up_if_due(o);
	}
	cache_unlock(c);
}

void object_drop(struct object *o)
{
	struct cache *c = o->cache;

	cache_lock(c);
	o->doomed = true;
	give_up_if_due(o);
	cache_unlock(c);
}

void object_unpinned(struct object *o)
{
	if (o->users == 0)
		cache_need_tick_locked(o->cache, true); /* its time may be over */
	give_up_if_due(o);
}

long object_expire(struct cache *c)
{
	struct object *o, *next;

	/* In the order of coming: those without a time are the end of the list. */
	TAILQ_FOREACH_REVERSE(o, &c->idle, object_list, idle_link)
	{
		if (o->idle_since_ms != 0)
			break;
		o->idle_since_ms = c->now_ms;
	}
	for (o = TAILQ_FIRST(&c->idle); o != NULL; o = next) {
		uint64_t idle_ms = c->now_ms - o->idle_since_ms;

		next = TAILQ_NEXT(o, idle_link);
		if (o->nr_pinned != 0)
			continue; /* object_unpinned() asks for another look */
		/* Nor will those behind it have been idle for longer. */
		if (idle_ms < c->expire_ms)
			return (long)(c->expire_ms - idle_ms);
		give_up(o);
	}
	return -1;
}

/* ---- failure ------------------------------------------------------------------------------ */

void object_fail_locked(struct object *o, int error, bool drop)
{
	uint32_t i;

	if (o->dropped || (o->error != 0 && (!drop || o->condemned)))
		return;
	if (o->error == 0) {
		o->error = error;
		/* Only to spare fills some work. */
		__atomic_store_n(&o->stop, error, __ATOMIC_RELAXED);
	}
	o->condemned |= drop;
	for (i = 0; i < o->nr_chunks; i++) {
		struct chunk *ch = &o->chunks[i];

		if (ch->state == CHUNK_READY && !drop && !o->veiled)
			continue;
		/*
		 * Pinned chunks keep their pages: somebody has them mapped, and
		 * zeros would be worse than what is there.
		 */
		ch->error = (uint16_t)-o->error;
		chunk_show(ch, CHUNK_RAISE);
		if (ch->list != LRU_NONE)
			lru_settle(ch);
	}
	notice_ripen_all(o, o->error);
}

void object_fail(struct object *o, int error, bool drop)
{
	BUG_ON(error >= 0);
	cache_lock(o->cache);
	object_fail_locked(o, error, drop);
	cache_unlock(o->cache);
}

int object_error(const struct object *o)
{
	int error;

	cache_lock(o->cache);
	error = o->error;
	cache_unlock(o->cache);
	return error;
}

/* ---- what is known of it ------------------------------------------------------------------ */

const char *object_key(const struct object *o)
{
	return o->key;
}

const char *object_etag(const struct object *o)
{
	return o->etag;
}

uint64_t object_size(const struct object *o)
{
	return o->size;
}

uint32_t object_nr_chunks(const struct object *o)
{
	return o->nr_chunks;
}

uint64_t object_first_word(const struct object *o)
{
	return o->first_word;
}

int object_client_fd(const struct object *o)
{
	return o->mem.client_fd;
}

void *object_owner(const struct object *o)
{
	return o->owner;
}

bool object_is_complete(const struct object *o)
{
	bool is;

	cache_lock(o->cache);
	is = o->nr_ready == o->nr_chunks && !o->veiled && !o->condemned && !o->dropped;
	cache_unlock(o->cache);
	return is;
}

bool object_is_dropped(const struct object *o)
{
	bool is;

	cache_lock(o->cache);
	is = o->dropped;
	cache_unlock(o->cache);
	return is;
}

uint64_t object_present_bytes(const struct object *o)
{
	uint64_t present;

	cache_lock(o->cache);
	present = o->present;
	cache_unlock(o->cache);
	return present;
}
