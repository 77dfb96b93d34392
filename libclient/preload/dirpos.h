/*
 * dirpos.h - where getdents64() has got to in the mount's directories: for
 * descriptors that a program reads without a stream.  Duplicates share their
 * place; a forked child has its own from then on, and exec starts anew.
 *
 * Threads: any.  Off (nobody reads so): one load for a closed descriptor.
 */
#ifndef LIBCLIENT_PRELOAD_DIRPOS_H
#define LIBCLIENT_PRELOAD_DIRPOS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Entries as the kernel gives them.  Bytes, 0 at the end, or a negative errno;
 * *ret_ours false: not a directory of the mount, nothing done.
 */
ssize_t dirpos_read(int fd, void *buf, size_t len, bool *ret_ours);
/* lseek() on such a descriptor; *ret_ours as above. */
int64_t dirpos_seek(int fd, int64_t off, int whence, bool *ret_ours);

extern uint32_t dirpos_nr; /* descriptors with a place */
void dirpos_forget_on(int fd);
void dirpos_duplicate_on(int from, int to);

/* The descriptor is closed, or a duplicate: for fds.c. */
static inline void dirpos_forget(int fd)
{
	if (__builtin_expect(__atomic_load_n(&dirpos_nr, __ATOMIC_RELAXED) != 0, 0))
		dirpos_forget_on(fd);
}

static inline void dirpos_duplicate(int from, int to)
{
	if (__builtin_expect(__atomic_load_n(&dirpos_nr, __ATOMIC_RELAXED) != 0, 0))
		dirpos_duplicate_on(from, to);
}

#endif
