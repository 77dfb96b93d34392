/*
 * getdents.h - directories read without a stream, for syscall().
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_GETDENTS_H
#define LIBCLIENT_PRELOAD_GETDENTS_H

#include <stddef.h>
#include <sys/types.h>

/* SYS_getdents: -1 and errno. */
long getdents_oldest(int fd, void *buf, size_t len);

#endif
