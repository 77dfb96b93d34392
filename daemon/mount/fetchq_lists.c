#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/mount/fetchq_internal.h"

struct fetchq_demand {
	struct fetchq_demand *next;
	uint32_t chunk;
};

void fetchq_entry_init(struct fetchq_entry *e, struct object *o, uint32_t nr_chunks,
		       struct fetchq_lane *lane)
{
	memset(e, 0, sizeof(*e));
	e->object = o;
	e->lane = fetchq_lane_ref(lane);
	e->nr_chunks = nr_chunks;
	e->end = nr_chunks;
	e->last = &e->first;
}

void fetchq_entry_fini(struct fetchq_entry *e)
{
	BUG_ON(e->held || e->noticed || e->in_flight != 0);
	fetchq_lane_unref(e->lane);
	free(e->demanded);
}

void fetchq_list_locked(struct fetchq_entry *e, enum fetch_class list, bool in_front)
{
	if (e->listed[list])
		TAILQ_REMOVE(&e->lane->lists[list], e, links[list]);
	if (in_front)
		TAILQ_INSERT_HEAD(&e->lane->lists[list], e, links[list]);
	else
		TAILQ_INSERT_TAIL(&e->lane->lists[list], e, links[list]);
	e->listed[list] = true;
}

static void unlist_locked(struct fetchq_entry *e, enum fetch_class list)
{
	if (!e->listed[list])
		return;
	TAILQ_REMOVE(&e->lane->lists[list], e, links[list]);
	e->listed[list] = false;
}

static bool is_needed(const struct fetchq_entry *e)
{
	int i;

	for (i = 0; i < FETCH_NR_CLASSES; i++)
		if (e->listed[i])
			return true;
	return e->in_flight != 0 || e->noticed || e->nr_told != 0;
}

struct object *fetchq_let_go_locked(struct fetchq_entry *e)
{
	if (!e->held || is_needed(e))
		return NULL;
	e->held = false;
	return e->object;
}

struct object *fetchq_hold_locked(struct fetchq_entry *e)
{
	if (e->held || !is_needed(e))
		return e->object;
	e->held = true;
	return NULL;
}

static bool is_demanded(const struct fetchq_entry *e, uint32_t chunk)
{
	return e->demanded != NULL && (e->demanded[chunk / 8] & 1u << chunk % 8) != 0;
}

void fetchq_add_demand_locked(struct fetchq_entry *e, uint32_t chunk, bool in_front)
{
	struct fetchq_demand *d;

	if (is_demanded(e, chunk))
		return;
	if (e->demanded == NULL)
		e->demanded = xcalloc((e->nr_chunks + 7) / 8, 1);
	e->demanded[chunk / 8] |= (uint8_t)(1u << chunk % 8);
	d = xcalloc(1, sizeof(*d));
	d->chunk = chunk;
	if (in_front) {
		d->next = e->first;
		e->first = d;
		if (d->next == NULL)
			e->last = &d->next;
	} else {
		*e->last = d;
		e->last = &d->next;
	}
	e->lane->nr[FETCH_DEMAND]++;
	if (!e->listed[FETCH_DEMAND])
		fetchq_list_locked(e, FETCH_DEMAND, in_front);
}

uint32_t fetchq_pop_demand_locked(struct fetchq_entry *e)
{
	struct fetchq_demand *d = e->first;
	uint32_t chunk = d->chunk;

	e->first = d->next;
	if (e->first == NULL) {
		e->last = &e->first;
		unlist_locked(e, FETCH_DEMAND);
	}
	free(d);
	e->demanded[chunk / 8] &= (uint8_t) ~(1u << chunk % 8);
	e->lane->nr[FETCH_DEMAND]--;
	return chunk;
}

void fetchq_count_prefetch_locked(const struct fetchq_entry *e, int64_t nr)
{
	e->lane->nr[FETCH_PREFETCH] += (uint64_t)nr;
	if (e->opened)
		e->lane->nr_opened += (uint64_t)nr;
}

void fetchq_drop_prefetch_locked(struct fetchq_entry *e)
{
	if (!e->listed[FETCH_PREFETCH])
		return;
	fetchq_count_prefetch_locked(e, -(int64_t)(e->end - e->next));
	unlist_locked(e, FETCH_PREFETCH);
}

void fetchq_drop_ranges_locked(struct fetchq_entry *e)
{
	unsigned i;

	for (i = 0; i < e->nr_ranges; i++)
		e->lane->nr[FETCH_READAHEAD] -= e->ranges[i].end - e->ranges[i].first;
	e->nr_ranges = 0;
	unlist_locked(e, FETCH_READAHEAD);
}

