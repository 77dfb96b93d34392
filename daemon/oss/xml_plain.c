#include "daemon/oss/xml_plain.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "daemon/oss/xml.h"

#define NAME_MAX_LEN 31
#define NOT_PLAIN    1

enum {
	LETTER = 1, /* of a name */
	DIGIT = 2,  /* of a name, but not its first */
	TEXT = 4,   /* stands for itself, in attributes too */
	QUOTE = 8,
	SPACE = 16,
};

/* No '\r', which expat turns into '\n'; no '>', which must not follow "]]". */
static const uint8_t kinds[256] = {
	['\t'] = TEXT | SPACE,
	['\n'] = TEXT | SPACE,
	[' '] = TEXT | SPACE,
	['!'] = TEXT,
	['"'] = QUOTE,
	['#' ... '%'] = TEXT,
	['\''] = QUOTE,
	['(' ... '/'] = TEXT,
	['0' ... '9'] = TEXT | DIGIT,
	[':' ... ';'] = TEXT,
	['='] = TEXT,
	['?' ... '@'] = TEXT,
	['A' ... 'Z'] = TEXT | LETTER,
	['[' ... '`'] = TEXT,
	['a' ... 'z'] = TEXT | LETTER,
	['{' ... '~'] = TEXT,
};

static const struct {
	const char *text;
	uint8_t len;
	char means;
} references[] = {
	{ "&quot;", 6, '"' }, { "&#34;", 5, '"' },  { "&amp;", 5, '&' },   { "&lt;", 4, '<' },
	{ "&gt;", 4, '>' },   { "&#39;", 5, '\'' }, { "&apos;", 6, '\'' },
};

struct plain {
	const char *at, *end;
	const struct xml_events *events;
	void *arg;
	size_t nr_events;
	unsigned depth;
	struct {
		char name[NAME_MAX_LEN + 1];
		uint8_t len;
	} open[XML_DEPTH_MAX];
	/* What came since the last tag: where it stands, or here if it had references. */
	const char *text;
	size_t text_len;
	char decoded[XML_TEXT_MAX];
};

static bool is(const struct plain *p, uint8_t kind)
{
	return p->at < p->end && (kinds[(unsigned char)*p->at] & kind) != 0;
}

static bool take(struct plain *p, const char *text, size_t len)
{
	if ((size_t)(p->end - p->at) < len || memcmp(p->at, text, len) != 0)
		return false;
	p->at += len;
	return true;
}

static bool take_char(struct plain *p, char c)
{
	if (p->at == p->end || *p->at != c)
		return false;
	p->at++;
	return true;
}

/* What is of that kind. */
static void skip(struct plain *p, uint8_t kind)
{
	const char *at = p->at; /* which no store through a char pointer can change */

	while (at < p->end && (kinds[(unsigned char)*at] & kind) != 0)
		at++;
	p->at = at;
}

/* One attribute is passed over: a name space.  Whether two are the same is for expat to see. */
static bool take_attribute(struct plain *p)
{
	if (!take_char(p, ' '))
		return true;
	if (!is(p, LETTER))
		return false;
	skip(p, LETTER | DIGIT);
	if (!take_char(p, '=') || !take_char(p, '"'))
		return false;
	skip(p, TEXT);
	return take_char(p, '"');
}

static int tell_end(struct plain *p)
{
	int depth = (int)p->depth--;

	p->nr_events++;
	return p->events->on_end(p->open[depth - 1].name, depth, p->text, p->text_len, p->arg);
}

static int take_start(struct plain *p)
{
	const char *name = p->at;
	bool is_empty;
	size_t len;
	int r = 0;

	if (p->depth == XML_DEPTH_MAX || !is(p, LETTER))
		return NOT_PLAIN;
	skip(p, LETTER | DIGIT);
	len = (size_t)(p->at - name);
	if (len > NAME_MAX_LEN || !take_attribute(p))
		return NOT_PLAIN;
	is_empty = take_char(p, '/');
	if (!take_char(p, '>'))
		return NOT_PLAIN;
	memcpy(p->open[p->depth].name, name, len);
	p->open[p->depth].name[len] = '\0';
	p->open[p->depth].len = (uint8_t)len;
	p->depth++;
	p->nr_events++;
	if (p->events->on_start != NULL)
		r = p->events->on_start(p->open[p->depth - 1].name, (int)p->depth, p->arg);
	if (r != 0 || !is_empty)
		return r;
	p->text_len = 0;
	return tell_end(p);
}

static int take_end(struct plain *p)
{
	unsigned top = p->depth - 1; /* a document that begins with an end has none */

	if (p->depth == 0 || !take(p, p->open[top].name, p->open[top].len) || !take_char(p, '>'))
		return NOT_PLAIN;
	return tell_end(p);
}

static bool take_reference(struct plain *p, char *ret_char)
{
	size_t i;

	for (i = 0; i < sizeof(references) / sizeof(references[0]); i++) {
		if (take(p, references[i].text, references[i].len)) {
			*ret_char = references[i].means;
			return true;
		}
	}
	return false;
}

/* Up to the next tag. */
static bool take_text(struct plain *p)
{
	const char *from = p->at;
	size_t n;
	char c;

	p->text = from;
	p->text_len = 0;
	for (;;) {
		skip(p, TEXT | QUOTE);
		n = (size_t)(p->at - from);
		if (p->text_len + n > XML_TEXT_MAX || p->at == p->end)
			return false;
		if (p->text != p->decoded && *p->at == '<') {
			p->text_len = n;
			return true;
		}
		memcpy(p->decoded + p->text_len, from, n);
		p->text = p->decoded;
		p->text_len += n;
		if (*p->at == '<')
			return true;
		if (p->text_len == XML_TEXT_MAX || !take_reference(p, &c))
			return false;
		p->decoded[p->text_len++] = c;
		from = p->at;
	}
}

int xml_plain(const char *xml, size_t len, const struct xml_events *events, void *arg,
	      size_t *ret_nr_events)
{
	static const char declaration[] = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>";
	struct plain p;
	int r = NOT_PLAIN;

	p.at = xml;
	p.end = xml + len;
	p.events = events;
	p.arg = arg;
	p.nr_events = 0;
	p.depth = 0;
	p.text = xml;
	if (take(&p, declaration, sizeof(declaration) - 1))
		skip(&p, SPACE);
	while (take_char(&p, '<')) {
		r = take_char(&p, '/') ? take_end(&p) : take_start(&p);
		if (r != 0 || p.depth == 0)
			break;
		r = NOT_PLAIN;
		if (!take_text(&p))
			break;
	}
	if (r == 0) {
		skip(&p, SPACE);
		r = p.at == p.end ? 0 : NOT_PLAIN;
	}
	*ret_nr_events = p.nr_events;
	return r;
}
