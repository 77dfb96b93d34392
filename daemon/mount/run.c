#include "daemon/mount/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/snapshot.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount_internal.h"
#include "daemon/mount/prefetch.h"

#define LOG_MODULE "prefetch"
#include "daemon/base/log.h"

#define WIDE_FILES     8 /* handed to the queue at least, where all fits */
#define STREAM_FILES   2
#define FILES_PER_SLOT 2 /* at most: small files, so that no slot is idle */
#define FAILURES_MOST  8 /* in a row */
#define PATH_LEN       2048

/* A plan, and those of its files that the queue has now. */
struct run {
	struct mount *mount;
	struct prefetch *plan;
	struct run_objects active;
	unsigned nr_active;
	unsigned nr_failed;	      /* in a row */
	struct mount_object *current; /* where the reader was last; streaming only */
	enum run_state state;
	TAILQ_ENTRY(run) link;
};

static struct fetchq *queue_of(const struct run *r)
{
	return fetch_queue(r->mount->ms->fetch);
}

static void activate(struct run *r, struct mount_object *mo, uint32_t file, bool in_front)
{
	mo->run = r;
	mo->run_file = file;
	TAILQ_INSERT_TAIL(&r->active, mo, run_link);
	r->nr_active++;
	fetchq_prefetch(queue_of(r), &mo->fetch.entry, in_front,
			prefetch_is_streaming(r->plan) ? r : NULL);
}

static void deactivate(struct mount_object *mo)
{
	struct run *r = mo->run;

	TAILQ_REMOVE(&r->active, mo, run_link);
	r->nr_active--;
	mo->run = NULL;
}

/* Does the queue have so much that another file would only wait? */
static bool is_fed(const struct run *r)
{
	unsigned files = prefetch_is_streaming(r->plan) ? STREAM_FILES : WIDE_FILES;
	struct fetchq_stats stats;

	if (r->nr_active < files)
		return false;
	fetchq_stats(queue_of(r), &stats);
	return r->nr_active >= FILES_PER_SLOT * stats.nr_slots ||
	       stats.queued[FETCH_PREFETCH] >= 2 * (uint64_t)stats.nr_slots;
}

/* The plan's entry in the mount's newest snapshot, if it is the same version there. */
static uint32_t entry_now(const struct run *r, uint32_t file)
{
	const struct snapshot *old = snapmem_view(prefetch_snapshot(r->plan));
	const struct snapshot *now = snapmem_view(r->mount->snapshot);
	const struct snapshot_entry *a, *b;
	char path[PATH_LEN];
	uint32_t entry;
	int len;

	if (old == now)
		return file;
	len = snapshot_path(old, file, path, sizeof(path));
	if (len < 0)
		return SNAPSHOT_NONE;
	entry = snapshot_lookup(now, 0, path, (size_t)len);
	if (entry == SNAPSHOT_NONE)
		return SNAPSHOT_NONE;
	a = &old->entries[file];
	b = &now->entries[entry];
	if (snapshot_is_dir(b) || a->size != b->size || a->etag_len != b->etag_len ||
	    memcmp(old->strings + a->etag_off, now->strings + b->etag_off, a->etag_len) != 0)
		return SNAPSHOT_NONE;
	return entry;
}

static void stop(struct run *r, const char *why)
{
	struct mount_object *mo;

	while ((mo = TAILQ_FIRST(&r->active)) != NULL) {
		deactivate(mo);
		fetchq_prefetch_stop(queue_of(r), &mo->fetch.entry);
	}
	r->state = RUN_STOPPED;
	log_warn("%s: prefetch stops, files are read when they are opened: %s", r->mount->oss_path,
		 why);
}

static void feed(struct run *r)
{
	struct mount_object *mo;
	uint32_t file, entry;
	int error;

	while (r->state == RUN_GOING && !is_fed(r)) {
		file = prefetch_next(r->plan);
		if (file == SNAPSHOT_NONE) {
			if (r->nr_active == 0)
				r->state = RUN_DONE;
			return;
		}
		entry = entry_now(r, file);
		if (entry == SNAPSHOT_NONE)
			continue;
		error = objects_get(r->mount, snapmem_view(r->mount->snapshot), entry, &mo);
		if (error == -EMFILE || error == -ENOSPC) {
			stop(r, error == -EMFILE ? "too many objects are open"
						 : "the mount's chunk table is full");
			return;
		}
		if (error == 0 && mo->run == NULL && !object_is_complete(mo->fetch.entry.object))
			activate(r, mo, file, false);
	}
}

static void note_begin(struct run *r, uint32_t entry)
{
	const struct snapshot *s = snapmem_view(r->mount->snapshot);
	const char *prefix = r->mount->location.prefix;
	const size_t skip = strlen(prefix);
	char key[OSS_KEY_MAX * 2 + 2];
	int len;

	memcpy(key, prefix, skip + 1);
	len = snapshot_path(s, entry, key + skip, sizeof(key) - skip - 1);
	if (len > 0 && snapshot_is_dir(&s->entries[entry]))
		memcpy(key + skip + len, "/", 2);
	progress_begin(r->mount, len >= 0 ? key : prefix, prefetch_bytes(r->plan));
}

