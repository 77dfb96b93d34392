/*
 * viewstate.h - what a view and its files are made of: for the sources of
 * libclient/core alone.
 *
 * Order of locks: a file's gate, the view's attaching, then either `lock`.
 */
#ifndef LIBCLIENT_CORE_VIEWSTATE_H
#define LIBCLIENT_CORE_VIEWSTATE_H

#include <errno.h>

#include "common/chunktab.h"
#include "common/wire.h"
#include "libclient/core/file.h"
#include "libclient/core/link.h"
#include "libclient/core/lock.h"
#include "libclient/core/view.h"

#define VIEW_NR_BUCKETS 256u
#define FILE_NR_RECENT	16u

struct table_map { /* kept until the view ends: readers look at words without a lock */
	struct table_map *next;
	const struct chunktab *table;
	size_t len;
	uint64_t nr_words;
};

struct snap {
	struct snapshot tree;
	struct view *view;
	void *mem;
	size_t len;
	uint32_t refs;
	struct snap *next; /* retired */
};

struct view {
	struct link *link;
	struct wire_mount
		*request; /* strings and credentials; a mapping that core files leave out */
	uint32_t flags;
	unsigned wait_ms;

	struct gate attaching;
	struct lock lock; /* snaps, files */

	uint64_t attached; /* epoch:32 | serial:32 of the session that has the mount; 0: none */
	uint32_t mount;
	uint32_t chunk_shift;
	struct table_map *table; /* newest first */

	struct snap *snap; /* newest */
	struct snap *retired;
	uint32_t readers;      /* threads between reading `snap` and taking a reference */
	uint64_t asked_serial; /* of a snapshot that could not be fetched */

	struct link_wait started; /* view_start() */
	bool has_started;

	struct file *files[VIEW_NR_BUCKETS];
	struct file
		*idle[WIRE_NR_IDLE]; /* by the slot they were left in; they are in `files` too */
};

/* Where an object is, in one session.  Changed under the file's gate, `seq` odd meanwhile. */
struct file_place {
	uint32_t epoch;
	uint32_t serial;
	uint32_t object; /* 0: not open */
	uint32_t shift;
	const uint64_t *words;
};

struct file {
	struct view *view;
	struct file *next; /* in its bucket */
	uint32_t refs;	   /* under the view's lock; 0: idle */
	uint32_t slot;	   /* of an idle one */
	uint32_t bucket;

	uint64_t size;
	uint64_t ino;
	int64_t mtime_ns;
	char etag[72];
	char *path;
	size_t path_len;

	struct gate gate;
	unsigned char apart[64]; /* what every read looks at lies apart from what changes */
	uint32_t seq;
	struct file_place place;
	const unsigned char *base; /* of the mapping; never changes */
	size_t map_len;
	uint64_t memory_dev, memory_ino;
	uint32_t mmap_mode; /* enum wire_mmap: what the daemon said last */

	/* One PIN or UNPIN at a time.  Guards what of the object this process has pinned. */
	struct gate pinning;
	uint32_t pin_serial;  /* the session in which that is so */
	uint32_t *pin_counts; /* claims on each chunk: the first and the last are told the daemon */
	unsigned char apart_too[64];
	/* Chunks touched last: chunk + 1 and the generation, as a refilled one is touched anew. */
	uint64_t recent[FILE_NR_RECENT];
};

/* As view_attach(), with a time-out of the caller's. */
int view_attach_within(struct view *v, unsigned wait_ms);
/* The session in which the mount is attached, 0 when it is not. */
uint32_t view_serial(const struct view *v);
/* Did a request fail because the session ended?  Then it is worth another try. */
static inline bool view_is_lost(int error)
{
	return error == -ENOTCONN || error == -ECONNRESET;
}

/* The view ends: free the files that nobody holds. */
void file_forget_idle(struct view *v);
/* Read the place whole: false while it is being changed. */
bool file_look(const struct file *f, struct file_place *ret, uint32_t *ret_seq);
/* Has the place changed since? */
bool file_moved(const struct file *f, uint32_t seq);
/* Make sure that the object is open in a session of this process that is alive. */
int file_revive(struct file *f);

#endif
