/*
 * memavail.h - how much memory this process may still take: the machine's, and
 * that of each memory cgroup (version 1 or 2) it stands in, whichever is least;
 * how much of it a cache leaves alone; and whether free memory is kept for it.
 *
 * Threads: any.
 */
#ifndef DAEMON_CACHE_MEMAVAIL_H
#define DAEMON_CACHE_MEMAVAIL_H

#include <stdbool.h>
#include <stdint.h>

/*
 * root: "" for the machine's own /proc and /sys, a directory that looks like
 * them for tests.  UINT64_MAX when nothing there can be read.
 */
uint64_t memavail_bytes(const char *root);

/*
 * What a cache leaves for others out of `available` bytes: the larger of a tenth
 * and 4 GiB, but never more than a fifth, so that small machines have a cache too.
 */
uint64_t memavail_reserve(uint64_t available);

/*
 * Does a hypervisor take free memory back (free page reporting of virtio's balloon)?  Then memory
 * that was free for a while is slow to have again, and slowest in huge pages.  root: as above.
 */
bool memavail_is_taken_back(const char *root);

#endif
