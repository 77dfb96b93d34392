/*
 * lazy.h - mappings of store files that are filled chunk by chunk, when they are
 * touched: the object's memory mapped privately, registered with userfaultfd
 * (faults.h).  A chunk is shown under a claim, so what is shown is never a hole;
 * once evicted, it is touched anew and shown anew.
 *
 * Whole pages of the program's own stay as they are.  A fault that nothing can
 * serve ends in SIGBUS and a line.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_LAZY_H
#define LIBCLIENT_PRELOAD_LAZY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file;
struct lazy_fork;
struct wish;

/*
 * Does the kernel let us?  safe: also for accesses of its own, such as write()
 * from the mapping; without that, it said once what cannot be had.
 */
bool lazy_can(bool safe);
/* Are the kernel's own accesses to lazy memory refused (EFAULT)? */
bool lazy_blocks_kernel(void);

/* As mapping_make().  -EOPNOTSUPP: not this way. */
void *lazy_map(struct file *f, const struct wish *w);

/*
 * What of the range is lazy becomes resident, or private where the cache may not
 * hold it.  0, or why not; pages of one's own stay.
 */
int lazy_complete(uintptr_t start, size_t len);

/*
 * Around fork.  Children do not get the memory from the kernel, as their faults
 * would not be served: they map and register it again, at the same addresses.
 * Only pages that the program has written come from the kernel.  A negative errno:
 * do not fork.
 */
int lazy_before_fork(struct lazy_fork **ret);
void lazy_in_parent(struct lazy_fork *l);
/* In the child, before anything else takes memory: it might get it at one of those addresses. */
void lazy_keep_places(struct lazy_fork *l);
void lazy_in_child(struct lazy_fork *l);

#endif
