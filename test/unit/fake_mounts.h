/*
 * fake_mounts.h - stands in for daemon/mount in tests of the sessions: one
 * mount without a store, real objects of a real cache, and a record of what was
 * asked.  Include it in one file of a program; the linker then has no need of
 * the real one.
 *
 *	oss://wait/...	answers when fake_answer_all() is called
 *	oss://bad/...	answers -EACCES
 *	else		answers in the next turn of the loop
 *
 *	paths: "empty" (no bytes), "file" (2.5 chunks), others -ENOENT
 */
#ifndef TEST_UNIT_FAKE_MOUNTS_H
#define TEST_UNIT_FAKE_MOUNTS_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/chunktab.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"

#define FAKE_CHUNK ((uint64_t)1 << 20)
#define FAKE_SIZE  (FAKE_CHUNK * 5 / 2)

struct mount_attach {
	struct mount_attach *next;
	struct mount_attach **where;
	struct event *turn; /* NULL: waits to be told */
	mount_attached_fn *fn;
	void *arg;
	int error;
};

struct mount {
	struct table *table;
	int fd;
};

static struct fake {
	struct event_base *base;
	struct cache *cache;
	struct mount mount;
	struct mount_attach *attaches;
	int nr_refs, nr_attached, nr_cancelled, nr_unkept, nr_prefetched;
	int nr_wants, nr_advised, nr_touched;
	uint32_t last_chunk, last_end, last_advice, last_touch;
	bool last_retry, last_secondary, last_keep, last_prefetch, touched_since_want;
	uid_t last_uid;
	char last_key[64], last_secret[64], last_path[256];
	struct object *last_object;
} fake;

static inline int fake_start(struct event_base *base, struct cache *cache)
{
	fake = (struct fake){ .base = base, .cache = cache };
	fake.mount.fd = memfd_create("fake-snapshot", MFD_CLOEXEC);
	if (fake.mount.fd == -1 || ftruncate(fake.mount.fd, 4096) == -1)
		return -errno;
	return table_new(cache, &fake.mount.table);
}

static inline void fake_end(void)
{
	table_unref(fake.mount.table);
	close(fake.mount.fd);
}

static void fake_remove(struct mount_attach *a)
{
	*a->where = a->next;
	if (a->next != NULL)
		a->next->where = a->where;
	if (a->turn != NULL)
		event_free(a->turn);
}

static void fake_finish(struct mount_attach *a)
{
	mount_attached_fn *fn = a->fn;
	void *arg = a->arg;
	int error = a->error;

	fake_remove(a);
	free(a);
	fake.nr_refs += error == 0;
	fn(error == 0 ? &fake.mount : NULL, error, error == 0 ? "" : "these keys are refused", arg);
}

static void fake_on_turn(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	fake_finish(arg);
}

static inline void fake_answer_all(void)
{
	while (fake.attaches != NULL)
		fake_finish(fake.attaches);
}

static struct mount_attach *fake_attach(bool waits, int error, mount_attached_fn *fn, void *arg)
{
	struct mount_attach *a = xcalloc(1, sizeof(*a));
	const struct timeval now = { 0, 0 };

	a->fn = fn;
	a->arg = arg;
	a->error = error;
	a->next = fake.attaches;
	a->where = &fake.attaches;
	if (a->next != NULL)
		a->next->where = &a->next;
	fake.attaches = a;
	if (!waits) {
		a->turn = evtimer_new(fake.base, fake_on_turn, a);
		BUG_ON(a->turn == NULL || evtimer_add(a->turn, &now) != 0);
	}
	return a;
}

