/*
 * sigcache.h - signatures that serve again: one made for a key is good for any
 * range of it, as long as it is young and the access keys are the same.
 * A fixed number of places; a newcomer takes the place of whoever is there.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_SIGCACHE_H
#define DAEMON_OSS_SIGCACHE_H

#include <stdint.h>

#include "daemon/oss/sign.h"

#define SIGCACHE_MAX_AGE_MS 60000

struct cred;
struct sigcache;

/* Immutable while others can see it. */
struct sig_entry;

int sigcache_new(struct sigcache **ret_cache);
void sigcache_free(struct sigcache *c);

/* A reference, or NULL: none that is young and of these keys. */
struct sig_entry *sigcache_get(struct sigcache *c, const char *key, const struct cred *cred,
			       uint64_t now_ms);
/*
 * Takes over the signature (also on failure: it is then ended), takes a reference to the
 * keys, gives back a reference to the entry.
 */
int sigcache_put(struct sigcache *c, const char *key, struct cred *cred, uint64_t now_ms,
		 struct signature *signature, struct sig_entry **ret_entry);
/* The store refused it: forget it. */
void sigcache_drop(struct sigcache *c, const char *key);
/* The clock was set: forget all. */
void sigcache_clear(struct sigcache *c);

const struct signature *sig_entry_signature(const struct sig_entry *e);
void sig_entry_unref(struct sig_entry *e);

#endif
