#include "daemon/mount/fetchq.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "common/chunktab.h"
#include "common/clock.h"
#include "daemon/base/xalloc.h"
#include "daemon/mount/fetchq_internal.h"

#define SCAN_MOST     16 /* objects looked at for one chunk */
#define PREFETCH_WIDE 4	 /* objects that prefetch works on at a time */
#define NO_WORKER     UINT32_MAX

static void drop(struct object *o)
{
	if (o != NULL)
		object_unref(o);
}

/* ---- waking ------------------------------------------------------------------- */

/* Slots for demand alone: a reader does not wait for the end of what nobody asked for. */
static unsigned nr_extra(const struct fetchq *q)
{
	return q->conf.slots >= 4 ? 1 + q->conf.slots / 32 : 0;
}

/*
 * The only object with work, if a second thread would be in the first one's
 * way: splices into one memory file wait for each other, and passing the turn
 * between cores costs more than it brings.
 */
static const struct fetchq_entry *lonely_locked(const struct fetchq *q)
{
	const struct fetchq_entry *only = NULL, *e;
	const struct fetchq_lane *l;
	enum fetch_class list;

	LIST_FOREACH(l, &q->lanes, link)
	{
		for (list = FETCH_DEMAND; list < FETCH_NR_CLASSES; list++) {
			e = TAILQ_FIRST(&l->lists[list]);
			if (e == NULL)
				continue;
			if (!e->one_writer || (only != NULL && e != only) ||
			    TAILQ_NEXT(e, links[list]) != NULL)
				return NULL;
			only = e;
		}
	}
	return only;
}

static unsigned free_slots(const struct fetchq *q, const struct fetchq_entry *lonely,
			   unsigned worker, bool for_demand)
{
	unsigned used = q->slots[worker].in_flight, most = q->conf.slots;

	if (lonely != NULL && lonely->home != 0 && lonely->home != worker + 1)
		return 0;
	if (lonely != NULL) {
		most *= q->conf.nr_workers;
		used = q->nr_in_flight;
	}
	most += for_demand ? nr_extra(q) : 0;
	return used < most ? most - used : 0;
}

/* What there is to do for workers that sleep. */
struct need {
	const struct fetchq_entry *lonely;
	bool has_demand; /* that may be taken now */
	uint64_t work;	 /* chunks that may be taken now, and work that may go on */
};

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct need look_locked(const struct fetchq *q)
{
	struct need n = { .lonely = lonely_locked(q) };
	const struct fetchq_lane *l;
	uint64_t fresh = 0;

	LIST_FOREACH(l, &q->lanes, link)
	{
		unsigned leave = throttle_free(&l->throttle, false), go_on;
		uint64_t demand = 0, other = 0;

		/* As far as the cache is known to have room. */
		if (q->blocked_from > FETCH_DEMAND)
			demand = least(l->nr[FETCH_DEMAND], throttle_free(&l->throttle, true));
		if (q->blocked_from > FETCH_READAHEAD)
			other += l->nr[FETCH_READAHEAD] + l->nr_opened;
		if (q->blocked_from > FETCH_PREFETCH)
			other += l->nr[FETCH_PREFETCH] - l->nr_opened;
		go_on = (unsigned)least(leave, l->nr_refused);
		fresh += demand + least(other, leave - go_on);
		n.work += go_on;
		n.has_demand |= demand != 0;
	}
	n.work += q->tight ? least(fresh, 1) : fresh;
	return n;
}

/* Work of this worker that waits for leave and would get it. */
static unsigned nr_resumable(const struct fetchq *q, unsigned worker)
{
	const struct fetchq_lane *l;
	unsigned nr = 0;

	LIST_FOREACH(l, &q->lanes, link)
	{
		if (l->refused[worker] != 0)
			nr += (unsigned)least(l->refused[worker],
					      throttle_free(&l->throttle, false));
	}
	return nr;
}

/* The worker to wake next: who waits for leave, then who has the fewest in flight. */
static unsigned next_sleeper_locked(const struct fetchq *q, const struct need *n,
				    unsigned *ret_capacity)
{
	unsigned best = NO_WORKER, i, resumable, best_resumable = 0;

	for (i = 0; i < q->conf.nr_workers; i++) {
		if (q->slots[i].woken)
			continue;
		resumable = nr_resumable(q, i);
		if (resumable == 0 && free_slots(q, n->lonely, i, n->has_demand) == 0)
			continue;
		if (best == NO_WORKER || (resumable != 0) > (best_resumable != 0) ||
		    ((resumable != 0) == (best_resumable != 0) &&
		     q->slots[i].in_flight < q->slots[best].in_flight)) {
			best = i;
			best_resumable = resumable;
		}
	}
	if (best != NO_WORKER)
		*ret_capacity = best_resumable + free_slots(q, n->lonely, best, n->has_demand);
	return best;
}

