/*
 * cred.h - access keys: one immutable set of them, and the source that they
 * come from (fixed strings, or a file that is read again when it changes).
 * Keys live on pages of their own that stay out of core files and are wiped
 * when the last reference goes.  Nothing here is ever logged.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_CRED_H
#define DAEMON_OSS_CRED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRED_KEY_MAX	  256	/* bytes of an access key id or secret */
#define CRED_TOKEN_MAX	  16384 /* bytes of a security token */
#define CRED_DIGEST_LEN	  32
#define CRED_EXPIRY_NEVER 0

struct cred;
struct cred_source;

/*
 * token NULL or "": none.  Both keys empty: anonymous.  expiry: unix seconds or
 * CRED_EXPIRY_NEVER.  -EINVAL: only one key, or a byte that no header may
 * carry; -E2BIG: too long; -ENOMEM.
 */
int cred_new(const char *id, const char *secret, const char *token, int64_t expiry,
	     struct cred **ret_cred);
struct cred *cred_ref(struct cred *c);
void cred_unref(struct cred *c);

bool cred_is_anonymous(const struct cred *c);
const char *cred_id(const struct cred *c);
const char *cred_secret(const struct cred *c);
const char *cred_token(const struct cred *c); /* NULL: none */
int64_t cred_expiry(const struct cred *c);

/* SHA-256 over id and secret: who brings the same keys has the same digest.  Keep it inside. */
int cred_digest(const struct cred *c, unsigned char ret_digest[CRED_DIGEST_LEN]);
/* Same id, secret and token; takes the same time wherever they differ. */
bool cred_equal(const struct cred *a, const struct cred *b);

/*
 * What a text holds: {"AccessKeyId","AccessKeySecret","SecurityToken","Expiration"}, the same in
 * snake case, a profile list of the command line tool, or an ini file of type access_key or sts
 * (section "default").  0, or -EINVAL / -ENOMEM with a sentence in err that repeats no value.
 */
int cred_parse(const char *text, size_t len, struct cred **ret_cred, char *err, size_t err_len);

/* Keys that never change.  NULL or "" for both: anonymous.  err as above. */
int cred_source_new_static(const char *id, const char *secret, const char *token,
			   struct cred_source **ret_source, char *err, size_t err_len);
/* Keys from a file.  It must be there and be right now; later faults keep the last good keys. */
int cred_source_new_file(const char *path, struct cred_source **ret_source, char *err,
			 size_t err_len);
struct cred_source *cred_source_ref(struct cred_source *s);
void cred_source_unref(struct cred_source *s);

/* A reference to the keys of now; never NULL.  Looks at the file at most once a second. */
struct cred *cred_source_get(struct cred_source *s);
/* The same at a time that the caller tells, in ms of any steady clock. */
struct cred *cred_source_get_at(struct cred_source *s, uint64_t now_ms);
/*
 * Look for newer keys; `force` looks even if the last look was just now.  True when cred_source_get()
 * now gives other keys than `used` (NULL: than before).
 */
bool cred_source_refresh(struct cred_source *s, const struct cred *used, bool force);
/* Whether waiting may bring other keys: a file can be replaced, fixed strings cannot. */
bool cred_source_can_change(const struct cred_source *s);

#endif
