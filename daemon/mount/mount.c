#include "daemon/mount/mount.h"
#include "common/clock.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/http/client.h"
#include "daemon/mount/inode.h"
#include "daemon/mount/lister.h"
#include "daemon/mount/mount_internal.h"
#include "daemon/mount/prefetch.h"
#include "daemon/net/source.h"
#include "daemon/oss/bucket.h"

#define LOG_MODULE "mount"
#include "daemon/base/log.h"

#define FRESH_MS 1000 /* a second primary takes a snapshot as young as this */

static void start_listing(struct mount *m);

/* ---- the life of a mount ---------------------------------------------------------- */

static void mount_free(struct mount *m)
{
	struct run *r;

	lister_cancel(m->lister);
	ahead_fini(m);
	while ((r = TAILQ_FIRST(&m->runs)) != NULL)
		run_free(r);
	objects_fini(&m->objects);
	snapmem_unref(m->snapshot);
	if (m->table != NULL)
		table_unref(m->table);
	oss_bucket_unref(m->bucket);
	fetchq_lane_unref(m->lane);
	if (m->expire != NULL)
		event_free(m->expire);
	free(m->source_list);
	free(m->oss_path);
	free(m->model_dir);
	free(m);
}

static void mount_drop(struct mount *m, const char *why)
{
	log_info("%s: the mount for uid %u ends: %s", m->oss_path, (unsigned)m->uid, why);
	TAILQ_REMOVE(&m->ms->list, m, link);
	mount_free(m);
}

static void on_expire(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	mount_drop(arg, "nobody has used it for a while");
}

static void mount_settle(struct mount *m)
{
	struct timeval tv = {
		.tv_sec = m->ms->conf.expire_ms / 1000,
		.tv_usec = m->ms->conf.expire_ms % 1000 * 1000,
	};

	if (m->nr_users == 0 && !m->keep)
		evtimer_add(m->expire, &tv);
	else
		evtimer_del(m->expire);
}

static void mount_unuse(struct mount *m)
{
	BUG_ON(m->nr_users == 0);
	m->nr_users--;
	/* Without a snapshot there is nothing to come back to. */
	if (m->nr_users == 0 && m->snapshot == NULL)
		mount_drop(m, "nobody waits for it any more");
	else
		mount_settle(m);
}

void mount_release(struct mount *m)
{
	mount_unuse(m);
}

void mount_unkeep(struct mount *m)
{
	m->keep = false;
	mount_settle(m);
}

/* ---- answers to those who wait ------------------------------------------------------ */

void mount_attach_place(struct mount_attach *a, struct attach_list *where)
{
	if (a->where != NULL)
		TAILQ_REMOVE(a->where, a, link);
	a->where = where;
	if (where != NULL)
		TAILQ_INSERT_TAIL(where, a, link);
}

/* The only way out: the answer, and the attach is gone. */
static void attach_finish(struct mount_attach *a, int error, const char *text)
{
	struct mount *m = error == 0 ? a->mount : NULL;
	mount_attached_fn *fn = a->fn;
	void *arg = a->arg;

	mount_attach_place(a, NULL);
	if (a->turn != NULL)
		event_free(a->turn);
	free(a->path);
	/* On success the reference goes to the callee; the last failure ends a mount elsewhere. */
	fn(m, error, text, arg);
	free(a);
}

static void attach_on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct mount_attach *a = arg;

	(void)fd;
	(void)what;
	attach_finish(a, a->error, a->text);
}

/* Answer from the loop, not from inside the call. */
static int attach_in_turn(struct mount_attach *a)
{
	const struct timeval now = { 0 };

	a->turn = evtimer_new(a->ms->base, attach_on_turn, a);
	if (a->turn == NULL || evtimer_add(a->turn, &now) == -1)
		return -ENOMEM;
	mount_attach_place(a, &a->ms->attaches);
	return 0;
}

