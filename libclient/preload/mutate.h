/*
 * mutate.h - changes of names that only syscall() asks for.
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_MUTATE_H
#define LIBCLIENT_PRELOAD_MUTATE_H

#include <sys/types.h>

/* fchmodat2(): 0 or a negative errno. */
long mutate_chmod2(int dirfd, const char *path, mode_t mode, int flags);

#endif
