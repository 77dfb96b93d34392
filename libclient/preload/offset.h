/*
 * offset.h - file offsets that processes share as the kernel's would: a cell in
 * memory that fork shares.  Once a descriptor may be in the hands of a program
 * started by exec, the kernel's own offset of the placeholder is the truth, and
 * the cell says so to everybody who shares it.
 *
 * A cell is used again only by the process that made it, and only if it has not
 * forked since: else its 16 bytes are given up.
 *
 * Threads: any; from signal handlers as well.
 */
#ifndef LIBCLIENT_PRELOAD_OFFSET_H
#define LIBCLIENT_PRELOAD_OFFSET_H

#include <stdbool.h>
#include <stdint.h>

#define OFFSET_MAX	 INT64_MAX
#define OFFSET_IN_KERNEL (1ull << 63)

struct cell {
	uint64_t offset; /* or OFFSET_IN_KERNEL; or more: it is being moved */
	uint32_t forks;	 /* how many there were when it got its file */
	uint32_t epoch;	 /* of the process that made it */
};

/* Offset 0; NULL without memory. */
struct cell *offset_new(void);
/*
 * This process lets go, and no descriptor shows it any more.  True: nobody else has
 * it, and it may be used again here.
 */
bool offset_put(struct cell *c);
/* Make a cell that offset_put() gave back as good as new. */
void offset_reset(struct cell *c);
/*
 * Around fork.  Other threads open and close meanwhile, and nobody can tell which of
 * their offsets the child has: so none that is held then is used again.
 */
void offset_fork_begins(void);
void offset_fork_ended(void); /* in the parent */
void offset_in_child(void);

/* The offset; fd is any descriptor of it. */
int64_t offset_get(struct cell *c, int fd);
void offset_set(struct cell *c, int fd, int64_t offset);
/*
 * Take the next `len` bytes, as far as `size` allows: their offset, and how many.
 * Two readers never take the same bytes.
 */
int64_t offset_take(struct cell *c, int fd, uint64_t len, uint64_t size, uint64_t *ret_len);
/* Give bytes back after a failed read, if nobody has moved on since. */
void offset_untake(struct cell *c, int fd, int64_t offset, uint64_t len);

/*
 * The offset, which stays where it is for everybody until offset_release(): readers
 * wait, signals are blocked.  After it the kernel has the offset.  Negative errno:
 * there is nothing to release.
 */
int64_t offset_hold(struct cell *c, int fd, uint64_t *ret_signals);
void offset_release(struct cell *c, uint64_t signals);
/* From now on the kernel keeps it: a program started by exec will look there. */
void offset_to_kernel(struct cell *c, int fd);
/* The kernel has it already: a descriptor that came through exec. */
static inline void offset_is_in_kernel(struct cell *c)
{
	__atomic_store_n(&c->offset, OFFSET_IN_KERNEL, __ATOMIC_RELAXED);
}

#endif
