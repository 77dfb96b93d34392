/*
 * open.h - opening a path, as the hooks of open, opendir and fopen need it.
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_OPEN_H
#define LIBCLIENT_PRELOAD_OPEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct file;
struct spot;

/* The kernel's open, or ours where the path is the store's.  A descriptor or a negative errno. */
int open_at(int dirfd, const char *path, int flags, mode_t mode);
/* openat2(), likewise. */
struct open_how;
int open_how_at(int dirfd, const char *path, const struct open_how *how, size_t size);

/* How open's flags are looked at (paths.h). */
unsigned open_paths_flags(int flags);
/* The kernel has opened the path of this spot: the descriptor to go on with, or a negative errno. */
int open_entered(int fd, const struct spot *s, int flags);

/* Open the store file of a spot. */
int open_spot(const struct spot *s, int flags);
/*
 * A descriptor, at offset 0, of an object that is open: takes the caller's reference,
 * whatever comes of it.  *ret_first: none was at hand for this object.
 */
int open_file(struct file *f, int flags, bool *ret_first);

#endif