/*
 * Drops the lock, and wakes as many workers as there is work for beyond what
 * those already woken can take.
 */
static void unlock_and_wake(struct fetchq *q)
{
	const struct need n = look_locked(q);
	bool notice = !q->is_told && !TAILQ_EMPTY(&q->notices);
	bool wake[FETCHQ_WORKERS_MAX];
	unsigned i, worker, more = 0;
	uint64_t capacity = 0;

	memset(wake, 0, q->conf.nr_workers * sizeof(wake[0]));
	if (notice)
		q->is_told = true;
	for (i = 0; i < q->conf.nr_workers && capacity < n.work; i++)
		if (q->slots[i].woken)
			capacity += nr_resumable(q, i) + free_slots(q, n.lonely, i, n.has_demand);
	while (n.work > capacity) {
		worker = next_sleeper_locked(q, &n, &more);
		if (worker == NO_WORKER)
			break;
		q->slots[worker].woken = true;
		wake[worker] = true;
		capacity += more;
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
	struct object *spare;

	if (chunk >= e->nr_chunks)
		return;
	object_ref(e->object);
	pthread_mutex_lock(&q->lock);
	fetchq_add_demand_locked(e, chunk, false);
	spare = fetchq_hold_locked(e);
	unlock_and_wake(q);
	drop(spare);
}

void fetchq_readahead(struct fetchq *q, struct fetchq_entry *e, uint32_t first, uint32_t end)
{
	struct object *spare;

	if (end > e->nr_chunks)
		end = e->nr_chunks;
	if (first >= end)
		return;
	object_ref(e->object);
	pthread_mutex_lock(&q->lock);
	fetchq_add_range_locked(e, (struct fetchq_range){ first, end }, false);
	if (!e->listed[FETCH_READAHEAD])
		fetchq_list_locked(e, FETCH_READAHEAD, false);
	spare = fetchq_hold_locked(e);
	unlock_and_wake(q);
	drop(spare);
}

void fetchq_prefetch(struct fetchq *q, struct fetchq_entry *e, bool in_front, const void *line)
{
	struct object *spare;

	object_ref(e->object);
	pthread_mutex_lock(&q->lock);
	e->line = line;
	if (e->next >= e->end) {
		e->through = true;
		fetchq_notice_locked(q, e);
	} else {
		if (!e->listed[FETCH_PREFETCH])
			fetchq_count_prefetch_locked(e, e->end - e->next);
		if (in_front || !e->listed[FETCH_PREFETCH])
			fetchq_list_locked(e, FETCH_PREFETCH, in_front);
	}
	spare = fetchq_hold_locked(e);
	unlock_and_wake(q);
	drop(spare);
}

void fetchq_prefetch_stop(struct fetchq *q, struct fetchq_entry *e)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	fetchq_drop_prefetch_locked(e);
	gone = fetchq_let_go_locked(e);
	unlock_and_wake(q);
	drop(gone);
}

void fetchq_set_opened(struct fetchq *q, struct fetchq_entry *e)
{
	pthread_mutex_lock(&q->lock);
	if (!e->opened && e->listed[FETCH_PREFETCH])
		e->lane->nr_opened += e->end - e->next;
	e->opened = true;
	unlock_and_wake(q);
}

void fetchq_forget(struct fetchq *q, struct fetchq_entry *e)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	while (e->first != NULL)
		fetchq_pop_demand_locked(e);
	fetchq_drop_ranges_locked(e);
	fetchq_drop_prefetch_locked(e);
	gone = fetchq_let_go_locked(e);
	unlock_and_wake(q);
	drop(gone);
}

void fetchq_forget_ahead(struct fetchq *q, struct fetchq_entry *e)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	fetchq_drop_ranges_locked(e);
	fetchq_drop_prefetch_locked(e);
	gone = fetchq_let_go_locked(e);
	unlock_and_wake(q);
	drop(gone);
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
static struct fetchq_entry *choose_locked(const struct fetchq *q, const struct fetchq_lane *l,
					  enum fetch_class list, unsigned worker)
{
	unsigned wide = list == FETCH_PREFETCH ? PREFETCH_WIDE : SCAN_MOST;
	unsigned best_cost = UINT32_MAX, nr = 0, nr_fit = 0, nr_lines = 0, i;
	const void *lines[SCAN_MOST];
	struct fetchq_entry *e, *best = NULL;

