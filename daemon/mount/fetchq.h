/*
 * fetchq.h - the queue of chunks to download: demand before readahead before
 * prefetch, one lane for each user and store, one entry an object, cursors
 * instead of long lists, and who of the workers is to be woken.  Starts no
 * download and evicts nothing.
 *
 * Threads: any; one lock inside, never held while `wake` or `notice` run, nor
 * while the cache is called: its calls run callbacks that come back here.
 */
#ifndef DAEMON_MOUNT_FETCHQ_H
#define DAEMON_MOUNT_FETCHQ_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/cache/cache.h"

struct fetchq;
struct fetchq_lane;

#define FETCHQ_WORKERS_MAX 256
#define FETCHQ_RANGES	   8 /* of readahead, waiting, of one object */

struct fetchq_range {
	uint32_t first, end;
};

/*
 * One object as the queue knows it; lives as long as the object, whose owner
 * it is part of.  All members are the queue's own.
 */
struct fetchq_entry {
	struct object *object;	  /* a reference only while `held` */
	struct fetchq_lane *lane; /* a reference */
	uint32_t nr_chunks;
	bool held; /* while anything below is queued, taken or told */
	bool opened;
	bool one_writer; /* a second thread would only wait for the first (plain HTTP) */
	unsigned in_flight;
	unsigned nr_told; /* notices that were taken and are not done */
	unsigned home;	  /* worker that took from it first, plus 1; 0: none */

	struct fetchq_demand *first, **last; /* chunks that somebody waits for */
	uint8_t *demanded;		     /* one bit a chunk: it is in the list above */
	struct fetchq_range ranges[FETCHQ_RANGES];
	unsigned nr_ranges;
	uint32_t next, end; /* prefetch goes on at `next`, up to `end` */
	const void *line;   /* of one line only the first is worked on; NULL: none */
	bool listed[FETCH_NR_CLASSES];
	TAILQ_ENTRY(fetchq_entry) links[FETCH_NR_CLASSES];

	bool noticed; /* in the list of notices */
	bool through;
	int error;
	TAILQ_ENTRY(fetchq_entry) notice_link;
};

struct fetchq_conf {
	unsigned nr_workers;
	/* Of each worker, and a few more for demand; who is alone gets all of them on one worker. */
	unsigned slots;
	/* Worker `worker` is to call fetchq_awake() and take; from any thread. */
	void (*wake)(unsigned worker, void *arg);
	/* fetchq_next_notice() has something; from any thread. */
	void (*notice)(void *arg);
	void *arg;
};

int fetchq_new(const struct fetchq_conf *conf, struct fetchq **ret_queue);
/* Nothing is in flight; what is queued is forgotten. */
void fetchq_free(struct fetchq *q);
void fetchq_set_slots(struct fetchq *q, unsigned slots);

/*
 * The lane of a user's requests to a store, however it is named; a reference.
 * Slots are shared out fairly among users, and what a store cannot bear is the
 * affair of its lane only.
 */
struct fetchq_lane *fetchq_lane_get(struct fetchq *q, uid_t user, const char *store);
struct fetchq_lane *fetchq_lane_ref(struct fetchq_lane *l);
void fetchq_lane_unref(struct fetchq_lane *l); /* NULL is fine; also after the queue's end */

void fetchq_entry_init(struct fetchq_entry *e, struct object *o, uint32_t nr_chunks,
		       struct fetchq_lane *lane);
/* When the object is freed: nothing of it is queued then. */
void fetchq_entry_fini(struct fetchq_entry *e);

/* ---- posting ----------------------------------------------------------------- */

void fetchq_demand(struct fetchq *q, struct fetchq_entry *e, uint32_t chunk);
void fetchq_readahead(struct fetchq *q, struct fetchq_entry *e, uint32_t first, uint32_t end);
/*
 * All chunks from where prefetch of this object stopped, after those queued
 * before, or in front of them.  Objects of the same line (NULL: none) go one
 * after the other.  A notice comes when the last chunk has been taken.
 */
