/* Any document, by the plain reader and expat after it, and by expat alone: the same events. */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oss/xml.h"
#include "daemon/oss/xml_plain.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* Events by their sum and number; the one of number `stop_at` is refused. */
struct sum {
	uint64_t hash;
	size_t nr, stop_at;
};

static void add(struct sum *s, const void *bytes, size_t len)
{
	const unsigned char *b = bytes;
	size_t i;

	for (i = 0; i < len; i++)
		s->hash = (s->hash ^ b[i]) * 0x100000001b3u;
	s->hash = (s->hash ^ len) * 0x100000001b3u;
}

static int end_event(struct sum *s, const char *name, int depth)
{
	add(s, name, strlen(name));
	add(s, &depth, sizeof(depth));
	return s->nr++ == s->stop_at ? -EXDEV : 0;
}

static int on_start(const char *name, int depth, void *arg)
{
	return end_event(arg, name, -depth);
}

static int on_end(const char *name, int depth, const char *text, size_t len, void *arg)
{
	add(arg, text, len);
	return end_event(arg, name, depth);
}

static const struct xml_events events = { .on_start = on_start, .on_end = on_end };

/* How the reading ended; -EPROTO and the like without a reason are a fault. */
static int read_all(const char *xml, size_t len, struct sum *s)
{
	char err[256] = "";
	int r = xml_parse(xml, len, &events, s, err, sizeof(err));

	if (r != 0 && r != -EXDEV && err[0] == '\0')
		abort();
	return r;
}

/* A comment in front means nothing, and leaves all of the document to expat. */
static void compare(const char *xml, size_t len, size_t head, size_t stop_at)
{
	static const char comment[] = "<!---->";
	const size_t more = sizeof(comment) - 1;
	struct sum a = { .stop_at = stop_at }, b = { .stop_at = stop_at };
	char *copy = malloc(len + more);
	int r;

	if (copy == NULL)
		return;
	memcpy(copy, xml, head);
	memcpy(copy + head, comment, more);
	memcpy(copy + head + more, xml + head, len - head);
	r = read_all(xml, len, &a);
	if (r != read_all(copy, len + more, &b) || a.nr != b.nr || a.hash != b.hash)
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char declaration[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
	const size_t declared = sizeof(declaration) - 1;
	struct sum s = { .stop_at = SIZE_MAX };
	size_t head = 0, nr_events;

	if (len >= declared && memcmp(bytes, declaration, declared) == 0)
		head = declared;
	/* Where the plain reader makes no event, expat does it all anyway. */
	(void)xml_plain((const char *)bytes, len, &events, &s, &nr_events);
	if (nr_events == 0)
		return 0;
	compare((const char *)bytes, len, head, SIZE_MAX);
	compare((const char *)bytes, len, head, nr_events - 1);
	compare((const char *)bytes, len, head, bytes[len / 2] % (nr_events + 2));
	return 0;
}
