#include "daemon/mount/ahead.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "common/snapshot.h"
#include "daemon/base/xalloc.h"
#include "daemon/mount/lister.h"
#include "daemon/mount/mount_internal.h"
#include "daemon/mount/tree.h"
#include "daemon/oss/list.h"

#define LOG_MODULE "ahead"
#include "daemon/base/log.h"

#define PATIENCE_MS 500 /* a listing that ends before is not run ahead of */

/* One directory on its way. */
struct ahead_job {
	struct mount *mount;
	char *path;
	struct oss_list *list;
	struct tree_key *found; /* keys and etags are our own */
	unsigned nr, cap;
	TAILQ_ENTRY(ahead_job) link;
};

static void go(struct mount *m);

static uint32_t nr_known(const struct mount *m)
{
	return m->snapshot != NULL ? (uint32_t)snapmem_view(m->snapshot)->header->nr_entries : 0;
}

char *ahead_path(const struct mount *m, const char *path, size_t len)
{
	const struct snapshot *s = snapmem_view(m->snapshot);
	uint32_t entry = snapshot_lookup(s, 0, path, len);
	char own[2 * OSS_KEY_MAX];

	if (entry == SNAPSHOT_NONE || snapshot_path(s, entry, own, sizeof(own)) < 0)
		return xstrndup(path, len);
	return xstrdup(own);
}

bool ahead_is_known(const struct mount *m, const char *path)
{
	const struct snapshot *s;
	uint32_t entry;

	if (m->snapshot == NULL)
		return false;
	s = snapmem_view(m->snapshot);
	entry = snapshot_lookup(s, 0, path, strlen(path));
	return entry == SNAPSHOT_NONE || !snapshot_is_unlisted(s, entry);
}

static void job_free(struct ahead_job *j)
{
	unsigned i;

	TAILQ_REMOVE(&j->mount->ahead.jobs, j, link);
	j->mount->ahead.nr_jobs--;
	oss_list_cancel(j->list);
	for (i = 0; i < j->nr; i++) {
		free((char *)j->found[i].key);
		free((char *)j->found[i].etag);
	}
	free(j->found);
	free(j->path);
	free(j);
}

static void cancel_jobs(struct mount *m)
{
	struct ahead_job *j;

	while ((j = TAILQ_FIRST(&m->ahead.jobs)) != NULL)
		job_free(j);
}

/* ---- a directory's pages -------------------------------------------------------------- */

static void take(struct ahead_job *j, const struct tree_key *k)
{
	if (j->nr == j->cap) {
		j->cap = j->cap == 0 ? 64 : j->cap * 2;
		j->found = xrealloc(j->found, j->cap, sizeof(*j->found));
	}
	j->found[j->nr] = *k;
	j->found[j->nr].key = xstrndup(k->key, k->key_len);
	j->found[j->nr].etag = k->etag != NULL ? xstrdup(k->etag) : NULL;
	j->nr++;
}

static int on_page(const struct list_page *page, void *arg)
{
	struct ahead_job *j = arg;
	size_t i;

	if (nr_known(j->mount) + j->nr + page->nr_entries + page->nr_prefixes > AHEAD_ENTRIES)
		return -EFBIG;
	for (i = 0; i < page->nr_entries; i++) {
		const struct tree_key k = lister_key(&page->entries[i]);

		take(j, &k);
	}
	for (i = 0; i < page->nr_prefixes; i++) {
		const struct tree_key k = {
			.key = page->prefixes[i],
			.key_len = strlen(page->prefixes[i]),
			.is_unlisted = true,
		};

		take(j, &k);
	}
	return 0;
}

/* ---- snapshots of what is known ------------------------------------------------------- */

/* What the snapshot of before has; the directory of this path is listed now. */
static int add_known(struct tree *t, const struct mount *m, const char *path)
{
	const struct snapshot *s = snapmem_view(m->snapshot);
	const size_t skip = strlen(m->location.prefix);
	char key[2 * OSS_KEY_MAX + 2], etag[TREE_ETAG_MAX + 1];
	uint32_t i;
	int r = 0, n;

	memcpy(key, m->location.prefix, skip);
	for (i = 1; i < s->header->nr_entries && r == 0; i++) {
		const struct snapshot_entry *e = &s->entries[i];
		struct tree_key k = { .key = key, .size = e->size, .etag = etag };

		n = snapshot_path(s, i, key + skip, sizeof(key) - skip - 1);
		if (n < 0)
			return n;
		memcpy(etag, s->strings + e->etag_off, e->etag_len);
		etag[e->etag_len] = '\0';
		k.mtime = e->mtime_ns / 1000000000;
		k.is_unlisted = snapshot_is_unlisted(s, i) && strcmp(key + skip, path) != 0;
		k.key_len = skip + (size_t)n;
		if (snapshot_is_dir(e))
			key[k.key_len++] = '/';
		r = tree_add(t, &k);
	}
	return r;
}

static int build(struct mount *m, const struct ahead_job *j, struct snapmem **ret_snapshot)
{
	struct tree *t;
	unsigned i;
	int r;

	r = tree_new(m->location.prefix, &t);
	if (r != 0)
		return r;
	if (m->snapshot != NULL)
		r = add_known(t, m, j->path);
	for (i = 0; i < j->nr && r == 0; i++)
		r = tree_add(t, &j->found[i]);
	if (r == 0)
		r = tree_build(t, ++m->serial, ret_snapshot);
	tree_free(t);
	return r;
}

