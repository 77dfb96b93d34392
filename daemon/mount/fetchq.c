#include "daemon/mount/fetchq.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/chunktab.h"
#include "daemon/base/xalloc.h"
#include "daemon/mount/throttle.h"

#define SCAN_MOST     16 /* objects looked at for one chunk */
#define PREFETCH_WIDE 4	 /* objects that prefetch works on at a time */
#define NO_WORKER     UINT32_MAX

TAILQ_HEAD(entry_list, fetchq_entry);

struct fetchq_demand {
	struct fetchq_demand *next;
	uint32_t chunk;
};

struct slots {
	unsigned in_flight; /* work taken and not finished */
	unsigned refused;   /* of it: waits for leave to go on */
	bool woken;	    /* a wake is on its way */
};

struct fetchq {
	struct fetchq_conf conf;
	pthread_mutex_t lock;
	struct entry_list lists[FETCH_NR_CLASSES];
	struct entry_list notices;
	uint64_t nr[FETCH_NR_CLASSES]; /* chunks in each list */
	uint64_t nr_opened;	       /* of prefetch: those of opened objects */
	/* Classes from this one on had no room; room counts the news of the cache. */
	unsigned blocked_from;
	uint64_t room;
	bool tight; /* room comes bit by bit: one worker at a time */
	struct throttle throttle;
	unsigned nr_in_flight;
	bool is_told; /* notice() ran, and the notices were not emptied since */
	struct slots slots[];
};

/* ---- entries ------------------------------------------------------------------ */

void fetchq_entry_init(struct fetchq_entry *e, struct object *o, uint32_t nr_chunks)
{
	memset(e, 0, sizeof(*e));
	e->object = o;
	e->nr_chunks = nr_chunks;
	e->end = nr_chunks;
	e->last = &e->first;
}

void fetchq_entry_fini(struct fetchq_entry *e)
{
	BUG_ON(e->held || e->noticed || e->in_flight != 0);
	free(e->demanded);
}

static void list_locked(struct fetchq *q, struct fetchq_entry *e, enum fetch_class list,
			bool in_front)
{
	if (e->listed[list])
		TAILQ_REMOVE(&q->lists[list], e, links[list]);
	if (in_front)
		TAILQ_INSERT_HEAD(&q->lists[list], e, links[list]);
	else
		TAILQ_INSERT_TAIL(&q->lists[list], e, links[list]);
	e->listed[list] = true;
	if (!e->held) {
		e->held = true;
		object_ref(e->object);
	}
}

static void unlist_locked(struct fetchq *q, struct fetchq_entry *e, enum fetch_class list)
{
	if (!e->listed[list])
		return;
	TAILQ_REMOVE(&q->lists[list], e, links[list]);
	e->listed[list] = false;
}

/* The object whose reference the queue needs no longer, to be dropped without the lock. */
static struct object *let_go_locked(struct fetchq_entry *e)
{
	int i;

	for (i = 0; i < FETCH_NR_CLASSES; i++)
		if (e->listed[i])
			return NULL;
	if (!e->held)
		return NULL;
	e->held = false;
	return e->object;
}

static bool is_demanded(const struct fetchq_entry *e, uint32_t chunk)
{
	return e->demanded != NULL && (e->demanded[chunk / 8] & 1u << chunk % 8) != 0;
}

static void add_demand_locked(struct fetchq *q, struct fetchq_entry *e, uint32_t chunk,
			      bool in_front)
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
	q->nr[FETCH_DEMAND]++;
	if (!e->listed[FETCH_DEMAND])
		list_locked(q, e, FETCH_DEMAND, in_front);
}

static uint32_t pop_demand_locked(struct fetchq *q, struct fetchq_entry *e)
{
	struct fetchq_demand *d = e->first;
	uint32_t chunk = d->chunk;

	e->first = d->next;
	if (e->first == NULL) {
		e->last = &e->first;
		unlist_locked(q, e, FETCH_DEMAND);
	}
	free(d);
	e->demanded[chunk / 8] &= (uint8_t) ~(1u << chunk % 8);
	q->nr[FETCH_DEMAND]--;
	return chunk;
}

