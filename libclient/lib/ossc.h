/*
 * ossc.h - OSS Connector's C API: objects of a bucket as files in shared
 * memory, downloaded by the node's daemon, read without a copy in between.
 *
 * Calls return 0 or more, or a negative errno; ossc_error_text() says in a
 * sentence why the last one on a connection failed and what to do.  Handles are
 * opaque; every call may be made from any thread.  There is no global state.
 *
 * After fork() a child may go on with its parent's handles: its first call
 * connects again.  Handles are freed from the inside out: maps and files, then
 * mounts, then the connection.
 *
 * Structs that the caller fills begin with `size`: set it to sizeof, so that a
 * later library knows which fields you know.
 */
#ifndef OSSC_H
#define OSSC_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

#define OSSC_VERSION_MAJOR 0
#define OSSC_VERSION_MINOR 1

struct ossc;	     /* a connection with the daemon */
struct ossc_mount;   /* a bucket and prefix */
struct ossc_file;    /* an object at one version */
struct ossc_mapping; /* pinned bytes of an object */

/* "0.1.0" */
const char *ossc_version(void);
/* A sentence for a negative errno of this API; never NULL. */
const char *ossc_strerror(int error);

/* ---- connection ------------------------------------------------------------------ */

enum ossc_connect_flags {
	OSSC_NO_START = 1 << 0, /* do not start a daemon when none listens */
};

struct ossc_options {
	size_t size;
	const char *socket; /* NULL: OSSC_SOCKET, else the usual places */
	unsigned flags;
	char *error; /* NULL, or where a failure is explained */
	size_t error_len;
};

/* options may be NULL.  -ENOENT, -ECONNREFUSED, -EACCES, -EPROTO, -ETIMEDOUT. */
int ossc_connect(const struct ossc_options *options, struct ossc **ret_conn);
void ossc_disconnect(struct ossc *conn); /* NULL is fine */
/* Copies a NUL-terminated sentence; "" when nothing failed.  Returns its length. */
size_t ossc_error_text(struct ossc *conn, char *buf, size_t len);
/* The daemon's state as JSON text; the caller frees it. */
int ossc_status(struct ossc *conn, char **ret_json);

/* ---- mounts ------------------------------------------------------------------------ */

enum ossc_mount_flags {
	OSSC_SECONDARY = 1 << 0, /* wait for the mount that a primary makes */
	OSSC_PREFETCH = 1 << 1,	 /* download ahead of the first read */
	OSSC_KEEP = 1 << 2,	 /* the daemon keeps it when we are gone, until ossc_unkeep() */
	OSSC_REFRESH = 1 << 3,	 /* list again even if the mount exists */
};

struct ossc_mount_options { /* a NULL or empty string: from the environment, see ossc(3) */
	size_t size;
	const char *oss_path;	/* OSS_PATH: oss://bucket/prefix/ or s3://bucket/prefix/ */
	const char *endpoint;	/* OSS_ENDPOINT */
	const char *region;	/* OSS_REGION */
	const char *access_key; /* OSS_ACCESS_KEY_ID; the three come together or not at all */
	const char *secret;	/* OSS_ACCESS_KEY_SECRET */
	const char *token;	/* OSS_SESSION_TOKEN */
	const char *sources;	/* HTTP_SOURCE_IP */
	const char *model_dir;	/* MODEL_DIR: for the daemon's log only */
	unsigned flags;
	unsigned timeout_ms; /* for the listing, or for the primary; 0: two minutes */
};

/* options may be NULL: all from the environment.  Waits until the listing is there. */
int ossc_mount(struct ossc *conn, const struct ossc_mount_options *options,
	       struct ossc_mount **ret_mount);
/* The handle goes; the daemon drops the mount when nobody uses it (OSSC_KEEP: never). */
void ossc_unmount(struct ossc_mount *mount); /* NULL is fine */
int ossc_unkeep(struct ossc_mount *mount);
/* List the store again and wait for it. */
int ossc_refresh(struct ossc_mount *mount);
/* Download a file, a directory or all (""), in the background. */
int ossc_prefetch(struct ossc_mount *mount, const char *path);

/* ---- names ------------------------------------------------------------------------- */