static struct mount_attach *attach_new(struct mounts *ms, mount_attached_fn *fn, void *arg)
{
	struct mount_attach *a = xcalloc(1, sizeof(*a));

	a->ms = ms;
	a->fn = fn;
	a->arg = arg;
	a->path = xstrdup("");
	return a;
}

static void attach_free(struct mount_attach *a)
{
	mount_attach_place(a, NULL);
	if (a->turn != NULL)
		event_free(a->turn);
	free(a->path);
	free(a);
}

void mount_attach_cancel(struct mount_attach *a)
{
	struct mount *m = a->mount;

	attach_free(a);
	if (m != NULL)
		mount_unuse(m);
}

/* Wait for a listing that begins now or later, not for one that may miss what is new. */
static void attach_to_listing(struct mount_attach *a, struct mount *m)
{
	if (a->takes_part) {
		if (m->lister == NULL)
			start_listing(m);
		ahead_wait(m, a);
	} else if (m->lister == NULL) {
		mount_attach_place(a, &m->waiting);
		start_listing(m);
	} else if (!m->is_whole) {
		mount_attach_place(a, &m->waiting);
	} else {
		mount_attach_place(a, &m->next_up);
		m->list_again = true;
	}
}

/* ---- listing ------------------------------------------------------------------------ */

static void publish(struct mount *m, struct snapmem *snapshot)
{
	const struct snapshot_header *h = snapmem_view(snapshot)->header;
	const bool is_first = !m->is_whole;

	if (!is_first && snapmem_is_same(m->snapshot, snapshot)) {
		snapmem_unref(snapshot);
		return;
	}
	if (m->snapshot != NULL)
		objects_retain(m, snapmem_view(snapshot));
	snapmem_unref(m->snapshot);
	m->snapshot = snapshot;
	m->is_whole = true;
	table_set_serial(m->table, h->serial);
	log_info("%s: %" PRIu64 " files, %" PRIu64 " bytes for uid %u, listed in %" PRIu64
		 " ms%s%s%s",
		 m->oss_path, h->nr_files, h->total_bytes, (unsigned)m->uid, m->took_ms,
		 is_first ? "" : "; the listing has changed",
		 m->model_dir[0] != '\0' ? ", at " : "", m->model_dir);
	if (is_first && m->prefetch)
		mount_begin_prefetch(m, SNAPSHOT_NONE);
}

/* No serial for all to see: others have asked for what they know, or ask. */
void mount_publish_part(struct mount *m, struct snapmem *snapshot)
{
	snapmem_unref(m->snapshot);
	m->snapshot = snapshot;
	m->listed_ms = clock_ms();
}

/* The first listing failed: everybody hears why, and the mount never was. */
static void fail_mount(struct mount *m, int error, const char *text)
{
	struct mount_attach *a;

	TAILQ_REMOVE(&m->ms->list, m, link);
	/* A callback may cancel others: the mount goes when all have heard. */
	m->nr_users++;
	log_warn("mount %s for uid %u: %s", m->oss_path, (unsigned)m->uid, text);
	while ((a = TAILQ_FIRST(&m->waiting)) != NULL ||
	       (a = TAILQ_FIRST(&m->ahead.waiting)) != NULL)
		attach_finish(a, error, text);
	mount_free(m);
}

static void answer_one(struct mount *m, struct mount_attach *a, int error, const char *text)
{
	if (error == 0 || (a->takes_old && m->is_whole)) {
		attach_finish(a, 0, "");
		return;
	}
	attach_finish(a, error, text);
	mount_unuse(m);
}

void mount_answer(struct mount *m, int error, const char *text)
{
	struct mount_attach *a;

	while ((a = TAILQ_FIRST(&m->answering)) != NULL)
		answer_one(m, a, error, text);
}

