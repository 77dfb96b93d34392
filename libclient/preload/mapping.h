/*
 * mapping.h - makes memory show a store file, by the rule that is always right:
 * wait until the range is there, claim it, map it; or on page faults (lazy.h),
 * where the configuration and the kernel allow that and it gains something; or,
 * when the cache may not hold it, as a private copy.  Enters the piece (maps.h).
 *
 * Threads: any.  May wait for the download.
 */
#ifndef LIBCLIENT_PRELOAD_MAPPING_H
#define LIBCLIENT_PRELOAD_MAPPING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MAPPING_PAGE 4096u

struct file;

struct wish { /* the arguments of mmap() */
	void *addr;
	size_t len;
	int prot;
	int flags;
	off_t off;
};

static inline size_t mapping_pages(size_t len)
{
	return (len + MAPPING_PAGE - 1) & ~(size_t)(MAPPING_PAGE - 1);
}

/* The kernel's mmap().  Pieces that it replaces are no longer a store file's. */
void *mapping_raw(const struct wish *w, int fd);
/* A store file.  As the kernel's: a negative errno in the pointer. */
void *mapping_make(struct file *f, const struct wish *w);
/* The program has called mlockall(MCL_FUTURE), or munlockall(). */
void mapping_lock_future(bool locked);

#endif
