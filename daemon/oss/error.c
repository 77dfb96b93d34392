#include "daemon/oss/error.h"

#include <errno.h>
#include <string.h>

#include "daemon/oss/digest.h"
#include "daemon/oss/xml.h"

static const struct {
	const char *name;
	size_t offset, size;
} elements[] = {
#define ELEMENT(name, member)                                                                      \
	{                                                                                          \
		name, offsetof(struct oss_error, member), sizeof(((struct oss_error *)0)->member)  \
	}
	ELEMENT("Code", code), ELEMENT("Message", message),   ELEMENT("RequestId", request_id),
	ELEMENT("EC", ec),     ELEMENT("Endpoint", endpoint), ELEMENT("Region", region),
#undef ELEMENT
};

/* Bounded, and nothing that could begin a new line in a log. */
static void copy_printable(char *to, size_t size, const char *from, size_t len)
{
	size_t i;

	for (i = 0; i < len && i < size - 1; i++) {
		unsigned char c = (unsigned char)from[i];

		to[i] = c < 0x20 || c == 0x7f ? ' ' : (char)c;
	}
	/* Not in the middle of a UTF-8 character. */
	while (i > 0 && i < len && ((unsigned char)from[i] & 0xc0) == 0x80)
		i--;
	to[i] = '\0';
}

static int on_start(const char *name, int depth, void *arg)
{
	(void)arg;
	return depth == 1 && strcmp(name, "Error") != 0 ? -EPROTO : 0;
}

static int on_end(const char *name, int depth, const char *text, size_t len, void *arg)
{
	struct oss_error *e = arg;
	size_t i;

	if (depth != 2)
		return 0;
	for (i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		char *to = (char *)e + elements[i].offset;

		if (strcmp(name, elements[i].name) == 0 && to[0] == '\0')
			copy_printable(to, elements[i].size, text, len);
	}
	return 0;
}

int oss_error_parse(const void *xml, size_t len, struct oss_error *ret_error)
{
	static const struct xml_events events = { .on_start = on_start, .on_end = on_end };
	char reason[128];
	int r;

	memset(ret_error, 0, sizeof(*ret_error));
	if (len == 0 || len > OSS_ERROR_MAX_BYTES)
		return -EPROTO;
	r = xml_parse(xml, len, &events, ret_error, reason, sizeof(reason));
	if (r == 0 && ret_error->code[0] == '\0')
		r = -EPROTO;
	if (r != 0)
		memset(ret_error, 0, sizeof(*ret_error));
	return r;
}

int oss_error_parse_header(const char *base64, struct oss_error *ret_error)
{
	unsigned char xml[12288];
	int n = digest_base64_decode(base64, xml, sizeof(xml));

	if (n < 0) {
		memset(ret_error, 0, sizeof(*ret_error));
		return -EPROTO;
	}
	return oss_error_parse(xml, (size_t)n, ret_error);
}
