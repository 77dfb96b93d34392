#include "test/server/srv_hash.h"

#include "test/server/srv_index_priv.h"
#include "test/server/srv_loop.h"
#include "test/server/srv_store.h"

#include <stdlib.h>

struct job {
	struct job *next;
	struct srv_object *object;
};

struct srv_hasher {
	struct srv_store *store;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct job *first;
	struct job **tail;
	uint64_t pending;
	bool stop;
};

static struct job *take_locked(struct srv_hasher *h)
{
	struct job *j = h->first;

	if (j != NULL) {
		h->first = j->next;
		if (h->first == NULL)
			h->tail = &h->first;
	}
	return j;
}

static void *hash_main(void *arg)
{
	struct srv_hasher *h = arg;
	struct job *j;

	pthread_mutex_lock(&h->lock);
	for (;;) {
		while (!h->stop && h->first == NULL)
			pthread_cond_wait(&h->more, &h->lock);
		if (h->stop)
			break;
		j = take_locked(h);
		pthread_mutex_unlock(&h->lock);
		srv_object_find_crc(j->object);
		srv_object_unref(j->object);
		free(j);
		srv_loops_wake(h->store);
		pthread_mutex_lock(&h->lock);
		h->pending--;
	}
	pthread_mutex_unlock(&h->lock);
	return NULL;
}

struct srv_hasher *srv_hasher_new(struct srv_store *s)
{
	struct srv_hasher *h = srv_alloc(sizeof(*h));

	h->store = s;
	h->tail = &h->first;
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->more, NULL);
	if (pthread_create(&h->thread, NULL, hash_main, h) != 0)
		abort();
	return h;
}

void srv_hasher_stop(struct srv_hasher *h)
{
	pthread_mutex_lock(&h->lock);
	h->stop = true;
	pthread_cond_signal(&h->more);
	pthread_mutex_unlock(&h->lock);
	pthread_join(h->thread, NULL);
}

void srv_hasher_free(struct srv_hasher *h)
{
	struct job *j;

	while ((j = take_locked(h)) != NULL) {
		srv_object_unref(j->object);
		free(j);
	}
	pthread_mutex_destroy(&h->lock);
	pthread_cond_destroy(&h->more);
	free(h);
}

void srv_hasher_add(struct srv_hasher *h, struct srv_object *o, bool urgent)
{
	struct job *j = srv_alloc(sizeof(*j));

	j->object = srv_object_ref(o);
	pthread_mutex_lock(&h->lock);
	if (urgent) {
		j->next = h->first;
		h->first = j;
		if (j->next == NULL)
			h->tail = &j->next;
	} else {
		*h->tail = j;
		h->tail = &j->next;
	}
	h->pending++;
	pthread_cond_signal(&h->more);
	pthread_mutex_unlock(&h->lock);
}

void srv_hasher_add_all(struct srv_hasher *h)
{
	struct srv_index *x = h->store->index;
	size_t i, k;

	pthread_rwlock_rdlock(&x->lock);
	for (i = 0; i < x->nr_buckets; i++) {
		for (k = 0; k < x->buckets[i]->nr; k++) {
			if (srv_object_crc_pending(x->buckets[i]->list[k]))
				srv_hasher_add(h, x->buckets[i]->list[k], false);
		}
	}
	pthread_rwlock_unlock(&x->lock);
}

uint64_t srv_hasher_pending(struct srv_hasher *h)
{
	uint64_t n;

	pthread_mutex_lock(&h->lock);
	n = h->pending;
	pthread_mutex_unlock(&h->lock);
	return n;
}