static void count_prefetch_locked(struct fetchq *q, const struct fetchq_entry *e, int64_t nr)
{
	q->nr[FETCH_PREFETCH] += (uint64_t)nr;
	if (e->opened)
		q->nr_opened += (uint64_t)nr;
}

static void drop_prefetch_locked(struct fetchq *q, struct fetchq_entry *e)
{
	if (!e->listed[FETCH_PREFETCH])
		return;
	count_prefetch_locked(q, e, -(int64_t)(e->end - e->next));
	unlist_locked(q, e, FETCH_PREFETCH);
}

static void drop_ranges_locked(struct fetchq *q, struct fetchq_entry *e)
{
	unsigned i;

	for (i = 0; i < e->nr_ranges; i++)
		q->nr[FETCH_READAHEAD] -= e->ranges[i].end - e->ranges[i].first;
	e->nr_ranges = 0;
	unlist_locked(q, e, FETCH_READAHEAD);
}

static void notice_locked(struct fetchq *q, struct fetchq_entry *e)
{
	if (e->noticed)
		return;
	e->noticed = true;
	object_ref(e->object);
	TAILQ_INSERT_TAIL(&q->notices, e, notice_link);
}

/* ---- waking ------------------------------------------------------------------- */

/* Slots kept free for demand: a reader does not wait for the end of what nobody asked for. */
static unsigned reserve_of(const struct fetchq *q)
{
	return q->conf.slots >= 4 ? 1 : 0;
}

static unsigned free_slots(const struct fetchq *q, unsigned worker, bool for_demand)
{
	unsigned most = q->conf.slots - (for_demand ? 0 : reserve_of(q));
	unsigned used = q->slots[worker].in_flight;

	return used < most ? most - used : 0;
}

/* Chunks that may be taken now, as far as the cache is known to have room. */
static uint64_t nr_ready_locked(const struct fetchq *q)
{
	uint64_t nr = 0;

	if (q->blocked_from > FETCH_DEMAND)
		nr += q->nr[FETCH_DEMAND];
	if (q->blocked_from > FETCH_READAHEAD)
		nr += q->nr[FETCH_READAHEAD] + q->nr_opened;
	if (q->blocked_from > FETCH_PREFETCH)
		nr += q->nr[FETCH_PREFETCH] - q->nr_opened;
	return q->tight && nr > 1 ? 1 : nr;
}

static unsigned nr_waiting_locked(const struct fetchq *q)
{
	unsigned i, nr = 0;

	for (i = 0; i < q->conf.nr_workers; i++)
		nr += q->slots[i].refused;
	return nr;
}

/* The worker to wake next: who waits for leave, then who has the fewest in flight. */
static unsigned next_sleeper_locked(const struct fetchq *q, bool has_demand)
{
	unsigned best = NO_WORKER, i;

	for (i = 0; i < q->conf.nr_workers; i++) {
		const struct slots *s = &q->slots[i], *b = &q->slots[best == NO_WORKER ? i : best];

		if (s->woken || (s->refused == 0 && free_slots(q, i, has_demand) == 0))
			continue;
		if (best == NO_WORKER || (s->refused != 0) > (b->refused != 0) ||
		    ((s->refused != 0) == (b->refused != 0) && s->in_flight < b->in_flight))
			best = i;
	}
	return best;
}

/*
 * Drops the lock, and wakes as many workers as there is work for beyond what
 * those already woken can take.
 */
static void unlock_and_wake(struct fetchq *q)
{
	const bool has_demand = q->nr[FETCH_DEMAND] != 0 && q->blocked_from > FETCH_DEMAND;
	uint64_t work = nr_ready_locked(q) + nr_waiting_locked(q), capacity = 0;
	unsigned leave = throttle_free(&q->throttle), i, worker;
	bool notice = !q->is_told && !TAILQ_EMPTY(&q->notices);
	bool wake[FETCHQ_WORKERS_MAX];

	if (work > leave)
		work = leave;
	memset(wake, 0, sizeof(wake));
	if (notice)
		q->is_told = true;
	for (i = 0; i < q->conf.nr_workers; i++)
		if (q->slots[i].woken)
			capacity += q->slots[i].refused + free_slots(q, i, has_demand);
	while (work > capacity) {
		worker = next_sleeper_locked(q, has_demand);
		if (worker == NO_WORKER)
			break;
		q->slots[worker].woken = true;
		wake[worker] = true;
		capacity += q->slots[worker].refused + free_slots(q, worker, has_demand);
	}
	pthread_mutex_unlock(&q->lock);

	for (i = 0; i < q->conf.nr_workers; i++)
		if (wake[i])
			q->conf.wake(i, q->conf.arg);
	if (notice)
		q->conf.notice(q->conf.arg);
}

