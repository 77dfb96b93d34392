#include "daemon/cache/chunk.h"

#include "common/futex.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/fill.h"
#include "daemon/cache/lru.h"
#include "daemon/cache/object.h"
#include "daemon/cache/table.h"

static uint64_t *word_of(const struct chunk *ch)
{
	return table_word(ch->object->table, ch->object->first_word + chunk_index(ch));
}

uint64_t chunk_shown(const struct chunk *ch)
{
	/* Words are written under the cache's lock only, which the caller holds. */
	return __atomic_load_n(word_of(ch), __ATOMIC_RELAXED);
}

/* What readers are to see of the private state. */
static uint64_t make_word(const struct chunk *ch, uint32_t generation)
{
	const struct object *o = ch->object;
	uint64_t pages = round_to_pages(chunk_len(o, chunk_index(ch))) / CHUNKTAB_PAGE;

	if (o->dropped)
		return chunk_word(generation, 0, CHUNK_EMPTY);
	if (ch->error != 0)
		return chunk_word(generation, ch->error, CHUNK_FAILED);
	switch ((enum chunk_state)ch->state) {
	case CHUNK_LOADING:
		return chunk_word(generation, ch->fill->shown, CHUNK_LOADING);
	case CHUNK_READY:
		if (o->veiled)
			return chunk_word(generation, 0, CHUNK_LOADING);
		return chunk_word(generation, (uint32_t)pages, CHUNK_READY);
	case CHUNK_EVICTING:
	case CHUNK_EMPTY:
		/* Veiled and seen once: it will be there when the object is verified. */
		if (o->veiled && ch->crc_known)
			return chunk_word(generation, 0, CHUNK_LOADING);
		return chunk_word(generation, 0, (enum chunk_state)ch->state);
	case CHUNK_FAILED:
		break;
	}
	BUG_ON(true);
	return 0;
}

/* Everyone who sleeps on the word, once the lock is gone. */
static void wake_later(const struct chunk *ch)
{
	struct cache *c = ch->object->cache;
	const uint32_t *futex = chunk_word_futex(word_of(ch));

	if (c->nr_later_wakes < MAX_LATER_WAKES)
		c->later_wakes[c->nr_later_wakes++] = futex;
	else
		futex_wake_all(futex);
}

void chunk_show(struct chunk *ch, enum chunk_bump bump)
{
	uint64_t old = chunk_shown(ch), new;

	new = make_word(ch, chunk_word_generation(old) + (bump == CHUNK_RAISE));
	if (new == old)
		return;
	/* Release: whoever acquires the word (chunk_word_load()) sees the bytes it promises. */
	__atomic_store_n(word_of(ch), new, __ATOMIC_RELEASE);
	if (!ch->interest || chunk_word_state(new) == CHUNK_EVICTING)
		return;
	wake_later(ch);
	if (!TAILQ_EMPTY(&ch->object->notices))
		notice_ripen(ch);
	if (chunk_word_state(new) == CHUNK_READY || chunk_word_state(new) == CHUNK_FAILED)
		__atomic_store_n(&ch->interest, 0,
				 __ATOMIC_RELAXED); /* only a hint to progress() */
}

/* EVICTING to EMPTY, without the lock in between. */
static void punch(struct chunk *ch)
{
	struct object *o = ch->object;
	struct cache *c = o->cache;
	uint32_t chunk = chunk_index(ch);
	uint64_t room = round_to_pages(chunk_len(o, chunk));

	o->io++;
	/*
	 * The word before the hole: a reader that copied a zero of the hole finds
	 * the new generation when it loads the word again after its own fence.
	 */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	cache_pause_locked(c);
	pthread_mutex_lock(&o->fill_lock);
	/* If it fails the pages stay: stray_sweep() finds them. */
	if (!c->ending)
		memfile_punch(&o->mem, chunk_offset(o, chunk), room);
	pthread_mutex_unlock(&o->fill_lock);
	cache_resume(c);
	o->io--;

	ch->state = CHUNK_EMPTY;
	ch->touch = 0;
	if (o->error != 0 && ch->error == 0)
		ch->error = (uint16_t)-o->error;
	room_give_back(o, chunk);
	c->stray_due = true;
	chunk_show(ch, CHUNK_SAME);
	pthread_cond_broadcast(&c->punched);
	object_settle(o);
}