static void on_listed(int error, const char *text, struct snapmem *snapshot, void *arg)
{
	struct mount_attach *a;
	struct mount *m = arg;

	m->lister = NULL;
	m->took_ms = clock_ms() - m->begun_ms;
	if (error != 0 && m->snapshot == NULL) {
		fail_mount(m, error, text);
		return;
	}
	/* A callback may release the mount; it lives until all have heard. */
	m->nr_users++;
	if (error == 0) {
		m->listed_ms = m->begun_ms;
		publish(m, snapshot);
	} else {
		log_warn("%s: the listing of before stays in use: %s", m->oss_path, text);
	}
	ahead_end(m);
	/* A callback may wait anew, for another listing. */
	while ((a = TAILQ_FIRST(&m->waiting)) != NULL)
		mount_attach_place(a, &m->answering);
	mount_answer(m, error, text);
	if (m->list_again && m->lister == NULL) {
		m->list_again = false;
		while ((a = TAILQ_FIRST(&m->next_up)) != NULL)
			mount_attach_place(a, &m->waiting);
		start_listing(m);
	}
	mount_unuse(m);
}

static void start_listing(struct mount *m)
{
	struct lister_conf conf = {
		.base = m->ms->base,
		.home = m->ms->control,
		.fetch = m->ms->fetch,
		.client = m->ms->client,
		.bucket = m->bucket,
		.prefix = m->location.prefix,
		.oss_path = m->oss_path,
		.retry_budget_ms = m->ms->conf.retry_budget_ms,
		.serial = &m->serial,
		.concurrency = m->ms->conf.list_concurrency,
		.is_first = m->snapshot == NULL,
		.has_sources = m->sources != NULL,
	};

	m->begun_ms = clock_ms();
	/* Fails only without memory, or for a prefix that was checked before. */
	BUG_ON(lister_start(&conf, on_listed, m, &m->lister) != 0);
	if (!m->is_whole)
		ahead_begin(m);
}

void mount_list_again(struct mount *m, const char *why)
{
	log_info("%s: listed again: %s", m->oss_path, why);
	if (m->lister != NULL)
		m->list_again = true;
	else
		start_listing(m);
}

void mount_begin_prefetch(struct mount *m, uint32_t file)
{
	const struct snapshot *s = snapmem_view(m->snapshot);
	uint32_t entry;
	int r;

	if (m->prefetch_begun)
		return;
	if (file != SNAPSHOT_NONE)
		entry = prefetch_directory(s, file);
	else if (m->is_whole && prefetch_whole_mount(s, cache_size(m->ms->cache)))
		entry = 0;
	else
		return;
	/* Until all is known each directory that is opened has its own, and then comes the rest. */
	if (!m->is_whole && run_find(m, file) != NULL)
		return;
	m->prefetch_begun = m->is_whole;
	r = run_start(m, entry);
	if (r != 0)
		log_warn("%s: prefetch could not begin: %s", m->oss_path, strerror(-r));
}

/* ---- attaching ---------------------------------------------------------------------- */

static struct mount *find_mount(struct mounts *ms, const struct mount_key *key)
{
	struct mount *m;

	TAILQ_FOREACH(m, &ms->list, link)
	{
		if (m->uid == key->uid && m->keys == key->keys &&
		    memcmp(m->digest, key->digest, sizeof(m->digest)) == 0 &&
		    oss_endpoint_equal(&m->endpoint, &key->endpoint) &&
		    strcmp(m->location.bucket, key->location.bucket) == 0 &&
		    strcmp(m->location.prefix, key->location.prefix) == 0 &&
		    strcmp(m->source_list, key->sources) == 0)
			return m;
	}
	return NULL;
}

/* Room for one more mount of a user: of those that nobody uses the oldest gives way. */
static bool make_room(struct mounts *ms, uid_t uid)
{
	struct mount *m, *idle = NULL;
	unsigned nr = 0;

	TAILQ_FOREACH(m, &ms->list, link)
	{
		if (m->uid != uid)
			continue;
		nr++;
		if (idle == NULL && m->nr_users == 0 && !m->keep)
			idle = m;
	}
	if (nr < MOUNTS_OF_UID)
		return true;
	if (idle != NULL)
		mount_drop(idle, "it makes room for another");
	return idle != NULL;
}

