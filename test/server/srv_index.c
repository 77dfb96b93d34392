#include "test/server/srv_index_priv.h"

#include "test/server/srv_text.h"
#include "test/server/srv_tree.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct srv_bucket *srv_bucket_find_locked(struct srv_index *x, const char *name)
{
	size_t i;

	for (i = 0; i < x->nr_buckets; i++) {
		if (strcmp(x->buckets[i]->name, name) == 0)
			return x->buckets[i];
	}
	return NULL;
}

struct srv_bucket *srv_bucket_make_locked(struct srv_index *x, const char *name)
{
	struct srv_bucket *b = srv_bucket_find_locked(x, name);

	if (b != NULL)
		return b;
	b = srv_alloc(sizeof(*b));
	snprintf(b->name, sizeof(b->name), "%s", name);
	b->made = srv_clock_now();
	x->buckets = realloc(x->buckets, (x->nr_buckets + 1) * sizeof(struct srv_bucket *));
	if (x->buckets == NULL)
		abort();
	x->buckets[x->nr_buckets++] = b;
	return b;
}

static void bucket_free(struct srv_bucket *b)
{
	size_t i;

	for (i = 0; i < b->nr; i++)
		srv_object_unref(b->list[i]);
	for (i = 0; i < b->nr_trees; i++)
		free(b->trees[i].prefix);
	free(b->list);
	free(b);
}

void srv_index_free(struct srv_index *x)
{
	size_t i;

	if (x == NULL)
		return;
	for (i = 0; i < x->nr_buckets; i++)
		bucket_free(x->buckets[i]);
	free(x->buckets);
	rmdir(x->side);
	free(x->root);
	free(x->side);
	pthread_rwlock_destroy(&x->lock);
	free(x);
}

size_t srv_bucket_at(const struct srv_bucket *b, const char *key, size_t key_len, bool *ret_found)
{
	size_t low = 0, high = b->nr;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (srv_key_compare(b->list[mid]->key, b->list[mid]->key_len, key, key_len) < 0)
			low = mid + 1;
		else
			high = mid;
	}
	*ret_found = low < b->nr &&
		     srv_key_compare(b->list[low]->key, b->list[low]->key_len, key, key_len) == 0;
	return low;
}

static char *join(const char *a, const char *b, const char *c, size_t c_len)
{
	struct srv_buf out = { 0 };

	srv_buf_fmt(&out, "%s/%s", a, b);
	if (c != NULL) {
		srv_buf_char(&out, '/');
		srv_buf_add(&out, c, c_len);
	}
	return out.p;
}

bool srv_key_is_path(const char *key, size_t len)
{
	size_t i, start = 0;

	if (len == 0 || len > SRV_KEY_MAX)
		return false;
	for (i = 0; i <= len; i++) {
		size_t n = i - start;

		if (i < len && key[i] != '/') {
			if ((unsigned char)key[i] < 0x20 || key[i] == 0x7f)
				return false;
			continue;
		}
		if (n == 0 || n > 255 || (n == 1 && key[start] == '.') ||
		    (n == 2 && key[start] == '.' && key[start + 1] == '.'))
			return false;
		start = i + 1;
	}
	return true;
}

bool srv_index_has_bucket(struct srv_index *x, const char *bucket)
{
	struct stat st;
	char *path;
	bool r;

	pthread_rwlock_rdlock(&x->lock);
	r = srv_bucket_find_locked(x, bucket) != NULL;
	pthread_rwlock_unlock(&x->lock);
	if (r || bucket[0] == '\0' || bucket[0] == '.')
		return r;

	/* A folder that was made after the scan. */
	path = join(x->root, bucket, NULL, 0);
	r = stat(path, &st) == 0 && S_ISDIR(st.st_mode);
	free(path);
	return r && srv_index_make_bucket(x, bucket) == 0;
}

int srv_index_make_bucket(struct srv_index *x, const char *bucket)
{
	char *path = join(x->root, bucket, NULL, 0);
	int r = 0;

	if (mkdir(path, 0777) == -1 && errno != EEXIST)
		r = -errno;
	free(path);
	if (r != 0)
		return r;
	pthread_rwlock_wrlock(&x->lock);
	srv_bucket_make_locked(x, bucket);
	pthread_rwlock_unlock(&x->lock);
	return 0;
}

