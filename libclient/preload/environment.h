/*
 * environment.h - the environment as it was at start: a copy of the variables that
 * the library reads, for what is made only when a program reaches MODEL_DIR.  The
 * program's own may be gone by then: servers write their titles over it.
 *
 * Threads: in the constructor.
 */
#ifndef LIBCLIENT_PRELOAD_ENVIRONMENT_H
#define LIBCLIENT_PRELOAD_ENVIRONMENT_H

#include <stdbool.h>

/* Like envp; never freed; with keys in it, core files leave it out.  NULL without memory. */
char *const *environment_copy(char *const *envp);
/* Does another program need this one ("NAME=VALUE") to show the same mount? */
bool environment_travels(const char *variable);

#endif
