#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "common/chunktab.h"
#include "common/clock.h"
#include "common/snapshot.h"
#include "common/wire.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"
#include "daemon/mount/mount_internal.h"
#include "daemon/mount/prefetch.h"

#define LOG_MODULE "mount"
#include "daemon/base/log.h"

static struct fetchq *queue_of(const struct mount_object *mo)
{
	return fetch_queue(mo->ms->fetch);
}

/* ---- opening -------------------------------------------------------------------- */

static void refresh_if_old(struct mount *m)
{
	uint64_t age = clock_ms() - (m->begun_ms > m->listed_ms ? m->begun_ms : m->listed_ms);

	if (m->ms->conf.refresh_ms != 0 && age > m->ms->conf.refresh_ms && m->lister == NULL)
		mount_list_again(m, "the snapshot is older than mount.refreshSec");
}

static int find_file(const struct mount *m, const char *path, size_t len, uint32_t *ret_file,
		     char *text, size_t text_len)
{
	const struct snapshot *s = snapmem_view(m->snapshot);
	uint32_t last, file = snapshot_find(s, 0, path, len, &last);

	/* A client looks the name up first, and asks for the directory where it has to. */
	if (file == SNAPSHOT_NONE && snapshot_is_unlisted(s, last)) {
		snprintf(text, text_len, "%s is still being listed", m->oss_path);
		return -EAGAIN;
	}
	if (file == SNAPSHOT_NONE) {
		snprintf(text, text_len, "%s has no file \"%.*s\" in its listing", m->oss_path,
			 (int)(len < 512 ? len : 512), path);
		return -ENOENT;
	}
	if (snapshot_is_dir(&s->entries[file])) {
		snprintf(text, text_len, "\"%.*s\" of %s is a directory",
			 (int)(len < 512 ? len : 512), path, m->oss_path);
		return -EISDIR;
	}
	*ret_file = file;
	return 0;
}

static void explain_object(const struct mount *m, int error, char *text, size_t text_len)
{
	const char *why = strerror(-error);

	if (error == -EIO)
		why = "the bytes that came do not have the checksum of the store; it is tried "
		      "again after a while";
	else if (error == -EMFILE)
		why = "too many files are open: close some, or raise the daemon's limit";
	else if (error == -ENOSPC)
		why = "the files that are open fill the mount's chunk table: close some, or use "
		      "larger chunks";
	snprintf(text, text_len, "%s: %s", m->oss_path, why);
}

/* What an open makes worth bringing. */
static void look_ahead(struct mount *m, struct mount_object *mo, uint32_t file)
{
	struct fetchq_entry *e = &mo->fetch.entry;
	struct run *r;

	fetchq_set_opened(queue_of(mo), e);
	if (m->prefetch)
		mount_begin_prefetch(m, file);
	r = run_find(m, file);
	if (r != NULL && run_get_state(r) != RUN_STOPPED) {
		m->reader = mo;
		run_on_reader(r, mo, file);
	} else if (chunk_get_state(e->object, 0) == CHUNK_EMPTY) {
		fetchq_readahead(queue_of(mo), e, 0, 1);
	}
}

/* The object with a reference and a use for the caller: one that is just given up is replaced. */
static int use_object(struct mount *m, uint32_t file, struct mount_object **ret_object)
{
	struct mount_object *mo;
	struct object *o;
	int r;

	for (;;) {
		r = objects_get(m, snapmem_view(m->snapshot), file, &mo);
		if (r != 0)
			return r;
		o = object_ref(mo->fetch.entry.object);
		object_use(o);
		if (!object_is_dropped(o)) {
			*ret_object = mo;
			return 0;
		}
		object_unuse(o);
		object_unref(o);
	}
}

int mount_open(struct mount *m, const char *path, size_t path_len, struct mount_file *ret_file,
	       char *text, size_t text_len)
{
	const struct snapshot *s;
	const struct snapshot_entry *e;
	struct mount_object *mo;
	uint32_t file;
	int r;

	refresh_if_old(m);
	r = find_file(m, path, path_len, &file, text, text_len);
	if (r != 0)
		return r;
	s = snapmem_view(m->snapshot);
	e = &s->entries[file];
	memcpy(m->etag, s->strings + e->etag_off, e->etag_len);
	m->etag[e->etag_len] = '\0';
	*ret_file = (struct mount_file){
		.size = e->size,
		.ino = e->ino,
		.mtime_ns = e->mtime_ns,
		.etag = m->etag,
	};
	if (e->size == 0)
		return 0;
	r = use_object(m, file, &mo);
	if (r != 0) {
		explain_object(m, r, text, text_len);
		return r;
	}
	ret_file->object = mo->fetch.entry.object;
	look_ahead(m, mo, file);
	return 0;
}

