/*
 * keyspace.h - where keys lie between two others, going by the characters that
 * keys of the same listing have in each place, and points that divide what lies
 * between.  A guess: a point need not be near any key.
 *
 * Threads: one at a time for each keyspace.
 */
#ifndef DAEMON_MOUNT_KEYSPACE_H
#define DAEMON_MOUNT_KEYSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYSPACE_KEY	1100 /* the longest key, a few bytes more, and the NUL */

#define KEYSPACE_PLACES 128

/* Characters: of ASCII a set, of all others a range. */
struct keyspace_letters {
	uint64_t ascii[2];
	uint32_t low, high; /* high 0: none */
};

struct keyspace {
	size_t prefix_len;	     /* all keys begin with the same so many bytes */
	struct keyspace_letters all; /* seen behind those, anywhere */
	struct keyspace_letters places[KEYSPACE_PLACES]; /* by the number of characters before */
};

/* Take in the characters of a key. */
void keyspace_see(struct keyspace *k, const char *key);

/* The part of (from, to) that lies before `at`: 0 to 1.  to NULL: the end of the prefix. */
double keyspace_share(const struct keyspace *k, const char *from, const char *at, const char *to);

/*
 * At most `nr` keys strictly between from and to, in order, evenly spread.  How
 * many: fewer where no text lies between.
 */
unsigned keyspace_divide(const struct keyspace *k, const char *from, const char *to, unsigned nr,
			 char (*points)[KEYSPACE_KEY]);

#endif