void fetchq_prefetch(struct fetchq *q, struct fetchq_entry *e, bool in_front, const void *line);
void fetchq_prefetch_stop(struct fetchq *q, struct fetchq_entry *e);
/* A client opened it: its prefetch counts as readahead towards the cache. */
void fetchq_set_opened(struct fetchq *q, struct fetchq_entry *e);
/* Nothing of it is queued any more. */
void fetchq_forget(struct fetchq *q, struct fetchq_entry *e);
/* Of it only what somebody waits for stays queued. */
void fetchq_forget_ahead(struct fetchq *q, struct fetchq_entry *e);
/* The cache has room again. */
void fetchq_room(struct fetchq *q);

/* ---- taking: by the worker itself ----------------------------------------------- */

struct fetchq_work {
	struct fetchq_entry *entry;
	struct object *object; /* lives until fetchq_finish() or fetchq_put_back() */
	uint32_t chunk;
	enum fetch_class class; /* for the cache */
	enum fetch_class list;	/* where it was queued */
	unsigned epoch;		/* for fetchq_slow() */
	uint64_t room;
	bool has_leave; /* counts as a request under way */
};

/* After a wake, before the first fetchq_take(). */
void fetchq_awake(struct fetchq *q, unsigned worker);
/* False: nothing to do for this worker now, in the lists up to `last`. */
bool fetchq_take(struct fetchq *q, unsigned worker, enum fetch_class last,
		 struct fetchq_work *ret_work);
/* The cache had no room for it: back to its place, to wait for fetchq_room(). */
void fetchq_put_back(struct fetchq *q, unsigned worker, struct fetchq_work *w);
/* It has ended, well or not; the slot is free. */
void fetchq_finish(struct fetchq *q, unsigned worker, struct fetchq_work *w, bool good);
/* So many bytes came for it; without the lock. */
void fetchq_count(const struct fetchq_work *w, uint64_t bytes);
/* A request brought so much in so long: by its like the stragglers of its lane are judged. */
void fetchq_brought(struct fetchq *q, const struct fetchq_work *w, uint64_t bytes, uint64_t ms);
/* Bytes a second of a usual request of the same lane; 0: too few have ended. */
uint64_t fetchq_usual_rate(struct fetchq *q, const struct fetchq_work *w);
/* Once a second or so while work is under way: more of it may be of use by now. */
void fetchq_look(struct fetchq *q);
/* No request is under way for it now, but it keeps its slot. */
void fetchq_pause(struct fetchq *q, struct fetchq_work *w);
/* False: the store is to be spared; the worker is woken when to ask again. */
bool fetchq_resume(struct fetchq *q, unsigned worker, struct fetchq_work *w, bool was_refused);
/* One that was refused a resume has ended. */
void fetchq_unrefuse(struct fetchq *q, unsigned worker, const struct fetchq_work *w);
/* The store asked to slow down. */
void fetchq_slow(struct fetchq *q, const struct fetchq_work *w);

/* ---- notices ----------------------------------------------------------------- */

struct fetchq_notice {
	struct fetchq_entry *entry;
	struct object *object; /* lives until fetchq_notice_done() */
	bool through;	       /* its prefetch has been taken to the end */
	int error;	       /* 0, or what fetchq_tell() said last */
};

/* By the worker that has work of the object in flight. */
void fetchq_tell(struct fetchq *q, struct fetchq_entry *e, int error);
bool fetchq_next_notice(struct fetchq *q, struct fetchq_notice *ret_notice);
void fetchq_notice_done(struct fetchq *q, const struct fetchq_notice *n);

struct fetchq_stats {
	uint64_t queued[FETCH_NR_CLASSES];
	unsigned in_flight;
	unsigned limit; /* of requests under way, in the lanes that have some */
	unsigned nr_slots;
};
void fetchq_stats(struct fetchq *q, struct fetchq_stats *ret);
/* Chunks of one object that workers have taken and not finished. */
unsigned fetchq_in_flight(struct fetchq *q, const struct fetchq_entry *e);

#endif
