/*
 * mount_internal.h - what mounts are made of, for the files of this folder only.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_MOUNT_MOUNT_INTERNAL_H
#define DAEMON_MOUNT_MOUNT_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/mount/ahead.h"
#include "daemon/mount/fetch.h"
#include "daemon/mount/mount.h"
#include "daemon/mount/objects.h"
#include "daemon/mount/progress.h"
#include "daemon/mount/run.h"
#include "daemon/mount/snapmem.h"
#include "daemon/oss/cred.h"
#include "daemon/oss/endpoint.h"

struct event;
struct event_base;
struct fetchq_lane;
struct http_client;
struct lister;
struct oss_bucket;
struct source_set;

#define MOUNT_TEXT_LEN	   1024
#define MOUNT_SOURCES_MOST 64 /* different lists of source addresses */
#define MOUNT_LISTS_OF_UID 16 /* of them in use by one user */
#define MOUNTS_OF_UID	   256

TAILQ_HEAD(mount_list, mount);

struct mount_sources {
	char *list;
	struct source_set *set;
};

struct mounts {
	struct worker *control;
	struct event_base *base; /* its */
	struct cache *cache;
	struct mounts_conf conf; /* its strings are our own */
	struct fetch *fetch;
	struct http_client *client; /* for listings */
	struct mount_list list;
	struct attach_list attaches; /* those that wait for their answer's turn */
	struct mount_sources sources[MOUNT_SOURCES_MOST];
	unsigned nr_sources;
	uint64_t seed;
};

/*
 * Who waits for a mount or a directory of it.  It is in one list: of the mount while a listing
 * is under way, otherwise of the mounts, until its timer has run.
 */
struct mount_attach {
	struct mounts *ms;
	struct mount *mount; /* counts as a user of it; NULL: it failed at once */
	mount_attached_fn *fn;
	void *arg;
	struct event *turn;
	struct attach_list *where;
	int error;
	bool takes_old;	 /* the snapshot there is will do if no newer one can be had */
	bool takes_part; /* one that is not whole will do */
	char *path;	 /* of the directory that is waited for; "": the root */
	char text[MOUNT_TEXT_LEN];
	TAILQ_ENTRY(mount_attach) link;
};

enum mount_keys {
	MOUNT_KEYS_NONE = 0, /* anonymous */
	MOUNT_KEYS_OWN,	     /* brought by the client */
	MOUNT_KEYS_FILE,     /* the daemon's own */
};

/* Who asks for the same in all of this shares the mount. */
struct mount_key {
	uid_t uid;
	struct oss_endpoint endpoint;
	struct oss_location location;
	enum mount_keys keys;
	unsigned char digest[CRED_DIGEST_LEN]; /* of MOUNT_KEYS_OWN */
	const char *sources;
};

struct mount {
	struct mounts *ms;
	TAILQ_ENTRY(mount) link;
	uid_t uid;
	struct oss_endpoint endpoint;
	struct oss_location location;
	enum mount_keys keys;
	unsigned char digest[CRED_DIGEST_LEN];
	char *source_list;
	char *oss_path; /* normalised */
	char *model_dir;

	struct source_set *sources; /* owned by the bucket */
	struct oss_bucket *bucket;
	struct fetchq_lane *lane; /* its downloads in the queue */
	struct table *table;
	struct snapmem *snapshot; /* NULL until the first listing has ended, or was run ahead of */
	bool is_whole;		  /* a listing has ended: no directory is SNAPSHOT_UNLISTED */
	uint64_t serial;	  /* of the newest snapshot */
	uint64_t listed_ms, begun_ms, took_ms;

	struct lister *lister;
	bool list_again;	      /* what was asked for after this listing began */
	struct attach_list waiting;   /* for the listing under way */
	struct attach_list next_up;   /* for the one after it */
	struct attach_list answering; /* that one has ended */
	struct ahead ahead;	      /* while the mount is not whole */

	unsigned nr_users; /* references given out, and attaches that wait */
	bool keep;
	struct event *expire;
	struct objects objects;

	bool prefetch; /* a primary asked for it */
	bool prefetch_begun;
	struct run_list runs;
	struct progress progress;
	struct mount_object *reader; /* where somebody read last */
	char etag[256];		     /* of the last mount_open() */
};

/* ---- mount_key.c --------------------------------------------------------------- */

/* The key of a spec; text says what is wrong with it.  *ret_creds is the caller's. */
int mount_key_parse(struct mounts *ms, const struct mount_spec *spec, struct mount_key *ret_key,
		    struct cred_source **ret_creds, char *text, size_t text_len);
/* What requests of this key burden together: server, bucket and account; the caller's to free. */
char *mount_key_store(const struct mount_key *key);
/*
 * The set of the key's list of addresses; NULL: the kernel chooses.  The mounts
 * keep it while one of them uses it, and its counts for as long as there is room.
 */
int mounts_sources(struct mounts *ms, const struct mount_key *key, struct source_set **ret_set,
		   char *text, size_t text_len);

/* ---- mount.c ------------------------------------------------------------------- */

/* List again in the background; `why` goes to the log. */
void mount_list_again(struct mount *m, const char *why);
/* Into another list, or (NULL) out of all. */
void mount_attach_place(struct mount_attach *a, struct attach_list *where);
/* All of m->answering hear it. */
void mount_answer(struct mount *m, int error, const char *text);
/* One more directory is known.  Takes the reference. */
void mount_publish_part(struct mount *m, struct snapmem *snapshot);
/* What the workers tell. */
void mount_on_notice(const struct fetchq_notice *n, void *arg);
/* Begin the prefetch that a primary asked for, as far as the policy says; file: the one opened. */
void mount_begin_prefetch(struct mount *m, uint32_t file);

#endif
