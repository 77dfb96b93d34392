#include "daemon/cache/chunk.h"

#include <errno.h>
#include <stdlib.h>

/* Does the word answer it, and with what? */
static bool is_answered(uint64_t word, uint32_t end, int *ret_result)
{
	if (chunk_word_state(word) == CHUNK_FAILED) {
		*ret_result = -(int)chunk_word_watermark(word);
		return true;
	}
	*ret_result = 0;
	return chunk_word_covers(word, end);
}

static void ripen(struct object *o, struct notice *n, int result)
{
	n->result = result;
	TAILQ_REMOVE(&o->notices, n, link);
	TAILQ_INSERT_TAIL(&o->cache->ripe, n, link);
}

void notice_ripen(struct chunk *ch)
{
	struct object *o = ch->object;
	uint64_t word = chunk_shown(ch);
	struct notice *n, *next;
	int result;

	for (n = TAILQ_FIRST(&o->notices); n != NULL; n = next) {
		next = TAILQ_NEXT(n, link);
		if (n->chunk == chunk_index(ch) && is_answered(word, n->end, &result))
			ripen(o, n, result);
	}
}

void notice_ripen_all(struct object *o, int result)
{
	struct notice *n;

	while ((n = TAILQ_FIRST(&o->notices)) != NULL)
		ripen(o, n, result);
}

int chunk_notify(struct object *o, uint32_t chunk, uint32_t end, chunk_notice_fn *fn, void *arg)
{
	struct cache *c = o->cache;
	struct notice *n;
	struct chunk *ch;
	int result;

	if (chunk >= o->nr_chunks)
		return -EINVAL;
	if (end > chunk_len(o, chunk))
		end = (uint32_t)chunk_len(o, chunk);
	n = calloc(1, sizeof(*n));
	if (n == NULL)
		return -ENOMEM;
	*n = (struct notice){ .object = o, .chunk = chunk, .end = end, .fn = fn, .arg = arg };

	cache_lock(c);
	ch = &o->chunks[chunk];
	chunk_interest(ch, end);
	if (is_answered(chunk_shown(ch), end, &result) || o->dropped) {
		result = o->dropped ? -ECANCELED : result;
		cache_unlock(c);
		free(n);
		fn(result, arg);
		return 0;
	}
	TAILQ_INSERT_TAIL(&o->notices, n, link);
	cache_unlock(c);
	return 0;
}

/* Drop those of one list that belong to (o, arg). */
static void forget(struct notice_list *list, const struct object *o, const void *arg)
{
	struct notice *n, *next;

	for (n = TAILQ_FIRST(list); n != NULL; n = next) {
		next = TAILQ_NEXT(n, link);
		if (n->object == o && n->arg == arg) {
			TAILQ_REMOVE(list, n, link);
			free(n);
		}
	}
}

/* Does another thread run one of them right now? */
static bool runs_elsewhere(const struct cache *c, const struct object *o, const void *arg)
{
	const struct notice *n;

	TAILQ_FOREACH(n, &c->running, link)
	if (n->object == o && n->arg == arg && !pthread_equal(n->thread, pthread_self()))
		return true;
	return false;
}

void chunk_notify_cancel(struct object *o, void *arg)
{
	struct cache *c = o->cache;

	cache_lock(c);
	forget(&o->notices, o, arg);
	forget(&c->ripe, o, arg);
	while (runs_elsewhere(c, o, arg))
		pthread_cond_wait(&c->noticed, &c->lock);
	cache_unlock(c);
}

void notice_run(struct cache *c)
{
	struct notice *n;

	while ((n = TAILQ_FIRST(&c->ripe)) != NULL) {
		TAILQ_REMOVE(&c->ripe, n, link);
		n->thread = pthread_self();
		TAILQ_INSERT_TAIL(&c->running, n, link);
		cache_pause_locked(c);
		n->fn(n->result, n->arg);
		cache_resume(c);
		TAILQ_REMOVE(&c->running, n, link);
		free(n);
		pthread_cond_broadcast(&c->noticed);
	}
}