int srv_index_drop_bucket(struct srv_index *x, const char *bucket)
{
	char *path = join(x->root, bucket, NULL, 0);
	int r = -ENOENT;
	size_t i;

	pthread_rwlock_wrlock(&x->lock);
	for (i = 0; i < x->nr_buckets; i++) {
		struct srv_bucket *b = x->buckets[i];

		if (strcmp(b->name, bucket) != 0)
			continue;
		r = b->nr == 0 && b->nr_trees == 0 ? 0 : -ENOTEMPTY;
		if (r == 0) {
			bucket_free(b);
			x->buckets[i] = x->buckets[--x->nr_buckets];
			rmdir(path);
		}
		break;
	}
	pthread_rwlock_unlock(&x->lock);
	free(path);
	return r;
}

void srv_index_buckets(struct srv_index *x, void (*each)(const char *name, int64_t made, void *arg),
		       void *arg)
{
	size_t i;

	pthread_rwlock_rdlock(&x->lock);
	for (i = 0; i < x->nr_buckets; i++)
		each(x->buckets[i]->name, x->buckets[i]->made, arg);
	pthread_rwlock_unlock(&x->lock);
}

void srv_index_set_endpoint(struct srv_index *x, const char *bucket, const char *endpoint)
{
	struct srv_bucket *b;

	pthread_rwlock_wrlock(&x->lock);
	b = srv_bucket_make_locked(x, bucket);
	snprintf(b->endpoint, sizeof(b->endpoint), "%s", endpoint);
	pthread_rwlock_unlock(&x->lock);
}

bool srv_index_endpoint(struct srv_index *x, const char *bucket, char *out, size_t cap)
{
	struct srv_bucket *b;
	bool r;

	pthread_rwlock_rdlock(&x->lock);
	b = srv_bucket_find_locked(x, bucket);
	r = b != NULL && b->endpoint[0] != '\0';
	if (r)
		snprintf(out, cap, "%s", b->endpoint);
	pthread_rwlock_unlock(&x->lock);
	return r;
}

void srv_index_set_anonymous(struct srv_index *x, const char *bucket)
{
	pthread_rwlock_wrlock(&x->lock);
	srv_bucket_make_locked(x, bucket)->anonymous = true;
	pthread_rwlock_unlock(&x->lock);
}

bool srv_index_is_anonymous(struct srv_index *x, const char *bucket)
{
	struct srv_bucket *b;
	bool r;

	pthread_rwlock_rdlock(&x->lock);
	b = srv_bucket_find_locked(x, bucket);
	r = b != NULL && b->anonymous;
	pthread_rwlock_unlock(&x->lock);
	return r;
}

/* What the index itself says; NULL: not there. */
static struct srv_object *look_up(struct srv_index *x, const char *bucket, const char *key,
				  size_t key_len)
{
	struct srv_object *o = NULL;
	struct srv_bucket *b;
	bool found;
	size_t i;

	pthread_rwlock_rdlock(&x->lock);
	b = srv_bucket_find_locked(x, bucket);
	if (b != NULL) {
		i = srv_bucket_at(b, key, key_len, &found);
		if (found)
			o = srv_object_ref(b->list[i]);
		for (i = 0; o == NULL && i < b->nr_trees; i++)
			o = srv_tree_object(&b->trees[i], key, key_len);
	}
	pthread_rwlock_unlock(&x->lock);
	return o;
}

struct srv_object *srv_index_get(struct srv_index *x, const char *bucket, const char *key,
				 size_t key_len)
{
	struct srv_object *o = look_up(x, bucket, key, key_len);
	struct stat st;
	char *path;
	bool there;

	if (o != NULL && (o->path == NULL || o->owns_path))
		return o;
	if (o == NULL && !srv_key_is_path(key, key_len))
		return NULL;

	path = o != NULL ? srv_strndup(o->path, strlen(o->path))
			 : join(x->root, bucket, key, key_len);
	there = stat(path, &st) == 0 && S_ISREG(st.st_mode);
	if (o != NULL && there && srv_object_same_file(o, &st)) {
		free(path);
		return o;
	}
	if (o != NULL && !there)
		srv_index_remove(x, bucket, key, key_len);
	srv_object_unref(o);
	o = NULL;
	if (there) {
		o = srv_object_new(key, key_len);
		srv_object_set_file(o, path, &st);
		srv_index_put(x, bucket, srv_object_ref(o));
	}
	free(path);
	return o;
}