int mount_prefetch(struct mount *m, const char *path, size_t path_len)
{
	uint32_t entry = snapshot_lookup(snapmem_view(m->snapshot), 0, path, path_len);

	return entry == SNAPSHOT_NONE ? -ENOENT : run_start(m, entry);
}

/* ---- reading -------------------------------------------------------------------- */

/* A plan that streams follows whoever reads. */
static void follow_reader(struct mount_object *mo)
{
	struct mount *m = mo->mount;
	const char *path;
	uint32_t file;
	struct run *r;

	if (m == NULL || m->reader == mo || TAILQ_EMPTY(&m->runs))
		return;
	m->reader = mo;
	path = object_key(mo->fetch.entry.object) + strlen(m->location.prefix);
	file = snapshot_lookup(snapmem_view(m->snapshot), 0, path, strlen(path));
	r = file == SNAPSHOT_NONE ? NULL : run_find(m, file);
	if (r != NULL && run_is_streaming(r))
		run_on_reader(r, mo, file);
}

/* Only what is not there: the queue is not troubled with chunks that are present. */
static void queue_missing(struct mount_object *mo, uint32_t first, uint32_t end)
{
	struct fetchq_entry *e = &mo->fetch.entry;

	while (first < end && chunk_get_state(e->object, first) != CHUNK_EMPTY)
		first++;
	while (first < end && chunk_get_state(e->object, end - 1) != CHUNK_EMPTY)
		end--;
	if (first < end)
		fetchq_readahead(queue_of(mo), e, first, end);
}

static void read_ahead(struct mount_object *mo, uint32_t chunk)
{
	uint32_t most = readahead_most(cache_size(mo->ms->cache), cache_chunk_shift(mo->ms->cache));
	struct readahead_range range;

	range = readahead_access(&mo->ra, chunk, mo->fetch.entry.nr_chunks, most);
	queue_missing(mo, range.first, range.end);
}

/* verify: strict shows no chunk before all have been seen: who waits for one waits for all. */
static void bring_unseen(struct mount_object *mo)
{
	struct fetchq_entry *e = &mo->fetch.entry;
	int64_t chunk = object_next_unseen(e->object, 0);

	while (chunk >= 0) {
		fetchq_demand(queue_of(mo), e, (uint32_t)chunk);
		if ((uint32_t)chunk + 1 == e->nr_chunks)
			break;
		chunk = object_next_unseen(e->object, (uint32_t)chunk + 1);
	}
}

void mount_want(struct object *o, uint32_t chunk, uint32_t end, bool retry)
{
	struct mount_object *mo = mount_object_of(o);
	enum chunk_state state;

	if (chunk >= mo->fetch.entry.nr_chunks)
		return;
	state = chunk_want(o, chunk, end, retry);
	if (state == CHUNK_EMPTY || state == CHUNK_EVICTING)
		fetchq_demand(queue_of(mo), &mo->fetch.entry, chunk);
	if (state == CHUNK_FAILED)
		return;
	bring_unseen(mo);
	follow_reader(mo);
	read_ahead(mo, chunk);
}

void mount_touch(struct object *o, uint32_t chunk)
{
	struct mount_object *mo = mount_object_of(o);

	if (chunk >= mo->fetch.entry.nr_chunks)
		return;
	chunk_touch(o, chunk);
	follow_reader(mo);
	read_ahead(mo, chunk);
}

void mount_advise(struct object *o, uint32_t first, uint32_t nr, unsigned advice)
{
	struct mount_object *mo = mount_object_of(o);
	const uint32_t nr_chunks = mo->fetch.entry.nr_chunks;
	uint64_t most = cache_size(mo->ms->cache) / 2 >> cache_chunk_shift(mo->ms->cache);

	if (first >= nr_chunks)
		return;
	if (nr > nr_chunks - first)
		nr = nr_chunks - first;
	switch (advice) {
	case WIRE_ADVISE_WILLNEED:
		queue_missing(mo, first, first + (nr < most ? nr : (uint32_t)most));
		break;
	case WIRE_ADVISE_SEQUENTIAL:
		mo->ra.random = false;
		mo->ra.sequential = true;
		break;
	case WIRE_ADVISE_RANDOM:
		mo->ra.random = true;
		mo->ra.sequential = false;
		break;
	default: /* a hint of a later client */
		break;
	}
}

void mount_on_notice(const struct fetchq_notice *n, void *arg)
{
	struct mount_object *mo = mount_object_of(n->object);

	(void)arg;
	run_on_notice(mo, n);
	/* mo->mount is NULL when a newer listing has told already. */
	if (n->error == -ESTALE && mo->mount != NULL)
		mount_list_again(mo->mount, "an object is not what the listing said");
}