	TAILQ_FOREACH(e, &l->lists[list], links[list])
	{
		unsigned cost;

		if (nr++ == SCAN_MOST || nr_fit == wide)
			break;
		if (class_of(e, list) >= q->blocked_from)
			continue;
		if (list == FETCH_PREFETCH && e->line != NULL) {
			for (i = 0; i < nr_lines && lines[i] != e->line; i++)
				;
			if (i < nr_lines)
				continue;
			lines[nr_lines++] = e->line;
		}
		nr_fit++;
		cost = e->in_flight * 2;
		if (e->home != worker + 1)
			cost += e->home == 0 ? 1 : 3;
		if (cost < best_cost) {
			best_cost = cost;
			best = e;
		}
	}
	return best;
}

static bool take_of_lane_locked(struct fetchq *q, struct fetchq_lane *l, unsigned worker,
				struct fetchq_work *w, struct object **ret_gone)
{
	struct fetchq_entry *e = choose_locked(q, l, w->list, worker);

	while (e != NULL) {
		if (fetchq_pop_locked(q, e, w->list, &w->chunk)) {
			w->entry = e;
			w->object = e->object;
			w->class = class_of(e, w->list);
			return true;
		}
		/* It had nothing left, and may be done with. */
		*ret_gone = fetchq_let_go_locked(e);
		if (*ret_gone != NULL)
			return false;
		e = choose_locked(q, l, w->list, worker);
	}
	return false;
}

/* Work of these classes, of the lane whose turn it is. */
static bool find_class_locked(struct fetchq *q, unsigned worker, enum fetch_class first,
			      enum fetch_class last, struct fetchq_work *w,
			      struct object **ret_gone)
{
	const uint64_t search = ++q->nr_searches;
	struct fetchq_lane *l;

	if (free_slots(q, lonely_locked(q), worker, last == FETCH_DEMAND) == 0)
		return false;
	while ((l = fetchq_next_lane_locked(q, first, last, search)) != NULL) {
		for (w->list = first; w->list <= last; w->list++)
			if (take_of_lane_locked(q, l, worker, w, ret_gone) || *ret_gone != NULL)
				return *ret_gone == NULL;
	}
	return false;
}

static bool find_work_locked(struct fetchq *q, unsigned worker, enum fetch_class last,
			     struct fetchq_work *w, struct object **ret_gone)
{
	if (find_class_locked(q, worker, FETCH_DEMAND, FETCH_DEMAND, w, ret_gone))
		return true;
	return last != FETCH_DEMAND && *ret_gone == NULL &&
	       find_class_locked(q, worker, FETCH_READAHEAD, last, w, ret_gone);
}

static struct throttle *throttle_of(const struct fetchq_work *w)
{
	return &w->entry->lane->throttle;
}

static bool enter_locked(struct fetchq_work *w)
{
	w->has_leave =
		throttle_enter(throttle_of(w), w->list == FETCH_DEMAND, clock_ms(), &w->epoch);
	return w->has_leave;
}

static void leave_locked(struct fetchq_work *w)
{
	if (w->has_leave)
		throttle_leave(throttle_of(w));
	w->has_leave = false;
}

static void begin_locked(struct fetchq *q, unsigned worker, struct fetchq_work *w)
{
	struct fetchq_lane *l = w->entry->lane;

	enter_locked(w);
	w->room = q->room;
	w->entry->in_flight++;
	if (w->entry->home == 0)
		w->entry->home = worker + 1;
	l->in_flight++;
	l->user->in_flight++;
	q->slots[worker].in_flight++;
	q->nr_in_flight++;
}

static void finish_locked(struct fetchq *q, unsigned worker, struct fetchq_work *w)
{
	struct fetchq_lane *l = w->entry->lane;

	leave_locked(w);
	l->in_flight--;
	l->user->in_flight--;
	q->slots[worker].in_flight--;
	q->nr_in_flight--;
	if (--w->entry->in_flight == 0)
		w->entry->home = 0;
}

/* As fetchq_take(), with chunks that need no download. */
static bool take_any(struct fetchq *q, unsigned worker, enum fetch_class last,
		     struct fetchq_work *w)
{
	struct object *gone;
	bool found;

