/*
 * inode.h - inode numbers: a hash of the key, the same at every listing and
 * for every prefix that shows the key; unique within one snapshot.
 *
 * Threads: any.
 */
#ifndef DAEMON_MOUNT_INODE_H
#define DAEMON_MOUNT_INODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot_entry;

/* A mix of the bytes; not for secrets. */
uint64_t inode_hash(uint64_t seed, const char *bytes, size_t len);
/* Another one in each process, for tables that strangers fill. */
uint64_t inode_seed(void);

/* 63 bits, never 0. */
uint64_t inode_of_prefix(const char *prefix);
uint64_t inode_of(uint64_t parent, const char *name, size_t len, bool is_dir);
/* Where two entries have one number the later gets another.  -ENOMEM. */
int inode_make_unique(struct snapshot_entry *entries, uint32_t nr);

#endif
