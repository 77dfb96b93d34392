/*
 * json.h - reads the test vectors: a JSON file becomes a tree of nodes.  It
 * trusts its input no further than a test must: what is wrong ends the test.
 * Header only, because each unit test is one source file.
 */
#ifndef TEST_UNIT_JSON_H
#define TEST_UNIT_JSON_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum jv_type {
	JV_NULL = 0,
	JV_BOOL,
	JV_NUMBER,
	JV_STRING,
	JV_ARRAY,
	JV_OBJECT
};

struct jv {
	enum jv_type type;
	char *name; /* in an object */
	char *str;  /* of a string or number, ended by a NUL */
	size_t len;
	bool truth;
	struct jv *child; /* first of an array or object */
	struct jv *next;
};

struct jv_reader {
	const char *at;
	const char *file;
};

static inline void jv_die(const struct jv_reader *r, const char *why)
{
	fprintf(stderr, "%s: %s near \"%.40s\"\n", r->file, why, r->at);
	abort();
}

static inline void jv_skip(struct jv_reader *r)
{
	r->at += strspn(r->at, " \t\r\n");
}

static inline unsigned jv_hex4(struct jv_reader *r)
{
	char digits[5] = { 0 };

	if (strnlen(r->at, 4) < 4 || strspn(r->at, "0123456789abcdefABCDEF") < 4)
		jv_die(r, "no \\u escape");
	memcpy(digits, r->at, 4);
	r->at += 4;
	return (unsigned)strtoul(digits, NULL, 16);
}

static inline char *jv_put_utf8(char *to, unsigned c)
{
	if (c < 0x80) {
		*to++ = (char)c;
	} else if (c < 0x800) {
		*to++ = (char)(0xc0 | c >> 6);
		*to++ = (char)(0x80 | (c & 0x3f));
	} else if (c < 0x10000) {
		*to++ = (char)(0xe0 | c >> 12);
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	} else {
		*to++ = (char)(0xf0 | c >> 18);
		*to++ = (char)(0x80 | (c >> 12 & 0x3f));
		*to++ = (char)(0x80 | (c >> 6 & 0x3f));
		*to++ = (char)(0x80 | (c & 0x3f));
	}
	return to;
}

static inline char *jv_escape(struct jv_reader *r, char *to)
{
	static const char from_chars[] = "\"\\/bfnrt", to_chars[] = "\"\\/\b\f\n\r\t";
	const char *found;
	unsigned c;

	if (*r->at == 'u') {
		r->at++;
		c = jv_hex4(r);
		if (c >= 0xd800 && c < 0xdc00 && strncmp(r->at, "\\u", 2) == 0) {
			r->at += 2;
			c = 0x10000 + ((c - 0xd800) << 10) + (jv_hex4(r) - 0xdc00);
		}
		return jv_put_utf8(to, c);
	}
	found = *r->at != '\0' ? strchr(from_chars, *r->at) : NULL;
	if (found == NULL)
		jv_die(r, "unknown escape");
	r->at++;
	*to++ = to_chars[found - from_chars];
	return to;
}

static inline char *jv_string(struct jv_reader *r, size_t *ret_len)
{
	char *buf, *to;

	if (*r->at != '"')
		jv_die(r, "no string");
	r->at++;
	buf = to = malloc(strlen(r->at) + 1);
	if (buf == NULL)
		abort();
	while (*r->at != '"') {
		if (*r->at == '\0')
			jv_die(r, "string without end");
		if (*r->at == '\\') {
			r->at++;
			to = jv_escape(r, to);
		} else {
			*to++ = *r->at++;
		}
	}
	r->at++;
	*to = '\0';
	*ret_len = (size_t)(to - buf);
	buf = realloc(buf, *ret_len + 1);
	if (buf == NULL)
		abort();
	return buf;
}

static inline struct jv *jv_value(struct jv_reader *r);

