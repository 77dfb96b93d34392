/*
 * memhome.h - where object memory lives: on a tmpfs of the daemon's own, in
 * large or huge pages, where it may mount one; in memfds elsewhere.
 *
 * The tmpfs is mounted in a mount namespace of the daemon's own, which takes
 * root, or a user namespace: nobody else sees it, and it goes with the daemon,
 * however that ends.
 *
 * Threads: before any other thread is made.
 */
#ifndef DAEMON_CACHE_MEMHOME_H
#define DAEMON_CACHE_MEMHOME_H

#include "daemon/cache/memfile.h"

#include <stdint.h>

enum memhome_kind {
	MEMHOME_AUTO = 0, /* the tmpfs where that is possible */
	MEMHOME_TMPFS,	  /* or fail */
	MEMHOME_MEMFD,
};

struct memhome_conf {
	enum memhome_kind kind;
	enum memfile_pages pages; /* wanted on the tmpfs */
	const char *parent;	  /* the mount point is made in this directory */
	uint64_t cache_size;	  /* 0: from the memory available */
};

/*
 * *ret_dir, *ret_pages: for cache_conf.  The directory, NULL for memfds, lives until memhome_close().
 * -EPERM, ...: only for MEMHOME_TMPFS.
 */
int memhome_open(const struct memhome_conf *conf, const char **ret_dir,
		 enum memfile_pages *ret_pages);
/*
 * The cache may be larger from now on; a smaller one needs no word.  A negative errno: there is no
 * more room than before.  Threads: one at a time.
 */
int memhome_grow(uint64_t cache_size);
void memhome_close(void);

#endif
