/*
 * The reading half of conf.h: YAML events to keys and values.  Nested maps and
 * dotted names say the same; a key said twice, in whichever spelling, is an
 * error.  JSON goes the same way, after its two-part \u escapes were joined,
 * which the YAML parser would refuse.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "common/strbuf.h"
#include "daemon/base/xalloc.h"
#include "daemon/config/conf_internal.h"
#include "daemon/config/json_escape.h"

#define FILE_MAX_LEN (1u << 20)
#define NAME_MAX_LEN 128 /* of a key with its groups; no known one is longer */
#define MAP_MAX_KEYS 512
#define LIST_MAX_LEN 65536
#define SUGGEST_MAX  2 /* letters that a misspelt key may differ by */

struct reader {
	yaml_parser_t parser;
	struct conf *conf;
	const char *name; /* of the file */
	const char *text;
	size_t len;
	conf_problem_fn *on_problem;
	void *arg;
	unsigned nr_errors;
};

/* Keys seen in the map that is being read. */
struct seen {
	char *keys[MAP_MAX_KEYS];
	unsigned nr;
};

static void report(struct reader *rd, bool is_error, size_t line, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void report(struct reader *rd, bool is_error, size_t line, const char *fmt, ...)
{
	char text[2048], *p;
	va_list ap;
	int n;

	n = snprintf(text, sizeof(text), "%.512s:%zu: ", rd->name, line);
	va_start(ap, fmt);
	vsnprintf(text + n, sizeof(text) - (size_t)n, fmt, ap);
	va_end(ap);
	/* One line, whatever the file calls its keys. */
	for (p = text; *p != '\0'; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			*p = '?';
	rd->nr_errors += is_error;
	rd->on_problem(is_error, text, rd->arg);
}

static size_t line_of(const yaml_event_t *ev)
{
	return ev->start_mark.line + 1;
}

static size_t line_at_offset(const struct reader *rd, size_t offset)
{
	size_t line = 1, i;

	for (i = 0; i < offset && i < rd->len; i++)
		line += rd->text[i] == '\n';
	return line;
}

/* -EINVAL: not YAML from here on; said. */
static int next_event(struct reader *rd, yaml_event_t *ev)
{
	const yaml_parser_t *p = &rd->parser;
	size_t line;

	if (yaml_parser_parse(&rd->parser, ev))
		return 0;
	line = p->error == YAML_READER_ERROR ? line_at_offset(rd, p->problem_offset)
					     : p->problem_mark.line + 1;
	report(rd, true, line, "not YAML or JSON: %s",
	       p->problem != NULL ? p->problem : "no memory");
	return -EINVAL;
}

/* Reads on to the end of the value that `ev` began. */
static int skip_value(struct reader *rd, const yaml_event_t *ev)
{
	yaml_event_type_t type = ev->type;
	yaml_event_t next;
	unsigned depth = 0;
	int r;

	for (;;) {
		if (type == YAML_MAPPING_START_EVENT || type == YAML_SEQUENCE_START_EVENT)
			depth++;
		else if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT)
			depth--;
		if (depth == 0)
			return 0;
		r = next_event(rd, &next);
		if (r != 0)
			return r;
		type = next.type;
		yaml_event_delete(&next);
	}
}

/* A plain scalar without anchor, tag or NUL; otherwise said. */
static bool scalar_is_simple(struct reader *rd, const yaml_event_t *ev)
{
	const char *text;

	if (ev->type == YAML_ALIAS_EVENT ||
	    (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.anchor != NULL)) {
		report(rd, true, line_of(ev),
		       "anchors and aliases (& and *) are not supported here");
		return false;
	}
	if (ev->type != YAML_SCALAR_EVENT)
		return false;
	text = (const char *)ev->data.scalar.value;
	if (ev->data.scalar.tag != NULL) {
		report(rd, true, line_of(ev), "tags (!) are not supported here");
		return false;
	}
	if (strlen(text) != ev->data.scalar.length) {
		report(rd, true, line_of(ev), "a text may not hold the character NUL");
		return false;
	}
	return true;
}

static void set_key(struct reader *rd, unsigned index, const char *text, bool quoted, size_t line)
{
	const struct conf_scalar v = { .text = text, .quoted = quoted };
	struct conf_value *cv = &rd->conf->values[index];
	char err[1024];

	if (cv->line != 0) {
		report(rd, true, line, "%s: said twice; line %u has it already", cv->key->name,
		       cv->line);
		return;
	}
	if (conf_set(rd->conf, index, &v, CONF_FROM_FILE, err, sizeof(err)) != 0)
		report(rd, true, line, "%s: %s", cv->key->name, err);
	cv->line = (unsigned)line;
}

/* [a, b] for a list key.  `ev` is the start of the sequence. */
static int read_list(struct reader *rd, unsigned index, size_t line)
{
	struct strbuf joined;
	bool good = true;
	yaml_event_t ev;
	int r;

	strbuf_init(&joined, LIST_MAX_LEN);
	for (;;) {
		bool end;

		r = next_event(rd, &ev);
		if (r != 0)
			break;
		end = ev.type == YAML_SEQUENCE_END_EVENT;
		if (!end && scalar_is_simple(rd, &ev)) {
			strbuf_addf(&joined, "%s%s", joined.len != 0 ? "," : "",
				    (const char *)ev.data.scalar.value);
		} else if (!end) {
			good = false;
			if (ev.type != YAML_SCALAR_EVENT && ev.type != YAML_ALIAS_EVENT)
				report(rd, true, line_of(&ev),
				       "%s: a list of texts is wanted, nothing nested",
				       conf_key_at(rd->conf, index)->name);
			r = skip_value(rd, &ev);
		}
		yaml_event_delete(&ev);
		if (end || r != 0)
			break;
	}
	if (r == 0 && good && strbuf_error(&joined) != 0)
		report(rd, true, line, "%s: the list is too long",
		       conf_key_at(rd->conf, index)->name);
	else if (r == 0 && good)
		set_key(rd, index, strbuf_str(&joined), true, line);
	strbuf_fini(&joined);
	return r;
}

/* Some key begins with "name.". */
static bool is_group(const struct conf *c, const char *name, const char **ret_example)
{
	size_t len = strlen(name);
	unsigned i;

	for (i = 0; i < c->nr; i++) {
		const char *key = c->values[i].key->name;

		if (strncmp(key, name, len) == 0 && key[len] == '.') {
			*ret_example = key;
			return true;
		}
	}
	return false;
}

/* Letters to change, add or drop between two names; both shorter than NAME_MAX_LEN. */
static unsigned distance(const char *a, const char *b)
{
	unsigned row[NAME_MAX_LEN + 1], above, diagonal, best;
	size_t la = strlen(a), lb = strlen(b), i, j;

	for (j = 0; j <= lb; j++)
		row[j] = (unsigned)j;
	for (i = 1; i <= la; i++) {
		diagonal = row[0];
		row[0] = (unsigned)i;
		for (j = 1; j <= lb; j++) {
			above = row[j];
			best = diagonal + (a[i - 1] != b[j - 1]);
			best = above + 1 < best ? above + 1 : best;
			row[j] = row[j - 1] + 1 < best ? row[j - 1] + 1 : best;
			diagonal = above;
		}
	}
	return row[lb];
}

static void warn_unknown(struct reader *rd, const char *name, size_t line)
{
	const char *nearest = NULL;
	unsigned least = SUGGEST_MAX + 1, i;

	for (i = 0; i < rd->conf->nr && strlen(name) < NAME_MAX_LEN; i++) {
		const char *key = rd->conf->values[i].key->name;
		unsigned d = strlen(key) < NAME_MAX_LEN ? distance(name, key) : least;

		/* Only the case or the group differs: more letters, but surely meant. */
		if (strcasecmp(name, key) == 0 ||
		    (strrchr(key, '.') != NULL && strcmp(strrchr(key, '.') + 1, name) == 0))
			d = 0;
		if (d < least) {
			least = d;
			nearest = key;
		}
	}
	if (nearest != NULL)
		report(rd, false, line, "unknown key %.128s is ignored; did you mean %s?", name,
		       nearest);
	else
		report(rd, false, line,
		       "unknown key %.128s is ignored; osscd --print-config lists the known ones",
		       name);
}

static int read_map(struct reader *rd, const char *prefix);

/* `ev` is the first event of what belongs to the key. */
static int read_value(struct reader *rd, const char *name, const yaml_event_t *ev, size_t line)
{
	int index = conf_find(rd->conf, name);
	const char *example;

	if (index == -1 && is_group(rd->conf, name, &example)) {
		if (ev->type == YAML_MAPPING_START_EVENT)
			return read_map(rd, name);
		report(rd, true, line, "%s: a group of keys is wanted here (such as %s: ...)", name,
		       example);
		return skip_value(rd, ev);
	}
	if (index == -1) {
		warn_unknown(rd, name, line);
		return skip_value(rd, ev);
	}
	if (ev->type == YAML_SEQUENCE_START_EVENT &&
	    conf_key_at(rd->conf, (unsigned)index)->type == CONF_LIST)
		return read_list(rd, (unsigned)index, line);
	if (ev->type == YAML_MAPPING_START_EVENT || ev->type == YAML_SEQUENCE_START_EVENT) {
		report(rd, true, line, "%s: found a %s; a single value is wanted", name,
		       ev->type == YAML_MAPPING_START_EVENT ? "map" : "list");
		return skip_value(rd, ev);
	}
	if (scalar_is_simple(rd, ev))
		set_key(rd, (unsigned)index, (const char *)ev->data.scalar.value,
			ev->data.scalar.style != YAML_PLAIN_SCALAR_STYLE, line);
	return 0;
}

/* 0; 1: the key was there already; -EINVAL: there are too many.  Said. */
static int seen_add(struct reader *rd, struct seen *seen, const char *key, size_t line)
{
	unsigned i;

	for (i = 0; i < seen->nr; i++)
		if (strcmp(seen->keys[i], key) == 0) {
			report(rd, true, line, "%.128s: said twice in the same map", key);
			return 1;
		}
	if (seen->nr == MAP_MAX_KEYS) {
		report(rd, true, line, "more than %d keys in one map", MAP_MAX_KEYS);
		return -EINVAL;
	}
	seen->keys[seen->nr++] = xstrdup(key);
	return 0;
}

/* One key with its value.  0, -EINVAL, or 1 at the end of the map. */
static int read_pair(struct reader *rd, const char *prefix, struct seen *seen)
{
	char name[NAME_MAX_LEN * 2 + 2];
	yaml_event_t key, value;
	size_t line;
	bool wanted = false;
	int r;

	r = next_event(rd, &key);
	if (r != 0)
		return r;
	if (key.type == YAML_MAPPING_END_EVENT) {
		yaml_event_delete(&key);
		return 1;
	}
	line = line_of(&key);
	if (scalar_is_simple(rd, &key)) {
		const char *text = (const char *)key.data.scalar.value;

		snprintf(name, sizeof(name), "%s%s%.*s", prefix, prefix[0] != '\0' ? "." : "",
			 NAME_MAX_LEN, text);
		r = seen_add(rd, seen, text, line);
		wanted = r == 0;
	} else if (key.type != YAML_SCALAR_EVENT && key.type != YAML_ALIAS_EVENT) {
		report(rd, true, line, "the name of a key is wanted here, not a map or a list");
		r = skip_value(rd, &key);
	}
	yaml_event_delete(&key);
	if (r < 0)
		return r;

	r = next_event(rd, &value);
	if (r != 0)
		return r;
	r = wanted ? read_value(rd, name, &value, line) : skip_value(rd, &value);
	yaml_event_delete(&value);
	return r;
}

static int read_map(struct reader *rd, const char *prefix)
{
	struct seen *seen = xcalloc(1, sizeof(*seen));
	unsigned i;
	int r;

	do
		r = read_pair(rd, prefix, seen);
	while (r == 0);
	for (i = 0; i < seen->nr; i++)
		free(seen->keys[i]);
	free(seen);
	return r == 1 ? 0 : r;
}

/* What stands at the top of the document. */
static int read_root(struct reader *rd, const yaml_event_t *ev)
{
	if (ev->type == YAML_MAPPING_START_EVENT)
		return read_map(rd, "");
	if (ev->type == YAML_SCALAR_EVENT && ev->data.scalar.length == 0)
		return 0;
	report(rd, true, line_of(ev),
	       "a map of keys and values is wanted, such as \"logLevel: 1\"");
	return -EINVAL;
}

static void read_stream(struct reader *rd)
{
	unsigned nr_documents = 0;
	bool end = false;
	yaml_event_t ev;
	int r = 0;

	while (!end && r == 0) {
		r = next_event(rd, &ev);
		if (r != 0)
			return;
		switch (ev.type) {
		case YAML_STREAM_END_EVENT:
			end = true;
			break;
		case YAML_DOCUMENT_START_EVENT:
			if (nr_documents++ > 0) {
				report(rd, true, line_of(&ev),
				       "one document a file, this is a second");
				r = -EINVAL;
			}
			break;
		case YAML_STREAM_START_EVENT:
		case YAML_DOCUMENT_END_EVENT:
			break;
		default:
			r = read_root(rd, &ev);
		}
		yaml_event_delete(&ev);
	}
}

unsigned conf_load_text(struct conf *c, const char *name, const char *text, size_t len,
			conf_problem_fn *on_problem, void *arg)
{
	struct reader rd = { .conf = c, .name = name, .on_problem = on_problem, .arg = arg };
	struct strbuf joined;
	size_t bad = 0;
	unsigned i;

	for (i = 0; i < c->nr; i++)
		c->values[i].line = 0;
	strbuf_init(&joined, FILE_MAX_LEN);
	rd.text = text;
	rd.len = len;
	if (len > FILE_MAX_LEN) {
		report(&rd, true, 1, "the file is larger than %u bytes", FILE_MAX_LEN);
	} else if (json_escape_is_json(text, len) &&
		   json_escape_join(text, len, &joined, &bad) != 0) {
		report(&rd, true, line_at_offset(&rd, bad),
		       "half of a two-part \\u escape (a surrogate) without its other half");
	} else if (!yaml_parser_initialize(&rd.parser)) {
		report(&rd, true, 1, "no memory");
	} else {
		if (strbuf_len(&joined) != 0) {
			rd.text = strbuf_str(&joined);
			rd.len = strbuf_len(&joined);
		}
		yaml_parser_set_input_string(&rd.parser, (const unsigned char *)rd.text, rd.len);
		read_stream(&rd);
		yaml_parser_delete(&rd.parser);
	}
	strbuf_fini(&joined);
	return rd.nr_errors;
}

unsigned conf_load_file(struct conf *c, const char *path, conf_problem_fn *on_problem, void *arg)
{
	char text[512];
	size_t len = 0;
	unsigned nr;
	char *buf;
	FILE *f;

	f = fopen(path, "re");
	if (f == NULL)
		goto err_read;
	buf = xcalloc(1, FILE_MAX_LEN + 1);
	len = fread(buf, 1, FILE_MAX_LEN + 1, f);
	if (ferror(f)) {
		free(buf);
		goto err_read;
	}
	fclose(f);
	nr = conf_load_text(c, path, buf, len, on_problem, arg);
	free(buf);
	return nr;

err_read:
	snprintf(text, sizeof(text), "%.384s: cannot be read: %s", path, strerror(errno));
	if (f != NULL)
		fclose(f);
	on_problem(true, text, arg);
	return 1;
}
