/*
 * sign_v4.h - the algorithm that OSS V4 and AWS SigV4 share, and the table of
 * what differs between them.
 */
#ifndef DAEMON_OSS_SIGN_V4_H
#define DAEMON_OSS_SIGN_V4_H

#include "daemon/oss/sign.h"

struct sign_dialect {
	const char *algorithm;
	const char *key_prefix; /* before the secret */
	const char *terminator; /* last part of the scope */
	const char *header_prefix;
	const char *date_header;
	const char *payload_header; /* NULL: not sent */
	const char *token_header;
	const char *names_key; /* in Authorization: AdditionalHeaders or SignedHeaders */
	const char *separator; /* between the parts of Authorization */

	/* Names in a signed query. */
	const char *query_algorithm, *query_date, *query_expires, *query_credential;
	const char *query_token, *query_names, *query_signature;

	bool bucket_always; /* the bucket is in the canonical URI even if not in the path */
	bool empty_equals;  /* "uploads=" */
	bool signs_host;
	bool names_all; /* the list of names holds all signed headers */
	bool collapse_blanks;
};

int sign_v4_headers(const struct sign_dialect *d, const struct sign_request *req,
		    const struct cred *cred, struct signature *ret_signature);
int sign_v4_query(const struct sign_dialect *d, const struct sign_request *req,
		  const struct cred *cred, struct strbuf *ret_query);

extern const struct sign_dialect sign_dialect_oss;
extern const struct sign_dialect sign_dialect_s3;

#endif
