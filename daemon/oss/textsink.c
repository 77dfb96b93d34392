#include "daemon/oss/textsink.h"

#include <errno.h>

static int write_text(struct sink *s, const void *buf, size_t len)
{
	struct textsink *b = (struct textsink *)s; /* the sink is its first member */

	strbuf_add(&b->text, buf, len);
	return strbuf_error(&b->text) == -E2BIG ? -EFBIG : strbuf_error(&b->text);
}

void textsink_init(struct textsink *b, size_t max)
{
	static const struct sink_ops ops = { .write = write_text };

	b->sink.ops = &ops;
	strbuf_init(&b->text, max);
}

void textsink_fini(struct textsink *b)
{
	strbuf_fini(&b->text);
}
