/*
 * aio.h - system calls by which programs hand descriptors to the kernel for later
 * reads, as syscall() needs them.  Negative errnos.
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_AIO_H
#define LIBCLIENT_PRELOAD_AIO_H

struct iocb;

long aio_submit(unsigned long ctx, long nr, struct iocb **list);
long aio_register(int ring, unsigned op, void *arg, unsigned nr);

#endif
