/* Reading the folder into the index, and walking the index in order. */
#include "test/server/srv_index_priv.h"

#include "test/server/srv_tree.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DEPTH_MAX 128

struct found {
	struct srv_object **list;
	size_t nr;
	size_t cap;
};

static void clear_side(struct srv_index *x)
{
	char path[PATH_MAX];
	struct dirent *e;
	DIR *d = opendir(x->side);

	while (d != NULL && (e = readdir(d)) != NULL) {
		if (e->d_name[0] != '.' &&
		    snprintf(path, sizeof(path), "%s/%s", x->side, e->d_name) < (int)sizeof(path))
			unlink(path);
	}
	if (d != NULL)
		closedir(d);
}

struct srv_index *srv_index_new(const char *root)
{
	struct srv_index *x = srv_alloc(sizeof(*x));
	struct srv_buf b = { 0 };

	pthread_rwlock_init(&x->lock, NULL);
	x->root = srv_strndup(root, strlen(root));
	srv_buf_fmt(&b, "%s/.ossstore", root);
	x->side = b.p;
	clear_side(x);
	srv_index_scan(x);
	return x;
}

static void add_found(struct found *f, struct srv_object *o)
{
	if (f->nr == f->cap) {
		f->cap = f->cap != 0 ? f->cap * 2 : 256;
		f->list = realloc(f->list, f->cap * sizeof(struct srv_object *));
		if (f->list == NULL)
			abort();
	}
	f->list[f->nr++] = o;
}

/* path ends in the folder; key is what follows the bucket's folder, with its slash, or "". */
static void walk(struct found *f, const char *path, const char *key, int depth)
{
	struct dirent *e;
	DIR *d;

	if (depth > DEPTH_MAX || (d = opendir(path)) == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		struct srv_buf sub = { 0 }, sub_key = { 0 };
		struct stat st;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		srv_buf_fmt(&sub, "%s/%s", path, e->d_name);
		srv_buf_fmt(&sub_key, "%s%s", key, e->d_name);
		if (stat(sub.p, &st) == 0 && sub_key.len <= SRV_KEY_MAX) {
			if (S_ISDIR(st.st_mode)) {
				srv_buf_char(&sub_key, '/');
				walk(f, sub.p, sub_key.p, depth + 1);
			} else if (S_ISREG(st.st_mode)) {
				struct srv_object *o = srv_object_new(sub_key.p, sub_key.len);

				srv_object_set_file(o, sub.p, &st);
				add_found(f, o);
			}
		}
		srv_buf_free(&sub);
		srv_buf_free(&sub_key);
	}
	closedir(d);
}

static int compare_objects(const void *a, const void *b)
{
	const struct srv_object *const *x = a, *const *y = b;

	return srv_key_compare((*x)->key, (*x)->key_len, (*y)->key, (*y)->key_len);
}

static bool is_plain_file(const struct srv_object *o)
{
	return o->path != NULL && !o->owns_path;
}

/* Of one key in both lists, keep the old one unless it is a file that changed. */
static bool keep_old(const struct srv_object *old, const struct srv_object *new)
{
	return !is_plain_file(old) || (old->dev == new->dev && old->ino == new->ino &&
				       old->size == new->size && old->mtime_ns == new->mtime_ns);
}

static void merge_locked(struct srv_bucket *b, struct found *f)
{
	struct found out = { 0 };
	size_t i = 0, j = 0;

	while (i < b->nr || j < f->nr) {
		int r = i == b->nr   ? 1
			: j == f->nr ? -1
				     : compare_objects(&b->list[i], &f->list[j]);

		if (r > 0) {
			add_found(&out, f->list[j++]);
		} else if (r < 0) {
			if (is_plain_file(b->list[i]))
				srv_object_unref(b->list[i]);
			else
				add_found(&out, b->list[i]);
			i++;
		} else {
			bool old = keep_old(b->list[i], f->list[j]);

			add_found(&out, old ? b->list[i] : f->list[j]);
			srv_object_unref(old ? f->list[j] : b->list[i]);
			i++;
			j++;
		}
	}
	free(b->list);
	free(f->list);
	b->list = out.list;
	b->nr = out.nr;
	b->cap = out.cap;
}

