/*
 * uffill.h - bytes into a memory file past its inode lock: whole fresh pages by UFFDIO_COPY
 * through a mapping, so that several threads fill one file at once.  Knows nothing of chunks.
 *
 * Threads: any; open and close apart from all other calls.
 */
#ifndef DAEMON_CACHE_UFFILL_H
#define DAEMON_CACHE_UFFILL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define UFFILL_PAGE 4096

/* A descriptor to close(), or -errno: not here (a sandbox, a kernel with other pages). */
int uffill_open(void);
/*
 * For a whole mapping of a memory file, which uffill_copy() then fills.  Whoever reads a page of it that
 * the file does not have gets SIGBUS.  Ends with the mapping.
 */
int uffill_cover(int uffd, void *map, uint64_t len);
/*
 * Put whole pages where the file has none: at and len are multiples of a page.  The bytes put, from
 * the beginning on, if any; -EEXIST: the file has the first page already; -ENOMEM: no memory.
 */
ssize_t uffill_copy(int uffd, void *at, const void *buf, size_t len);

#endif
