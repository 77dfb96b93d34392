/*
 * sysnames.h - the calls about names that few programs make through syscall():
 * handed to the hooks of the same name.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_SYSNAMES_H
#define LIBCLIENT_PRELOAD_SYSNAMES_H

#include <stdbool.h>

/* The call `nr` with six arguments: -1 and errno, or its result.  False: none of these. */
bool sysnames_call(long nr, const long a[6], long *ret);

#endif
