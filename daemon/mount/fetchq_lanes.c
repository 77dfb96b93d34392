#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/mount/fetchq_internal.h"

static void free_if_last(struct fetchq_lane *l)
{
	/* Acquire and release: what others did with it is over. */
	if (atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
		return;
	free(l->store);
	free(l);
}

static struct fetchq_user *find_user_locked(struct fetchq *q, uid_t uid)
{
	struct fetchq_user *u;

	LIST_FOREACH(u, &q->users, link)
	{
		if (u->uid == uid)
			return u;
	}
	u = xcalloc(1, sizeof(*u));
	u->uid = uid;
	LIST_INSERT_HEAD(&q->users, u, link);
	return u;
}

static void drop_lane_locked(struct fetchq_lane *l)
{
	LIST_REMOVE(l, link);
	if (--l->user->nr_lanes == 0) {
		LIST_REMOVE(l->user, link);
		free(l->user);
	}
	l->user = NULL;
	free_if_last(l);
}

/* Lanes that only the queue knows have nothing queued and nothing in flight. */
static void drop_unused_locked(struct fetchq *q)
{
	struct fetchq_lane *l, *next;

	for (l = LIST_FIRST(&q->lanes); l != NULL; l = next) {
		next = LIST_NEXT(l, link);
		/* Acquire pairs with the release of the last who let go. */
		if (atomic_load_explicit(&l->refs, memory_order_acquire) == 1)
			drop_lane_locked(l);
	}
}

static struct fetchq_lane *new_lane_locked(struct fetchq *q, uid_t user, const char *store)
{
	const unsigned nr = q->conf.nr_workers;
	struct fetchq_lane *l = xcalloc(1, sizeof(*l) + nr * sizeof(l->refused[0]));
	int i;

	atomic_init(&l->refs, 1);
	l->user = find_user_locked(q, user);
	l->user->nr_lanes++;
	l->store = xstrdup(store);
	for (i = 0; i < FETCH_NR_CLASSES; i++)
		TAILQ_INIT(&l->lists[i]);
	throttle_init(&l->throttle, nr * q->conf.slots);
	LIST_INSERT_HEAD(&q->lanes, l, link);
	return l;
}

struct fetchq_lane *fetchq_lane_get(struct fetchq *q, uid_t user, const char *store)
{
	struct fetchq_lane *l;

	pthread_mutex_lock(&q->lock);
	LIST_FOREACH(l, &q->lanes, link)
	{
		if (l->user->uid == user && strcmp(l->store, store) == 0)
			break;
	}
	if (l == NULL) {
		drop_unused_locked(q);
		l = new_lane_locked(q, user, store);
	}
	fetchq_lane_ref(l);
	pthread_mutex_unlock(&q->lock);
	return l;
}

struct fetchq_lane *fetchq_lane_ref(struct fetchq_lane *l)
{
	/* Relaxed: whoever asks has one already, or the queue's lock. */
	atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
	return l;
}

void fetchq_lane_unref(struct fetchq_lane *l)
{
	if (l != NULL)
		free_if_last(l);
}

void fetchq_brought(struct fetchq *q, const struct fetchq_work *w, uint64_t bytes, uint64_t ms)
{
	pthread_mutex_lock(&q->lock);
	straggler_add(&w->entry->lane->rates, bytes, ms);
	pthread_mutex_unlock(&q->lock);
}

uint64_t fetchq_usual_rate(struct fetchq *q, const struct fetchq_work *w)
{
	uint64_t rate;

	pthread_mutex_lock(&q->lock);
	rate = straggler_median(&w->entry->lane->rates);
	pthread_mutex_unlock(&q->lock);
	return rate;
}

void fetchq_drop_lanes(struct fetchq *q)
{
	while (!LIST_EMPTY(&q->lanes))
		drop_lane_locked(LIST_FIRST(&q->lanes));
}

/* ---- whose turn it is --------------------------------------------------------------- */

static bool has_work(const struct fetchq_lane *l, enum fetch_class first, enum fetch_class last)
{
	enum fetch_class list;

	for (list = first; list <= last; list++)
		if (!TAILQ_EMPTY(&l->lists[list]))
			return true;
	return false;
}

/* The user with the least in flight, and of his lanes the one with the least. */
static bool goes_before(const struct fetchq_lane *a, const struct fetchq_lane *b)
{
	if (a->user->in_flight != b->user->in_flight)
		return a->user->in_flight < b->user->in_flight;
	return a->in_flight < b->in_flight;
}

struct fetchq_lane *fetchq_next_lane_locked(struct fetchq *q, enum fetch_class first,
					    enum fetch_class last, uint64_t search)
{
	const bool for_demand = last == FETCH_DEMAND;
	struct fetchq_lane *l, *best = NULL;

	LIST_FOREACH(l, &q->lanes, link)
	{
		unsigned leave;

		if (l->tried == search || !has_work(l, first, last))
			continue;
		leave = throttle_free(&l->throttle, for_demand);
		if (leave == 0)
			throttle_lack(&l->throttle);
		/* What waits for leave to go on has it before new work that nobody waits for. */
		if (leave <= (for_demand ? 0 : l->nr_refused))
			continue;
		if (best == NULL || goes_before(l, best))
			best = l;
	}
	if (best != NULL)
		best->tried = search;
	return best;
}
