/*
 * srv_index.h - which buckets and objects there are: plain files under the root, objects whose keys
 * no file system can hold (kept as files in a side folder), synthetic objects, and synthetic trees
 * of any number of keys that take no memory.
 *
 * Threads: any.  One lock for all: readers share it, a cursor holds it until it is closed.
 */
#ifndef TEST_SERVER_SRV_INDEX_H
#define TEST_SERVER_SRV_INDEX_H

#include "test/server/srv_object.h"

struct srv_index;

struct srv_index *srv_index_new(const char *root);
void srv_index_free(struct srv_index *x);

/* Read the folder again: new, changed and vanished files.  Other objects stay. */
void srv_index_scan(struct srv_index *x);

bool srv_index_has_bucket(struct srv_index *x, const char *bucket);
int srv_index_make_bucket(struct srv_index *x, const char *bucket);
/* 0, -ENOENT or -ENOTEMPTY. */
int srv_index_drop_bucket(struct srv_index *x, const char *bucket);
void srv_index_buckets(struct srv_index *x, void (*each)(const char *name, int64_t made, void *arg),
		       void *arg);
/* "": served here; else the endpoint that the bucket must be asked for at. */
void srv_index_set_endpoint(struct srv_index *x, const char *bucket, const char *endpoint);
bool srv_index_endpoint(struct srv_index *x, const char *bucket, char *out, size_t cap);
void srv_index_set_anonymous(struct srv_index *x, const char *bucket);
bool srv_index_is_anonymous(struct srv_index *x, const char *bucket);

/* A reference, or NULL.  A file that changed on disk is taken in anew first. */
struct srv_object *srv_index_get(struct srv_index *x, const char *bucket, const char *key,
				 size_t key_len);
/* Takes over the reference and replaces what had the key. */
int srv_index_put(struct srv_index *x, const char *bucket, struct srv_object *o);
bool srv_index_remove(struct srv_index *x, const char *bucket, const char *key, size_t key_len);

/* A name for a new temporary file in the side folder; free() it. */
char *srv_index_temp(struct srv_index *x);
/*
 * Make the finished temporary file the content of o: under the bucket's folder if the key can be a
 * path there, else in the side folder.  temp is gone afterwards.  Then srv_index_put() it.
 */
int srv_index_place(struct srv_index *x, const char *bucket, struct srv_object *o,
		    const char *temp);

struct srv_tree {
	char *prefix;
	uint64_t keys;
	uint64_t dirs;
	uint64_t size;
	uint64_t size_max; /* sizes are spread over size..size_max */
	uint64_t seed;
};
/* Copies the tree.  Keys are PREFIX dir-NNNNNNN/file-NNNNNNNNN.bin. */
int srv_index_add_tree(struct srv_index *x, const char *bucket, const struct srv_tree *tree);

/* What a listing shows of an object. */
struct srv_entry {
	const char *key;
	size_t key_len;
	uint64_t size;
	int64_t mtime;
	const char *etag;
	const char *type;
	const char *storage_class;
	const char *restore;
};

struct srv_cursor;

/* NULL if there is no such bucket.  Holds the lock until srv_cursor_close(). */
struct srv_cursor *srv_cursor_open(struct srv_index *x, const char *bucket);
/* To the first key >= (after: >) key. */
void srv_cursor_seek(struct srv_cursor *c, const char *key, size_t key_len, bool after);
/* NULL at the end; valid until the next call. */
const struct srv_entry *srv_cursor_peek(struct srv_cursor *c);
void srv_cursor_next(struct srv_cursor *c);
void srv_cursor_close(struct srv_cursor *c);

#endif
