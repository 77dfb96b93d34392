#include "daemon/cache/table.h"

#include "common/chunktab.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/cache/memfile.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/queue.h>

struct extent { /* of free words; sorted, never adjacent */
	TAILQ_ENTRY(extent) link;
	uint32_t first;
	uint32_t nr;
};
TAILQ_HEAD(extent_list, extent);

struct table {
	unsigned refs; /* atomic */
	struct memfile mem;
	struct chunktab *map;
	pthread_mutex_t lock; /* guards what follows */
	struct extent_list free;
	uint32_t next; /* rows are looked for from here on, and then from 0 */
};

int table_new(struct cache *c, struct table **ret_table)
{
	struct table *t = xcalloc(1, sizeof(*t));
	struct extent *all;
	void *map;
	int r;

	r = memfile_new_mapped(sizeof(struct chunktab), &t->mem, &map);
	if (r != 0) {
		free(t);
		return r;
	}
	t->refs = 1;
	t->map = map;
	t->map->magic = CHUNKTAB_MAGIC;
	t->map->version = CHUNKTAB_VERSION;
	t->map->chunk_shift = cache_chunk_shift(c);
	pthread_mutex_init(&t->lock, NULL);
	TAILQ_INIT(&t->free);
	all = xcalloc(1, sizeof(*all));
	all->nr = CHUNKTAB_NR_WORDS;
	TAILQ_INSERT_TAIL(&t->free, all, link);
	*ret_table = t;
	return 0;
}

void table_ref(struct table *t)
{
	__atomic_fetch_add(&t->refs, 1, __ATOMIC_RELAXED);
}

void table_unref(struct table *t)
{
	struct extent *e;

	/* Release what this thread did with the table; acquire, for the last, what all others did. */
	if (__atomic_sub_fetch(&t->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	while ((e = TAILQ_FIRST(&t->free)) != NULL) {
		TAILQ_REMOVE(&t->free, e, link);
		free(e);
	}
	pthread_mutex_destroy(&t->lock);
	munmap(t->map, sizeof(*t->map));
	memfile_close(&t->mem);
	free(t);
}

int table_client_fd(const struct table *t)
{
	return t->mem.client_fd;
}

size_t table_len(const struct table *t)
{
	(void)t;
	return sizeof(struct chunktab);
}

void table_set_serial(struct table *t, uint64_t snapshot_serial)
{
	/* Pairs with the clients' acquire: who sees the serial may ask for that snapshot. */
	__atomic_store_n(&t->map->snapshot_serial, snapshot_serial, __ATOMIC_RELEASE);
}

uint64_t *table_word(struct table *t, uint32_t index)
{
	return &t->map->words[index];
}

/* Room for nr words at or after `from`. */
static struct extent *find_row(struct table *t, uint32_t nr, uint32_t from, uint32_t *ret_first)
{
	struct extent *e;

	TAILQ_FOREACH(e, &t->free, link)
	{
		uint32_t first = e->first > from ? e->first : from;

		if (first < e->first + e->nr && nr <= e->first + e->nr - first) {
			*ret_first = first;
			return e;
		}
	}
	return NULL;
}

static void cut_row(struct table *t, struct extent *e, uint32_t first, uint32_t nr)
{
	uint32_t end = e->first + e->nr;

	if (first + nr < end && first > e->first) {
		struct extent *rest = xcalloc(1, sizeof(*rest));

		rest->first = first + nr;
		rest->nr = end - rest->first;
		TAILQ_INSERT_AFTER(&t->free, e, rest, link);
		e->nr = first - e->first;
	} else if (first > e->first) {
		e->nr = first - e->first;
	} else if (first + nr < end) {
		e->first = first + nr;
		e->nr = end - e->first;
	} else {
		TAILQ_REMOVE(&t->free, e, link);
		free(e);
	}
}

/*
 * From where the last row ended: a word is used again only after all others
 * were, so whoever still looks at an old row by mistake finds it EMPTY.
 */
int table_take(struct table *t, uint32_t nr_words, uint32_t *ret_first)
{
	struct extent *e;
	uint32_t first;

	pthread_mutex_lock(&t->lock);
	e = find_row(t, nr_words, t->next, &first);
	if (e == NULL)
		e = find_row(t, nr_words, 0, &first);
	if (e != NULL) {
		cut_row(t, e, first, nr_words);
		t->next = first + nr_words;
		*ret_first = first;
	}
	pthread_mutex_unlock(&t->lock);
	return e != NULL ? 0 : -ENOSPC;
}

void table_give(struct table *t, uint32_t first, uint32_t nr_words)
{
	struct extent *e, *before = NULL, *row = xcalloc(1, sizeof(*row));

	row->first = first;
	row->nr = nr_words;
	pthread_mutex_lock(&t->lock);
	TAILQ_FOREACH(e, &t->free, link)
	{
		if (e->first > first)
			break;
		before = e;
	}
	if (before == NULL)
		TAILQ_INSERT_HEAD(&t->free, row, link);
	else
		TAILQ_INSERT_AFTER(&t->free, before, row, link);
	if (e != NULL && first + nr_words == e->first) {
		row->nr += e->nr;
		TAILQ_REMOVE(&t->free, e, link);
		free(e);
	}
	if (before != NULL && before->first + before->nr == first) {
		before->nr += row->nr;
		TAILQ_REMOVE(&t->free, row, link);
		free(row);
	}
	pthread_mutex_unlock(&t->lock);
}
