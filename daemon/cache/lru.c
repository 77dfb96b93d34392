#include "daemon/cache/lru.h"

#include "daemon/base/xalloc.h"

#include <errno.h>

static struct chunk_list *list_of(struct cache *c, enum lru_list list)
{
	switch (list) {
	case LRU_NONE:
		break;
	case LRU_TOUCHED:
		return &c->touched;
	case LRU_UNTOUCHED:
		return &c->untouched;
	case LRU_HELD:
		return &c->held;
	}
	return NULL;
}

/* In the order of touches: a chunk may have been touched while it was still arriving. */
static void insert_touched(struct cache *c, struct chunk *ch)
{
	struct chunk *older;

	TAILQ_FOREACH_REVERSE(older, &c->touched, chunk_list, link)
	{
		if (older->touch <= ch->touch)
			break;
	}
	if (older != NULL)
		TAILQ_INSERT_AFTER(&c->touched, older, ch, link);
	else
		TAILQ_INSERT_HEAD(&c->touched, ch, link);
}

void lru_move(struct chunk *ch, enum lru_list to)
{
	struct cache *c = ch->object->cache;

	if (ch->list != LRU_NONE)
		TAILQ_REMOVE(list_of(c, ch->list), ch, link);
	if (ch->list == LRU_TOUCHED)
		c->nr_touched--;
	ch->list = to;
	if (to == LRU_TOUCHED)
		c->nr_touched++;
	if (to == LRU_NONE)
		return;
	BUG_ON(ch->state != CHUNK_READY || ch->pins != 0);
	if (to == LRU_HELD) {
		ch->hold_until_ms = 0;
		/* The first one starts the clock; the others are seen when its time is up. */
		cache_need_tick_locked(c, TAILQ_EMPTY(&c->held));
	}
	/* What nobody may read any more goes first. */
	if (to == LRU_TOUCHED && ch->object->error != 0 && ch->error != 0)
		TAILQ_INSERT_HEAD(&c->touched, ch, link);
	else if (to == LRU_TOUCHED)
		insert_touched(c, ch);
	else
		TAILQ_INSERT_TAIL(list_of(c, to), ch, link);
	if (to != LRU_HELD)
		room_arose(c, to == LRU_TOUCHED);
}

void lru_settle(struct chunk *ch)
{
	const struct object *o = ch->object;

	if (ch->pins != 0 || o->dropped)
		lru_move(ch, LRU_NONE);
	else if (o->error != 0 && ch->error != 0)
		lru_move(ch, LRU_TOUCHED);
	else if (o->veiled)
		lru_move(ch, LRU_UNTOUCHED);
	else if (ch->wanted)
		lru_move(ch, LRU_HELD);
	else
		lru_move(ch, ch->touch != 0 ? LRU_TOUCHED : LRU_UNTOUCHED);
}

/*
 * A chunk is touched when its reader enters it.  The newest touches are where
 * readers stand, each user in one chunk or, on both sides of a border, in two:
 * what nobody waits for may not take them away, or they would be downloaded twice.
 */
static uint32_t nr_stood_in(const struct cache *c)
{
	uint64_t quarter = c->bound >> c->chunk_shift >> 2, nr = 2 * (uint64_t)c->nr_users;
	uint64_t most = quarter > 2 ? quarter : 2;

	return (uint32_t)(nr < most ? nr : most);
}

/*
 * Demand, too, leaves readers where they stand while there is anything that
 * nobody has read yet.  Or the chunks on both sides of a border take each
 * other's place, and an instruction that wants both in a lazy mapping never ends.
 */
struct chunk *lru_victim(struct cache *c, enum fetch_class class)
{
	struct chunk *oldest = TAILQ_FIRST(&c->touched), *unread;
	bool is_demand = class == FETCH_DEMAND;

	/* What demand brings is the newest touch itself, soon. */
	if (oldest != NULL && c->nr_touched + is_demand > nr_stood_in(c))
		return oldest;
	if (!is_demand)
		return NULL;
	unread = TAILQ_LAST(&c->untouched, chunk_list);
	return unread != NULL ? unread : oldest;
}

long lru_end_holds(struct cache *c)
{
	struct chunk *ch;

	while ((ch = TAILQ_FIRST(&c->held)) != NULL && ch->hold_until_ms != 0 &&
	       ch->hold_until_ms <= c->now_ms) {
		/* Touches may get lost: after this time it was read, most likely. */
		ch->wanted = false;
		ch->touch = ++c->touches;
		lru_move(ch, LRU_TOUCHED);
	}
	/* The list is in the order of holding: those without a time are its end. */
	TAILQ_FOREACH_REVERSE(ch, &c->held, chunk_list, link)
	{
		if (ch->hold_until_ms != 0)
			break;
		ch->hold_until_ms = c->now_ms + HOLD_MS;
	}
	ch = TAILQ_FIRST(&c->held);
	return ch == NULL ? -1 : (long)(ch->hold_until_ms - c->now_ms);
}

void lru_end_holds_of(struct object *o)
{
	struct chunk *ch, *next;

	for (ch = TAILQ_FIRST(&o->cache->held); ch != NULL; ch = next) {
		next = TAILQ_NEXT(ch, link);
		if (ch->object != o)
			continue;
		ch->wanted = false;
		ch->touch = ++o->cache->touches;
		lru_move(ch, LRU_TOUCHED);
	}
}

/* The bound for one class. */
static uint64_t bound_for(const struct cache *c, enum fetch_class class)
{
	/* Prefetch leaves a sixteenth free, so that demand need not evict, unless all fits anyway. */
	if (class == FETCH_PREFETCH && c->total > c->bound)
		return c->bound - c->bound / 16;
	return c->bound;
}

int room_claim(struct object *o, uint32_t chunk, enum fetch_class class)
{
	struct cache *c = o->cache;
	uint64_t room = round_to_pages(chunk_len(o, chunk));

	if (class == FETCH_PREFETCH && !o->ever_used && c->total > c->bound &&
	    c->unopened + room > c->bound / 2)
		return -ENOSPC;
	if (c->used + room > bound_for(c, class)) {
		if (!TAILQ_EMPTY(&c->draining) || lru_victim(c, class) != NULL)
			return -EAGAIN;
		return -ENOSPC;
	}
	c->used += room;
	if (c->used >= c->look_at_used)
		__atomic_store_n(&c->look_due, 1, __ATOMIC_RELAXED); /* a hint for the next fill */
	o->resident += room;
	if (!o->ever_used)
		c->unopened += room;
	return 0;
}

void room_give_back(struct object *o, uint32_t chunk)
{
	struct cache *c = o->cache;
	uint64_t room = round_to_pages(chunk_len(o, chunk));

	BUG_ON(c->used < room || o->resident < room);
	c->used -= room;
	o->resident -= room;
	if (!o->ever_used)
		c->unopened -= room;
	room_arose(c, true);
}

void room_opened(struct object *o)
{
	o->cache->unopened -= o->resident;
	room_arose(o->cache, true);
}

void room_refused(struct cache *c, enum fetch_class class)
{
	if (c->refused == 0)
		cache_need_tick_locked(c, true);
	c->refused |= 1u << class;
}

void room_arose(struct cache *c, bool for_all)
{
	if (for_all ? c->refused != 0 : (c->refused & 1u << FETCH_DEMAND) != 0) {
		c->refused = 0;
		c->later_room = true;
	}
}
