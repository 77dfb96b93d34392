/*
 * carry.h - the part of the environment that this library needs, kept from the
 * start for programs that are started with less of it.  What the caller says of
 * the connector himself (ENABLE_CONNECTOR) is his choice and stays.  Keys are in
 * it: once this process has become another user, nothing is added any more.
 *
 * Threads: carry_start() in the constructor, the others any; from signal handlers
 * and vfork children as well: no memory is allocated.
 */
#ifndef LIBCLIENT_PRELOAD_CARRY_H
#define LIBCLIENT_PRELOAD_CARRY_H

#include <stdbool.h>
#include <stddef.h>

/* envp is environment_copy()'s.  library: this library's own file, as the loader names it. */
void carry_start(char *const *envp, const char *library);

/* With this environment (NULL: none) a program loads the library and shows the same mount. */
bool carry_suffices(char *const *envp);
/* Something is missing, and the caller has said nothing about the connector. */
bool carry_is_wanted(char *const *envp);
/* How many bytes carry_add() needs for the result. */
size_t carry_room(char *const *envp);
/*
 * The environment, what it lacks if carry_is_wanted(), and `mark` (NAME=VALUE; NULL: none).
 * Points into envp, `room` (aligned as a pointer) and here.
 */
char *const *carry_add(char *const *envp, const char *mark, void *room);

#endif
