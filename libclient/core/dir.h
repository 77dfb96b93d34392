/*
 * dir.h - one pass through a directory of a mount: names in the order of their
 * bytes, from one snapshot that stays the same for the whole pass.
 *
 * Threads: one at a time for each pass; from signal handlers as well.
 */
#ifndef LIBCLIENT_CORE_DIR_H
#define LIBCLIENT_CORE_DIR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snap;
struct view;

struct dir {
	struct snap *snap;
	uint32_t entry; /* of the directory */
	uint32_t next;	/* index among the children; a stable position */
};

struct dir_entry {
	const char *name; /* not terminated; valid while the dir is open */
	size_t name_len;
	uint64_t ino;
	uint64_t size;
	int64_t mtime_ns;
	uint32_t entry; /* in the snapshot */
	bool is_dir;
};

/* -ENOENT, -ENOTDIR, or -ENOTCONN before the first view_attach(). */
int dir_open(struct view *v, const char *path, size_t len, struct dir *ret_dir);
void dir_close(struct dir *d);
/* The same snapshot and directory, from the start. */
void dir_rewind(struct dir *d);
/* 1 and an entry, or 0 at the end.  Neither "." nor ".." is among them. */
int dir_next(struct dir *d, struct dir_entry *ret);

/* One path: -ENOENT, -ENOTDIR, -ENOTCONN.  name points into `snap`. */
int dir_stat(struct snap *snap, const char *path, size_t len, struct dir_entry *ret);

#endif
