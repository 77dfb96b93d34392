#include "test/server/srv_tree.h"

#include "test/server/synth.h"

#include <stdio.h>
#include <string.h>

/* All trees were made at the same moment: 2026-01-02T03:04:05Z. */
#define TREE_MTIME INT64_C(1767323045)

int srv_key_compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int r = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (r != 0)
		return r;
	return a_len < b_len ? -1 : a_len > b_len;
}

bool srv_tree_ok(const struct srv_tree *t)
{
	return t->keys > 0 && t->keys <= 1000000000 && t->dirs > 0 && t->dirs <= 10000000 &&
	       t->dirs <= t->keys && t->size <= t->size_max && strlen(t->prefix) <= 900;
}

size_t srv_tree_key(const struct srv_tree *t, uint64_t i, char out[SRV_TREE_KEY_MAX])
{
	/* The first keys % dirs directories hold one key more. */
	uint64_t each = t->keys / t->dirs;
	uint64_t big = t->keys % t->dirs;
	uint64_t dir = i < big * (each + 1) ? i / (each + 1) : big + (i - big * (each + 1)) / each;

	return (size_t)snprintf(out, SRV_TREE_KEY_MAX, "%sdir-%07llu/file-%09llu.bin", t->prefix,
				(unsigned long long)dir, (unsigned long long)i);
}

uint64_t srv_tree_seek(const struct srv_tree *t, const char *key, size_t key_len, bool after)
{
	uint64_t low = 0, high = t->keys;
	char buf[SRV_TREE_KEY_MAX];

	while (low < high) {
		uint64_t mid = low + (high - low) / 2;
		size_t n = srv_tree_key(t, mid, buf);
		int r = srv_key_compare(buf, n, key, key_len);

		if (r < 0 || (r == 0 && after))
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

uint64_t srv_tree_size(const struct srv_tree *t, uint64_t i)
{
	return t->size + synth_mix(t->seed ^ (i * 2 + 1)) % (t->size_max - t->size + 1);
}

struct srv_object *srv_tree_object(const struct srv_tree *t, const char *key, size_t key_len)
{
	uint64_t i = srv_tree_seek(t, key, key_len, false);
	char buf[SRV_TREE_KEY_MAX];
	struct srv_object *o;

	if (i == t->keys)
		return NULL;
	if (srv_key_compare(buf, srv_tree_key(t, i, buf), key, key_len) != 0)
		return NULL;
	o = srv_object_new(key, key_len);
	srv_object_set_synth(o, srv_tree_size(t, i), synth_mix(t->seed) + i, 0);
	o->mtime = TREE_MTIME;
	return o;
}
