#include "libclient/core/dir.h"
#include "libclient/core/view.h"

#include <errno.h>

static void describe(struct snap *snap, uint32_t entry, struct dir_entry *ret)
{
	const struct snapshot *s = snap_tree(snap);
	const struct snapshot_entry *e = &s->entries[entry];

	*ret = (struct dir_entry){
		.name = snapshot_name(s, e),
		.name_len = e->name_len,
		.ino = e->ino,
		.size = e->size,
		.mtime_ns = e->mtime_ns,
		.entry = entry,
		.is_dir = snapshot_is_dir(e),
	};
}

/* Why was there no such path: -ENOTDIR if a file stands where a directory should. */
static int why_not(const struct snapshot *s, const char *path, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		uint32_t entry;

		if (path[i] != '/')
			continue;
		entry = snapshot_lookup(s, 0, path, i);
		if (entry == SNAPSHOT_NONE)
			return -ENOENT;
		if (!snapshot_is_dir(&s->entries[entry]))
			return -ENOTDIR;
	}
	return -ENOENT;
}

int dir_stat(struct snap *snap, const char *path, size_t len, struct dir_entry *ret)
{
	const struct snapshot *s;
	uint32_t entry;

	if (snap == NULL)
		return -ENOTCONN;
	s = snap_tree(snap);
	entry = snapshot_lookup(s, 0, path, len);
	if (entry == SNAPSHOT_NONE)
		return why_not(s, path, len);
	describe(snap, entry, ret);
	return 0;
}

int dir_open(struct view *v, const char *path, size_t len, struct dir *ret_dir)
{
	struct snap *snap = view_snap(v);
	struct dir_entry e;
	int r = dir_stat(snap, path, len, &e);

	if (r == 0 && !e.is_dir)
		r = -ENOTDIR;
	if (r != 0) {
		snap_put(snap);
		return r;
	}
	*ret_dir = (struct dir){ .snap = snap, .entry = e.entry };
	return 0;
}

void dir_close(struct dir *d)
{
	snap_put(d->snap);
	d->snap = NULL;
}

void dir_rewind(struct dir *d)
{
	d->next = 0;
}

int dir_next(struct dir *d, struct dir_entry *ret)
{
	const struct snapshot_entry *e = &snap_tree(d->snap)->entries[d->entry];

	if (d->next >= e->nr_children)
		return 0;
	describe(d->snap, e->first_child + d->next, ret);
	d->next++;
	return 1;
}
