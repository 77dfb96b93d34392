/*
 * srv_tree.h - the keys of a synthetic tree, by number.  Keys are in order: number i < j means
 * key i < key j in bytes.
 */
#ifndef TEST_SERVER_SRV_TREE_H
#define TEST_SERVER_SRV_TREE_H

#include "test/server/srv_index.h"

#define SRV_TREE_KEY_MAX 1100

bool srv_tree_ok(const struct srv_tree *t);
size_t srv_tree_key(const struct srv_tree *t, uint64_t i, char out[SRV_TREE_KEY_MAX]);
/* The first number whose key is >= (after: >) key; t->keys if there is none. */
uint64_t srv_tree_seek(const struct srv_tree *t, const char *key, size_t key_len, bool after);
uint64_t srv_tree_size(const struct srv_tree *t, uint64_t i);
/* The object of a key by its number. */
struct srv_object *srv_tree_object_at(const struct srv_tree *t, uint64_t i);
/* A new object, or NULL if the key is not in the tree. */
struct srv_object *srv_tree_object(const struct srv_tree *t, const char *key, size_t key_len);

int srv_key_compare(const char *a, size_t a_len, const char *b, size_t b_len);

#endif
