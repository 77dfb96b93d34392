#include "daemon/mount/keyspace.h"

#include <string.h>

#define EXTRA 4 /* letters of a point beyond where it leaves its neighbours */

void keyspace_see(struct keyspace *k, const char *key)
{
	bool new = false;
	unsigned c;

	for (key += k->prefix_len; *key != '\0'; key++) {
		c = (unsigned char)*key;
		if (c < 128 && !k->seen[c])
			new = k->seen[c] = true;
	}
	if (!new)
		return;
	k->nr_seen = 0;
	for (c = ' '; c < 127; c++)
		if (k->seen[c])
			k->letters[k->nr_seen++] = (char)c;
}

/* A stretch between two keys as numbers: digits in base `base` after what both share. */
struct scale {
	const struct keyspace *k;
	size_t shared;
	uint64_t base;
	unsigned nr_digits;
	uint64_t whole; /* base to the power of nr_digits */
};

static size_t shared_len(const struct keyspace *k, const char *from, const char *to)
{
	size_t n = k->prefix_len;

	if (to == NULL)
		return n;
	while (from[n] != '\0' && from[n] == to[n])
		n++;
	/* Not within a character of several bytes. */
	while (n > k->prefix_len && ((unsigned char)from[n] & 0xc0) == 0x80)
		n--;
	return n;
}

static struct scale scale_of(const struct keyspace *k, const char *from, const char *to)
{
	struct scale s = { .k = k, .shared = shared_len(k, from, to), .whole = 1 };

	s.base = k->nr_seen + 2u;
	while (s.whole <= (UINT64_C(1) << 62) / s.base) {
		s.whole *= s.base;
		s.nr_digits++;
	}
	return s;
}

/* 0: the key has ended; 1 for the first letter; above all letters what is not ASCII. */
static uint64_t digit_of(const struct keyspace *k, unsigned char c)
{
	unsigned low = 0, high = k->nr_seen;

	if (c >= 128)
		return k->nr_seen + 1u;
	while (low < high) {
		unsigned mid = (low + high) / 2;

		if ((unsigned char)k->letters[mid] <= c)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static uint64_t number_of(const struct scale *s, const char *key)
{
	uint64_t n = 0;
	unsigned i;

	if (key == NULL)
		return s->whole;
	key += s->shared;
	for (i = 0; i < s->nr_digits; i++) {
		n = n * s->base + digit_of(s->k, (unsigned char)*key);
		key += *key != '\0';
	}
	return n;
}

double keyspace_share(const struct keyspace *k, const char *from, const char *at, const char *to)
{
	struct scale s = scale_of(k, from, to);
	uint64_t low = number_of(&s, from), high = number_of(&s, to), mid = number_of(&s, at);

	if (high <= low)
		return 1;
	if (mid <= low)
		return 0;
	return mid >= high ? 1 : (double)(mid - low) / (double)(high - low);
}

/* The key of a number, no longer than it takes to lie above `above`, and a little. */
static bool key_of(const struct scale *s, uint64_t number, const char *like, const char *above,
		   char *key)
{
	uint64_t unit = s->whole / s->base, digit;
	size_t n = s->shared;
	unsigned i, extra = 0;

	memcpy(key, like, n);
	key[n] = '\0';
	for (i = 0; i < s->nr_digits && extra < EXTRA; i++) {
		digit = number / unit;
		number %= unit;
		unit /= s->base;
		if (digit == 0 || n + 1 >= KEYSPACE_KEY)
			break;
		if (digit > s->k->nr_seen)
			digit = s->k->nr_seen;
		key[n++] = s->k->letters[digit - 1];
		key[n] = '\0';
		extra += strcmp(key, above) > 0;
	}
	return strcmp(key, above) > 0;
}

unsigned keyspace_divide(const struct keyspace *k, const char *from, const char *to, unsigned nr,
			 char (*points)[KEYSPACE_KEY])
{
	struct scale s = scale_of(k, from, to);
	uint64_t low = number_of(&s, from), high = number_of(&s, to);
	const char *above = from;
	unsigned i, found = 0;

	if (k->nr_seen == 0 || high <= low || s.shared + s.nr_digits >= KEYSPACE_KEY)
		return 0;
	for (i = 1; i <= nr; i++) {
		uint64_t at = low + (high - low) / (nr + 1) * i;

		if (!key_of(&s, at, from, above, points[found]) ||
		    (to != NULL && strcmp(points[found], to) >= 0))
			continue;
		above = points[found++];
	}
	return found;
}
