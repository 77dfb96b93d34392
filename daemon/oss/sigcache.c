#include "daemon/oss/sigcache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oss/cred.h"

#define NR_PLACES 1024 /* a power of two */

struct sig_entry {
	atomic_uint refs;
	char *key;
	struct cred *cred; /* held, so that its address stays its own */
	uint64_t made_ms;
	struct signature signature;
};

struct sigcache {
	pthread_mutex_t lock;
	struct sig_entry *place[NR_PLACES];
};

int sigcache_new(struct sigcache **ret_cache)
{
	struct sigcache *c = calloc(1, sizeof(*c));

	if (c == NULL)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	*ret_cache = c;
	return 0;
}

void sigcache_free(struct sigcache *c)
{
	if (c == NULL)
		return;
	sigcache_clear(c);
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* FNV-1a: short, and nobody gains by a collision. */
static size_t place_of(const char *key)
{
	uint64_t h = 0xcbf29ce484222325;

	for (; *key != '\0'; key++)
		h = (h ^ (unsigned char)*key) * 0x100000001b3;
	return (h ^ h >> 32) & (NR_PLACES - 1);
}

struct sig_entry *sigcache_get(struct sigcache *c, const char *key, const struct cred *cred,
			       uint64_t now_ms)
{
	struct sig_entry *e;

	pthread_mutex_lock(&c->lock);
	e = c->place[place_of(key)];
	if (e != NULL && (e->cred != cred || now_ms - e->made_ms >= SIGCACHE_MAX_AGE_MS ||
			  strcmp(e->key, key) != 0))
		e = NULL;
	if (e != NULL)
		atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
	pthread_mutex_unlock(&c->lock);
	return e;
}

static void set_place(struct sigcache *c, size_t place, struct sig_entry *e)
{
	struct sig_entry *old;

	pthread_mutex_lock(&c->lock);
	old = c->place[place];
	c->place[place] = e;
	pthread_mutex_unlock(&c->lock);
	sig_entry_unref(old);
}

int sigcache_put(struct sigcache *c, const char *key, struct cred *cred, uint64_t now_ms,
		 struct signature *signature, struct sig_entry **ret_entry)
{
	struct sig_entry *e = calloc(1, sizeof(*e));

	if (e == NULL)
		goto err;
	e->key = strdup(key);
	if (e->key == NULL)
		goto err;
	atomic_init(&e->refs, 2); /* the cache's and the caller's */
	e->cred = cred_ref(cred);
	e->made_ms = now_ms;
	e->signature = *signature;
	signature->nr_headers = 0;
	set_place(c, place_of(key), e);
	*ret_entry = e;
	return 0;

err:
	free(e);
	signature_fini(signature);
	return -ENOMEM;
}

void sigcache_drop(struct sigcache *c, const char *key)
{
	size_t place = place_of(key);
	struct sig_entry *e;

	pthread_mutex_lock(&c->lock);
	e = c->place[place];
	if (e != NULL && strcmp(e->key, key) == 0)
		c->place[place] = NULL;
	else
		e = NULL;
	pthread_mutex_unlock(&c->lock);
	sig_entry_unref(e);
}

void sigcache_clear(struct sigcache *c)
{
	size_t i;

	for (i = 0; i < NR_PLACES; i++)
		set_place(c, i, NULL);
}

const struct signature *sig_entry_signature(const struct sig_entry *e)
{
	return &e->signature;
}

void sig_entry_unref(struct sig_entry *e)
{
	if (e == NULL || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
		return;
	signature_fini(&e->signature);
	cred_unref(e->cred);
	free(e->key);
	free(e);
}
