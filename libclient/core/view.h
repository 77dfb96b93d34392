/*
 * view.h - one mount as this process sees it: the MOUNT request, the chunk
 * table and the snapshots.  After a fork or the daemon's death view_attach()
 * mounts again, in place.
 *
 * A snapshot once seen stays mapped while somebody holds it; looking up names
 * needs neither daemon nor system call.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_CORE_VIEW_H
#define LIBCLIENT_CORE_VIEW_H

#include "common/snapshot.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VIEW_ATTACH_MS 120000u

struct link;
struct snap;
struct view;

struct view_conf { /* strings may be NULL; copied into memory that core files leave out */
	const char *oss_path;
	const char *model_dir;
	const char *endpoint;
	const char *region;
	const char *access_key;
	const char *secret;
	const char *token;
	const char *sources;
	uint32_t flags;	  /* enum wire_mount_flags */
	unsigned wait_ms; /* for the listing and, a secondary, for the primary; 0: VIEW_ATTACH_MS */
};

/* Asks nothing yet.  The link must live longer.  -E2BIG: strings too long. */
int view_new(struct link *l, const struct view_conf *conf, struct view **ret_view);
/* All files are closed by then. */
void view_free(struct view *v);

/* Connect and ask for the mount without waiting for the listing.  0 when that is on its way. */
int view_start(struct view *v);
/*
 * Make sure the mount is attached in this process's session: 0 at once if so.
 * Waits, bounded.  -ENOENT (a secondary without primary), -EACCES, -EINVAL, ...;
 * the link's error text says why.
 */
int view_attach(struct view *v);
/* List the store again and wait for it. */
int view_refresh(struct view *v);
/* The daemon forgets that the mount was to be kept. */
int view_unmount(struct view *v);
/* Download a file, a directory or all (""), in the background. */
int view_prefetch(struct view *v, const char *path, size_t len);

struct link *view_link(const struct view *v);

/*
 * The newest snapshot, with a reference for the caller; asks the daemon only if
 * the chunk table shows a newer one.  NULL before the first view_attach().
 */
struct snap *view_snap(struct view *v);
/*
 * Look up a path from the root in *snap, or in a newer snapshot that takes its place there
 * (references likewise): where a long first listing has not reached a directory on the way
 * (whole: nor the path itself), the daemon is asked for it first.  *ret_entry:
 * SNAPSHOT_NONE when there is certainly nothing.  Negative: nobody knows; *snap stays valid.
 */
int view_find(struct view *v, struct snap **snap, const char *path, size_t len, bool whole,
	      uint32_t *ret_entry);
/* Another reference. */
struct snap *snap_ref(struct snap *s);
void snap_put(struct snap *s); /* NULL is fine */
const struct snapshot *snap_tree(const struct snap *s);

#endif