void fetchq_notice_locked(struct fetchq *q, struct fetchq_entry *e)
{
	if (e->noticed)
		return;
	e->noticed = true;
	TAILQ_INSERT_TAIL(&q->notices, e, notice_link);
}

void fetchq_add_range_locked(struct fetchq_entry *e, struct fetchq_range r, bool in_front)
{
	unsigned i;

	for (i = 0; i < e->nr_ranges; i++) {
		struct fetchq_range *have = &e->ranges[i];

		if (r.first > have->end || r.end < have->first)
			continue;
		e->lane->nr[FETCH_READAHEAD] -= have->end - have->first;
		have->first = r.first < have->first ? r.first : have->first;
		have->end = r.end > have->end ? r.end : have->end;
		e->lane->nr[FETCH_READAHEAD] += have->end - have->first;
		return;
	}
	if (e->nr_ranges == FETCHQ_RANGES) {
		unsigned gone = in_front ? FETCHQ_RANGES - 1 : 0;

		e->lane->nr[FETCH_READAHEAD] -= e->ranges[gone].end - e->ranges[gone].first;
		e->nr_ranges--;
		memmove(&e->ranges[gone], &e->ranges[gone + 1],
			(e->nr_ranges - gone) * sizeof(e->ranges[0]));
	}
	i = e->nr_ranges++;
	if (in_front) {
		memmove(&e->ranges[1], &e->ranges[0], i * sizeof(e->ranges[0]));
		i = 0;
	}
	e->ranges[i] = r;
	e->lane->nr[FETCH_READAHEAD] += r.end - r.first;
}

static uint32_t next_of_range_locked(struct fetchq_entry *e, unsigned i)
{
	struct fetchq_range *r = &e->ranges[i];
	uint32_t chunk = r->first++;

	e->lane->nr[FETCH_READAHEAD]--;
	if (r->first == r->end) {
		e->nr_ranges--;
		memmove(r, r + 1, (e->nr_ranges - i) * sizeof(*r));
	}
	if (e->nr_ranges == 0)
		unlist_locked(e, FETCH_READAHEAD);
	return chunk;
}

static bool pop_range_locked(struct fetchq_entry *e, uint32_t *ret_chunk)
{
	while (e->nr_ranges != 0) {
		*ret_chunk = next_of_range_locked(e, 0);
		if (!is_demanded(e, *ret_chunk))
			return true;
	}
	return false;
}

static bool pop_prefetch_locked(struct fetchq *q, struct fetchq_entry *e, uint32_t *ret_chunk)
{
	bool found = false;

	while (e->next < e->end && !found) {
		*ret_chunk = e->next++;
		fetchq_count_prefetch_locked(e, -1);
		found = !is_demanded(e, *ret_chunk);
	}
	if (e->next == e->end) {
		unlist_locked(e, FETCH_PREFETCH);
		e->through = true;
		fetchq_notice_locked(q, e);
	}
	return found;
}

/*
 * What was taken from one list is not taken from the next one in a row as well:
 * by then it may have been read, and have given way to others.  The last chunk
 * stays, so that whoever waits for the end of a prefetch hears of it in time.
 */
static void pass_locked(struct fetchq_entry *e, uint32_t chunk)
{
	unsigned i;

	if (e->listed[FETCH_PREFETCH] && e->next == chunk && e->next + 1 < e->end) {
		e->next++;
		fetchq_count_prefetch_locked(e, -1);
	}
	for (i = 0; i < e->nr_ranges && e->ranges[i].first != chunk; i++)
		;
	if (i < e->nr_ranges)
		(void)next_of_range_locked(e, i);
}

bool fetchq_pop_locked(struct fetchq *q, struct fetchq_entry *e, enum fetch_class list,
		       uint32_t *ret_chunk)
{
	bool found = false;

	switch (list) {
	case FETCH_DEMAND:
		*ret_chunk = fetchq_pop_demand_locked(e);
		found = true;
		break;
	case FETCH_READAHEAD:
		found = pop_range_locked(e, ret_chunk);
		break;
	case FETCH_PREFETCH:
		found = pop_prefetch_locked(q, e, ret_chunk);
		break;
	case FETCH_NR_CLASSES:
		break;
	}
	if (found)
		pass_locked(e, *ret_chunk);
	return found;
}
