/*
 * ringsvc.h - the daemon's side of a session's shared memory: takes entries
 * out of the submission ring and the touch log, puts completions in.  Knows
 * the layout and trusts nothing that the client wrote; what an entry means is
 * the caller's business.
 *
 * An entry is copied out, by one load a word, before anybody looks at it.  A
 * ring whose indices make no sense is -EPROTO: the session ends.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_SESSION_RINGSVC_H
#define DAEMON_SESSION_RINGSVC_H

#include "common/ring.h"
#include "common/wire.h"

/* Answers that the client has not made room for; more than these are never in flight. */
#define RINGSVC_BACKLOG_MAX WIRE_NR_COMPLETIONS

struct ringsvc {
	struct wire_session *shared;
	struct ring submit;
	struct ring complete;
	uint32_t touch_cursor;
	struct wire_completion *backlog; /* a circle of RINGSVC_BACKLOG_MAX, made when needed */
	unsigned backlog_first, backlog_nr;
};

/* Fresh, zeroed session memory. */
void ringsvc_init(struct ringsvc *rs, struct wire_session *shared);
void ringsvc_fini(struct ringsvc *rs);

/* 0, or a negative errno that ends the session. */
typedef int ringsvc_submission_fn(const struct wire_submission *entry, void *arg);
/*
 * Hands over at most `budget` submissions.  1: there may be more, come again
 * without being kicked; 0: none are left and the client kicks for the next;
 * negative: what fn returned, or -EPROTO.
 */
int ringsvc_drain(struct ringsvc *rs, unsigned budget, ringsvc_submission_fn *fn, void *arg);

typedef void ringsvc_touch_fn(uint32_t object, uint32_t chunk, void *arg);
/* The touches that there are; they stay in the log.  Returns where it ends now. */
uint32_t ringsvc_peek_touches(const struct ringsvc *rs, ringsvc_touch_fn *fn, void *arg);
/* Takes out the touches before `end`, as many as the log still has.  Returns how many. */
unsigned ringsvc_drain_touches(struct ringsvc *rs, uint32_t end, ringsvc_touch_fn *fn, void *arg);
bool ringsvc_has_touches(const struct ringsvc *rs);

/*
 * Push a completion, behind those in the backlog.  1: the client sleeps and must
 * be signalled; 0; -EPROTO; -ENOBUFS when even the backlog is full.
 */
int ringsvc_complete(struct ringsvc *rs, const struct wire_completion *completion);
/* Move the backlog on.  As above; ringsvc_backlog() says what is left. */
int ringsvc_flush(struct ringsvc *rs);
unsigned ringsvc_backlog(const struct ringsvc *rs);

void ringsvc_set_want_touch(struct ringsvc *rs, bool want);

#endif
