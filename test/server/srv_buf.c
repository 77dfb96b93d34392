#include "test/server/srv_buf.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void *srv_alloc(size_t n)
{
	void *p = calloc(1, n);

	if (p == NULL)
		abort();
	return p;
}

char *srv_strndup(const char *s, size_t n)
{
	char *p = srv_alloc(n + 1);

	memcpy(p, s, n);
	return p;
}

void srv_buf_free(struct srv_buf *b)
{
	free(b->p);
	b->p = NULL;
	b->len = 0;
	b->cap = 0;
}

void srv_buf_reset(struct srv_buf *b)
{
	b->len = 0;
	if (b->p != NULL)
		b->p[0] = '\0';
}

void srv_buf_reserve(struct srv_buf *b, size_t more)
{
	size_t want = b->len + more + 1;
	size_t cap = b->cap != 0 ? b->cap : 256;

	if (want <= b->cap)
		return;
	while (cap < want)
		cap *= 2;
	b->p = realloc(b->p, cap);
	if (b->p == NULL)
		abort();
	b->cap = cap;
	b->p[b->len] = '\0';
}

void srv_buf_add(struct srv_buf *b, const void *p, size_t n)
{
	srv_buf_reserve(b, n);
	if (n != 0)
		memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = '\0';
}

void srv_buf_str(struct srv_buf *b, const char *s)
{
	srv_buf_add(b, s, strlen(s));
}

void srv_buf_char(struct srv_buf *b, char c)
{
	srv_buf_add(b, &c, 1);
}

void srv_buf_u64(struct srv_buf *b, uint64_t value)
{
	char digits[20];
	size_t at = sizeof(digits);

	do {
		digits[--at] = (char)('0' + value % 10);
		value /= 10;
	} while (value != 0);
	srv_buf_add(b, digits + at, sizeof(digits) - at);
}

void srv_buf_fmt(struct srv_buf *b, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n < 0)
		abort();

	srv_buf_reserve(b, (size_t)n);
	va_start(ap, fmt);
	vsnprintf(b->p + b->len, (size_t)n + 1, fmt, ap);
	va_end(ap);
	b->len += (size_t)n;
}

static bool is_plain(unsigned char c)
{
	return (c < 0x80 && isalnum(c)) || c == '-' || c == '.' || c == '_' || c == '~';
}

static void add_escaped(struct srv_buf *b, unsigned char c)
{
	static const char digits[] = "0123456789ABCDEF";
	char esc[3] = { '%', digits[c >> 4], digits[c & 15] };

	srv_buf_add(b, esc, sizeof(esc));
}

void srv_buf_uri(struct srv_buf *b, const char *s, size_t n, bool keep_slash)
{
	size_t i;

	srv_buf_reserve(b, n);
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (is_plain(c) || (c == '/' && keep_slash))
			srv_buf_char(b, (char)c);
		else
			add_escaped(b, c);
	}
}

void srv_buf_uri_s3list(struct srv_buf *b, const char *s, size_t n)
{
	size_t i;

	srv_buf_reserve(b, n);
	for (i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		if (c == ' ')
			srv_buf_char(b, '+');
		else if (is_plain(c) || c == '/' || c == '*')
			srv_buf_char(b, (char)c);
		else
			add_escaped(b, c);
	}
}

void srv_buf_xml(struct srv_buf *b, const char *s, size_t n)
{
	size_t i;

	srv_buf_reserve(b, n);
	for (i = 0; i < n; i++) {
		switch (s[i]) {
		case '&':
			srv_buf_str(b, "&amp;");
			break;
		case '<':
			srv_buf_str(b, "&lt;");
			break;
		case '>':
			srv_buf_str(b, "&gt;");
			break;
		default:
			srv_buf_char(b, s[i]);
		}
	}
}

/* Length of the well-formed UTF-8 sequence at s, or 0. */
static size_t utf8_len(const unsigned char *s, size_t n)
{
	size_t len, i;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		len = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		len = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		len = 4;
	else
		return 0;
	if (len > n)
		return 0;
	for (i = 1; i < len; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
	}
	if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
	    (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
		return 0;
	return len;
}

void srv_buf_json(struct srv_buf *b, const char *s, size_t n)
{
	const unsigned char *u = (const unsigned char *)s;
	size_t i = 0, len;

	srv_buf_char(b, '"');
	while (i < n) {
		len = utf8_len(u + i, n - i);
		if (u[i] == '"' || u[i] == '\\') {
			srv_buf_char(b, '\\');
			srv_buf_char(b, s[i]);
			i++;
		} else if (len == 0 || u[i] < 0x20 || u[i] == 0x7f) {
			srv_buf_fmt(b, "\\u%04x", u[i]);
			i++;
		} else {
			srv_buf_add(b, s + i, len);
			i += len;
		}
	}
	srv_buf_char(b, '"');
}

void srv_buf_base64(struct srv_buf *b, const void *p, size_t n)
{
	static const char set[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *u = p;
	size_t i;

	for (i = 0; i < n; i += 3) {
		unsigned v = (unsigned)u[i] << 16;
		char out[4];

		if (i + 1 < n)
			v |= (unsigned)u[i + 1] << 8;
		if (i + 2 < n)
			v |= u[i + 2];
		out[0] = set[v >> 18];
		out[1] = set[(v >> 12) & 63];
		out[2] = i + 1 < n ? set[(v >> 6) & 63] : '=';
		out[3] = i + 2 < n ? set[v & 63] : '=';
		srv_buf_add(b, out, sizeof(out));
	}
}

void srv_buf_hex(struct srv_buf *b, const void *p, size_t n, bool upper)
{
	const char *digits = upper ? "0123456789ABCDEF" : "0123456789abcdef";
	const unsigned char *u = p;
	size_t i;

	for (i = 0; i < n; i++) {
		srv_buf_char(b, digits[u[i] >> 4]);
		srv_buf_char(b, digits[u[i] & 15]);
	}
}
