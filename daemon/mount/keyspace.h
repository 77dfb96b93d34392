/*
 * keyspace.h - where keys lie between two others, going by the bytes that keys
 * of the same listing are made of, and points that divide what lies between.
 * A guess: a point need not be near any key.
 *
 * Threads: one at a time for each keyspace.
 */
#ifndef DAEMON_MOUNT_KEYSPACE_H
#define DAEMON_MOUNT_KEYSPACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEYSPACE_KEY 1100 /* the longest key, a few bytes more, and the NUL */

struct keyspace {
	size_t prefix_len; /* all keys begin with the same so many bytes */
	bool seen[128];	   /* after those: only ASCII, for a point must be text as well */
	uint8_t nr_seen;
	char letters[128]; /* those seen, in order */
};

/* Take in the bytes of a key. */
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
