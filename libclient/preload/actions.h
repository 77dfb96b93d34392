/*
 * actions.h - what was added to the file actions of posix_spawn, which are libc's
 * own secret: descriptors that will be duplicated, and those that stand for what
 * the actions open or enter.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_ACTIONS_H
#define LIBCLIENT_PRELOAD_ACTIONS_H

#include <stdbool.h>

/* `actions` is new, or gone: forget what is known of that address. */
void actions_forget(const void *actions);

/* They will duplicate fd. */
void actions_note_duplicate(const void *actions, int fd);
/* fd is kept for them, under a high number, until they are gone.  The number, or -errno. */
int actions_keep(const void *actions, int fd);
/* From now on they work in this directory (-1: cannot be told), kept for them. */
void actions_enter(const void *actions, int dirfd);

/* Will they?  True as well when more was noted than can be kept in mind. */
bool actions_duplicate(const void *actions, int fd);
/* The directory that they have entered so far; AT_FDCWD: none. */
int actions_dirfd(const void *actions);

#endif
