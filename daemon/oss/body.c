#include "daemon/oss/body.h"

#include <errno.h>

static int write_body(struct sink *s, const void *buf, size_t len)
{
	struct body *b = (struct body *)s; /* the sink is its first member */

	strbuf_add(&b->text, buf, len);
	return strbuf_error(&b->text) == -E2BIG ? -EFBIG : strbuf_error(&b->text);
}

void body_init(struct body *b, size_t max)
{
	static const struct sink_ops ops = { .write = write_body };

	b->sink.ops = &ops;
	strbuf_init(&b->text, max);
}

void body_fini(struct body *b)
{
	strbuf_fini(&b->text);
}