static inline struct jv *jv_members(struct jv_reader *r, bool is_object)
{
	struct jv *first = NULL, **last = &first;
	char close = is_object ? '}' : ']', *name;
	size_t len;

	r->at++;
	for (jv_skip(r); *r->at != close; jv_skip(r)) {
		name = NULL;
		if (is_object) {
			name = jv_string(r, &len);
			jv_skip(r);
			if (*r->at++ != ':')
				jv_die(r, "no colon");
		}
		*last = jv_value(r);
		(*last)->name = name;
		last = &(*last)->next;
		jv_skip(r);
		if (*r->at == ',')
			r->at++;
		else if (*r->at != close)
			jv_die(r, "no comma");
	}
	r->at++;
	return first;
}

static inline struct jv *jv_value(struct jv_reader *r)
{
	struct jv *v = calloc(1, sizeof(*v));

	if (v == NULL)
		abort();
	jv_skip(r);
	if (*r->at == '{' || *r->at == '[') {
		v->type = *r->at == '{' ? JV_OBJECT : JV_ARRAY;
		v->child = jv_members(r, v->type == JV_OBJECT);
	} else if (*r->at == '"') {
		v->type = JV_STRING;
		v->str = jv_string(r, &v->len);
	} else if (strncmp(r->at, "null", 4) == 0) {
		r->at += 4;
	} else if (strncmp(r->at, "true", 4) == 0 || strncmp(r->at, "false", 5) == 0) {
		v->type = JV_BOOL;
		v->truth = *r->at == 't';
		r->at += v->truth ? 4 : 5;
	} else {
		v->type = JV_NUMBER;
		v->len = strspn(r->at, "+-.0123456789eE");
		if (v->len == 0)
			jv_die(r, "no value");
		v->str = strndup(r->at, v->len);
		r->at += v->len;
	}
	return v;
}

static inline void jv_free(struct jv *v)
{
	struct jv *next;

	for (; v != NULL; v = next) {
		next = v->next;
		jv_free(v->child);
		free(v->name);
		free(v->str);
		free(v);
	}
}

/* A file of test/vectors, or of the folder that OSSC_VECTORS names. */
static inline struct jv *jv_load(const char *name)
{
	const char *dir = getenv("OSSC_VECTORS");
	struct jv_reader r;
	char path[512], *text;
	struct jv *v;
	size_t len;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir != NULL ? dir : "test/vectors", name);
	f = fopen(path, "re");
	if (f == NULL) {
		fprintf(stderr, "%s: cannot be opened: run from the top, or set OSSC_VECTORS\n",
			path);
		abort();
	}
	text = malloc(1 << 20);
	if (text == NULL)
		abort();
	len = fread(text, 1, (1 << 20) - 1, f);
	text[len] = '\0';
	fclose(f);
	r = (struct jv_reader){ .at = text, .file = path };
	v = jv_value(&r);
	jv_skip(&r);
	if (*r.at != '\0')
		jv_die(&r, "something after the value");
	free(text);
	return v;
}

/* A member, or NULL when absent. */
static inline struct jv *jv_find(const struct jv *v, const char *name)
{
	struct jv *m;

	for (m = v->child; m != NULL; m = m->next) {
		if (m->name != NULL && strcmp(m->name, name) == 0)
			return m;
	}
	return NULL;
}

/* A member that must be there. */
static inline struct jv *jv_get(const struct jv *v, const char *name)
{
	struct jv *m = jv_find(v, name);

	if (m == NULL) {
		fprintf(stderr, "no member \"%s\"\n", name);
		abort();
	}
	return m;
}

/* The text of a member; NULL when it is absent or null. */
static inline const char *jv_str(const struct jv *v, const char *name)
{
	struct jv *m = jv_find(v, name);

	return m != NULL ? m->str : NULL;
}

static inline int64_t jv_int(const struct jv *v, const char *name)
{
	const char *text = jv_str(v, name);

	return text != NULL ? strtoll(text, NULL, 10) : 0;
}

static inline uint64_t jv_hex(const struct jv *v, const char *name)
{
	return strtoull(jv_get(v, name)->str, NULL, 16);
}

static inline bool jv_truth(const struct jv *v, const char *name)
{
	struct jv *m = jv_find(v, name);

	return m != NULL && m->truth;
}

static inline size_t jv_count(const struct jv *v)
{
	struct jv *m;
	size_t n = 0;

	for (m = v->child; m != NULL; m = m->next)
		n++;
	return n;
}

#define jv_each(member, v) for ((member) = (v)->child; (member) != NULL; (member) = (member)->next)

#endif
