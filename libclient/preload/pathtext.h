/*
 * pathtext.h - what can be said of a path by its text alone: whether it begins
 * with a directory, and what a mount's tree has under it.  ".." is never folded:
 * it may stand behind a symbolic link, so only the kernel can tell.
 *
 * Pure; any thread.
 */
#ifndef LIBCLIENT_PRELOAD_PATHTEXT_H
#define LIBCLIENT_PRELOAD_PATHTEXT_H

#include "common/snapshot.h"

#include <stdbool.h>
#include <stddef.h>

enum pathtext_found {
	PATHTEXT_UNKNOWN, /* it climbs: ask the kernel; *ret_entry: as in ABSENT */
	PATHTEXT_ABSENT,  /* no store name; *ret_entry: the deepest store directory on the way */
	PATHTEXT_DIR,
	PATHTEXT_FILE,
	PATHTEXT_NOT_A_DIR, /* a file is used as a directory */
	PATHTEXT_UNLISTED,  /* what *ret_entry, a directory, holds must be known first */
};

/*
 * Is `path` the directory `dir` (no slash at its end) or below it?  Then *ret_rest
 * is what follows, without leading slashes.
 */
bool pathtext_below(const char *dir, size_t dir_len, const char *path, const char **ret_rest);

/* Follow `path` in the tree from the directory `from`. */
enum pathtext_found pathtext_walk(const struct snapshot *tree, uint32_t from, const char *path,
				  uint32_t *ret_entry);

/*
 * Where the last component starts; `path` has no slash at its end (len > 0).
 * Everything before it is the parent ("" for a single name).
 */
size_t pathtext_last(const char *path, size_t len);

#endif
