#include "daemon/config/json_escape.h"

#include <errno.h>
#include <stdint.h>

#include "common/strbuf.h"

#define ESCAPE_LEN 6 /* \uXXXX */

bool json_escape_is_json(const char *text, size_t len)
{
	size_t i = 0;

	if (len >= 3 && text[0] == '\xef' && text[1] == '\xbb' && text[2] == '\xbf')
		i = 3;
	while (i < len && (text[i] == ' ' || text[i] == '\t' || text[i] == '\r' || text[i] == '\n'))
		i++;
	return i < len && (text[i] == '{' || text[i] == '[');
}

/* The value of \uXXXX at `s`, or -1 when there is none. */
static int32_t escape_at(const char *s, size_t len)
{
	int32_t value = 0;
	int i;

	if (len < ESCAPE_LEN || s[0] != '\\' || s[1] != 'u')
		return -1;
	for (i = 2; i < ESCAPE_LEN; i++) {
		char c = s[i];

		if (c >= '0' && c <= '9')
			value = value << 4 | (c - '0');
		else if (c >= 'a' && c <= 'f')
			value = value << 4 | (c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			value = value << 4 | (c - 'A' + 10);
		else
			return -1;
	}
	return value;
}

static void add_utf8(struct strbuf *out, uint32_t c)
{
	strbuf_addc(out, (char)(0xf0 | c >> 18));
	strbuf_addc(out, (char)(0x80 | (c >> 12 & 0x3f)));
	strbuf_addc(out, (char)(0x80 | (c >> 6 & 0x3f)));
	strbuf_addc(out, (char)(0x80 | (c & 0x3f)));
}

int json_escape_join(const char *text, size_t len, struct strbuf *out, size_t *ret_bad)
{
	bool in_string = false;
	size_t i = 0;

	while (i < len) {
		int32_t high, low;

		if (text[i] == '"')
			in_string = !in_string;
		if (!in_string || text[i] != '\\') {
			strbuf_addc(out, text[i++]);
			continue;
		}
		high = escape_at(text + i, len - i);
		if (high < 0xd800 || high > 0xdfff) {
			/* Any other escape: two characters that belong together. */
			strbuf_add(out, text + i, i + 1 < len ? 2 : 1);
			i += 2;
			continue;
		}
		low = i + ESCAPE_LEN < len ? escape_at(text + i + ESCAPE_LEN, len - i - ESCAPE_LEN)
					   : -1;
		if (high > 0xdbff || low < 0xdc00 || low > 0xdfff) {
			*ret_bad = i;
			return -EINVAL;
		}
		add_utf8(out,
			 0x10000u + ((uint32_t)(high - 0xd800) << 10 | (uint32_t)(low - 0xdc00)));
		i += ESCAPE_LEN * 2ul;
	}
	return strbuf_error(out);
}