static int make_mount(struct mounts *ms, const struct mount_key *key, struct cred_source *creds,
		      const struct mount_spec *spec, struct mount **ret_mount, char *text)
{
	struct oss_bucket_conf conf = {
		.endpoint = &key->endpoint,
		.name = key->location.bucket,
		.creds = creds,
		.connect_timeout_ms = ms->conf.connect_timeout_ms,
		.idle_timeout_ms = ms->conf.idle_timeout_ms,
	};
	struct mount *m;
	char *store;
	int r;

	if (!make_room(ms, key->uid)) {
		snprintf(text, MOUNT_TEXT_LEN,
			 "this user has %d mounts: end some with `ossc umount` or by ending "
			 "programs",
			 MOUNTS_OF_UID);
		return -EMFILE;
	}
	r = mounts_sources(ms, key, &conf.sources, text, MOUNT_TEXT_LEN);
	if (r != 0)
		return r;
	m = xcalloc(1, sizeof(*m));
	m->ms = ms;
	m->uid = key->uid;
	m->endpoint = key->endpoint;
	m->location = key->location;
	m->keys = key->keys;
	memcpy(m->digest, key->digest, sizeof(m->digest));
	m->source_list = xstrdup(key->sources);
	m->oss_path =
		xasprintf("%s://%s/%s", key->endpoint.dialect == OSS_DIALECT_S3 ? "s3" : "oss",
			  key->location.bucket, key->location.prefix);
	m->model_dir = xstrdup(spec->model_dir != NULL ? spec->model_dir : "");
	m->sources = conf.sources;
	TAILQ_INIT(&m->waiting);
	TAILQ_INIT(&m->next_up);
	TAILQ_INIT(&m->answering);
	TAILQ_INIT(&m->runs);
	objects_init(&m->objects);
	store = mount_key_store(key);
	m->lane = fetchq_lane_get(fetch_queue(ms->fetch), key->uid, store);
	free(store);
	m->expire = evtimer_new(ms->base, on_expire, m);
	r = m->expire == NULL ? -ENOMEM : oss_bucket_new(&conf, &m->bucket);
	if (r == 0)
		r = ahead_init(m);
	if (r == 0)
		r = table_new(ms->cache, &m->table);
	if (r != 0) {
		snprintf(text, MOUNT_TEXT_LEN, "the daemon has no room for another mount: %s",
			 strerror(-r));
		mount_free(m);
		return r;
	}
	TAILQ_INSERT_TAIL(&ms->list, m, link);
	*ret_mount = m;
	return 0;
}

/* What a spec may change in a mount that is there. */
static void adopt_spec(struct mount *m, const struct mount_spec *spec)
{
	m->keep = m->keep || spec->keep;
	m->prefetch = m->prefetch || spec->prefetch;
	if (m->snapshot != NULL && m->prefetch)
		mount_begin_prefetch(m, SNAPSHOT_NONE);
}

/* A listing that took long is not repeated as lightly as a short one. */
static bool is_fresh(const struct mount *m)
{
	return clock_ms() - m->listed_ms <= FRESH_MS + 2 * m->took_ms;
}