/* ---- posting ------------------------------------------------------------------ */

void fetchq_demand(struct fetchq *q, struct fetchq_entry *e, uint32_t chunk)
{
	if (chunk >= e->nr_chunks)
		return;
	pthread_mutex_lock(&q->lock);
	add_demand_locked(q, e, chunk, false);
	unlock_and_wake(q);
}

/* Joins a range that it touches; without a free place the oldest range gives way. */
static void add_range_locked(struct fetchq *q, struct fetchq_entry *e, struct fetchq_range r,
			     bool in_front)
{
	unsigned i;

	for (i = 0; i < e->nr_ranges; i++) {
		struct fetchq_range *have = &e->ranges[i];

		if (r.first > have->end || r.end < have->first)
			continue;
		q->nr[FETCH_READAHEAD] -= have->end - have->first;
		have->first = r.first < have->first ? r.first : have->first;
		have->end = r.end > have->end ? r.end : have->end;
		q->nr[FETCH_READAHEAD] += have->end - have->first;
		return;
	}
	if (e->nr_ranges == FETCHQ_RANGES) {
		unsigned gone = in_front ? FETCHQ_RANGES - 1 : 0;

		q->nr[FETCH_READAHEAD] -= e->ranges[gone].end - e->ranges[gone].first;
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
	q->nr[FETCH_READAHEAD] += r.end - r.first;
}

void fetchq_readahead(struct fetchq *q, struct fetchq_entry *e, uint32_t first, uint32_t end)
{
	if (end > e->nr_chunks)
		end = e->nr_chunks;
	if (first >= end)
		return;
	pthread_mutex_lock(&q->lock);
	add_range_locked(q, e, (struct fetchq_range){ first, end }, false);
	if (!e->listed[FETCH_READAHEAD])
		list_locked(q, e, FETCH_READAHEAD, false);
	unlock_and_wake(q);
}

void fetchq_prefetch(struct fetchq *q, struct fetchq_entry *e, bool in_front, bool alone)
{
	pthread_mutex_lock(&q->lock);
	e->alone = alone;
	if (e->next >= e->end) {
		e->through = true;
		notice_locked(q, e);
	} else {
		if (!e->listed[FETCH_PREFETCH])
			count_prefetch_locked(q, e, e->end - e->next);
		if (in_front || !e->listed[FETCH_PREFETCH])
			list_locked(q, e, FETCH_PREFETCH, in_front);
	}
	unlock_and_wake(q);
}

void fetchq_prefetch_stop(struct fetchq *q, struct fetchq_entry *e)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	drop_prefetch_locked(q, e);
	gone = let_go_locked(e);
	unlock_and_wake(q);
	if (gone != NULL)
		object_unref(gone);
}

void fetchq_set_opened(struct fetchq *q, struct fetchq_entry *e)
{
	pthread_mutex_lock(&q->lock);
	if (!e->opened && e->listed[FETCH_PREFETCH])
		q->nr_opened += e->end - e->next;
	e->opened = true;
	unlock_and_wake(q);
}

void fetchq_forget(struct fetchq *q, struct fetchq_entry *e)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	while (e->first != NULL)
		pop_demand_locked(q, e);
	drop_ranges_locked(q, e);
	drop_prefetch_locked(q, e);
	gone = let_go_locked(e);
	unlock_and_wake(q);
	if (gone != NULL)
		object_unref(gone);
}

void fetchq_forget_ahead(struct fetchq *q, struct fetchq_entry *e)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	drop_ranges_locked(q, e);
	drop_prefetch_locked(q, e);
	gone = let_go_locked(e);
	unlock_and_wake(q);
	if (gone != NULL)
		object_unref(gone);
}

