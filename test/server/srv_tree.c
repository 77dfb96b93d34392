#include "test/server/srv_tree.h"

#include "test/server/synth.h"

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

/* At least `digits` of them.  Behind the last. */
static char *put_number(char *out, uint64_t value, int digits)
{
	uint64_t rest;
	int i;

	for (rest = value, i = 0; rest != 0; rest /= 10)
		i++;
	digits = i > digits ? i : digits;
	for (i = digits; i-- > 0; value /= 10)
		out[i] = (char)('0' + value % 10);
	return out + digits;
}

static char *put_text(char *out, const char *text, size_t len)
{
	memcpy(out, text, len);
	return out + len;
}

size_t srv_tree_key(const struct srv_tree *t, uint64_t i, char out[SRV_TREE_KEY_MAX])
{
	/* The first keys % dirs directories hold one key more. */
	uint64_t each = t->keys / t->dirs;
	uint64_t big = t->keys % t->dirs;
	uint64_t dir = i < big * (each + 1) ? i / (each + 1) : big + (i - big * (each + 1)) / each;
	char *p = put_text(out, t->prefix, strlen(t->prefix));

	/* By hand: a listing of a million keys should not wait for printf. */
	p = put_number(put_text(p, "dir-", 4), dir, 7);
	p = put_number(put_text(p, "/file-", 6), i, 9);
	p = put_text(p, ".bin", 4);
	return (size_t)(p - out);
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

struct srv_object *srv_tree_object_at(const struct srv_tree *t, uint64_t i)
{
	char key[SRV_TREE_KEY_MAX];
	struct srv_object *o = srv_object_new(key, srv_tree_key(t, i, key));

	srv_object_set_synth(o, srv_tree_size(t, i), synth_mix(t->seed) + i, 0);
	o->mtime = TREE_MTIME;
	return o;
}

struct srv_object *srv_tree_object(const struct srv_tree *t, const char *key, size_t key_len)
{
	uint64_t i = srv_tree_seek(t, key, key_len, false);
	char buf[SRV_TREE_KEY_MAX];

	if (i == t->keys)
		return NULL;
	if (srv_key_compare(buf, srv_tree_key(t, i, buf), key, key_len) != 0)
		return NULL;
	return srv_tree_object_at(t, i);
}
