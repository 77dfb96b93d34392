/*
 * fetch.h - the network workers: threads that take chunks from the queue and
 * bring them into the cache, each range with its retries.  Decides neither
 * what is wanted nor in what order.
 *
 * Threads: the control loop, unless said otherwise.
 */
#ifndef DAEMON_MOUNT_FETCH_H
#define DAEMON_MOUNT_FETCH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "daemon/mount/fetchq.h"

struct event_base;
struct fetch;
struct object;
struct oss_bucket;
struct strbuf;

/* What has been done for an object: counted by the workers, read by anybody. */
struct fetch_tally {
	_Atomic uint64_t bytes, requests, retries;
	_Atomic uint64_t arrived_ms; /* when a range last ended well; 0: never */
	_Atomic uint64_t retried_ms; /* when one last had to be asked for again; 0: never */
	_Atomic uint32_t why;	     /* that was: the answer's status, or an errno */
};

/* The same as plain numbers; of several: sums, the latest times and their reason. */
struct fetch_done {
	uint64_t bytes, requests, retries, arrived_ms, retried_ms;
	uint32_t why;
};
void fetch_done_add(struct fetch_done *sum, const struct fetch_tally *t);

/*
 * What the workers know of an object; the first member of the record that the
 * cache keeps as the object's owner.
 */
struct fetch_object {
	struct fetchq_entry entry;
	struct oss_bucket *bucket; /* a reference */
	struct fetch_tally tally;
};

void fetch_object_init(struct fetch_object *fo, struct object *o, struct oss_bucket *bucket,
		       struct fetchq_lane *lane);
void fetch_object_fini(struct fetch_object *fo); /* any thread */

struct fetch_conf {
	struct event_base *control; /* where on_notice runs */
	unsigned nr_workers;
	unsigned slots; /* range GETs in flight a worker */
	unsigned connect_timeout_ms;
	unsigned idle_timeout_ms;
	unsigned retry_budget_ms;
	const char *tls_ca_file; /* copied; NULL: the system's */
	/* Something happened to an object, which lives until the callee returns. */
	void (*on_notice)(const struct fetchq_notice *n, void *arg);
	void *arg;
};

int fetch_new(const struct fetch_conf *conf, struct fetch **ret_fetch);
/* The workers end; chunks under way are given back. */
void fetch_free(struct fetch *f);
void fetch_reconfigure(struct fetch *f, unsigned slots, unsigned retry_budget_ms);
struct fetchq *fetch_queue(struct fetch *f);
/* A worker to lend work to that takes no longer than a chunk does: i modulo their number. */
struct worker *fetch_thread(struct fetch *f, unsigned i);

struct fetch_stats {
	uint64_t bytes, requests, retries, throttled, errors, cut;
};
void fetch_stats(const struct fetch *f, struct fetch_stats *ret); /* any thread */

#endif
