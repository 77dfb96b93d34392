/*
 * mem.h - bytes copied, cleared and compared without libc.  In the position
 * independent build mem.c also defines hidden memcpy, memmove, memset and
 * memcmp, because the compiler may call them; elsewhere libc's are used.
 *
 * Threads: any; from signal handlers as well.
 */
#ifndef LIBCLIENT_CORE_MEM_H
#define LIBCLIENT_CORE_MEM_H

#include <stdbool.h>
#include <stddef.h>

/* The areas do not overlap.  Made for model bytes: long copies run at the memory's speed. */
void mem_copy(void *dst, const void *src, size_t len);
void mem_move(void *dst, const void *src, size_t len);
void mem_fill(void *dst, int byte, size_t len);
bool mem_equal(const void *a, const void *b, size_t len);
int mem_compare(const void *a, const void *b, size_t len);

static inline void mem_zero(void *dst, size_t len)
{
	mem_fill(dst, 0, len);
}

/* The length of a string; 0 for NULL. */
static inline size_t mem_len(const char *str)
{
	size_t n = 0;

	if (str != NULL)
		while (str[n] != '\0')
			n++;
	return n;
}

#endif