void fetchq_room(struct fetchq *q)
{
	pthread_mutex_lock(&q->lock);
	q->room++;
	q->blocked_from = FETCH_NR_CLASSES;
	unlock_and_wake(q);
}

/* ---- taking ------------------------------------------------------------------- */

void fetchq_awake(struct fetchq *q, unsigned worker)
{
	pthread_mutex_lock(&q->lock);
	q->slots[worker].woken = false;
	pthread_mutex_unlock(&q->lock);
}

static enum fetch_class class_of(const struct fetchq_entry *e, enum fetch_class list)
{
	return list == FETCH_PREFETCH && e->opened ? FETCH_READAHEAD : list;
}

/*
 * Fills are spread over objects, because one memory file takes one writer at a
 * time; a worker stays with the objects that it began.
 */
static struct fetchq_entry *choose_locked(const struct fetchq *q, enum fetch_class list,
					  unsigned worker)
{
	unsigned wide = list == FETCH_PREFETCH ? PREFETCH_WIDE : SCAN_MOST;
	unsigned best_cost = UINT32_MAX, nr = 0, nr_fit = 0;
	struct fetchq_entry *e, *best = NULL;

	TAILQ_FOREACH(e, &q->lists[list], links[list])
	{
		unsigned cost;

		if (nr++ == SCAN_MOST || nr_fit == wide)
			break;
		if (class_of(e, list) >= q->blocked_from)
			continue;
		nr_fit++;
		cost = e->in_flight * 2;
		if (e->home != worker + 1)
			cost += e->home == 0 ? 1 : 3;
		if (cost < best_cost) {
			best_cost = cost;
			best = e;
		}
		if (list == FETCH_PREFETCH && e->alone)
			break;
	}
	return best;
}

static bool is_empty(const struct fetchq_entry *e, uint32_t chunk)
{
	return chunk_get_state(e->object, chunk) == CHUNK_EMPTY && !is_demanded(e, chunk);
}

static bool pop_range_locked(struct fetchq *q, struct fetchq_entry *e, uint32_t *ret_chunk)
{
	while (e->nr_ranges != 0) {
		struct fetchq_range *r = &e->ranges[0];
		bool found = false;

		while (r->first < r->end && !found) {
			*ret_chunk = r->first++;
			q->nr[FETCH_READAHEAD]--;
			found = is_empty(e, *ret_chunk);
		}
		if (r->first == r->end) {
			e->nr_ranges--;
			memmove(&e->ranges[0], &e->ranges[1], e->nr_ranges * sizeof(*r));
		}
		if (e->nr_ranges == 0)
			unlist_locked(q, e, FETCH_READAHEAD);
		if (found)
			return true;
	}
	return false;
}

static bool pop_prefetch_locked(struct fetchq *q, struct fetchq_entry *e, uint32_t *ret_chunk)
{
	bool found = false;

	while (e->next < e->end && !found) {
		*ret_chunk = e->next++;
		count_prefetch_locked(q, e, -1);
		found = is_empty(e, *ret_chunk);
	}
	if (e->next == e->end) {
		unlist_locked(q, e, FETCH_PREFETCH);
		e->through = true;
		notice_locked(q, e);
	}
	return found;
}

static bool pop_locked(struct fetchq *q, struct fetchq_entry *e, enum fetch_class list,
		       uint32_t *ret_chunk)
{
	switch (list) {
	case FETCH_DEMAND:
		*ret_chunk = pop_demand_locked(q, e);
		return true;
	case FETCH_READAHEAD:
		return pop_range_locked(q, e, ret_chunk);
	case FETCH_PREFETCH:
		return pop_prefetch_locked(q, e, ret_chunk);
	case FETCH_NR_CLASSES:
		break;
	}
	return false;
}

/* One object that the queue lets go meanwhile is handed back: then look again. */
static bool find_work_locked(struct fetchq *q, unsigned worker, enum fetch_class last,
			     struct fetchq_work *w, struct object **ret_gone)
{
	enum fetch_class list;
	struct fetchq_entry *e;