/* The mount of the spec; *ret_wait: for a listing. */
static int find_or_make(struct mount_attach *a, const struct mount_spec *spec, bool *ret_wait)
{
	struct cred_source *creds = NULL;
	struct mount_key key;
	struct mount *m;
	int r;

	r = mount_key_parse(a->ms, spec, &key, &creds, a->text, sizeof(a->text));
	if (r != 0)
		return r;
	m = find_mount(a->ms, &key);
	if (m == NULL && spec->secondary) {
		snprintf(a->text, sizeof(a->text),
			 "no process with ENABLE_CONNECTOR=1 has mounted %s with the same "
			 "user, keys, endpoint and sources: start the primary first",
			 spec->oss_path);
		r = -ENOENT;
	} else if (m == NULL) {
		*ret_wait = true;
		r = make_mount(a->ms, &key, creds, spec, &m, a->text);
	} else {
		if (!spec->secondary && m->nr_users != 0)
			log_info("%s: a second primary of uid %u shares the mount", m->oss_path,
				 (unsigned)m->uid);
		if (m->is_whole)
			*ret_wait = spec->refresh || (!spec->secondary && !is_fresh(m));
		else
			*ret_wait = m->snapshot == NULL || spec->refresh || !spec->parts;
		a->takes_old = !spec->refresh;
	}
	cred_source_unref(creds);
	if (r == 0) {
		a->mount = m;
		a->takes_part = !m->is_whole && spec->parts && !spec->refresh;
		m->nr_users++;
		mount_settle(m);
		adopt_spec(m, spec);
	}
	return r;
}

int mount_attach(struct mounts *ms, const struct mount_spec *spec, mount_attached_fn *fn, void *arg,
		 struct mount_attach **ret_attach)
{
	struct mount_attach *a = attach_new(ms, fn, arg);
	bool wait = false;
	int r = 0;

	a->error = find_or_make(a, spec, &wait);
	if (wait && a->error == 0)
		attach_to_listing(a, a->mount);
	else
		r = attach_in_turn(a);
	if (r != 0)
		mount_attach_cancel(a);
	else
		*ret_attach = a;
	return r;
}

int mount_refresh(struct mount *m, mount_attached_fn *fn, void *arg,
		  struct mount_attach **ret_attach)
{
	struct mount_attach *a = attach_new(m->ms, fn, arg);

	a->mount = m;
	m->nr_users++;
	mount_settle(m);
	attach_to_listing(a, m);
	*ret_attach = a;
	return 0;
}

int mount_list(struct mount *m, const char *path, size_t path_len, mount_attached_fn *fn, void *arg,
	       struct mount_attach **ret_attach)
{
	struct mount_attach *a = attach_new(m->ms, fn, arg);
	int r = 0;

	free(a->path);
	a->path = ahead_path(m, path, path_len);
	a->mount = m;
	m->nr_users++;
	mount_settle(m);
	if (ahead_is_known(m, a->path))
		r = attach_in_turn(a);
	else
		ahead_wait(m, a);
	if (r != 0)
		mount_attach_cancel(a);
	else
		*ret_attach = a;
	return r;
}

/* ---- looking at a mount ------------------------------------------------------------- */

struct table *mount_table(const struct mount *m)
{
	return m->table;
}

uint64_t mount_snapshot_serial(const struct mount *m)
{
	return snapmem_view(m->snapshot)->header->serial;
}

int mount_snapshot_fd(const struct mount *m)
{
	return snapmem_fd(m->snapshot);
}

size_t mount_snapshot_len(const struct mount *m)
{
	return snapmem_len(m->snapshot);
}

bool mount_is_shared(const struct mount *m)
{
	return m->nr_users > 1;
}

const char *mount_oss_path(const struct mount *m)
{
	return m->oss_path;
}

/* ---- all mounts --------------------------------------------------------------------- */

static void conf_fini(struct mounts_conf *conf)
{
	free((char *)conf->tls_ca_file);
	free((char *)conf->cred_file);
	free((char *)conf->sources);
	free((char *)conf->endpoint);
	free((char *)conf->region);
	free((char *)conf->path_style);
}

static void conf_copy(struct mounts_conf *to, const struct mounts_conf *from)
{
	*to = *from;
	to->tls_ca_file = xstrdup(from->tls_ca_file);
	to->cred_file = xstrdup(from->cred_file);
	to->sources = xstrdup(from->sources);
	to->endpoint = xstrdup(from->endpoint);
	to->region = xstrdup(from->region);
	to->path_style = xstrdup(from->path_style);
}

static void on_room(void *arg)
{
	struct mounts *ms = arg;

	fetchq_room(fetch_queue(ms->fetch));
}