	do {
		gone = NULL;
		found = false;
		pthread_mutex_lock(&q->lock);
		found = find_work_locked(q, worker, last, w, &gone);
		if (found) {
			begin_locked(q, worker, w);
			pthread_mutex_unlock(&q->lock);
			break;
		}
		/* This one is full; what is left is for others. */
		if (last == FETCH_PREFETCH && gone == NULL &&
		    free_slots(q, lonely_locked(q), worker, true) == 0)
			q->tight = false;
		unlock_and_wake(q);
		drop(gone);
	} while (gone != NULL);
	return found;
}

bool fetchq_take(struct fetchq *q, unsigned worker, enum fetch_class last,
		 struct fetchq_work *ret_work)
{
	struct fetchq_work w;

	while (take_any(q, worker, last, &w)) {
		if (w.list == FETCH_DEMAND || chunk_get_state(w.object, w.chunk) == CHUNK_EMPTY) {
			*ret_work = w;
			return true;
		}
		fetchq_finish(q, worker, &w, false);
	}
	return false;
}

void fetchq_put_back(struct fetchq *q, unsigned worker, struct fetchq_work *w)
{
	struct fetchq_entry *e = w->entry;

	/* The queue has it again: its reference stays. */
	pthread_mutex_lock(&q->lock);
	finish_locked(q, worker, w);
	switch (w->list) {
	case FETCH_DEMAND:
		fetchq_add_demand_locked(e, w->chunk, true);
		break;
	case FETCH_READAHEAD:
		fetchq_add_range_locked(e, (struct fetchq_range){ w->chunk, w->chunk + 1 }, true);
		if (!e->listed[FETCH_READAHEAD])
			fetchq_list_locked(e, FETCH_READAHEAD, true);
		/* Ranges may be given up: the prefetch that it was taken from has it again. */
		if (e->listed[FETCH_PREFETCH] && e->next == w->chunk + 1) {
			e->next--;
			fetchq_count_prefetch_locked(e, 1);
		}
		break;
	case FETCH_PREFETCH:
	case FETCH_NR_CLASSES:
		/* What others took behind it is skipped when its turn comes again. */
		if (e->listed[FETCH_PREFETCH])
			fetchq_count_prefetch_locked(e, -(int64_t)(e->end - e->next));
		if (w->chunk < e->next)
			e->next = w->chunk;
		fetchq_count_prefetch_locked(e, e->end - e->next);
		if (!e->listed[FETCH_PREFETCH])
			fetchq_list_locked(e, FETCH_PREFETCH, true);
		e->through = false;
		break;
	}
	/* Unless the cache spoke between the taking and its refusal. */
	if (w->room == q->room && q->blocked_from > w->class)
		q->blocked_from = w->class;
	q->tight = true;
	unlock_and_wake(q);
}

static uint64_t bytes_of(const struct fetchq_lane *l)
{
	return atomic_load_explicit(&l->bytes, memory_order_relaxed);
}

void fetchq_count(const struct fetchq_work *w, uint64_t bytes)
{
	/* Relaxed: a sum, from which rates are told. */
	atomic_fetch_add_explicit(&w->entry->lane->bytes, bytes, memory_order_relaxed);
}

void fetchq_look(struct fetchq *q)
{
	const uint64_t now = clock_ms();
	struct fetchq_lane *l;

	pthread_mutex_lock(&q->lock);
	LIST_FOREACH(l, &q->lanes, link)
	{
		if (l->in_flight != 0)
			throttle_look(&l->throttle, bytes_of(l), now);
	}
	unlock_and_wake(q);
}

void fetchq_finish(struct fetchq *q, unsigned worker, struct fetchq_work *w, bool good)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	finish_locked(q, worker, w);
	if (good)
		throttle_good(throttle_of(w), bytes_of(w->entry->lane), clock_ms());
	gone = fetchq_let_go_locked(w->entry);
	/* The worker takes again now, and wakes others where that leaves work. */
	pthread_mutex_unlock(&q->lock);
	drop(gone);
}

void fetchq_pause(struct fetchq *q, struct fetchq_work *w)
{
	pthread_mutex_lock(&q->lock);
	leave_locked(w);
	pthread_mutex_unlock(&q->lock);
}

static void count_refused_locked(unsigned worker, const struct fetchq_work *w, int nr)
{
	w->entry->lane->refused[worker] += (unsigned)nr;
	w->entry->lane->nr_refused += (unsigned)nr;
}