int srv_index_put(struct srv_index *x, const char *bucket, struct srv_object *o)
{
	struct srv_object *old = NULL;
	struct srv_bucket *b;
	bool found;
	size_t i;

	pthread_rwlock_wrlock(&x->lock);
	b = srv_bucket_make_locked(x, bucket);
	i = srv_bucket_at(b, o->key, o->key_len, &found);
	if (found) {
		old = b->list[i];
	} else {
		if (b->nr == b->cap) {
			b->cap = b->cap != 0 ? b->cap * 2 : 64;
			b->list = realloc(b->list, b->cap * sizeof(struct srv_object *));
			if (b->list == NULL)
				abort();
		}
		memmove(b->list + i + 1, b->list + i, (b->nr - i) * sizeof(struct srv_object *));
		b->nr++;
	}
	b->list[i] = o;
	pthread_rwlock_unlock(&x->lock);

	/* A plain file that something else stands for now must not come back with a scan. */
	if (old != NULL && old->path != NULL && !old->owns_path &&
	    (o->path == NULL || strcmp(o->path, old->path) != 0))
		unlink(old->path);
	srv_object_unref(old);
	return 0;
}

bool srv_index_remove(struct srv_index *x, const char *bucket, const char *key, size_t key_len)
{
	struct srv_object *o = NULL;
	struct srv_bucket *b;
	bool found;
	size_t i;

	pthread_rwlock_wrlock(&x->lock);
	b = srv_bucket_find_locked(x, bucket);
	if (b != NULL) {
		i = srv_bucket_at(b, key, key_len, &found);
		if (found) {
			o = b->list[i];
			b->nr--;
			memmove(b->list + i, b->list + i + 1,
				(b->nr - i) * sizeof(struct srv_object *));
		}
	}
	pthread_rwlock_unlock(&x->lock);
	if (o == NULL)
		return false;
	if (o->path != NULL && !o->owns_path)
		unlink(o->path);
	srv_object_unref(o);
	return true;
}

char *srv_index_temp(struct srv_index *x)
{
	struct srv_buf b = { 0 };

	mkdir(x->side, 0777);
	srv_buf_fmt(&b, "%s/%llu", x->side, (unsigned long long)atomic_fetch_add(&x->next_temp, 1));
	return b.p;
}

/* Make the folders above the last slash. */
static bool make_parents(char *path, size_t from)
{
	char *slash;

	for (slash = strchr(path + from, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0777) == -1 && errno != EEXIST) {
			*slash = '/';
			return false;
		}
		*slash = '/';
	}
	return true;
}

int srv_index_place(struct srv_index *x, const char *bucket, struct srv_object *o, const char *temp)
{
	char *path = NULL;
	struct stat st;
	char etag[sizeof(o->etag)];

	if (srv_key_is_path(o->key, o->key_len)) {
		path = join(x->root, bucket, o->key, o->key_len);
		if (!make_parents(path, strlen(x->root) + 1) || rename(temp, path) == -1) {
			free(path);
			path = NULL;
		}
	}
	if (path == NULL) {
		path = srv_strndup(temp, strlen(temp));
		o->owns_path = true;
	}
	if (stat(path, &st) == -1) {
		free(path);
		return -errno;
	}
	memcpy(etag, o->etag, sizeof(etag));
	srv_object_set_file(o, path, &st);
	memcpy(o->etag, etag, sizeof(etag));
	free(path);
	return 0;
}

int srv_index_add_tree(struct srv_index *x, const char *bucket, const struct srv_tree *tree)
{
	struct srv_bucket *b;
	int r = 0;

	if (!srv_tree_ok(tree))
		return -EINVAL;
	pthread_rwlock_wrlock(&x->lock);
	b = srv_bucket_make_locked(x, bucket);
	if (b->nr_trees == SRV_TREES_MAX) {
		r = -ENOSPC;
	} else {
		b->trees[b->nr_trees] = *tree;
		b->trees[b->nr_trees].prefix = srv_strndup(tree->prefix, strlen(tree->prefix));
		b->nr_trees++;
	}
	pthread_rwlock_unlock(&x->lock);
	return r;
}