void srv_index_scan(struct srv_index *x)
{
	DIR *d = opendir(x->root);
	struct dirent *e;

	if (d == NULL)
		return;
	while ((e = readdir(d)) != NULL) {
		struct srv_buf path = { 0 };
		struct found f = { 0 };
		struct stat st;

		if (e->d_name[0] == '.' || strlen(e->d_name) > 63)
			continue;
		srv_buf_fmt(&path, "%s/%s", x->root, e->d_name);
		if (stat(path.p, &st) == 0 && S_ISDIR(st.st_mode)) {
			walk(&f, path.p, "", 0);
			if (f.nr > 0)
				qsort(f.list, f.nr, sizeof(f.list[0]), compare_objects);
			pthread_rwlock_wrlock(&x->lock);
			merge_locked(srv_bucket_make_locked(x, e->d_name), &f);
			pthread_rwlock_unlock(&x->lock);
		}
		srv_buf_free(&path);
	}
	closedir(d);
}

/* ---- cursor ---- */

struct srv_cursor {
	struct srv_index *index;
	struct srv_bucket *bucket;
	size_t at;
	uint64_t tree_at[SRV_TREES_MAX];
	struct srv_entry entry;
	struct srv_object *tree_object; /* behind entry, if it came from a tree */
	int source;			/* of entry: -1 the list, else a tree */
};

struct srv_cursor *srv_cursor_open(struct srv_index *x, const char *bucket)
{
	struct srv_bucket *b;
	struct srv_cursor *c;

	if (!srv_index_has_bucket(x, bucket))
		return NULL;
	pthread_rwlock_rdlock(&x->lock);
	b = srv_bucket_find_locked(x, bucket);
	if (b == NULL) {
		pthread_rwlock_unlock(&x->lock);
		return NULL;
	}
	c = srv_alloc(sizeof(*c));
	c->index = x;
	c->bucket = b;
	return c;
}

void srv_cursor_seek(struct srv_cursor *c, const char *key, size_t key_len, bool after)
{
	bool found;
	size_t i;

	c->at = srv_bucket_at(c->bucket, key, key_len, &found);
	if (found && after)
		c->at++;
	for (i = 0; i < c->bucket->nr_trees; i++)
		c->tree_at[i] = srv_tree_seek(&c->bucket->trees[i], key, key_len, after);
}

static void show(struct srv_cursor *c, const struct srv_object *o)
{
	c->entry.key = o->key;
	c->entry.key_len = o->key_len;
	c->entry.size = o->size;
	c->entry.mtime = o->mtime;
	c->entry.etag = o->etag;
	c->entry.type = o->type;
	c->entry.storage_class = o->storage_class;
	c->entry.restore = o->restore;
}

const struct srv_entry *srv_cursor_peek(struct srv_cursor *c)
{
	struct srv_bucket *b = c->bucket;
	char buf[SRV_TREE_KEY_MAX], best[SRV_TREE_KEY_MAX];
	size_t i, n, best_len = 0;
	int tree = -1;

	for (i = 0; i < b->nr_trees; i++) {
		if (c->tree_at[i] >= b->trees[i].keys)
			continue;
		n = srv_tree_key(&b->trees[i], c->tree_at[i], buf);
		if (tree == -1 || srv_key_compare(buf, n, best, best_len) < 0) {
			memcpy(best, buf, n);
			best_len = n;
			tree = (int)i;
		}
	}
	srv_object_unref(c->tree_object);
	c->tree_object = NULL;
	c->source = -1;
	if (c->at < b->nr &&
	    (tree == -1 ||
	     srv_key_compare(b->list[c->at]->key, b->list[c->at]->key_len, best, best_len) <= 0)) {
		show(c, b->list[c->at]);
		return &c->entry;
	}
	if (tree == -1)
		return NULL;
	c->source = tree;
	c->tree_object = srv_tree_object_at(&b->trees[tree], c->tree_at[tree]);
	show(c, c->tree_object);
	return &c->entry;
}

void srv_cursor_next(struct srv_cursor *c)
{
	size_t i;

	/* Whoever else stands on the same key moves on as well: a key is shown once. */
	for (i = 0; i < c->bucket->nr_trees; i++) {
		const struct srv_tree *t = &c->bucket->trees[i];
		char key[SRV_TREE_KEY_MAX];

		if (c->tree_at[i] < t->keys &&
		    srv_key_compare(key, srv_tree_key(t, c->tree_at[i], key), c->entry.key,
				    c->entry.key_len) == 0)
			c->tree_at[i]++;
	}
	if (c->source == -1)
		c->at++;
}

void srv_cursor_close(struct srv_cursor *c)
{
	if (c == NULL)
		return;
	srv_object_unref(c->tree_object);
	pthread_rwlock_unlock(&c->index->lock);
	free(c);
}
