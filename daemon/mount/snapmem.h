/*
 * snapmem.h - the memory of one finished snapshot: a sealed memory file, the
 * descriptor that clients get, and our own view of it.  Counted references.
 *
 * Threads: any; the content never changes.
 */
#ifndef DAEMON_MOUNT_SNAPMEM_H
#define DAEMON_MOUNT_SNAPMEM_H

#include <stdbool.h>
#include <stddef.h>

#include "common/snapshot.h"

struct snapmem;

/* A writable file of `len` zero bytes, mapped at *ret_mem until snapmem_seal(). */
int snapmem_new(size_t len, struct snapmem **ret_mem, void **ret_bytes);
/* No byte changes any more.  -EPROTO: what was written is no snapshot. */
int snapmem_seal(struct snapmem *m);

struct snapmem *snapmem_ref(struct snapmem *m);
void snapmem_unref(struct snapmem *m);

const struct snapshot *snapmem_view(const struct snapmem *m);
int snapmem_fd(const struct snapmem *m); /* read-only; owned by the memory */
size_t snapmem_len(const struct snapmem *m);
/* The same files with the same versions; serials are not compared. */
bool snapmem_is_same(const struct snapmem *a, const struct snapmem *b);

#endif
