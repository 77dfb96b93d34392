/*
 * tree.h - from listed keys, in any order, to a snapshot: directories are made,
 * children sorted and contiguous, what no file system can show is left out and
 * counted.  Knows no store and sends nothing.
 *
 * Threads: one at a time for each tree.
 */
#ifndef DAEMON_MOUNT_TREE_H
#define DAEMON_MOUNT_TREE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TREE_MAX_ENTRIES (1u << 25)
#define TREE_MAX_KEYS	 (1ull << 27) /* shown or not */
#define TREE_EXAMPLE_LEN 256
#define TREE_ETAG_MAX	 71 /* what an answer to a client can carry */

struct snapmem;
struct tree;

enum tree_fault { /* why a key is not shown */
	TREE_NO_FAULT = 0,
	TREE_DOTS,     /* a component is "." or ".." */
	TREE_EMPTY,    /* an empty component: "a//b", or a leading slash */
	TREE_LONG,     /* a component of more than 255 bytes */
	TREE_NUL,      /* a NUL byte */
	TREE_ETAG,     /* a version that no request could carry */
	TREE_SIZE,     /* a size that no file can have */
	TREE_LINK,     /* a symbolic link of the store: its size is not known */
	TREE_SHADOWED, /* also a directory, which is what is shown */
	TREE_NR_FAULTS,
};

struct tree_key {
	const char *key; /* whole, with the mount's prefix */
	size_t key_len;
	uint64_t size;
	int64_t mtime;	  /* unix seconds */
	const char *etag; /* without quotes; NULL: none */
	bool is_link;
	bool is_unlisted; /* a directory (its key ends in '/') of which only the name is known */
};

struct tree_counts {
	uint64_t nr_keys; /* all that were added, shown or not */
	uint64_t nr_faults[TREE_NR_FAULTS];
	char example[TREE_NR_FAULTS][TREE_EXAMPLE_LEN]; /* the first key of each kind */
};

/* prefix: "" or ends in '/'; keys that do not start with it are ignored. */
int tree_new(const char *prefix, struct tree **ret_tree);
void tree_free(struct tree *t);
/*
 * The keys added from here on follow one another, and come before or behind all
 * those of any other run: what comes out of order by whole runs is cheap to sort.
 */
int tree_begin_run(struct tree *t, const char *first_key);
/* 0, also for a key that is left out; -ENOMEM; -EFBIG: too many. */
int tree_add(struct tree *t, const struct tree_key *k);
/* The counts; those of shadowed keys only after tree_build(). */
const struct tree_counts *tree_counts(const struct tree *t);
/* Once, after the last key. */
int tree_build(struct tree *t, uint64_t serial, struct snapmem **ret_mem);

/* In words, for the log: "has an empty path component". */
const char *tree_fault_text(enum tree_fault fault);

#endif