int run_start(struct mount *m, uint32_t entry)
{
	struct run *r = run_find(m, entry), *old;
	unsigned nr = 0;
	int error;

	if (r != NULL && r->state == RUN_GOING)
		return 0;
	TAILQ_FOREACH(old, &m->runs, link)
	{
		nr++;
		if (r == NULL && old->state != RUN_GOING)
			r = old;
	}
	if (r != NULL)
		run_free(r);
	else if (nr >= RUN_MOST)
		return -EBUSY;

	r = xcalloc(1, sizeof(*r));
	r->mount = m;
	TAILQ_INIT(&r->active);
	error = prefetch_new(m->snapshot, entry, cache_size(m->ms->cache),
			     cache_chunk_shift(m->ms->cache), &r->plan);
	if (error != 0) {
		free(r);
		return error;
	}
	note_begin(r, entry);
	TAILQ_INSERT_TAIL(&m->runs, r, link);
	log_info("%s: prefetch of %llu bytes begins%s", m->oss_path,
		 (unsigned long long)prefetch_bytes(r->plan),
		 prefetch_is_streaming(r->plan)
			 ? "; they do not fit the cache, so files come one by one as they are read"
			 : "");
	feed(r);
	return 0;
}

void run_free(struct run *r)
{
	struct mount_object *mo;

	while ((mo = TAILQ_FIRST(&r->active)) != NULL) {
		deactivate(mo);
		fetchq_prefetch_stop(queue_of(r), &mo->fetch.entry);
	}
	TAILQ_REMOVE(&r->mount->runs, r, link);
	prefetch_free(r->plan);
	free(r);
}

/* The entry as the plan's snapshot has it. */
static uint32_t entry_then(const struct run *r, uint32_t entry)
{
	const struct snapshot *then = snapmem_view(prefetch_snapshot(r->plan));
	const struct snapshot *now = snapmem_view(r->mount->snapshot);
	char path[PATH_LEN];
	int len;

	if (then == now)
		return entry;
	len = snapshot_path(now, entry, path, sizeof(path));
	return len < 0 ? SNAPSHOT_NONE : snapshot_lookup(then, 0, path, (size_t)len);
}

struct run *run_find(const struct mount *m, uint32_t entry)
{
	struct run *r;
	uint32_t then;

	TAILQ_FOREACH(r, &m->runs, link)
	{
		then = entry_then(r, entry);
		if (then != SNAPSHOT_NONE && prefetch_covers(r->plan, then))
			return r;
	}
	return NULL;
}

/* What was to come goes back to the plan; it goes on behind the file that is read. */
static void turn_to(struct run *r, uint32_t file)
{
	struct mount_object *mo;

	if (!prefetch_go_on_from(r->plan, file))
		return;
	while ((mo = TAILQ_FIRST(&r->active)) != NULL) {
		prefetch_put_back(r->plan, mo->run_file);
		deactivate(mo);
		fetchq_prefetch_stop(queue_of(r), &mo->fetch.entry);
	}
}

void run_on_reader(struct run *r, struct mount_object *mo, uint32_t entry)
{
	uint32_t file;

	if (r->state == RUN_STOPPED || r->current == mo)
		return;
	if (prefetch_is_streaming(r->plan)) {
		r->current = mo;
		file = entry_then(r, entry);
		if (file != SNAPSHOT_NONE)
			turn_to(r, file);
		if (mo->run == NULL && file != SNAPSHOT_NONE &&
		    !object_is_complete(mo->fetch.entry.object))
			activate(r, mo, file, true);
		if (r->state == RUN_DONE)
			r->state = RUN_GOING;
		feed(r);
	} else if (!object_is_complete(mo->fetch.entry.object)) {
		fetchq_prefetch(queue_of(r), &mo->fetch.entry, true, NULL);
	}
}

void run_on_notice(struct mount_object *mo, const struct fetchq_notice *n)
{
	struct run *r = mo->run;

	if (r == NULL)
		return;
	deactivate(mo);
	r->nr_failed = n->error != 0 ? r->nr_failed + 1 : 0;
	if (r->nr_failed >= FAILURES_MOST)
		stop(r, "too many downloads fail one after the other");
	feed(r);
}

void run_forget(struct mount_object *mo)
{
	struct run *r = mo->run;

	deactivate(mo);
	if (r->current == mo)
		r->current = NULL;
}

enum run_state run_get_state(const struct run *r)
{
	return r->state;
}

bool run_is_streaming(const struct run *r)
{
	return prefetch_is_streaming(r->plan);
}

struct run *run_next(const struct run *r)
{
	return TAILQ_NEXT(r, link);
}
