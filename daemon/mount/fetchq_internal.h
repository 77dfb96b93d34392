/*
 * fetchq_internal.h - the queue's own state and the lists in it, for fetchq.c
 * and fetchq_lists.c only.
 *
 * Threads: all with the queue's lock held.
 */
#ifndef DAEMON_MOUNT_FETCHQ_INTERNAL_H
#define DAEMON_MOUNT_FETCHQ_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/mount/fetchq.h"
#include "daemon/mount/straggler.h"
#include "daemon/mount/throttle.h"

TAILQ_HEAD(entry_list, fetchq_entry);

struct fetchq_user {
	uid_t uid;
	unsigned in_flight;
	unsigned nr_lanes;
	LIST_ENTRY(fetchq_user) link;
};

struct fetchq_lane {
	atomic_uint refs; /* one is the queue's, which looks for lanes that nobody else has */
	struct fetchq_user *user;
	char *store;
	struct entry_list lists[FETCH_NR_CLASSES];
	uint64_t nr[FETCH_NR_CLASSES]; /* chunks in each list */
	uint64_t nr_opened;	       /* of prefetch: those of opened objects */
	struct throttle throttle;
	struct straggler_rates rates;
	atomic_uint_fast64_t bytes; /* that came so far; without the queue's lock */
	unsigned in_flight;
	uint64_t tried; /* the last search for work that looked here */
	LIST_ENTRY(fetchq_lane) link;
	unsigned nr_refused; /* work that waits for leave to go on, and of each worker */
	unsigned refused[];
};

struct slots {
	unsigned in_flight; /* work taken and not finished */
	bool woken;	    /* a wake is on its way */
};

struct fetchq {
	struct fetchq_conf conf;
	pthread_mutex_t lock;
	LIST_HEAD(, fetchq_lane) lanes;
	LIST_HEAD(, fetchq_user) users;
	uint64_t nr_searches;
	struct entry_list notices;
	/* Classes from this one on had no room; room counts the news of the cache. */
	unsigned blocked_from;
	uint64_t room;
	bool tight; /* room comes bit by bit: one worker at a time */
	unsigned nr_in_flight;
	bool is_told; /* notice() ran, and the notices were not emptied since */
	struct slots slots[];
};

void fetchq_list_locked(struct fetchq_entry *e, enum fetch_class list, bool in_front);
/* The object whose reference the queue needs no longer, to be dropped without the lock. */
struct object *fetchq_let_go_locked(struct fetchq_entry *e);
/*
 * Postings bring a reference, taken without the lock.  The queue keeps it if
 * it needs one and has none; otherwise it is handed back, to be dropped.
 */
struct object *fetchq_hold_locked(struct fetchq_entry *e);
void fetchq_add_demand_locked(struct fetchq_entry *e, uint32_t chunk, bool in_front);
/* Joins a range that it touches; without a free place the oldest range gives way. */
void fetchq_add_range_locked(struct fetchq_entry *e, struct fetchq_range r, bool in_front);
void fetchq_count_prefetch_locked(const struct fetchq_entry *e, int64_t nr);
void fetchq_drop_prefetch_locked(struct fetchq_entry *e);
void fetchq_drop_ranges_locked(struct fetchq_entry *e);
void fetchq_notice_locked(struct fetchq *q, struct fetchq_entry *e);
bool fetchq_pop_locked(struct fetchq *q, struct fetchq_entry *e, enum fetch_class list,
		       uint32_t *ret_chunk);
uint32_t fetchq_pop_demand_locked(struct fetchq_entry *e);

/* ---- fetchq_lanes.c --------------------------------------------------------------- */

/*
 * Of the lanes that have work of these classes and leave for it the one whose
 * turn it is, or NULL; each once for the same `search`, so that the caller can
 * go on to the next where it finds nothing to take.
 */
struct fetchq_lane *fetchq_next_lane_locked(struct fetchq *q, enum fetch_class first,
					    enum fetch_class last, uint64_t search);
/* All lanes, whoever may still hold a reference. */
void fetchq_drop_lanes(struct fetchq *q);

#endif
