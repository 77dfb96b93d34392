#include "daemon/mount/objects.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/chunktab.h"
#include "common/clock.h"
#include "common/snapshot.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/inode.h"
#include "daemon/mount/mount_internal.h"

#define SWEEP_LEAST 64
#define RECLAIM	    16 /* objects to give up when there are too many */

void objects_init(struct objects *os)
{
	os->nr_slots = 64;
	os->nr = 0;
	os->sweep_at = SWEEP_LEAST;
	os->slots = xcalloc(os->nr_slots, sizeof(os->slots[0]));
}

void objects_fini(struct objects *os)
{
	size_t i;

	for (i = 0; i < os->nr_slots; i++)
		while (os->slots[i] != NULL)
			objects_forget(os, os->slots[i]);
	free(os->slots);
	os->slots = NULL;
	os->nr_slots = 0;
}

static void grow(struct objects *os)
{
	size_t nr = os->nr_slots * 2, i;
	struct mount_object **slots, *mo;

	if (os->nr < os->nr_slots)
		return;
	slots = xcalloc(nr, sizeof(slots[0]));
	for (i = 0; i < os->nr_slots; i++) {
		while ((mo = os->slots[i]) != NULL) {
			os->slots[i] = mo->next;
			mo->next = slots[mo->hash % nr];
			slots[mo->hash % nr] = mo;
		}
	}
	free(os->slots);
	os->slots = slots;
	os->nr_slots = nr;
}

void objects_forget(struct objects *os, struct mount_object *mo)
{
	struct mount_object **at = &os->slots[mo->hash % os->nr_slots];
	struct object *o = mo->fetch.entry.object;

	while (*at != mo)
		at = &(*at)->next;
	*at = mo->next;
	os->nr--;
	if (mo->run != NULL)
		run_forget(mo);
	if (mo->mount->reader == mo)
		mo->mount->reader = NULL;
	mo->mount = NULL;
	fetch_done_add(&os->gone, &mo->fetch.tally);
	fetchq_forget_ahead(fetch_queue(mo->ms->fetch), &mo->fetch.entry);
	object_drop(o);
	object_unref(o);
}

/* Those whose chunks were given up are of no use; what nobody opened can be given up. */
static void sweep(struct objects *os, unsigned reclaim)
{
	struct mount_object *mo, *next;
	size_t i;

	for (i = 0; i < os->nr_slots; i++) {
		for (mo = os->slots[i]; mo != NULL; mo = next) {
			bool idle = reclaim != 0 && !mo->fetch.entry.opened && mo->run == NULL;

			next = mo->next;
			if (!idle && !object_is_dropped(mo->fetch.entry.object))
				continue;
			reclaim -= idle;
			objects_forget(os, mo);
		}
	}
	os->sweep_at = os->nr * 2 > SWEEP_LEAST ? os->nr * 2 : SWEEP_LEAST;
}

/* Any thread: the cache frees the object. */
static void on_gone(void *owner)
{
	struct mount_object *mo = owner;

	fetch_object_fini(&mo->fetch);
	free(mo);
}

struct version {
	char key[OSS_KEY_MAX * 2];
	char etag[256];
	uint64_t hash;
};

static int name_version(const struct mount *m, const struct snapshot *s, uint32_t file,
			struct version *v)
{
	const struct snapshot_entry *e = &s->entries[file];
	size_t len = strlen(m->location.prefix);
	int r;

	memcpy(v->key, m->location.prefix, len);
	r = snapshot_path(s, file, v->key + len, sizeof(v->key) - len);
	if (r < 0)
		return r;
	memcpy(v->etag, s->strings + e->etag_off, e->etag_len);
	v->etag[e->etag_len] = '\0';
	v->hash =
		inode_hash(inode_hash(m->ms->seed, v->key, len + (size_t)r), v->etag, e->etag_len);
	return 0;
}

static struct mount_object *find(const struct objects *os, const struct version *v)
{
	struct mount_object *mo = os->slots[v->hash % os->nr_slots];

	while (mo != NULL &&
	       (mo->hash != v->hash || strcmp(object_key(mo->fetch.entry.object), v->key) != 0 ||
		strcmp(object_etag(mo->fetch.entry.object), v->etag) != 0))
		mo = mo->next;
	return mo;
}

static int make(struct mount *m, const struct version *v, uint64_t size,
		struct mount_object **ret_object)
{
	struct mount_object *mo = xcalloc(1, sizeof(*mo));
	struct object_spec spec = {
		.key = v->key,
		.etag = v->etag,
		.size = size,
		.owner = mo,
		.on_gone = on_gone,
	};
	struct object *o;
	int r;

