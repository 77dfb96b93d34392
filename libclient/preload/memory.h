/*
 * memory.h - how much memory this process may still fill: the node's, and that
 * of the cgroups it is in.
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_MEMORY_H
#define LIBCLIENT_PRELOAD_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* In bytes; UINT64_MAX when nothing can be read. */
uint64_t memory_available(void);

/* The number behind `name` in the text of /proc/meminfo or memory.stat; UINT64_MAX: none. */
uint64_t memory_field(const char *text, const char *name);

#endif
