/*
 * memavail.h - how much memory this process may still take: the machine's, and
 * that of each memory cgroup (version 1 or 2) it stands in, whichever is least;
 * and how much of it a cache leaves alone.
 *
 * Threads: any.
 */
#ifndef DAEMON_CACHE_MEMAVAIL_H
#define DAEMON_CACHE_MEMAVAIL_H

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

#endif