	for (list = FETCH_DEMAND; list <= last; list++) {
		if (free_slots(q, worker, list == FETCH_DEMAND) == 0)
			break;
		while ((e = choose_locked(q, list, worker)) != NULL) {
			bool found = pop_locked(q, e, list, &w->chunk);

			if (found) {
				w->entry = e;
				w->object = object_ref(e->object);
				w->list = list;
				w->class = class_of(e, list);
			}
			*ret_gone = let_go_locked(e);
			if (found || *ret_gone != NULL)
				return found;
		}
	}
	return false;
}

bool fetchq_take(struct fetchq *q, unsigned worker, enum fetch_class last,
		 struct fetchq_work *ret_work)
{
	struct fetchq_work w = { .has_leave = true };
	struct object *gone;
	bool found;

	do {
		gone = NULL;
		found = false;
		pthread_mutex_lock(&q->lock);
		if (throttle_free(&q->throttle) != 0)
			found = find_work_locked(q, worker, last, &w, &gone);
		if (found) {
			throttle_enter(&q->throttle, &w.epoch);
			w.room = q->room;
			w.entry->in_flight++;
			if (w.entry->home == 0)
				w.entry->home = worker + 1;
			q->slots[worker].in_flight++;
			q->nr_in_flight++;
			pthread_mutex_unlock(&q->lock);
		} else {
			/* This one is full; what is left is for others. */
			if (last == FETCH_PREFETCH && gone == NULL &&
			    free_slots(q, worker, true) == 0)
				q->tight = false;
			unlock_and_wake(q);
		}
		if (gone != NULL)
			object_unref(gone);
	} while (!found && gone != NULL);
	if (found)
		*ret_work = w;
	return found;
}

static void leave_locked(struct fetchq *q, struct fetchq_work *w)
{
	if (w->has_leave)
		throttle_leave(&q->throttle);
	w->has_leave = false;
}

static void finish_locked(struct fetchq *q, unsigned worker, struct fetchq_work *w)
{
	leave_locked(q, w);
	q->slots[worker].in_flight--;
	q->nr_in_flight--;
	if (--w->entry->in_flight == 0)
		w->entry->home = 0;
}

void fetchq_put_back(struct fetchq *q, unsigned worker, struct fetchq_work *w)
{
	struct fetchq_entry *e = w->entry;

	pthread_mutex_lock(&q->lock);
	finish_locked(q, worker, w);
	switch (w->list) {
	case FETCH_DEMAND:
		add_demand_locked(q, e, w->chunk, true);
		break;
	case FETCH_READAHEAD:
		add_range_locked(q, e, (struct fetchq_range){ w->chunk, w->chunk + 1 }, true);
		if (!e->listed[FETCH_READAHEAD])
			list_locked(q, e, FETCH_READAHEAD, true);
		break;
	case FETCH_PREFETCH:
	case FETCH_NR_CLASSES:
		/* What others took behind it is skipped when its turn comes again. */
		if (e->listed[FETCH_PREFETCH])
			count_prefetch_locked(q, e, -(int64_t)(e->end - e->next));
		if (w->chunk < e->next)
			e->next = w->chunk;
		count_prefetch_locked(q, e, e->end - e->next);
		if (!e->listed[FETCH_PREFETCH])
			list_locked(q, e, FETCH_PREFETCH, true);
		e->through = false;
		break;
	}
	/* Unless the cache spoke between the taking and its refusal. */
	if (w->room == q->room && q->blocked_from > w->class)
		q->blocked_from = w->class;
	q->tight = true;
	unlock_and_wake(q);
}

void fetchq_finish(struct fetchq *q, unsigned worker, struct fetchq_work *w, bool good)
{
	pthread_mutex_lock(&q->lock);
	finish_locked(q, worker, w);
	if (good)
		throttle_good(&q->throttle);
	/* The worker takes again now, and wakes others where that leaves work. */
	pthread_mutex_unlock(&q->lock);
}

void fetchq_pause(struct fetchq *q, struct fetchq_work *w)
{
	pthread_mutex_lock(&q->lock);
	leave_locked(q, w);
	pthread_mutex_unlock(&q->lock);
}

