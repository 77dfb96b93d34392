#include "test/server/srv_json.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct reader {
	char *p;
	const char *error;
};

static void skip_blank(struct reader *r)
{
	r->p += strspn(r->p, " \t\r\n");
}

static bool take(struct reader *r, char c)
{
	skip_blank(r);
	if (*r->p != c)
		return false;
	r->p++;
	return true;
}

static bool fail(struct reader *r, const char *why)
{
	if (r->error == NULL)
		r->error = why;
	return false;
}

static int hex4(const char *p)
{
	int v = 0, i;

	for (i = 0; i < 4; i++) {
		const char *digits = "0123456789abcdef0123456789ABCDEF";
		const char *d = p[i] != '\0' ? strchr(digits, p[i]) : NULL;

		if (d == NULL)
			return -1;
		v = v * 16 + (int)((d - digits) % 16);
	}
	return v;
}

static char *put_utf8(char *out, unsigned v)
{
	if (v < 0x80) {
		*out++ = (char)v;
	} else if (v < 0x800) {
		*out++ = (char)(0xc0 | (v >> 6));
		*out++ = (char)(0x80 | (v & 63));
	} else if (v < 0x10000) {
		*out++ = (char)(0xe0 | (v >> 12));
		*out++ = (char)(0x80 | ((v >> 6) & 63));
		*out++ = (char)(0x80 | (v & 63));
	} else {
		*out++ = (char)(0xf0 | (v >> 18));
		*out++ = (char)(0x80 | ((v >> 12) & 63));
		*out++ = (char)(0x80 | ((v >> 6) & 63));
		*out++ = (char)(0x80 | (v & 63));
	}
	return out;
}

/* After "\u".  Two escapes may make one character. */
static bool read_unicode(struct reader *r, char **out)
{
	int v = hex4(r->p), low;
	unsigned c;

	if (v < 0)
		return fail(r, "bad \\u escape");
	r->p += 4;
	c = (unsigned)v;
	if (c >= 0xd800 && c < 0xdc00) {
		low = r->p[0] == '\\' && r->p[1] == 'u' ? hex4(r->p + 2) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return fail(r, "half a surrogate pair");
		r->p += 6;
		c = 0x10000 + ((c - 0xd800) << 10) + ((unsigned)low - 0xdc00);
	}
	*out = put_utf8(*out, c);
	return true;
}

/* Decodes in place: the result is never longer than the text. */
static bool read_string(struct reader *r, const char **ret, size_t *ret_len)
{
	static const char from[] = "\"\\/bfnrt";
	static const char to[] = "\"\\/\b\f\n\r\t";
	char *out;

	if (!take(r, '"'))
		return fail(r, "a string is expected");
	out = r->p;
	*ret = out;
	while (*r->p != '"') {
		if ((unsigned char)*r->p < 0x20)
			return fail(r, "a string does not end");
		if (*r->p != '\\') {
			*out++ = *r->p++;
			continue;
		}
		r->p++;
		if (*r->p == 'u') {
			r->p++;
			if (!read_unicode(r, &out))
				return false;
		} else {
			const char *e = *r->p != '\0' ? strchr(from, *r->p) : NULL;

			if (e == NULL)
				return fail(r, "bad escape");
			*out++ = to[e - from];
			r->p++;
		}
	}
	r->p++;
	*ret_len = (size_t)(out - *ret);
	*out = '\0';
	return true;
}

static bool read_word(struct reader *r, const char *word)
{
	size_t n = strlen(word);

	if (strncmp(r->p, word, n) != 0)
		return false;
	r->p += n;
	return true;
}

static bool read_value(struct reader *r, struct srv_json_member *m)
{
	char *end;

	skip_blank(r);
	if (*r->p == '"') {
		m->kind = SRV_JSON_STRING;
		return read_string(r, &m->text, &m->len);
	}
	if (read_word(r, "true")) {
		m->kind = SRV_JSON_BOOL;
		m->truth = true;
	} else if (read_word(r, "false")) {
		m->kind = SRV_JSON_BOOL;
	} else if (read_word(r, "null")) {
		m->kind = SRV_JSON_NULL;
	} else if (*r->p == '-' || (*r->p >= '0' && *r->p <= '9')) {
		m->kind = SRV_JSON_NUMBER;
		m->text = r->p;
		m->number = strtod(r->p, &end);
		m->len = (size_t)(end - r->p);
		r->p = end;
	} else {
		return fail(r, "a value must be a string, a number, true, false or null");
	}
	return true;
}

static bool read_object(struct reader *r, struct srv_json *o)
{
	size_t len;

	memset(o, 0, sizeof(*o));
	if (!take(r, '{'))
		return fail(r, "an object is expected");
	if (take(r, '}'))
		return true;
	do {
		struct srv_json_member *m = &o->members[o->nr];

		if (o->nr == SRV_JSON_MEMBERS)
			return fail(r, "too many members");
		if (!read_string(r, &m->name, &len))
			return false;
		if (!take(r, ':'))
			return fail(r, "':' is expected");
		if (!read_value(r, m))
			return false;
		o->nr++;
	} while (take(r, ','));
	if (!take(r, '}'))
		return fail(r, "',' or '}' is expected");
	return true;
}

const char *srv_json_read(char *text, srv_json_each *each, void *arg)
{
	struct reader r = { .p = text };
	struct srv_json o;
	bool array = take(&r, '[');

	if (array && take(&r, ']'))
		return NULL;
	do {
		const char *wrong;

		if (!read_object(&r, &o))
			return r.error;
		wrong = each(&o, arg);
		if (wrong != NULL)
			return wrong;
	} while (array && take(&r, ','));
	if (array && !take(&r, ']'))
		return "',' or ']' is expected";
	skip_blank(&r);
	return *r.p == '\0' ? NULL : "something follows the document";
}

const struct srv_json_member *srv_json_find(const struct srv_json *o, const char *name)
{
	size_t i;

	for (i = 0; i < o->nr; i++) {
		if (strcmp(o->members[i].name, name) == 0)
			return &o->members[i];
	}
	return NULL;
}

const char *srv_json_str(const struct srv_json *o, const char *name, const char *fallback)
{
	const struct srv_json_member *m = srv_json_find(o, name);

	return m != NULL && m->kind == SRV_JSON_STRING ? m->text : fallback;
}

double srv_json_num(const struct srv_json *o, const char *name, double fallback)
{
	const struct srv_json_member *m = srv_json_find(o, name);

	return m != NULL && m->kind == SRV_JSON_NUMBER ? m->number : fallback;
}

/* Whole numbers are read as such: a double cannot hold every size. */
int64_t srv_json_int(const struct srv_json *o, const char *name, int64_t fallback)
{
	const struct srv_json_member *m = srv_json_find(o, name);
	long long v;
	char *end;

	if (m == NULL || m->kind != SRV_JSON_NUMBER)
		return fallback;
	errno = 0;
	v = strtoll(m->text, &end, 10);
	if (errno == 0 && (size_t)(end - m->text) == m->len)
		return v;
	if (m->number > -9e18 && m->number < 9e18)
		return (int64_t)m->number;
	return fallback;
}

bool srv_json_bool(const struct srv_json *o, const char *name, bool fallback)
{
	const struct srv_json_member *m = srv_json_find(o, name);

	return m != NULL && m->kind == SRV_JSON_BOOL ? m->truth : fallback;
}
