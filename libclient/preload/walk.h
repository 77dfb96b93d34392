/*
 * walk.h - may a walk of directory trees meet MODEL_DIR?  Those that may are done
 * with our own streams, all others by libc.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_WALK_H
#define LIBCLIENT_PRELOAD_WALK_H

#include <stdbool.h>

/* follows: the walk follows symbolic links, which may lead anywhere. */
bool walk_meets(const char *path, bool follows);

#endif