bool fetchq_resume(struct fetchq *q, unsigned worker, struct fetchq_work *w, bool was_refused)
{
	bool ok;

	pthread_mutex_lock(&q->lock);
	ok = enter_locked(w);
	if (ok == was_refused)
		count_refused_locked(worker, w, ok ? -1 : 1);
	pthread_mutex_unlock(&q->lock);
	return ok;
}

void fetchq_unrefuse(struct fetchq *q, unsigned worker, const struct fetchq_work *w)
{
	pthread_mutex_lock(&q->lock);
	count_refused_locked(worker, w, -1);
	pthread_mutex_unlock(&q->lock);
}

void fetchq_slow(struct fetchq *q, const struct fetchq_work *w)
{
	pthread_mutex_lock(&q->lock);
	throttle_slow(throttle_of(w), w->epoch, clock_ms());
	pthread_mutex_unlock(&q->lock);
}

/* ---- notices ------------------------------------------------------------------ */

void fetchq_tell(struct fetchq *q, struct fetchq_entry *e, int error)
{
	pthread_mutex_lock(&q->lock);
	e->error = error;
	fetchq_notice_locked(q, e);
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
		e->nr_told++;
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

void fetchq_notice_done(struct fetchq *q, const struct fetchq_notice *n)
{
	struct object *gone;

	pthread_mutex_lock(&q->lock);
	n->entry->nr_told--;
	gone = fetchq_let_go_locked(n->entry);
	pthread_mutex_unlock(&q->lock);
	drop(gone);
}

void fetchq_stats(struct fetchq *q, struct fetchq_stats *ret)
{
	const struct fetchq_lane *l;
	int i;

	*ret = (struct fetchq_stats){ 0 };
	pthread_mutex_lock(&q->lock);
	ret->nr_slots = q->conf.nr_workers * q->conf.slots;
	ret->in_flight = q->nr_in_flight;
	LIST_FOREACH(l, &q->lanes, link)
	{
		for (i = 0; i < FETCH_NR_CLASSES; i++)
			ret->queued[i] += l->nr[i];
		if (l->in_flight != 0)
			ret->limit += l->throttle.limit;
	}
	pthread_mutex_unlock(&q->lock);
	if (ret->limit == 0 || ret->limit > ret->nr_slots)
		ret->limit = ret->nr_slots;
}

unsigned fetchq_in_flight(struct fetchq *q, const struct fetchq_entry *e)
{
	unsigned nr;

	pthread_mutex_lock(&q->lock);
	nr = e->in_flight;
	pthread_mutex_unlock(&q->lock);
	return nr;
}

/* ---- life --------------------------------------------------------------------- */

int fetchq_new(const struct fetchq_conf *conf, struct fetchq **ret_queue)
{
	struct fetchq *q = xcalloc(1, sizeof(*q) + conf->nr_workers * sizeof(q->slots[0]));
	int r;

	BUG_ON(conf->nr_workers == 0 || conf->nr_workers > FETCHQ_WORKERS_MAX || conf->slots == 0);
	r = -pthread_mutex_init(&q->lock, NULL);
	if (r != 0) {
		free(q);
		return r;
	}
	q->conf = *conf;
	q->blocked_from = FETCH_NR_CLASSES;
	LIST_INIT(&q->lanes);
	LIST_INIT(&q->users);
	TAILQ_INIT(&q->notices);
	*ret_queue = q;
	return 0;
}

void fetchq_set_slots(struct fetchq *q, unsigned slots)
{
	struct fetchq_lane *l;

	pthread_mutex_lock(&q->lock);
	q->conf.slots = slots;
	LIST_FOREACH(l, &q->lanes, link)
	throttle_set_max(&l->throttle, slots * q->conf.nr_workers);
	unlock_and_wake(q);
}

void fetchq_free(struct fetchq *q)
{
	struct fetchq_notice notice;
	struct fetchq_entry *e;
	struct fetchq_lane *l;
	int i;

	if (q == NULL)
		return;
	while (fetchq_next_notice(q, &notice))
		fetchq_notice_done(q, &notice);
	LIST_FOREACH(l, &q->lanes, link)
	for (i = 0; i < FETCH_NR_CLASSES; i++)
		while ((e = TAILQ_FIRST(&l->lists[i])) != NULL)
			fetchq_forget(q, e);
	while (fetchq_next_notice(q, &notice))
		fetchq_notice_done(q, &notice);
	fetchq_drop_lanes(q);
	pthread_mutex_destroy(&q->lock);
	free(q);
}
