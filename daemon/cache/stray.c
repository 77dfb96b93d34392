#include "daemon/cache/stray.h"

#include "daemon/cache/chunk.h"
#include "daemon/cache/object.h"

#define SWEEP_SOON_MS	 1000u	/* after evictions, and after a client left */
#define SWEEP_SLOW_MS	 10000u /* while clients map objects */
#define MAX_SWEEP	 256u	/* objects looked at in one go */
#define MAX_PUNCH_CHUNKS 32u

/* EMPTY chunks from *from on, marked so that no fill begins there.  How many; *from moves on. */
static uint32_t mark_run(struct object *o, uint32_t *from)
{
	uint32_t i = *from, nr = 0;

	while (i < o->nr_chunks && o->chunks[i].state != CHUNK_EMPTY)
		i++;
	*from = i;
	while (i < o->nr_chunks && nr < MAX_PUNCH_CHUNKS && o->chunks[i].state == CHUNK_EMPTY) {
		o->chunks[i++].state = CHUNK_EVICTING;
		nr++;
	}
	return nr;
}

/* How much of the file is stray, at least: a chunk on its way counts whole. */
static uint64_t stray_len(const struct object *o)
{
	int64_t used = memfile_used(&o->mem);

	return used > (int64_t)o->resident ? (uint64_t)used - o->resident : 0;
}

/*
 * Punch what is EMPTY anyway, at most `budget` bytes of it, not to block the
 * caller long.  No reader may be copying there, so no generation changes.
 * True: that much was found, there may be more.  o may be dead afterwards.
 */
static bool punch_empty(struct object *o, uint64_t budget)
{
	struct cache *c = o->cache;
	uint32_t from = 0, nr, i;
	uint64_t freed = 0;

	o->io++;
	while (!c->ending && !o->dropped && freed < budget && (nr = mark_run(o, &from)) > 0) {
		uint64_t end = chunk_offset(o, from + nr - 1) + chunk_len(o, from + nr - 1);
		uint64_t before = stray_len(o), after;

		cache_pause_locked(c);
		pthread_mutex_lock(&o->fill_lock);
		memfile_punch(&o->mem, chunk_offset(o, from),
			      round_to_pages(end) - chunk_offset(o, from));
		pthread_mutex_unlock(&o->fill_lock);
		cache_resume(c);
		after = stray_len(o);
		freed += before > after ? before - after : 0; /* clients may be making more */
		for (i = from; i < from + nr; i++) {
			o->chunks[i].state = CHUNK_EMPTY;
			chunk_show(&o->chunks[i], CHUNK_SAME);
		}
		pthread_cond_broadcast(&c->punched);
		from += nr;
	}
	o->io--;
	object_settle(o);
	return freed >= budget;
}

/* True: that was not all. */
static bool sweep(struct cache *c)
{
	uint32_t nr = c->nr_objects < MAX_SWEEP ? c->nr_objects : MAX_SWEEP;
	struct object *o;

	c->stray_due = c->nr_objects > MAX_SWEEP && c->stray_due;
	while (nr-- > 0 && (o = TAILQ_FIRST(&c->objects)) != NULL) {
		TAILQ_REMOVE(&c->objects, o, link);
		TAILQ_INSERT_TAIL(&c->objects, o, link);
		if (stray_len(o) > 0 && punch_empty(o, DRAIN_SLICE_LEN))
			return true;
	}
	return false;
}

long stray_sweep(struct cache *c)
{
	uint64_t wait = c->stray_due ? SWEEP_SOON_MS : SWEEP_SLOW_MS;

	if (c->nr_objects == 0 || (!c->stray_due && c->nr_in_use == 0))
		return -1;
	if (c->now_ms - c->stray_ms < wait)
		return (long)(c->stray_ms + wait - c->now_ms);
	if (sweep(c)) {
		c->stray_due = true;
		return 0;
	}
	c->stray_ms = c->now_ms;
	return (long)(c->stray_due ? SWEEP_SOON_MS : SWEEP_SLOW_MS);
}
