#include "daemon/base/json.h"

#include <stdint.h>
#include <string.h>

#include "common/strbuf.h"

/* Bytes of the well-formed UTF-8 sequence at s (RFC 3629), or 0. */
static size_t sequence_len(const unsigned char *s, size_t len)
{
	unsigned char low = 0x80, high = 0xbf;
	size_t n, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf) {
		n = 2;
	} else if (s[0] >= 0xe0 && s[0] <= 0xef) {
		n = 3;
		low = s[0] == 0xe0 ? 0xa0 : 0x80;
		high = s[0] == 0xed ? 0x9f : 0xbf; /* no surrogates */
	} else if (s[0] >= 0xf0 && s[0] <= 0xf4) {
		n = 4;
		low = s[0] == 0xf0 ? 0x90 : 0x80;
		high = s[0] == 0xf4 ? 0x8f : 0xbf;
	} else {
		return 0;
	}
	if (len < n || s[1] < low || s[1] > high)
		return 0;
	for (i = 2; i < n; i++)
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	return n;
}

static void add_ascii(struct strbuf *out, unsigned char c)
{
	if (c == '"' || c == '\\') {
		strbuf_addc(out, '\\');
		strbuf_addc(out, (char)c);
	} else if (c == '\n') {
		strbuf_adds(out, "\\n");
	} else if (c == '\t') {
		strbuf_adds(out, "\\t");
	} else if (c < 0x20 || c == 0x7f) {
		strbuf_addf(out, "\\u%04x", c);
	} else {
		strbuf_addc(out, (char)c);
	}
}

void json_string(struct strbuf *out, const char *s, size_t len)
{
	const unsigned char *in = (const unsigned char *)s;
	size_t n;

	strbuf_addc(out, '"');
	while (len > 0) {
		n = sequence_len(in, len);
		if (n == 1)
			add_ascii(out, *in);
		else if (n == 0)
			strbuf_adds(out, "\\ufffd");
		else
			strbuf_add(out, in, n);
		n += n == 0;
		in += n;
		len -= n;
	}
	strbuf_addc(out, '"');
}

void json_cstring(struct strbuf *out, const char *s)
{
	if (s == NULL)
		strbuf_adds(out, "null");
	else
		json_string(out, s, strlen(s));
}