void chunk_evict(struct chunk *ch)
{
	struct object *o = ch->object;
	uint64_t len = chunk_len(o, chunk_index(ch));

	BUG_ON(ch->state != CHUNK_READY || ch->pins != 0);
	lru_move(ch, LRU_NONE);
	ch->state = CHUNK_EVICTING;
	o->nr_ready--;
	o->present -= len;
	if (!o->dropped) {
		o->cache->stats.evictions++;
		o->cache->stats.evicted_bytes += len;
	}
	chunk_show(ch, CHUNK_RAISE);
	punch(ch);
}

void chunk_undo(struct chunk *ch, int error)
{
	BUG_ON(ch->state != CHUNK_LOADING);
	ch->state = CHUNK_EVICTING;
	ch->fill = NULL;
	ch->object->nr_loading--;
	if (error != 0)
		ch->error = (uint16_t)-error;
	chunk_show(ch, CHUNK_RAISE);
	punch(ch);
}

void chunk_forgive(struct chunk *ch)
{
	struct object *o = ch->object;
	uint32_t i;

	if (o->error != 0)
		return;
	if (!o->veiled) {
		ch->error = 0;
		chunk_show(ch, CHUNK_SAME);
		return;
	}
	for (i = 0; i < o->nr_chunks; i++)
		if (o->chunks[i].error != 0) {
			o->chunks[i].error = 0;
			chunk_show(&o->chunks[i], CHUNK_SAME);
		}
}

void chunk_wait_punched(struct chunk *ch)
{
	struct cache *c = ch->object->cache;

	while (ch->state == CHUNK_EVICTING)
		pthread_cond_wait(&c->punched, &c->lock);
}

enum chunk_state chunk_get_state(const struct object *o, uint32_t chunk)
{
	enum chunk_state state;

	if (chunk >= o->nr_chunks)
		return CHUNK_FAILED;
	cache_lock(o->cache);
	state = chunk_word_state(chunk_shown(&o->chunks[chunk]));
	cache_unlock(o->cache);
	return state;
}

