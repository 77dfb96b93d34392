/*
 * lazystate.h - what the sources of lazy.h share.
 */
#ifndef LIBCLIENT_PRELOAD_LAZYSTATE_H
#define LIBCLIENT_PRELOAD_LAZYSTATE_H

#include "libclient/preload/maps.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LAZY_COPY_LEN ((size_t)64 << 10)

/* This process's faults are served: 0.  safe: the kernel's as well. */
int lazy_start(bool safe);
/*
 * Pages of the process's own with the file's bytes, where `page` and its neighbours have
 * none; buf: LAZY_COPY_LEN.  wait: for the download; else -EAGAIN when a byte is missing.
 */
int lazy_copy_pages(const struct piece *p, uintptr_t page, unsigned char *buf, bool wait);
/* A descriptor of the object's memory, and which that is. */
int lazy_open_memory(struct file *f, struct pin *ret_which);
/*
 * Memory without access yet, so that nobody meets it unregistered: register it, and
 * keep it from children, who would.  own: anonymous.
 */
int lazy_arm(uintptr_t start, size_t len, int prot, bool own);

#endif
