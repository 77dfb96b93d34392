/*
 * body.h - a sink that keeps a small body in memory: XML, not data.  What
 * exceeds the bound ends the exchange with -EFBIG.
 *
 * Threads: one at a time.
 */
#ifndef DAEMON_OSS_BODY_H
#define DAEMON_OSS_BODY_H

#include "common/strbuf.h"
#include "daemon/http/sink.h"

struct body {
	struct sink sink;
	struct strbuf text;
};

void body_init(struct body *b, size_t max);
void body_fini(struct body *b);

#endif
