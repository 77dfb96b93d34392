/*
 * snapshot.h - a mount's directory tree in one read-only piece of memory: the
 * layout, and look-ups in it.  Building one is the daemon's (mount/tree).
 *
 *	header | entries[nr_entries] | strings
 *
 * Entry 0 is the mount's root directory.  The children of a directory are
 * contiguous, sorted by the bytes of their names.  Everything is immutable; a
 * newer listing is a new snapshot with a higher serial.
 *
 * Of a mount whose first listing takes long there are snapshots of what is known by
 * then: each directory has all of its children, or the flag SNAPSHOT_UNLISTED and none.
 *
 * Threads: any.  Freestanding: no libc call.
 */
#ifndef COMMON_SNAPSHOT_H
#define COMMON_SNAPSHOT_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SNAPSHOT_MAGIC	 0x70616e53u /* "Snap" */
#define SNAPSHOT_VERSION 2u
#define SNAPSHOT_NONE	 UINT32_MAX

enum snapshot_flags {
	SNAPSHOT_DIR = 1 << 0,
	SNAPSHOT_UNLISTED = 1 << 1, /* a directory: what it holds is not known yet */
};

struct snapshot_header {
	uint32_t magic;
	uint32_t version;
	uint64_t serial;
	uint64_t len; /* of the whole snapshot */
	uint64_t nr_entries;
	uint64_t strings_off;
	uint64_t strings_len;
	uint64_t nr_files;
	uint64_t total_bytes;
};
static_assert(sizeof(struct snapshot_header) == 64, "shared layout");

struct snapshot_entry {
	uint64_t size;
	int64_t mtime_ns;  /* directories: the newest below them */
	uint64_t ino;	   /* stable for a path; never 0 */
	uint64_t name_off; /* in the strings; no NUL follows */
	uint64_t etag_off; /* without quotes */
	uint32_t parent;
	uint32_t first_child; /* directories */
	uint32_t nr_children;
	uint16_t name_len; /* at most 255 */
	uint8_t etag_len;
	uint8_t flags;
};
static_assert(sizeof(struct snapshot_entry) == 56, "shared layout");

struct snapshot {
	const struct snapshot_header *header;
	const struct snapshot_entry *entries;
	const char *strings;
};

/* 0 or -EPROTO when the memory does not hold a whole snapshot of this version. */
int snapshot_init(struct snapshot *s, const void *mem, size_t len);

/* Entry of one name in a directory, or SNAPSHOT_NONE. */
uint32_t snapshot_child(const struct snapshot *s, uint32_t dir, const char *name, size_t len);

/*
 * Entry of a path relative to `dir`; components "." and empty ones are skipped,
 * ".." climbs (the caller has resolved links).  SNAPSHOT_NONE when there is none.
 * A trailing slash asks for a directory.
 */
uint32_t snapshot_lookup(const struct snapshot *s, uint32_t dir, const char *path, size_t len);
/*
 * The same.  *ret_last: the last entry on the way that there is; where that is
 * SNAPSHOT_UNLISTED, SNAPSHOT_NONE means that nobody knows.
 */
uint32_t snapshot_find(const struct snapshot *s, uint32_t dir, const char *path, size_t len,
		       uint32_t *ret_last);

/* The path of an entry relative to the root, NUL-terminated.  Its length or -ENAMETOOLONG. */
int snapshot_path(const struct snapshot *s, uint32_t entry, char *buf, size_t cap);

static inline const char *snapshot_name(const struct snapshot *s, const struct snapshot_entry *e)
{
	return s->strings + e->name_off;
}

static inline bool snapshot_is_unlisted(const struct snapshot *s, uint32_t entry)
{
	return (s->entries[entry].flags & SNAPSHOT_UNLISTED) != 0;
}

static inline bool snapshot_is_dir(const struct snapshot_entry *e)
{
	return (e->flags & SNAPSHOT_DIR) != 0;
}

#endif