void chunk_interest(struct chunk *ch, uint32_t end)
{
	if (end < ch->want_end)
		__atomic_store_n(&ch->want_end, end,
				 __ATOMIC_RELAXED); /* ordered by the fence below */
	__atomic_store_n(&ch->interest, 1, __ATOMIC_RELAXED);
	/* Against progress(): either it sees our interest, or we see the bytes it had written. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (ch->fill != NULL)
		fill_show(ch->fill);
}

/* As long as nobody has touched it: not evicted. */
static void chunk_hold(struct chunk *ch)
{
	ch->wanted = true;
	if (ch->state == CHUNK_READY && (ch->list == LRU_TOUCHED || ch->list == LRU_UNTOUCHED))
		lru_settle(ch);
}

static enum chunk_state want_locked(struct chunk *ch, uint32_t end, bool retry)
{
	struct object *o = ch->object;
	uint64_t word = chunk_shown(ch);

	if (o->dropped)
		return CHUNK_FAILED;
	if (retry && chunk_word_state(word) == CHUNK_FAILED) {
		if (o->error != 0)
			chunk_show(ch,
				   CHUNK_RAISE); /* the reader looks for a word unlike its own */
		else
			chunk_forgive(ch);
		word = chunk_shown(ch);
	}
	switch (chunk_word_state(word)) {
	case CHUNK_EMPTY:
	case CHUNK_EVICTING:
		ch->wanted = true;
		chunk_interest(ch, end);
		return CHUNK_EMPTY;
	case CHUNK_LOADING:
		ch->wanted = true;
		chunk_interest(ch, end);
		word = chunk_shown(ch);
		break;
	case CHUNK_READY:
		chunk_hold(ch);
		break;
	case CHUNK_FAILED:
		break;
	}
	/* Who slept before we knew of it was not woken by whoever stored this word. */
	if (chunk_word_state(word) == CHUNK_FAILED || chunk_word_covers(word, end))
		wake_later(ch);
	return chunk_word_state(word);
}

enum chunk_state chunk_want(struct object *o, uint32_t chunk, uint32_t end, bool retry)
{
	enum chunk_state state;

	if (chunk >= o->nr_chunks)
		return CHUNK_FAILED;
	if (end > chunk_len(o, chunk))
		end = (uint32_t)chunk_len(o, chunk);
	cache_lock(o->cache);
	state = want_locked(&o->chunks[chunk], end, retry);
	cache_unlock(o->cache);
	return state;
}

void chunk_touch(struct object *o, uint32_t chunk)
{
	struct chunk *ch;

	if (chunk >= o->nr_chunks)
		return;
	cache_lock(o->cache);
	ch = &o->chunks[chunk];
	if (ch->state == CHUNK_READY || ch->state == CHUNK_LOADING) {
		ch->touch = ++o->cache->touches;
		ch->wanted = false;
	}
	if (ch->list != LRU_NONE)
		lru_settle(ch);
	cache_unlock(o->cache);
}

/* ---- pins ------------------------------------------------------------------------ */

static void unpin_locked(struct chunk *ch, bool was_mapped)
{
	struct object *o = ch->object;

	BUG_ON(ch->pins == 0);
	if (--ch->pins != 0)
		return;
	o->cache->pinned -= round_to_pages(chunk_len(o, chunk_index(ch)));
	o->nr_pinned--;
	if (ch->state != CHUNK_READY)
		return;
	if (was_mapped) { /* it counts as read */
		ch->touch = ++o->cache->touches;
		ch->wanted = false;
	}
	lru_settle(ch);
}

/* What pins never take: room for one whole chunk at least, or nothing could be downloaded any more. */
static uint64_t pin_bound(const struct cache *c)
{
	uint64_t kept = c->bound / 32, whole = (uint64_t)1 << c->chunk_shift;

	if (kept < whole)
		kept = whole;
	return c->bound > kept ? c->bound - kept : 0;
}

static int pin_locked(struct chunk *ch)
{
	struct object *o = ch->object;
	struct cache *c = o->cache;
	uint64_t room = round_to_pages(chunk_len(o, chunk_index(ch)));

	if (ch->pins == UINT32_MAX)
		return -EOVERFLOW;
	if (ch->pins == 0) {
		if (c->pinned + room > pin_bound(c))
			return -ENOSPC;
		c->pinned += room;
		o->nr_pinned++;
		lru_move(ch, LRU_NONE);
	}
	ch->pins++;
	return 0;
}

int chunk_pin(struct object *o, uint32_t first, uint32_t nr)
{
	uint32_t i;
	int r = 0;

	if (first > o->nr_chunks || nr > o->nr_chunks - first)
		return -EINVAL;
	cache_lock(o->cache);
	if (o->dropped)
		r = -ECANCELED;
	else if (o->condemned)
		r = o->error;
	for (i = 0; i < nr && r == 0; i++)
		r = pin_locked(&o->chunks[first + i]);
	if (r != 0 && i > 0) /* all but the one that failed */
		for (i--; i > 0; i--)
			unpin_locked(&o->chunks[first + i - 1], false);
	cache_unlock(o->cache);
	return r;
}

void chunk_unpin(struct object *o, uint32_t first, uint32_t nr)
{
	uint32_t i;

	BUG_ON(first > o->nr_chunks || nr > o->nr_chunks - first);
	cache_lock(o->cache);
	for (i = 0; i < nr; i++)
		unpin_locked(&o->chunks[first + i], true);
	object_unpinned(o);
	cache_unlock(o->cache);
}
