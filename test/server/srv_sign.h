/*
 * srv_sign.h - does this request carry a valid signature?  OSS V4, OSS V1 and AWS SigV4, each in
 * the Authorization header or in the query.  Written from the protocol, not from any signer: a
 * signer that is wrong must not find its own mistake here.
 */
#ifndef TEST_SERVER_SRV_SIGN_H
#define TEST_SERVER_SRV_SIGN_H

#include "test/server/srv_cred.h"
#include "test/server/srv_error.h"

struct srv_sign_rules {
	const char *region;	   /* the scope must name it */
	const char *product;	   /* of OSS V4: normally "oss" */
	bool any_region;	   /* do not compare the region */
	enum srv_dialect fallback; /* for requests that do not say */
	bool oss_only;
	bool s3_only;
};

/* The outcome, with all that an error answer and a log line want.  Zero it, then srv_sign_fini(). */
struct srv_verdict {
	enum srv_error_id error; /* SRV_E_NONE: verified, or anonymous */
	bool anonymous;		 /* nothing to verify */
	char ak[SRV_CRED_TEXT];
	char signature[256];	  /* as the client gave it */
	struct srv_buf canonical; /* what was hashed; empty for V1 */
	struct srv_buf string_to_sign;
	int64_t request_time;
	/* For bodies: what the client signed, "" if nothing that binds the body. */
	char payload_sha256[80];
};

/* Sets r->dialect as well. */
void srv_sign_verify(struct srv_req *r, struct srv_creds *creds, const struct srv_sign_rules *rules,
		     struct srv_verdict *v);
void srv_sign_fini(struct srv_verdict *v);

/* ---- between the files of this family ---- */

#define SRV_SKEW_SECONDS 900

/* Key known, token right and not expired?  On true *k is filled. */
bool srv_sign_find_key(struct srv_creds *creds, const char *token, struct srv_verdict *v,
		       struct srv_cred *k);
bool srv_sign_same(const char *a, const char *b);
bool srv_sign_check_skew(struct srv_verdict *v);

void srv_sign_v4(const struct srv_req *r, struct srv_creds *creds,
		 const struct srv_sign_rules *rules, bool in_query, struct srv_verdict *v);
void srv_sign_v1(const struct srv_req *r, struct srv_creds *creds, bool in_query,
		 struct srv_verdict *v);

#endif
