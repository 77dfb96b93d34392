/*
 * body.h - the body of one response on its way from the stream into a sink:
 * where it ends, and how much of it has come.  Waits for nothing itself.
 *
 * Threads: one.
 */
#ifndef DAEMON_HTTP_BODY_H
#define DAEMON_HTTP_BODY_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/http/chunked.h"

struct http_response;
struct sink;
struct stream;
struct transit;

#define BODY_BUDGET   (2 * 1024 * 1024) /* bytes in one turn */
#define BODY_DROP_MAX (64 * 1024) /* of a body that nobody wants; beyond, closing is cheaper */

enum body_framing {
	BODY_LENGTH = 0, /* Content-Length */
	BODY_CHUNKED,
	BODY_CLOSE, /* until the server closes */
};

struct body {
	enum body_framing framing;
	struct sink *sink; /* NULL: dropped */
	uint64_t length;   /* BODY_LENGTH */
	uint64_t taken;	   /* by the sink, or dropped */
	struct chunked chunked;
	bool is_clean; /* nothing was read beyond its end, and the end was found */
};

/* What body_move() answers beside a negative errno. */
enum {
	BODY_AGAIN = 0, /* the budget of this turn is spent */
	BODY_DONE,
};

struct body_fault {
	bool refused;	 /* the sink's error */
	const char *why; /* a constant string, or NULL when errno says it all */
};

void body_init(struct body *b, const struct http_response *res, struct sink *sink);
/* -ECONNRESET: it ended too early; -EPROTO: its framing is wrong; -EAGAIN: wait. */
int body_move(struct body *b, struct transit *t, struct stream *s, struct body_fault *ret_fault);

#endif
