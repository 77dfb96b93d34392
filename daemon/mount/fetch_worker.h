/*
 * fetch_worker.h - what fetch.c and transfer.c share: one network worker and
 * the chunks that are on their way there.
 *
 * Threads: a worker's members on that worker; those of struct fetch are
 * atomics, constant, or under `lock`.
 */
#ifndef DAEMON_MOUNT_FETCH_WORKER_H
#define DAEMON_MOUNT_FETCH_WORKER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/mount/fetch.h"

struct event;
struct http_client;
struct transfer;
struct worker;

TAILQ_HEAD(transfer_list, transfer);

struct fetch_worker {
	struct fetch *fetch;
	unsigned index;
	struct worker *thread;
	struct event_base *base;
	struct http_client *client;
	struct event *tick; /* looks for stragglers while anything is under way */
	bool is_ticking;
	bool is_stopping;
	unsigned seed;
	struct transfer_list transfers;
};

struct fetch {
	struct fetch_conf conf;
	char *tls_ca_file;
	struct fetchq *queue;
	int notice_fd;
	struct event *notice;
	atomic_uint retry_budget_ms;
	atomic_uint_fast64_t bytes, requests, retries, throttled, errors, cut;
	struct fetch_worker workers[];
};

/* A slot is free, or work came: take what there is. */
void fetch_worker_pump(struct fetch_worker *w);

/* ---- transfer.c: one chunk, from taking it to its end ---------------------------- */

/* Starts it, or ends it at once. */
void transfer_start(struct fetch_worker *w, const struct fetchq_work *work);
/* The store was to be spared; may it go on now?  False: none could, ask no more. */
bool transfer_resume_one(struct fetch_worker *w, bool only_demand);
/* Cut it if it is slower than its peers by far. */
void transfer_judge(struct transfer *t, uint64_t now_ms);
/* The worker ends: the chunk is given back. */
void transfer_abandon(struct transfer *t);
struct transfer *transfer_next(struct transfer *t);

#endif
