/*
 * listing.h - what a directory of the mount shows: the names that the local
 * directory has, then the store's that are not on disk.  One pass over both,
 * with positions that stay valid for the listing's life.
 *
 * Threads: one at a time for each listing.
 */
#ifndef LIBCLIENT_PRELOAD_LISTING_H
#define LIBCLIENT_PRELOAD_LISTING_H

#include <dirent.h>
#include <stdint.h>

struct listing;
struct snap;

/*
 * Takes over the reference to snap (but on an error), not the descriptor.  May wait for the
 * directory to be listed.
 */
int listing_new(int fd, struct snap *snap, uint32_t entry, struct listing **ret_listing);
void listing_free(struct listing *l);
/* The descriptor to read the local directory by, where the one it was made with may be closed. */
void listing_set_fd(struct listing *l, int fd);

/* 1 and an entry that is valid until the next call, 0 at the end, or a negative errno. */
int listing_next(struct listing *l, struct dirent64 **ret);
/* Read the local directory anew. */
void listing_rewind(struct listing *l);
int64_t listing_tell(const struct listing *l);
void listing_seek(struct listing *l, int64_t position);

#endif
