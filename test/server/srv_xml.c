#include "test/server/srv_xml.h"

#include <stdlib.h>
#include <string.h>

/* Behind "<name ...>"; NULL if there is none.  *ret_closed: it was "<name/>". */
static const char *open_tag(const char *p, const char *end, const char *name, bool *ret_closed)
{
	size_t n = strlen(name);
	const char *close;

	while (p < end && (p = memchr(p, '<', (size_t)(end - p))) != NULL) {
		p++;
		if ((size_t)(end - p) <= n || memcmp(p, name, n) != 0 ||
		    strchr(" \t\r\n/>", p[n]) == NULL || p[n] == '\0')
			continue;
		close = memchr(p, '>', (size_t)(end - p));
		if (close == NULL)
			return NULL;
		*ret_closed = close[-1] == '/';
		return close + 1;
	}
	return NULL;
}

bool srv_xml_next(const char **p, size_t *left, const char *name, const char **ret_inside,
		  size_t *ret_len)
{
	const char *end = *p + *left, *from, *to;
	size_t n = strlen(name);
	bool closed;

	if (*p == NULL)
		return false;
	from = open_tag(*p, end, name, &closed);
	if (from == NULL)
		return false;
	*ret_inside = from;
	*ret_len = 0;
	to = from;
	while (!closed) {
		to = memchr(to, '<', (size_t)(end - to));
		if (to == NULL || (size_t)(end - to) < n + 3)
			return false;
		if (to[1] == '/' && memcmp(to + 2, name, n) == 0 && to[n + 2] == '>') {
			*ret_len = (size_t)(to - from);
			to += n + 3;
			break;
		}
		to++;
	}
	*left = (size_t)(end - to);
	*p = to;
	return true;
}

static void add_code_point(struct srv_buf *out, unsigned long v)
{
	if (v < 0x80) {
		srv_buf_char(out, (char)v);
	} else if (v < 0x800) {
		srv_buf_char(out, (char)(0xc0 | (v >> 6)));
		srv_buf_char(out, (char)(0x80 | (v & 63)));
	} else if (v < 0x10000) {
		srv_buf_char(out, (char)(0xe0 | (v >> 12)));
		srv_buf_char(out, (char)(0x80 | ((v >> 6) & 63)));
		srv_buf_char(out, (char)(0x80 | (v & 63)));
	} else if (v < 0x110000) {
		srv_buf_char(out, (char)(0xf0 | (v >> 18)));
		srv_buf_char(out, (char)(0x80 | ((v >> 12) & 63)));
		srv_buf_char(out, (char)(0x80 | ((v >> 6) & 63)));
		srv_buf_char(out, (char)(0x80 | (v & 63)));
	}
}

/* At an '&': adds what it stands for and returns how many bytes were read. */
static size_t entity(const char *p, size_t left, struct srv_buf *out)
{
	static const struct {
		const char *name;
		char c;
	} names[] = { { "&amp;", '&' },
		      { "&lt;", '<' },
		      { "&gt;", '>' },
		      { "&quot;", '"' },
		      { "&apos;", '\'' } };
	char number[12];
	size_t i, n;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		n = strlen(names[i].name);
		if (left >= n && memcmp(p, names[i].name, n) == 0) {
			srv_buf_char(out, names[i].c);
			return n;
		}
	}
	for (n = 0; n < left && n < sizeof(number) - 1 && p[n] != ';'; n++)
		number[n] = p[n];
	number[n] = '\0';
	if (n > 2 && n < left && p[n] == ';' && number[1] == '#') {
		if (number[2] == 'x')
			add_code_point(out, strtoul(number + 3, NULL, 16));
		else
			add_code_point(out, strtoul(number + 2, NULL, 10));
		return n + 1;
	}
	srv_buf_char(out, '&');
	return 1;
}

bool srv_xml_text(const char *p, size_t len, const char *name, struct srv_buf *out)
{
	const char *inside;
	size_t n, i = 0;

	if (!srv_xml_next(&p, &len, name, &inside, &n))
		return false;
	while (i < n) {
		if (inside[i] == '&')
			i += entity(inside + i, n - i, out);
		else
			srv_buf_char(out, inside[i++]);
	}
	srv_buf_reserve(out, 0);
	return true;
}
