/* srv_index_priv.h - shared by srv_index.c (who is there), srv_scan.c (what the folder holds). */
#ifndef TEST_SERVER_SRV_INDEX_PRIV_H
#define TEST_SERVER_SRV_INDEX_PRIV_H

#include "test/server/srv_index.h"

#include <pthread.h>

#define SRV_TREES_MAX 8

struct srv_bucket {
	char name[72];
	int64_t made;
	bool anonymous;
	char endpoint[128];
	struct srv_object **list; /* sorted by key bytes */
	size_t nr;
	size_t cap;
	struct srv_tree trees[SRV_TREES_MAX];
	size_t nr_trees;
};

struct srv_index {
	pthread_rwlock_t lock;
	char *root;
	char *side; /* root/.ossstore */
	_Atomic uint64_t next_temp;
	struct srv_bucket **buckets;
	size_t nr_buckets;
};

struct srv_bucket *srv_bucket_find_locked(struct srv_index *x, const char *name);
struct srv_bucket *srv_bucket_make_locked(struct srv_index *x, const char *name);
/* Where the key is or would be. */
size_t srv_bucket_at(const struct srv_bucket *b, const char *key, size_t key_len, bool *ret_found);
bool srv_key_is_path(const char *key, size_t len);

#endif
