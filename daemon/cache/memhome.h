/*
 * memhome.h - where object memory lives: on a tmpfs of the daemon's own, in
 * huge pages, where it may mount one; in memfds elsewhere.
 *
 * The tmpfs is mounted in a mount namespace of the daemon's own: nobody else
 * sees it, and it goes with the daemon, however that ends.
 *
 * Threads: before any other thread is made.
 */
#ifndef DAEMON_CACHE_MEMHOME_H
#define DAEMON_CACHE_MEMHOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum memhome_kind {
	MEMHOME_AUTO = 0, /* the tmpfs where that is possible */
	MEMHOME_TMPFS,	  /* or fail */
	MEMHOME_MEMFD,
};

struct memhome_conf {
	enum memhome_kind kind;
	bool huge;	     /* pages of 2 MiB where the file holds them whole */
	const char *parent;  /* the mount point is made in this directory */
	uint64_t cache_size; /* 0: from the memory available */
};

/*
 * *ret_dir: for cache_conf.memory_dir, NULL for memfds; it lives until memhome_close().
 * -EPERM, ...: only for MEMHOME_TMPFS.
 */
int memhome_open(const struct memhome_conf *conf, const char **ret_dir);
void memhome_close(void);

#endif
