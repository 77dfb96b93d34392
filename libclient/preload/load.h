/*
 * load.h - descriptors that stand for libraries loaded from the store.  Their
 * numbers are the names by which the loader knows the libraries, so closers must
 * spare them.
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_LOAD_H
#define LIBCLIENT_PRELOAD_LOAD_H

#include <stdbool.h>

bool load_owns_fd(int fd);
/* The lowest of them from `from` on, or UINT_MAX. */
unsigned load_next_own_fd(unsigned from);

#endif
