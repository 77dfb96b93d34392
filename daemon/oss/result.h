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

#endif
