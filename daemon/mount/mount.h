/*
 * mount.h - mounts: a bucket and prefix shown to clients of one uid that
 * brought the same credentials.  A mount joins the store's listing (a snapshot),
 * the cache's objects and the fetch queue.  Knows no socket and no ring.
 *
 * Threads: the control loop only, unless said otherwise.  Downloads run on the
 * workers given to mounts_new().
 */
#ifndef DAEMON_MOUNT_MOUNT_H
#define DAEMON_MOUNT_MOUNT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cache;
struct mount;
struct mounts;
struct object;
struct strbuf;
struct table;
struct worker;

struct mounts_conf {
	unsigned ranges_per_worker;  /* range GETs in flight a thread, at most */
	unsigned nr_workers;	     /* prefetch.vcpus, at most the CPUs this process may use */
	unsigned list_concurrency;   /* fastList.vcpus x fastList.workers */
	unsigned refresh_ms;	     /* mount.refreshSec */
	unsigned expire_ms;	     /* a mount without sessions is dropped after this */
	unsigned connect_timeout_ms; /* network.connectTimeoutSec */
	unsigned idle_timeout_ms;    /* network.idleTimeoutSec: silence on a connection */
	unsigned retry_budget_ms;    /* network.retrySec: how long one range is retried */
	const char *tls_ca_file;     /* NULL: the system's */
	const char *cred_file;	     /* credentials.path: for mounts of the daemon's own uid */
	const char *sources;	     /* HTTP_SOURCE_IP of the daemon; a mount's own wins */
	const char *endpoint;	     /* defaults where a mount brings none */
	const char *region;
	const char *path_style; /* "auto", "path", "virtual" */
};

/* control: the worker that the caller runs; its loop serves listings and timers. */
int mounts_new(struct worker *control, struct cache *cache, const struct mounts_conf *conf,
	       struct mounts **ret_mounts);
/* Stops the workers; every fill ends; all mounts go. */
void mounts_free(struct mounts *ms);
int mounts_reconfigure(struct mounts *ms, const struct mounts_conf *conf);
/* Neither a session nor a kept mount holds any. */
bool mounts_is_idle(const struct mounts *ms);
/*
 * The mounts' part of `ossc status`: members "mounts", "sources", "fetch" as JSON text.
 * uid 0 sees every mount, others their own; sources and downloads are the node's.
 */
void mounts_report(struct mounts *ms, uid_t viewer, struct strbuf *out);

struct mount_spec { /* strings may be NULL or empty; copied */
	uid_t uid;
	const char *oss_path;
	const char *model_dir;
	const char *endpoint;
	const char *region;
	const char *access_key;
	const char *secret;
	const char *token;
	const char *sources;
	bool secondary; /* -ENOENT unless it is there */
	bool prefetch;
	bool keep;
	bool refresh;
	bool parts; /* a snapshot with SNAPSHOT_UNLISTED in it will do, where the whole takes long */
};

/*
 * mount is NULL when error != 0; text then says what was wrong and what to do.
 * On success the callee owns one reference, given back by mount_release().
 */
typedef void mount_attached_fn(struct mount *m, int error, const char *text, void *arg);
struct mount_attach; /* one that has not answered yet */

/*
 * Find or make the mount and wait for its first snapshot.  The callback runs
 * exactly once, never from inside this call, unless cancelled.
 */
int mount_attach(struct mounts *ms, const struct mount_spec *spec, mount_attached_fn *fn, void *arg,
		 struct mount_attach **ret_attach);
void mount_attach_cancel(struct mount_attach *a);
void mount_release(struct mount *m);
/* Ends a kept mount. */
void mount_unkeep(struct mount *m);
/* List again; waits like mount_attach(). */
int mount_refresh(struct mount *m, mount_attached_fn *fn, void *arg,
		  struct mount_attach **ret_attach);

/*
 * Wait until the snapshot has what this directory holds, which it lacks only while the first
 * listing is under way.  As mount_attach(); a path that is not there is no error.
 */
int mount_list(struct mount *m, const char *path, size_t path_len, mount_attached_fn *fn, void *arg,
	       struct mount_attach **ret_attach);

struct table *mount_table(const struct mount *m);
uint64_t mount_snapshot_serial(const struct mount *m);
int mount_snapshot_fd(const struct mount *m); /* read-only; owned by the mount */
size_t mount_snapshot_len(const struct mount *m);
const char *mount_oss_path(const struct mount *m);
/* More than one session holds it. */
bool mount_is_shared(const struct mount *m);

struct mount_file {
	struct object *object; /* one reference and one use for the caller; NULL if size is 0 */
	uint64_t size;
	uint64_t ino;
	int64_t mtime_ns;
	const char *etag; /* valid until the next call on this mount */
};
/*
 * -ENOENT, -EISDIR, -EACCES, -ESTALE, -EMFILE, ...; text (of text_len bytes) says why.
 * Opening starts readahead, and prefetch of its directory where that was asked for.
 */
int mount_open(struct mount *m, const char *path, size_t path_len, struct mount_file *ret_file,
	       char *text, size_t text_len);

/* A reader waits for bytes [0, end) of the chunk.  Starts or joins a fill. */
void mount_want(struct object *o, uint32_t chunk, uint32_t end, bool retry);
/* enum wire_advice for chunks [first, first + nr). */
void mount_advise(struct object *o, uint32_t first, uint32_t nr, unsigned advice);
/* Readers passed here; also moves the readahead on. */
void mount_touch(struct object *o, uint32_t chunk);
/* Download a file, a directory, or all ("").  -ENOENT. */
int mount_prefetch(struct mount *m, const char *path, size_t path_len);

#endif