bool fetchq_resume(struct fetchq *q, unsigned worker, struct fetchq_work *w, bool was_refused)
{
	bool ok;

	pthread_mutex_lock(&q->lock);
	ok = throttle_enter(&q->throttle, &w->epoch);
	w->has_leave = ok;
	if (ok && was_refused)
		q->slots[worker].refused--;
	if (!ok && !was_refused)
		q->slots[worker].refused++;
	pthread_mutex_unlock(&q->lock);
	return ok;
}

void fetchq_unrefuse(struct fetchq *q, unsigned worker)
{
	pthread_mutex_lock(&q->lock);
	q->slots[worker].refused--;
	pthread_mutex_unlock(&q->lock);
}

void fetchq_slow(struct fetchq *q, const struct fetchq_work *w)
{
	pthread_mutex_lock(&q->lock);
	throttle_slow(&q->throttle, w->epoch);
	pthread_mutex_unlock(&q->lock);
}

/* ---- notices ------------------------------------------------------------------ */

void fetchq_tell(struct fetchq *q, struct fetchq_entry *e, int error)
{
	pthread_mutex_lock(&q->lock);
	e->error = error;
	notice_locked(q, e);
	unlock_and_wake(q);
}

bool fetchq_next_notice(struct fetchq *q, struct fetchq_notice *ret_notice)
{
	struct fetchq_entry *e;

	pthread_mutex_lock(&q->lock);
	e = TAILQ_FIRST(&q->notices);
	if (e != NULL) {
		TAILQ_REMOVE(&q->notices, e, notice_link);
		e->noticed = false;
		*ret_notice = (struct fetchq_notice){
			.entry = e,
			.object = e->object,
			.through = e->through,
			.error = e->error,
		};
		e->through = false;
		e->error = 0;
	} else {
		q->is_told = false;
	}
	pthread_mutex_unlock(&q->lock);
	return e != NULL;
}

void fetchq_stats(struct fetchq *q, struct fetchq_stats *ret)
{
	pthread_mutex_lock(&q->lock);
	memcpy(ret->queued, q->nr, sizeof(ret->queued));
	ret->in_flight = q->nr_in_flight;
	ret->limit = q->throttle.limit;
	ret->nr_slots = q->conf.nr_workers * q->conf.slots;
	pthread_mutex_unlock(&q->lock);
}

/* ---- life --------------------------------------------------------------------- */

int fetchq_new(const struct fetchq_conf *conf, struct fetchq **ret_queue)
{
	struct fetchq *q = xcalloc(1, sizeof(*q) + conf->nr_workers * sizeof(q->slots[0]));
	int i, r;

	BUG_ON(conf->nr_workers == 0 || conf->nr_workers > FETCHQ_WORKERS_MAX || conf->slots == 0);
	r = -pthread_mutex_init(&q->lock, NULL);
	if (r != 0) {
		free(q);
		return r;
	}
	q->conf = *conf;
	q->blocked_from = FETCH_NR_CLASSES;
	for (i = 0; i < FETCH_NR_CLASSES; i++)
		TAILQ_INIT(&q->lists[i]);
	TAILQ_INIT(&q->notices);
	throttle_init(&q->throttle, conf->nr_workers * conf->slots);
	*ret_queue = q;
	return 0;
}

void fetchq_set_slots(struct fetchq *q, unsigned slots)
{
	pthread_mutex_lock(&q->lock);
	q->conf.slots = slots;
	throttle_set_max(&q->throttle, slots * q->conf.nr_workers);
	unlock_and_wake(q);
}

void fetchq_free(struct fetchq *q)
{
	struct fetchq_notice notice;
	struct fetchq_entry *e;
	int i;

	if (q == NULL)
		return;
	while (fetchq_next_notice(q, &notice))
		object_unref(notice.object);
	for (i = 0; i < FETCH_NR_CLASSES; i++)
		while ((e = TAILQ_FIRST(&q->lists[i])) != NULL)
			fetchq_forget(q, e);
	while (fetchq_next_notice(q, &notice))
		object_unref(notice.object);
	pthread_mutex_destroy(&q->lock);
	free(q);
}
