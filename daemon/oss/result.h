/*
 * result.h - how one attempt at a request ended: what a reader gets, what to
 * do next, and the line for the log.  A plain value, no secret in it.
 */
#ifndef DAEMON_OSS_RESULT_H
#define DAEMON_OSS_RESULT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/oss/retry.h"

struct oss_result {
	/* 0, or the negative errno that a reader gets if this attempt was the last. */
	int error;
	enum oss_action action;
	unsigned delay_ms; /* what the store asked to wait; 0: nothing */
	int status;	   /* 0: there was no response */
	char code[64];	   /* the store's error code, or "" */
	char request_id[64];
	bool has_crc64; /* of the whole object */
	uint64_t crc64;
	uint64_t bytes; /* body bytes that reached the sink, also when it failed */
	char text[512]; /* one line: what happened and what to do; "" when it worked */
};

struct oss_endpoint;
struct oss_error;

/* What a request was about, for the text. */
struct oss_subject {
	const struct oss_endpoint *endpoint;
	const char *bucket;
	const char *key;   /* NULL: the bucket itself */
	bool is_anonymous; /* no keys were sent */
};

/*
 * Fill in action, error, code and text of an answer that is no success; e may be empty.
 * What is to be put right before another attempt is returned.
 */
enum oss_remedy oss_result_refuse(struct oss_result *res, const struct oss_subject *subject,
				  int status, const struct oss_error *e);
/* The same for a request that got no whole answer; reason: the transport's own words. */
void oss_result_break(struct oss_result *res, const struct oss_subject *subject, int error,
		      const char *reason);
/* A result of our own making, for an answer that is not as it must be. */
void oss_result_set(struct oss_result *res, const struct oss_subject *subject,
		    enum oss_action action, int error, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));

#endif