/* From here on all wait for the whole listing. */
static void give_up(struct mount *m)
{
	m->ahead.is_off = true;
	cancel_jobs(m);
	if (m->lister == NULL && !TAILQ_EMPTY(&m->ahead.waiting))
		mount_list_again(m, "more is asked for than can be listed by itself");
}

/* Who waits for this path; NULL: for anything that is known now. */
static void pick(struct mount *m, const char *path)
{
	struct mount_attach *a, *next;

	for (a = TAILQ_FIRST(&m->ahead.waiting); a != NULL; a = next) {
		next = TAILQ_NEXT(a, link);
		if (path != NULL ? strcmp(a->path, path) == 0 : ahead_is_known(m, a->path))
			mount_attach_place(a, &m->answering);
	}
}

static void on_done(const struct oss_result *res, void *arg)
{
	struct ahead_job *j = arg;
	struct mount *m = j->mount;
	const bool is_root = j->path[0] == '\0';
	struct snapmem *snapshot;
	char text[MOUNT_TEXT_LEN] = "";
	int r = res->error;

	j->list = NULL;
	/* Whether an empty mount is a mistake is for the whole listing to say. */
	if (r == 0 && is_root && j->nr == 0)
		r = -ENOENT;
	if (r == 0)
		r = build(m, j, &snapshot);
	/* A callback may release the mount. */
	m->nr_users++;
	if (r == 0) {
		mount_publish_part(m, snapshot);
		log_debug("%s%s: listed ahead, %u names", m->oss_path, j->path, j->nr);
		pick(m, NULL);
	} else if (r != -EFBIG && !is_root) {
		snprintf(text, sizeof(text), "%s%s cannot be listed: %s", m->oss_path, j->path,
			 res->text[0] != '\0' ? res->text : strerror(-r));
		log_warn("%s", text);
		pick(m, j->path);
	}
	job_free(j);
	if (r == -EFBIG || (r != 0 && is_root))
		give_up(m);
	mount_answer(m, r, text);
	go(m);
	mount_release(m);
}

/* ---- what is waited for ---------------------------------------------------------------- */

static int start_job(struct mount *m, const char *path)
{
	static const struct oss_list_events events = { .on_page = on_page, .on_done = on_done };
	const struct oss_retry_conf retry = { .budget_ms = m->ms->conf.retry_budget_ms };
	struct ahead_job *j = xcalloc(1, sizeof(*j));
	char *prefix = xasprintf("%s%s%s", m->location.prefix, path, path[0] != '\0' ? "/" : "");
	const struct oss_list_conf conf = {
		.prefix = prefix,
		.delimiter = "/",
		.retry = &retry,
	};
	int r;

	j->mount = m;
	j->path = xstrdup(path);
	TAILQ_INSERT_TAIL(&m->ahead.jobs, j, link);
	m->ahead.nr_jobs++;
	m->ahead.nr_begun++;
	r = oss_list_start(m->ms->base, m->ms->client, m->bucket, &conf, &events, j, &j->list);
	free(prefix);
	if (r != 0)
		job_free(j);
	return r;
}

static bool is_on_its_way(const struct mount *m, const char *path)
{
	const struct ahead_job *j;

	TAILQ_FOREACH(j, &m->ahead.jobs, link)
	{
		if (strcmp(j->path, path) == 0)
			return true;
	}
	return false;
}

static void go(struct mount *m)
{
	const struct mount_attach *a;

	if (!m->ahead.is_on || m->ahead.is_off)
		return;
	TAILQ_FOREACH(a, &m->ahead.waiting, link)
	{
		if (m->ahead.nr_jobs == AHEAD_JOBS)
			return;
		if (is_on_its_way(m, a->path))
			continue;
		if (m->ahead.nr_begun == AHEAD_DIRS || start_job(m, a->path) != 0) {
			give_up(m);
			return;
		}
	}
}

void ahead_wait(struct mount *m, struct mount_attach *a)
{
	mount_attach_place(a, &m->ahead.waiting);
	if (m->ahead.is_off && m->lister == NULL)
		give_up(m);
	go(m);
}

/* ---- with the mount --------------------------------------------------------------------- */

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct mount *m = arg;

	(void)fd;
	(void)what;
	/* Before a page has come, a directory's would not come sooner. */
	if (m->lister != NULL && !lister_is_long(m->lister)) {
		ahead_begin(m);
		return;
	}
	m->ahead.is_on = true;
	go(m);
}

int ahead_init(struct mount *m)
{
	TAILQ_INIT(&m->ahead.waiting);
	TAILQ_INIT(&m->ahead.jobs);
	m->ahead.timer = evtimer_new(m->ms->base, on_timer, m);
	return m->ahead.timer != NULL ? 0 : -ENOMEM;
}

void ahead_fini(struct mount *m)
{
	cancel_jobs(m);
	if (m->ahead.timer != NULL)
		event_free(m->ahead.timer);
}

void ahead_begin(struct mount *m)
{
	const struct timeval patience = { .tv_usec = PATIENCE_MS * 1000 };

	evtimer_add(m->ahead.timer, &patience);
}

void ahead_end(struct mount *m)
{
	struct mount_attach *a;

	if (!m->is_whole && !m->ahead.is_off)
		return; /* it failed; single directories can still be listed */
	evtimer_del(m->ahead.timer);
	cancel_jobs(m);
	while ((a = TAILQ_FIRST(&m->ahead.waiting)) != NULL)
		mount_attach_place(a, &m->answering);
}
