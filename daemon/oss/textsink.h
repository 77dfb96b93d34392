/*
 * textsink.h - a sink that keeps a small body in memory: XML, not data.  What
 * exceeds the bound ends the exchange with -EFBIG.
 *
 * Threads: one at a time.
 */
#ifndef DAEMON_OSS_TEXTSINK_H
#define DAEMON_OSS_TEXTSINK_H

#include "common/strbuf.h"
#include "daemon/http/sink.h"

struct textsink {
	struct sink sink;
	struct strbuf text;
};

void textsink_init(struct textsink *b, size_t max);
void textsink_fini(struct textsink *b);

#endif
