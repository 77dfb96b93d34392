/*
 * sign.h - the family of signatures: OSS V4, OSS V1 and S3 (SigV4), each a
 * row with the same two calls.  A signer does not know how a request is sent.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_SIGN_H
#define DAEMON_OSS_SIGN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "common/strbuf.h"
#include "daemon/http/client.h"
#include "daemon/oss/canon.h"

struct cred;

#define SIGN_MAX_HEADERS 5
#define SIGN_MAX_BYTES	 (64u << 10) /* of a canonical request or a query */

/* The steps of one signature, for tests and for hunting a mismatch.  Holds secrets. */
struct sign_trace {
	struct strbuf canonical_request;
	struct strbuf string_to_sign;
	char scope[192];
	unsigned char key[4][32]; /* V4: date, region, product, signing key */
	char signature[65];
};
void sign_trace_init(struct sign_trace *t);
void sign_trace_fini(struct sign_trace *t);

struct sign_request {
	const char *method;
	const char *bucket;  /* NULL: of the service */
	const char *key;     /* NULL: of the bucket; not encoded */
	bool bucket_in_path; /* S3 signs the path as sent: is the bucket its first part? */
	const char *host;    /* the Host header; S3 signs it */
	const struct oss_param *query;
	size_t nr_query;
	const struct http_header *headers; /* what is sent; the scheme chooses which it signs */
	size_t nr_headers;
	const char *const *also_signed; /* names of headers to sign that the scheme need not */
	size_t nr_also_signed;
	const char *region;
	const char *product;
	const char *payload_hash; /* NULL: UNSIGNED-PAYLOAD */
	int64_t unix_time;
	unsigned expires_s;	  /* of a signed query */
	struct sign_trace *trace; /* NULL, or initialised */
};

/* Headers to send with the request, Authorization among them.  Values are secret. */
struct signature {
	struct http_header headers[SIGN_MAX_HEADERS];
	size_t nr_headers;
};
void signature_fini(struct signature *s);

struct sign_scheme {
	const char *name;
	/* 0, -ENOMEM, -E2BIG, -EIO.  Keys must not be anonymous. */
	int (*sign)(const struct sign_request *req, const struct cred *cred,
		    struct signature *ret_signature);
	/* The whole query of a signed URL, appended to ret_query. */
	int (*sign_query)(const struct sign_request *req, const struct cred *cred,
			  struct strbuf *ret_query);
};

extern const struct sign_scheme sign_v4;
extern const struct sign_scheme sign_v1;
extern const struct sign_scheme sign_s3;

/* Takes over nothing: the value is copied.  For signers. */
int signature_add(struct signature *s, const char *name, const char *value);

#endif