struct ossc_stat {
	size_t size;	    /* of this struct, set by the caller */
	uint64_t file_size; /* bytes */
	int64_t mtime_ns;   /* since 1970; a directory: the newest below it */
	uint64_t ino;	    /* stable for a path, never 0 */
	int is_dir;
	char etag[72]; /* "" for a directory */
};

int ossc_stat(struct ossc_mount *mount, const char *path, struct ossc_stat *ret_stat);

enum ossc_list_flags {
	OSSC_LIST_RECURSIVE = 1 << 0,
	OSSC_LIST_FAST = 1 << 1, /* in any order; otherwise sorted by the bytes of the path */
};

/* path is relative to the mount.  Not 0: stop, and ossc_list() returns it. */
typedef int ossc_list_fn(const char *path, const struct ossc_stat *st, void *arg);

/* One listing from start to end, even if the store changes meanwhile.  path "" is the top. */
int ossc_list(struct ossc_mount *mount, const char *path, unsigned flags, ossc_list_fn *fn,
	      void *arg);

/* ---- reading ------------------------------------------------------------------------- */

int ossc_open(struct ossc_mount *mount, const char *path, struct ossc_file **ret_file);
void ossc_close(struct ossc_file *file); /* NULL is fine */
uint64_t ossc_size(const struct ossc_file *file);
const char *ossc_etag(const struct ossc_file *file);
/* Never short before the end of the file; 0 at the end.  -EIO, -ESTALE, -ETIMEDOUT, -EACCES. */
ssize_t ossc_pread(struct ossc_file *file, void *buf, size_t len, uint64_t off);
ssize_t ossc_preadv(struct ossc_file *file, const struct iovec *iov, int nr_iov, uint64_t off);

enum ossc_advice {
	OSSC_WILLNEED = 1,
	OSSC_SEQUENTIAL,
	OSSC_RANDOM,
};

/* A hint; len 0: to the end. */
int ossc_advise(struct ossc_file *file, uint64_t off, uint64_t len, enum ossc_advice advice);
/*
 * Wait until all bytes have been downloaded and their CRC-64 compared with the
 * store's: -EIO if it differs.  *ret_known 0: the store gave none.
 */
int ossc_verify(struct ossc_file *file, uint64_t *ret_crc64, int *ret_known);
/*
 * The CRC-64 that the store gave, once any byte has come from it, for callers that
 * reckon their own: waits for no other byte.  *ret_known 0: the store gave none.
 */
int ossc_stored_crc64(struct ossc_file *file, uint64_t *ret_crc64, int *ret_known);
/* The same CRC (CRC-64/XZ) of bytes in memory, continued from crc; start with 0. */
uint64_t ossc_crc64(uint64_t crc, const void *buf, size_t len);

/* ---- reading without waiting ------------------------------------------------------------ */

#define OSSC_MAX_READS 1024u /* in flight, a connection */

struct ossc_read {
	struct ossc_file *file; /* open until the read is done */
	void *buf;
	size_t len;
	uint64_t off;
	void *user;
};

struct ossc_done {
	void *user;
	ssize_t result; /* as ossc_pread() */
};

/* How many were taken, from the first on; -EAGAIN when there is no room for any. */
int ossc_submit(struct ossc *conn, const struct ossc_read *reads, unsigned nr);
/*
 * Reads that are done, at most max; waits timeout_ms for the first (-1: until
 * there is one, 0: not at all).  The bytes are copied here, by this thread.
 * Returns how many; 0 also when none is in flight.
 */
int ossc_complete(struct ossc *conn, struct ossc_done *ret_done, unsigned max, int timeout_ms);
/* Readable when ossc_complete() has something to do; for poll, owned by the connection. */
int ossc_event_fd(struct ossc *conn);

/* ---- zero copy ------------------------------------------------------------------------------ */

/*
 * Bytes [off, off + len) where the daemon put them: read-only, pinned until
 * ossc_unmap().  Waits until all are there.  -ENOSPC: more than the cache can pin.
 */
int ossc_map(struct ossc_file *file, uint64_t off, size_t len, const void **ret_bytes,
	     struct ossc_mapping **ret_mapping);
void ossc_unmap(struct ossc_mapping *mapping); /* NULL is fine */

#ifdef __cplusplus
}
#endif

#endif
