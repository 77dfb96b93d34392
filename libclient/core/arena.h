/*
 * arena.h - memory for the client core's own small objects: free lists of
 * powers of two over mmap.  It never calls malloc, so hooks inside an allocator
 * may use it.
 *
 * Threads: any; from signal handlers as well.  Sound in a forked child.
 */
#ifndef LIBCLIENT_CORE_ARENA_H
#define LIBCLIENT_CORE_ARENA_H

#include <stddef.h>

/* Zeroed, aligned to 16.  NULL when the kernel has no memory. */
void *arena_alloc(size_t len);
void arena_free(void *mem); /* NULL is fine */
/* A copy with a final NUL. */
char *arena_copy(const char *str, size_t len);

#endif
