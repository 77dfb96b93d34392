/*
 * target.h - will the program of this path load the library?  Reads the head of
 * the file and of the interpreters that its "#!" names, as the kernel would.
 *
 * It knows nothing of the environment (carry.h).
 * Threads: any; from vfork children as well.
 */
#ifndef LIBCLIENT_PRELOAD_TARGET_H
#define LIBCLIENT_PRELOAD_TARGET_H

#include <stddef.h>

enum target {
	TARGET_LOADS = 0, /* dynamically linked, for this machine, without privileges of its own */
	TARGET_BARE,	  /* it does not, or that cannot be told */
	TARGET_ABSENT,	  /* the kernel will refuse to run it */
};

/* As execveat(): flags may have AT_EMPTY_PATH and AT_SYMLINK_NOFOLLOW. */
enum target target_judge(int dirfd, const char *path, int flags);

/*
 * Where a search along `list` (NULL: libc's default) finds `file`: the first that
 * may be run, in buf.  -ENOENT, -EACCES, -ENAMETOOLONG.
 */
int target_search(int dirfd, const char *list, const char *file, char *buf, size_t cap);
/* The next candidate of such a search; *list moves on, and is NULL after the last. */
int target_candidate(const char **list, const char *file, char *buf, size_t cap);

#endif
