/* Mounts, and the names in them. */
#include "common/wire.h"
#include "libclient/core/dir.h"
#include "libclient/lib/handles.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATH_LEN 1088u /* a key has at most 1023 bytes */

/* The caller's word, else the environment's, else none. */
static const char *setting(const char *given, const char *variable)
{
	return given != NULL && given[0] != '\0' ? given : getenv(variable);
}

static void settle_credentials(const struct ossc_mount_options *o, struct view_conf *conf)
{
	bool given = o->access_key != NULL && o->access_key[0] != '\0';

	/* A key of the caller's never meets a token of the environment's. */
	conf->access_key = given ? o->access_key : getenv("OSS_ACCESS_KEY_ID");
	conf->secret = given ? o->secret : getenv("OSS_ACCESS_KEY_SECRET");
	conf->token = given ? o->token : getenv("OSS_SESSION_TOKEN");
}

static uint32_t wire_flags(unsigned flags)
{
	return ((flags & OSSC_SECONDARY) != 0 ? WIRE_MOUNT_SECONDARY : 0u) |
	       ((flags & OSSC_PREFETCH) != 0 ? WIRE_MOUNT_PREFETCH : 0u) |
	       ((flags & OSSC_KEEP) != 0 ? WIRE_MOUNT_KEEP : 0u) |
	       ((flags & OSSC_REFRESH) != 0 ? WIRE_MOUNT_REFRESH : 0u);
}

OSSC_EXPORT int ossc_mount(struct ossc *conn, const struct ossc_mount_options *options,
			   struct ossc_mount **ret_mount)
{
	struct ossc_mount_options o = { .size = sizeof(o) };
	struct view_conf conf = { 0 };
	struct ossc_mount *m;
	int r;

	if (options != NULL && options_copy(&o, sizeof(o), options, options->size) != 0)
		return -EINVAL;
	conf.oss_path = setting(o.oss_path, "OSS_PATH");
	conf.endpoint = setting(o.endpoint, "OSS_ENDPOINT");
	conf.region = setting(o.region, "OSS_REGION");
	conf.sources = setting(o.sources, "HTTP_SOURCE_IP");
	conf.model_dir = setting(o.model_dir, "MODEL_DIR");
	settle_credentials(&o, &conf);
	conf.flags = wire_flags(o.flags);
	conf.wait_ms = o.timeout_ms;
	if (conf.oss_path == NULL || conf.oss_path[0] == '\0') {
		link_set_error_text(conn->link, "no bucket was named: set OSS_PATH to "
						"oss://bucket/prefix/ or s3://bucket/prefix/");
		return -EINVAL;
	}

	m = calloc(1, sizeof(*m));
	if (m == NULL)
		return -ENOMEM;
	m->conn = conn;
	r = view_new(conn->link, &conf, &m->view);
	if (r == 0)
		r = view_attach(m->view);
	if (r != 0) {
		ossc_unmount(m);
		return r;
	}
	*ret_mount = m;
	return 0;
}

OSSC_EXPORT void ossc_unmount(struct ossc_mount *mount)
{
	if (mount == NULL)
		return;
	view_free(mount->view);
	free(mount);
}

OSSC_EXPORT int ossc_unkeep(struct ossc_mount *mount)
{
	return view_unmount(mount->view);
}

OSSC_EXPORT int ossc_refresh(struct ossc_mount *mount)
{
	return view_refresh(mount->view);
}

OSSC_EXPORT int ossc_prefetch(struct ossc_mount *mount, const char *path)
{
	return view_prefetch(mount->view, path, strlen(path));
}

/* ---- names ------------------------------------------------------------------------- */

static void fill_stat(struct snap *snap, uint32_t entry, struct ossc_stat *ret)
{
	const struct snapshot *s = snap_tree(snap);
	const struct snapshot_entry *e = &s->entries[entry];
	size_t n = e->etag_len < sizeof(ret->etag) ? e->etag_len : sizeof(ret->etag) - 1;

	*ret = (struct ossc_stat){
		.size = sizeof(*ret),
		.file_size = e->size,
		.mtime_ns = e->mtime_ns,
		.ino = e->ino,
		.is_dir = snapshot_is_dir(e),
	};
	memcpy(ret->etag, s->strings + e->etag_off, n);
}

OSSC_EXPORT int ossc_stat(struct ossc_mount *mount, const char *path, struct ossc_stat *ret_stat)
{
	struct snap *snap = view_snap(mount->view);
	size_t size = ret_stat->size;
	struct ossc_stat st;
	struct dir_entry e;
	int r;

	r = size < sizeof(size_t) ? -EINVAL : dir_stat(snap, path, strlen(path), &e);
	if (r == 0) {
		fill_stat(snap, e.entry, &st);
		st.size = size;
		memcpy(ret_stat, &st, size < sizeof(st) ? size : sizeof(st));
	}
	snap_put(snap);
	return r;
}

struct walk {
	struct snap *snap;
	unsigned flags;
	ossc_list_fn *fn;
	void *arg;
};

static int tell(const struct walk *w, uint32_t entry)
{
	char path[PATH_LEN];
	struct ossc_stat st;
	int len = snapshot_path(snap_tree(w->snap), entry, path, sizeof(path));

	if (len < 0)
		return len;
	fill_stat(w->snap, entry, &st);
	return w->fn(path, &st, w->arg);
}

/*
 * The order of paths: a directory's children follow it, siblings by their names.
 * No recursion: the way back up is the entry's parent and its own index.
 */
static int walk_sorted(const struct walk *w, uint32_t top)
{
	const struct snapshot_entry *all = snap_tree(w->snap)->entries;
	uint32_t dir = top, next = 0;
	int r = 0;

	while (r == 0) {
		const struct snapshot_entry *d = &all[dir];
		uint32_t child;

		if (next >= d->nr_children) {
			if (dir == top)
				break;
			next = dir - all[d->parent].first_child + 1;
			dir = d->parent;
			continue;
		}
		child = d->first_child + next++;
		r = tell(w, child);
		if ((w->flags & OSSC_LIST_RECURSIVE) != 0 && snapshot_is_dir(&all[child])) {
			dir = child;
			next = 0;
		}
	}
	return r;
}

static bool is_below(const struct snapshot *s, uint32_t entry, uint32_t top)
{
	while (entry != 0 && entry != top)
		entry = s->entries[entry].parent;
	return entry == top;
}

/* The order of memory. */
static int walk_fast(const struct walk *w, uint32_t top)
{
	const struct snapshot *s = snap_tree(w->snap);
	uint32_t i;
	int r = 0;

	for (i = 1; i < s->header->nr_entries && r == 0; i++)
		if (i != top && is_below(s, i, top))
			r = tell(w, i);
	return r;
}

OSSC_EXPORT int ossc_list(struct ossc_mount *mount, const char *path, unsigned flags,
			  ossc_list_fn *fn, void *arg)
{
	struct walk w = { .snap = view_snap(mount->view), .flags = flags, .fn = fn, .arg = arg };
	struct dir_entry e;
	int r;

	r = dir_stat(w.snap, path, strlen(path), &e);
	if (r == 0 && !e.is_dir)
		r = -ENOTDIR;
	if (r == 0 && (flags & OSSC_LIST_FAST) != 0 && (flags & OSSC_LIST_RECURSIVE) != 0)
		r = walk_fast(&w, e.entry);
	else if (r == 0)
		r = walk_sorted(&w, e.entry);
	snap_put(w.snap);
	return r;
}