	r = object_new(m->ms->cache, m->table, &spec, &o);
	if (r == -EMFILE || r == -ENOSPC) {
		sweep(&m->objects, RECLAIM);
		r = object_new(m->ms->cache, m->table, &spec, &o);
	}
	if (r != 0) {
		free(mo);
		return r;
	}
	fetch_object_init(&mo->fetch, o, m->bucket, m->lane);
	mo->ms = m->ms;
	mo->mount = m;
	mo->hash = v->hash;
	if (m->objects.nr >= m->objects.sweep_at)
		sweep(&m->objects, 0);
	grow(&m->objects);
	mo->next = m->objects.slots[v->hash % m->objects.nr_slots];
	m->objects.slots[v->hash % m->objects.nr_slots] = mo;
	m->objects.nr++;
	*ret_object = mo;
	return 0;
}

/*
 * Wrong bytes stay wrong for as long as the object is kept, so that no later
 * reader takes them for right; other failures end with the next open.
 */
static int judge_failure(struct mount_object *mo)
{
	int error = object_error(mo->fetch.entry.object);

	if (error != -EIO)
		return 0;
	if (mo->failed_ms == 0)
		mo->failed_ms = clock_ms();
	return clock_ms() - mo->failed_ms <= mo->ms->conf.expire_ms ? error : 0;
}

int objects_get(struct mount *m, const struct snapshot *s, uint32_t file,
		struct mount_object **ret_object)
{
	struct mount_object *mo;
	struct version v;
	int r;

	r = name_version(m, s, file, &v);
	if (r != 0)
		return r;
	mo = find(&m->objects, &v);
	if (mo != NULL && !object_is_dropped(mo->fetch.entry.object) &&
	    object_error(mo->fetch.entry.object) == 0) {
		*ret_object = mo;
		return 0;
	}
	if (mo != NULL) {
		r = object_is_dropped(mo->fetch.entry.object) ? 0 : judge_failure(mo);
		if (r != 0)
			return r;
		objects_forget(&m->objects, mo);
	}
	return make(m, &v, s->entries[file].size, ret_object);
}

void objects_retain(struct mount *m, const struct snapshot *s)
{
	const size_t skip = strlen(m->location.prefix);
	struct mount_object *mo, *next;
	size_t i;

	for (i = 0; i < m->objects.nr_slots; i++) {
		for (mo = m->objects.slots[i]; mo != NULL; mo = next) {
			const struct object *o = mo->fetch.entry.object;
			const char *path = object_key(o) + skip;
			uint32_t file = snapshot_lookup(s, 0, path, strlen(path));
			const struct snapshot_entry *e = &s->entries[file];

			next = mo->next;
			if (file != SNAPSHOT_NONE && !snapshot_is_dir(e) &&
			    e->size == object_size(o) && strlen(object_etag(o)) == e->etag_len &&
			    memcmp(object_etag(o), s->strings + e->etag_off, e->etag_len) == 0)
				continue;
			objects_forget(&m->objects, mo);
		}
	}
}

static bool has_failed(const struct object *o)
{
	uint32_t i;

	if (object_error(o) != 0)
		return true;
	for (i = 0; i < object_nr_chunks(o); i++)
		if (chunk_get_state(o, i) == CHUNK_FAILED)
			return true;
	return false;
}

uint64_t objects_present_below(const struct objects *os, const char *prefix)
{
	const struct mount_object *mo;
	const size_t len = strlen(prefix);
	uint64_t present = 0;
	size_t i;

	for (i = 0; i < os->nr_slots; i++)
		for (mo = os->slots[i]; mo != NULL; mo = mo->next)
			if (strncmp(object_key(mo->fetch.entry.object), prefix, len) == 0)
				present += object_present_bytes(mo->fetch.entry.object);
	return present;
}

void objects_sum(const struct objects *os, struct fetchq *q, struct objects_sum *ret)
{
	const struct mount_object *mo;
	const struct object *o;
	uint64_t present;
	size_t i;

	*ret = (struct objects_sum){ .done = os->gone };
	for (i = 0; i < os->nr_slots; i++)
		for (mo = os->slots[i]; mo != NULL; mo = mo->next) {
			o = mo->fetch.entry.object;
			present = object_present_bytes(o);
			ret->present_bytes += present;
			fetch_done_add(&ret->done, &mo->fetch.tally);
			ret->in_flight += fetchq_in_flight(q, &mo->fetch.entry);
			/* Only what lacks something is looked at chunk by chunk. */
			if (present < object_size(o) && has_failed(o))
				ret->failed++;
		}
}
