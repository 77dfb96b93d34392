/*
 * prefetch.h - which files a mount downloads before anybody asks, and in what
 * order.  Plans over a snapshot; downloads nothing.
 *
 * Threads: one at a time for each plan; the policy functions any.
 */
#ifndef DAEMON_MOUNT_PREFETCH_H
#define DAEMON_MOUNT_PREFETCH_H

#include <stdbool.h>
#include <stdint.h>

#include "common/snapshot.h"

struct prefetch;
struct snapmem;

/* ---- policy ------------------------------------------------------------------ */

/* At attach: a model directory that fits the cache is taken whole; all else waits for an open. */
bool prefetch_whole_mount(const struct snapshot *s, uint64_t cache_size);
/* At the first open: the directory to take, which is that of the file. */
uint32_t prefetch_directory(const struct snapshot *s, uint32_t file);

/* ---- plans ------------------------------------------------------------------- */

/*
 * All files at or under `entry`; takes a reference to the snapshot.  What fits
 * the cache goes small files first, several at a time; what does not goes one
 * by one in the order of paths, behind the file that is read.  -ENOMEM.
 */
int prefetch_new(struct snapmem *snapshot, uint32_t entry, uint64_t cache_size,
		 unsigned chunk_shift, struct prefetch **ret_prefetch);
void prefetch_free(struct prefetch *p);

/* The next file, or SNAPSHOT_NONE: all have been handed out. */
uint32_t prefetch_next(struct prefetch *p);
/* This file is read now: a plan that streams goes on from it.  True: it moved. */
bool prefetch_go_on_from(struct prefetch *p, uint32_t file);
/* It was handed out, but is to come again in its turn. */
void prefetch_put_back(struct prefetch *p, uint32_t file);
bool prefetch_is_streaming(const struct prefetch *p);
/* Does the plan take everything at or under that entry? */
bool prefetch_covers(const struct prefetch *p, uint32_t entry);
struct snapmem *prefetch_snapshot(const struct prefetch *p);
uint32_t prefetch_root(const struct prefetch *p);
uint64_t prefetch_bytes(const struct prefetch *p);

#endif
