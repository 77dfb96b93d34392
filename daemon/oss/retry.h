/*
 * retry.h - what to do about an answer or a failure, and how long to wait
 * before the next attempt.  Sends nothing, sleeps nowhere, reads no clock.
 *
 * Threads: any; a struct oss_retry belongs to one request.
 */
#ifndef DAEMON_OSS_RETRY_H
#define DAEMON_OSS_RETRY_H

#include <stdbool.h>
#include <stdint.h>

enum oss_action {
	OSS_DONE = 0,	/* it worked */
	OSS_RETRY,	/* try again after a backoff */
	OSS_RETRY_SLOW, /* the store throttles: a long backoff, and less at a time */
	OSS_RETRY_NOW, /* what was wrong is put right (signature, keys, clock): try again at once */
	OSS_FATAL,     /* trying again cannot help */
};

/* What must be put right before the next attempt. */
enum oss_remedy {
	OSS_REMEDY_NONE = 0,
	OSS_REMEDY_RESIGN,  /* drop the cached signature, sign again */
	OSS_REMEDY_REFRESH, /* look for newer keys */
	OSS_REMEDY_AWAIT,   /* the same, and if there are none yet they may come */
	OSS_REMEDY_CLOCK,   /* take the server's time */
};

struct oss_verdict {
	enum oss_action action;
	enum oss_remedy remedy;
	int error; /* what a reader gets when it ends here: 0 or a negative errno */
};

/* By status and code; code NULL or "": by status alone. */
struct oss_verdict oss_classify(int status, const char *code);
/* error: what http/client.h reports when there was no whole response. */
struct oss_verdict oss_classify_transport(int error);

struct oss_retry_conf {
	unsigned base_ms;     /* first ceiling of the backoff (0: 200) */
	unsigned throttle_ms; /* first ceiling when the store throttles (0: 1000) */
	unsigned cap_ms;      /* highest ceiling (0: 20000) */
	unsigned budget_ms;   /* no new attempt is begun after this (0: 60000) */
};

struct oss_retry {
	struct oss_retry_conf conf;
	uint64_t start_ms;
	unsigned nr_failed; /* since the start or the last progress */
	unsigned nr_throttled;
	unsigned nr_now;
};

/* conf NULL: the defaults. */
void oss_retry_init(struct oss_retry *r, const struct oss_retry_conf *conf, uint64_t now_ms);
/* The last attempt brought something new: backoff and budget start again. */
void oss_retry_progress(struct oss_retry *r, uint64_t now_ms);
/*
 * Milliseconds to wait before the next attempt, or -1: give up.  hint_ms is
 * what the store asked for (0: nothing); random is 32 random bits.
 */
int64_t oss_retry_next(struct oss_retry *r, enum oss_action action, unsigned hint_ms,
		       uint64_t now_ms, uint32_t random);

#endif
