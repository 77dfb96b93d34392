/*
 * process.h - what the hooks of exec and those of spawn share.
 * Threads: any; from vfork children as well.
 */
#ifndef LIBCLIENT_PRELOAD_PROCESS_H
#define LIBCLIENT_PRELOAD_PROCESS_H

#include <stdbool.h>
#include <stddef.h>

/* fork and its like by their numbers.  False: it is none of those. */
bool process_fork(long nr, const long a[6], long *ret);

/* The program's environment; NULL: it has none. */
char **process_environ(void);

/* Is it the store's?  Those cannot be run: -EACCES, and one line. */
bool process_is_store_program(int dirfd, const char *path, int flags);
int process_refuse(void);

/* The list to search for `file`: "" when it has a slash.  And how long a candidate may be. */
const char *process_search_path(const char *file);
size_t process_search_room(const char *list, const char *file);

#endif