int mount_attach(struct mounts *ms, const struct mount_spec *spec, mount_attached_fn *fn, void *arg,
		 struct mount_attach **ret_attach)
{
	(void)ms;
	fake.nr_attached++;
	fake.last_uid = spec->uid;
	fake.last_secondary = spec->secondary;
	fake.last_keep = spec->keep;
	fake.last_prefetch = spec->prefetch;
	snprintf(fake.last_key, sizeof(fake.last_key), "%s", spec->access_key);
	snprintf(fake.last_secret, sizeof(fake.last_secret), "%s", spec->secret);
	snprintf(fake.last_path, sizeof(fake.last_path), "%s", spec->oss_path);
	*ret_attach =
		fake_attach(strncmp(spec->oss_path, "oss://wait/", 11) == 0,
			    strncmp(spec->oss_path, "oss://bad/", 10) == 0 ? -EACCES : 0, fn, arg);
	return 0;
}

void mount_attach_cancel(struct mount_attach *a)
{
	fake.nr_cancelled++;
	fake_remove(a);
	free(a);
}

int mount_refresh(struct mount *m, mount_attached_fn *fn, void *arg,
		  struct mount_attach **ret_attach)
{
	(void)m;
	*ret_attach = fake_attach(false, 0, fn, arg);
	return 0;
}

int mount_list(struct mount *m, const char *path, size_t path_len, mount_attached_fn *fn, void *arg,
	       struct mount_attach **ret_attach)
{
	(void)path;
	(void)path_len;
	return mount_refresh(m, fn, arg, ret_attach);
}

void mount_release(struct mount *m)
{
	(void)m;
	fake.nr_refs--;
}

void mount_unkeep(struct mount *m)
{
	(void)m;
	fake.nr_unkept++;
}

struct table *mount_table(const struct mount *m)
{
	return m->table;
}

uint64_t mount_snapshot_serial(const struct mount *m)
{
	(void)m;
	return 11;
}

int mount_snapshot_fd(const struct mount *m)
{
	return m->fd;
}

size_t mount_snapshot_len(const struct mount *m)
{
	(void)m;
	return 4096;
}

bool mount_is_shared(const struct mount *m)
{
	(void)m;
	return false;
}

const char *mount_oss_path(const struct mount *m)
{
	(void)m;
	return "oss://bucket/models/";
}

int mount_open(struct mount *m, const char *path, size_t path_len, struct mount_file *ret_file,
	       char *text, size_t text_len)
{
	const struct object_spec spec = { .key = "models/file", .etag = "e1", .size = FAKE_SIZE };

	*ret_file = (struct mount_file){ .ino = 5, .mtime_ns = 6, .etag = "e1" };
	if (path_len == 5 && memcmp(path, "empty", 5) == 0)
		return 0;
	if (path_len != 4 || memcmp(path, "file", 4) != 0) {
		snprintf(text, text_len, "there is no %.*s", (int)path_len, path);
		return -ENOENT;
	}
	if (object_new(fake.cache, m->table, &spec, &ret_file->object) != 0)
		return -EMFILE;
	object_use(ret_file->object);
	ret_file->size = FAKE_SIZE;
	fake.last_object = ret_file->object;
	return 0;
}

void mount_want(struct object *o, uint32_t chunk, uint32_t end, bool retry)
{
	(void)chunk_want(o, chunk, end, retry);
	fake.nr_wants++;
	fake.touched_since_want = false;
	fake.last_chunk = chunk;
	fake.last_end = end;
	fake.last_retry = retry;
}

void mount_advise(struct object *o, uint32_t first, uint32_t nr, unsigned advice)
{
	(void)o;
	fake.nr_advised += (int)nr;
	fake.last_chunk = first;
	fake.last_advice = advice;
}

void mount_touch(struct object *o, uint32_t chunk)
{
	(void)o;
	fake.nr_touched++;
	fake.touched_since_want = true;
	fake.last_touch = chunk;
}

int mount_prefetch(struct mount *m, const char *path, size_t path_len)
{
	(void)m;
	if (path_len == 7 && memcmp(path, "missing", 7) == 0)
		return -ENOENT;
	fake.nr_prefetched++;
	return 0;
}

#endif
