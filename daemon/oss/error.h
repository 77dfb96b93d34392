/*
 * error.h - what a store says when it refuses: the XML of an error answer, or
 * the header that carries it where there is no body.  Texts come out bounded
 * and printable.  Elements that may repeat a key or a token are not kept.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_ERROR_H
#define DAEMON_OSS_ERROR_H

#include <stddef.h>

#define OSS_ERROR_MAX_BYTES (64u << 10) /* of the XML */

struct oss_error {
	char code[64];
	char message[256];
	char request_id[64];
	char ec[32];	    /* for the reader of a log only: never branch on it */
	char endpoint[128]; /* where the bucket is, when it is elsewhere */
	char region[64];
};

/* 0, or -EPROTO when it is no <Error> document; *ret_error then is empty. */
int oss_error_parse(const void *xml, size_t len, struct oss_error *ret_error);
/* The value of x-oss-err: the same XML in base64. */
int oss_error_parse_header(const char *base64, struct oss_error *ret_error);

#endif
