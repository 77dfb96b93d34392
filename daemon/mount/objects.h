/*
 * objects.h - the objects of one mount that are open or being downloaded: one
 * for each key and version, shared by all sessions, replaced when it was given
 * up.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_MOUNT_OBJECTS_H
#define DAEMON_MOUNT_OBJECTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/mount/fetch.h"
#include "daemon/mount/readahead.h"

struct fetchq;
struct mount;
struct mounts;
struct run;
struct snapshot;
struct snapshot_entry;

/* The owner of an object in the cache. */
struct mount_object {
	struct fetch_object fetch; /* first */
	struct mounts *ms;
	struct mount *mount; /* NULL: the mount forgot it */
	struct readahead ra;
	uint64_t failed_ms; /* when its failure was first met at an open; 0: never */
	/* The prefetch that it is part of now, and which file it is there. */
	struct run *run;
	uint32_t run_file;
	TAILQ_ENTRY(mount_object) run_link;
	struct mount_object *next; /* of the same hash */
	uint64_t hash;
};

struct objects {
	struct mount_object **slots;
	size_t nr_slots;
	size_t nr;
	size_t sweep_at;	/* look for those given up when there are so many */
	struct fetch_done gone; /* what was done for those that were forgotten */
};

static inline struct mount_object *mount_object_of(const struct object *o)
{
	return object_owner(o);
}

void objects_init(struct objects *os);
/* All are forgotten. */
void objects_fini(struct objects *os);

/*
 * The object of a file, made if need be; no reference is given.  -EIO and the
 * like: it failed and may not be tried again yet.  -EMFILE, -ENOSPC.
 */
int objects_get(struct mount *m, const struct snapshot *s, uint32_t file,
		struct mount_object **ret_object);
/* Forget those that are not in the snapshot in this version. */
void objects_retain(struct mount *m, const struct snapshot *s);
/* Forget one: its chunks go when nobody uses it. */
void objects_forget(struct objects *os, struct mount_object *mo);

struct objects_sum {
	uint64_t present_bytes;
	unsigned in_flight;	/* chunks that workers have taken */
	unsigned failed;	/* objects that have no, or not all, bytes because of an error */
	struct fetch_done done; /* since the mount was made, for all it ever had */
};
/* Bytes present of keys that begin so. */
uint64_t objects_present_below(const struct objects *os, const char *prefix);
void objects_sum(const struct objects *os, struct fetchq *q, struct objects_sum *ret);

#endif
