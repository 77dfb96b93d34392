#include "daemon/mount/keyspace.h"

#include <string.h>

#define EXTRA 4 /* characters of a point beyond where it leaves its neighbours */

/* ---- characters ------------------------------------------------------------- */

static const uint64_t digits[2] = { 0x03ff000000000000, 0 };
static const uint64_t upper[2] = { 0, 0x0000000007fffffe };
static const uint64_t lower[2] = { 0, 0x07fffffe00000000 };

/* The next character, 0 at the end; what is not UTF-8 counts by its bytes. */
static uint32_t next_char(const char **at)
{
	const unsigned char *b = (const unsigned char *)*at;
	unsigned more = b[0] < 0xc0 ? 0 : b[0] < 0xe0 ? 1 : b[0] < 0xf0 ? 2 : 3, i;
	uint32_t c = more == 0 ? b[0] : b[0] & (0x3fu >> more);

	if (b[0] == '\0')
		return 0;
	for (i = 1; i <= more; i++) {
		if ((b[i] & 0xc0) != 0x80) {
			*at += 1;
			return b[0];
		}
		c = c << 6 | (b[i] & 0x3fu);
	}
	*at += 1 + more;
	return c;
}

static unsigned put_char(char *to, uint32_t c)
{
	if (c >= 0xd800 && c < 0xe000)
		c = 0xd7ff; /* no text holds surrogates */
	if (c < 0x80) {
		to[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		to[0] = (char)(0xc0 | c >> 6);
		to[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		to[0] = (char)(0xe0 | c >> 12);
		to[1] = (char)(0x80 | (c >> 6 & 0x3f));
		to[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	to[0] = (char)(0xf0 | (c >> 18 & 7));
	to[1] = (char)(0x80 | (c >> 12 & 0x3f));
	to[2] = (char)(0x80 | (c >> 6 & 0x3f));
	to[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

static void add_letter(struct keyspace_letters *l, uint32_t c)
{
	if (c < 0x20 || c == 0x7f)
		return; /* a point must be text */
	if (c < 0x80) {
		l->ascii[c >> 6] |= UINT64_C(1) << (c & 63);
		return;
	}
	if (l->high == 0 || c < l->low)
		l->low = c;
	if (c > l->high)
		l->high = c;
}

void keyspace_see(struct keyspace *k, const char *key)
{
	unsigned place = 0;
	uint32_t c;

	key += k->prefix_len;
	while ((c = next_char(&key)) != 0) {
		add_letter(&k->all, c);
		if (place < KEYSPACE_PLACES)
			add_letter(&k->places[place++], c);
	}
}

/* Others are likely about those seen: the first page of many has seen but a few. */
static void widen_range(struct keyspace_letters *l)
{
	uint32_t span = l->high - l->low;

	l->low = l->low - 0x80 > span ? l->low - span : 0x80;
	l->high = l->high + span < 0x10ffff ? l->high + span : 0x10ffff;
}

/* Of a kind that was seen there, what was seen anywhere may come; and any digit. */
static void widen(struct keyspace_letters *l, const uint64_t *kind, const uint64_t *seen)
{
	unsigned i;

	if ((l->ascii[0] & kind[0]) == 0 && (l->ascii[1] & kind[1]) == 0)
		return;
	for (i = 0; i < 2; i++)
		l->ascii[i] |= kind[i] & seen[i];
}

static struct keyspace_letters letters_at(const struct keyspace *k, unsigned place)
{
	struct keyspace_letters l = k->all;

	if (place >= KEYSPACE_PLACES ||
	    (k->places[place].high == 0 &&
	     (k->places[place].ascii[0] | k->places[place].ascii[1]) == 0))
		return l;
	l = k->places[place];
	widen(&l, digits, digits);
	widen(&l, upper, k->all.ascii);
	widen(&l, lower, k->all.ascii);
	if (l.high != 0)
		widen_range(&l);
	return l;
}

static uint32_t nr_ascii(const struct keyspace_letters *l)
{
	return (uint32_t)(__builtin_popcountll(l->ascii[0]) + __builtin_popcountll(l->ascii[1]));
}

static uint32_t nr_letters(const struct keyspace_letters *l)
{
	return nr_ascii(l) + (l->high != 0 ? l->high - l->low + 1 : 0);
}

/* How many of the letters come before a character. */
static uint32_t rank_of(const struct keyspace_letters *l, uint32_t c)
{
	uint64_t below = (UINT64_C(1) << (c & 63)) - 1;

	if (c < 64)
		return (uint32_t)__builtin_popcountll(l->ascii[0] & below);
	if (c < 128)
		return (uint32_t)(__builtin_popcountll(l->ascii[0]) +
				  __builtin_popcountll(l->ascii[1] & below));
	if (l->high == 0 || c <= l->low)
		return nr_ascii(l);
	return nr_ascii(l) + (c < l->high ? c - l->low : l->high - l->low);
}

static uint32_t letter_of(const struct keyspace_letters *l, uint32_t rank)
{
	uint32_t c;

	if (rank >= nr_ascii(l))
		return l->low + (rank - nr_ascii(l));
	for (c = 0x20;; c++) {
		if ((l->ascii[c >> 6] >> (c & 63) & 1) != 0 && rank-- == 0)
			return c;
	}
}

/* ---- keys as numbers -------------------------------------------------------- */

/* A stretch between two keys as numbers: a digit for each place after what both share. */
struct scale {
	size_t shared;
	unsigned nr_digits;
	struct keyspace_letters letters[KEYSPACE_PLACES];
	uint64_t whole; /* how many numbers there are */
};

static void scale_of(const struct keyspace *k, const char *from, const char *to, struct scale *s)
{
	const char *at = from + k->prefix_len;
	unsigned place = 0;
	size_t n;

	n = k->prefix_len;
	while (to != NULL && from[n] != '\0' && from[n] == to[n])
		n++;
	/* Not within a character of several bytes. */
	while (n > k->prefix_len && ((unsigned char)from[n] & 0xc0) == 0x80)
		n--;
	s->shared = n;
	while (at < from + n && next_char(&at) != 0)
		place++;
	s->whole = 1;
	for (s->nr_digits = 0; s->nr_digits < KEYSPACE_PLACES; s->nr_digits++) {
		struct keyspace_letters l = letters_at(k, place + s->nr_digits);
		uint32_t nr = nr_letters(&l);

		if (nr == 0 || s->whole > (UINT64_C(1) << 62) / nr)
			break;
		s->whole *= nr;
		s->letters[s->nr_digits] = l;
	}
}

static uint64_t number_of(const struct scale *s, const char *key)
{
	uint64_t n = 0;
	unsigned i;

	if (key == NULL)
		return s->whole;
	key += s->shared;
	for (i = 0; i < s->nr_digits; i++) {
		uint32_t nr = nr_letters(&s->letters[i]);
		uint32_t rank = rank_of(&s->letters[i], next_char(&key));

		n = n * nr + (rank < nr ? rank : nr - 1);
	}
	return n;
}

double keyspace_share(const struct keyspace *k, const char *from, const char *at, const char *to)
{
	struct scale s;
	uint64_t low, high, mid;

	scale_of(k, from, to, &s);
	low = number_of(&s, from);
	high = number_of(&s, to);
	mid = number_of(&s, at);
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
	uint64_t unit = s->whole;
	size_t n = s->shared;
	unsigned i, extra = 0;

	memcpy(key, like, n);
	key[n] = '\0';
	for (i = 0; i < s->nr_digits && extra < EXTRA; i++) {
		if ((number == 0 && extra > 0) || n + 5 >= KEYSPACE_KEY)
			break;
		unit /= nr_letters(&s->letters[i]);
		n += put_char(key + n, letter_of(&s->letters[i], (uint32_t)(number / unit)));
		number %= unit;
		key[n] = '\0';
		extra += strcmp(key, above) > 0;
	}
	return strcmp(key, above) > 0;
}

unsigned keyspace_divide(const struct keyspace *k, const char *from, const char *to, unsigned nr,
			 char (*points)[KEYSPACE_KEY])
{
	struct scale s;
	uint64_t low, high;
	const char *above = from;
	unsigned i, found = 0;

	scale_of(k, from, to, &s);
	low = number_of(&s, from);
	high = number_of(&s, to);
	if (s.nr_digits == 0 || high <= low)
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