static unsigned bounded(unsigned value, unsigned most)
{
	return value == 0 ? 1 : value < most ? value : most;
}

int mounts_new(struct worker *control, struct cache *cache, const struct mounts_conf *conf,
	       struct mounts **ret_mounts)
{
	struct mounts *ms = xcalloc(1, sizeof(*ms));
	struct http_client_conf client = {
		.connect_timeout_ms = conf->connect_timeout_ms,
		.idle_timeout_ms = conf->idle_timeout_ms,
		/* So many that single directories need not wait for a listing's. */
		.max_connections = bounded(conf->list_concurrency, 1024) + AHEAD_JOBS,
		.tls_ca_file = conf->tls_ca_file,
	};
	struct fetch_conf fetch = {
		.control = worker_base(control),
		.nr_workers = bounded(conf->nr_workers, FETCHQ_WORKERS_MAX),
		.slots = bounded(conf->ranges_per_worker, 1024),
		.connect_timeout_ms = conf->connect_timeout_ms,
		.idle_timeout_ms = conf->idle_timeout_ms,
		.retry_budget_ms = conf->retry_budget_ms,
		.tls_ca_file = conf->tls_ca_file,
		.on_notice = mount_on_notice,
		.arg = ms,
	};
	int r;

	conf_copy(&ms->conf, conf);
	ms->control = control;
	ms->base = worker_base(control);
	ms->cache = cache;
	ms->seed = inode_seed();
	TAILQ_INIT(&ms->list);
	TAILQ_INIT(&ms->attaches);
	r = http_client_new(ms->base, &client, &ms->client);
	if (r == 0)
		r = fetch_new(&fetch, &ms->fetch);
	if (r != 0) {
		mounts_free(ms);
		return r;
	}
	cache_on_room(cache, on_room, ms);
	*ret_mounts = ms;
	return 0;
}

void mounts_free(struct mounts *ms)
{
	struct mount_attach *a;
	struct mount *m;
	unsigned i;

	if (ms == NULL)
		return;
	/* First those who could still be called back. */
	while ((a = TAILQ_FIRST(&ms->attaches)) != NULL)
		attach_free(a);
	while ((m = TAILQ_FIRST(&ms->list)) != NULL) {
		while ((a = TAILQ_FIRST(&m->waiting)) != NULL ||
		       (a = TAILQ_FIRST(&m->next_up)) != NULL ||
		       (a = TAILQ_FIRST(&m->ahead.waiting)) != NULL)
			attach_free(a);
		mount_drop(m, "the daemon ends");
	}
	cache_on_room(ms->cache, NULL, NULL);
	fetch_free(ms->fetch);
	if (ms->client != NULL)
		http_client_free(ms->client);
	for (i = 0; i < ms->nr_sources; i++) {
		free(ms->sources[i].list);
		source_set_unref(ms->sources[i].set);
	}
	conf_fini(&ms->conf);
	free(ms);
}

int mounts_reconfigure(struct mounts *ms, const struct mounts_conf *conf)
{
	struct mounts_conf old = ms->conf;

	if (conf->nr_workers != old.nr_workers)
		log_warn("another number of network workers takes a restart");
	if (conf->ranges_per_worker > old.ranges_per_worker)
		log_warn("more range requests for each worker take a restart");
	conf_copy(&ms->conf, conf);
	ms->conf.nr_workers = old.nr_workers;
	if (ms->conf.ranges_per_worker > old.ranges_per_worker)
		ms->conf.ranges_per_worker = old.ranges_per_worker;
	conf_fini(&old);
	fetch_reconfigure(ms->fetch, bounded(ms->conf.ranges_per_worker, 1024),
			  ms->conf.retry_budget_ms);
	return 0;
}

bool mounts_is_idle(const struct mounts *ms)
{
	const struct mount *m;

	TAILQ_FOREACH(m, &ms->list, link)
	{
		if (m->nr_users != 0 || m->keep)
			return false;
	}
	return true;
}
