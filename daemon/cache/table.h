/*
 * table.h - rows of words in a chunk table for the objects of a mount.  A row
 * that comes back goes on with the generations it had, and as late as possible.
 *
 * Threads: any; a lock of its own, under which no other is taken.
 */
#ifndef DAEMON_CACHE_TABLE_H
#define DAEMON_CACHE_TABLE_H

#include <stdint.h>

struct table;

/* -ENOSPC: no row of that many words is free. */
int table_take(struct table *t, uint32_t nr_words, uint32_t *ret_first);
/* All words are EMPTY. */
void table_give(struct table *t, uint32_t first, uint32_t nr_words);
uint64_t *table_word(struct table *t, uint32_t index);

#endif
