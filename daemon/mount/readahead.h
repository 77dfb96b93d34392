/*
 * readahead.h - what a reader will want next, told from what it wanted so far:
 * a window that doubles while accesses go forward.  Decides; queues nothing.
 *
 * Threads: one at a time for each struct.
 */
#ifndef DAEMON_MOUNT_READAHEAD_H
#define DAEMON_MOUNT_READAHEAD_H

#include <stdbool.h>
#include <stdint.h>

#define READAHEAD_STREAMS 4 /* readers at different places of one object */
#define READAHEAD_FIRST	  2 /* chunks */
#define READAHEAD_MOST	  64

struct readahead_stream {
	uint32_t at;	 /* the newest chunk accessed */
	uint32_t end;	 /* one past what was asked for ahead of it */
	uint32_t window; /* 0: the stream is not in use */
	uint32_t used;	 /* when, to find the one to give up */
};

struct readahead {
	struct readahead_stream streams[READAHEAD_STREAMS];
	uint32_t clock;
	bool random;	 /* ADVISE_RANDOM: nothing is read ahead */
	bool sequential; /* ADVISE_SEQUENTIAL: the widest window at once */
};

struct readahead_range {
	uint32_t first;
	uint32_t end; /* equal to first: nothing */
};

/* The bound of a window: at most an eighth of the cache, never 0 if there is a chunk to spare. */
uint32_t readahead_most(uint64_t cache_size, unsigned chunk_shift);

/* A reader was at `chunk`: what to bring now that was not asked for before. */
struct readahead_range readahead_access(struct readahead *ra, uint32_t chunk, uint32_t nr_chunks,
					uint32_t most);

#endif
