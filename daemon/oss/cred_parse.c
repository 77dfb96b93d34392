#include "daemon/oss/cred.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#include "daemon/oss/date.h"

#define TEXT_MAX  (64u << 10)
#define DEPTH_MAX 16

/* What one object or section says. */
struct fields {
	char name[64];
	char type[32]; /* "mode" in JSON, "type" in ini */
	char code[32];
	char id[CRED_KEY_MAX + 1];
	char secret[CRED_KEY_MAX + 1];
	char token[CRED_TOKEN_MAX + 1];
	char expiration[40];
};

/* Names under which a field is known, and whether it was there. */
struct field_name {
	const char *names[4];
	size_t offset, size;
};

#define FIELD(member, ...)                                                                         \
	{                                                                                          \
		{ __VA_ARGS__ }, offsetof(struct fields, member),                                  \
			sizeof(((struct fields *)0)->member)                                       \
	}

static const struct field_name field_names[] = {
	FIELD(name, "name"),
	FIELD(type, "mode", "type"),
	FIELD(code, "Code"),
	FIELD(id, "AccessKeyId", "access_key_id"),
	FIELD(secret, "AccessKeySecret", "access_key_secret"),
	FIELD(token, "SecurityToken", "security_token", "sts_token"),
	FIELD(expiration, "Expiration", "expiration"),
};

struct report {
	char *err;
	size_t err_len;
};

static int fail(const struct report *rep, const char *text)
{
	snprintf(rep->err, rep->err_len, "%s", text);
	return -EINVAL;
}

static int fail_named(const struct report *rep, const char *before, const char *name,
		      const char *after)
{
	snprintf(rep->err, rep->err_len, "%s%s%s", before, name, after);
	return -EINVAL;
}

/* -1: not one of ours. */
static int find_field(const char *name)
{
	size_t i, k;

	for (i = 0; i < sizeof(field_names) / sizeof(field_names[0]); i++) {
		for (k = 0; k < 4 && field_names[i].names[k] != NULL; k++) {
			if (strcmp(name, field_names[i].names[k]) == 0)
				return (int)i;
		}
	}
	return -1;
}

static int set_field(struct fields *f, int which, const char *value, size_t len,
		     const struct report *rep)
{
	const struct field_name *n = &field_names[which];
	char *to = (char *)f + n->offset;

	if (to[0] != '\0')
		return fail_named(rep, "it says ", n->names[0], " twice: leave one");
	if (len >= n->size)
		return fail_named(rep, "its ", n->names[0], " is too long");
	if (memchr(value, '\0', len) != NULL)
		return fail_named(rep, "its ", n->names[0], " has a NUL character");
	memcpy(to, value, len);
	to[len] = '\0';
	return 0;
}

static int build(const struct fields *f, struct cred **ret_cred, const struct report *rep)
{
	int64_t expiry = CRED_EXPIRY_NEVER;
	const char *token = f->token;
	int r;

	if (f->code[0] != '\0' && strcmp(f->code, "Success") != 0)
		return fail(rep, "its Code is not Success: whoever wrote it got no keys");
	if (strcmp(f->type, "AK") == 0 || strcmp(f->type, "access_key") == 0)
		token = "";
	else if (f->type[0] != '\0' && strcmp(f->type, "StsToken") != 0 &&
		 strcmp(f->type, "sts") != 0)
		return fail(rep, "its type is none that is built: use access_key or sts "
				 "(AK or StsToken in JSON)");
	if (f->id[0] == '\0' || f->secret[0] == '\0')
		return fail_named(rep, "it has no ",
				  f->id[0] == '\0' ? "AccessKeyId" : "AccessKeySecret",
				  ", which must be a string");
	if (f->expiration[0] != '\0' && date_parse_iso(f->expiration, &expiry) != 0)
		return fail(rep, "its Expiration is not a time such as 2026-01-02T09:04:05Z");
	r = cred_new(f->id, f->secret, token, expiry, ret_cred);
	if (r == -EINVAL)
		return fail(rep, "a key or token has a blank or a character outside ASCII");
	if (r != 0)
		fail(rep, "no memory for the keys");
	return r;
}

/* ---- JSON ---------------------------------------------------------------- */

static int hex4(const char *at, const char *end)
{
	char digits[5];
	char *stop;
	long v;

	if (end - at < 4)
		return -1;
	memcpy(digits, at, 4);
	digits[4] = '\0';
	if (strspn(digits, "0123456789abcdefABCDEF") != 4)
		return -1;
	v = strtol(digits, &stop, 16);
	return (int)v;
}

static size_t put_utf8(char *to, unsigned code)
{
	to[0] = (char)(0xf0 | code >> 18);
	to[1] = (char)(0x80 | (code >> 12 & 0x3f));
	to[2] = (char)(0x80 | (code >> 6 & 0x3f));
	to[3] = (char)(0x80 | (code & 0x3f));
	return 4;
}

/*
 * JSON writes a character beyond U+FFFF as two escapes, which the YAML reader
 * refuses: put the character itself there, in place.  The new length, or
 * -EINVAL for half a pair.
 */
static ssize_t join_surrogates(char *text, size_t len)
{
	const char *in = text, *end = text + len;
	char *out = text;

	while (in < end) {
		int high, low;

		if (*in != '\\' || end - in < 2) {
			*out++ = *in++;
			continue;
		}
		high = in[1] == 'u' ? hex4(in + 2, end) : -1;
		if (high < 0xd800 || high > 0xdfff) {
			*out++ = *in++;
			*out++ = *in++;
			continue;
		}
		low = high < 0xdc00 && end - in >= 12 && in[6] == '\\' && in[7] == 'u'
			      ? hex4(in + 8, end)
			      : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return -EINVAL;
		out += put_utf8(out, 0x10000u + ((unsigned)high - 0xd800) * 0x400 +
					     ((unsigned)low - 0xdc00));
		in += 12;
	}
	return out - text;
}

struct reader {
	yaml_parser_t parser;
	yaml_event_t event; /* the last one; deleted by the next */
	unsigned depth;
	struct report rep;
};

static int next_event(struct reader *rd)
{
	yaml_event_delete(&rd->event);
	memset(&rd->event, 0, sizeof(rd->event));
	if (!yaml_parser_parse(&rd->parser, &rd->event)) {
		snprintf(rd->rep.err, rd->rep.err_len, "line %zu is not JSON: %s",
			 rd->parser.problem_mark.line + 1,
			 rd->parser.problem != NULL ? rd->parser.problem : "no memory");
		return -EINVAL;
	}
	return 0;
}

/* YAML allows more than JSON in these places; what it allows has no meaning here. */
static int check_value(const struct reader *rd)
{
	const yaml_event_t *e = &rd->event;

	switch (e->type) {
	case YAML_SCALAR_EVENT:
		if (e->data.scalar.anchor == NULL && e->data.scalar.tag == NULL &&
		    (e->data.scalar.style == YAML_DOUBLE_QUOTED_SCALAR_STYLE ||
		     e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE))
			return 0;
		break;
	case YAML_MAPPING_START_EVENT:
		if (e->data.mapping_start.anchor == NULL && e->data.mapping_start.tag == NULL &&
		    e->data.mapping_start.style == YAML_FLOW_MAPPING_STYLE)
			return 0;
		break;
	case YAML_SEQUENCE_START_EVENT:
		if (e->data.sequence_start.anchor == NULL && e->data.sequence_start.tag == NULL &&
		    e->data.sequence_start.style == YAML_FLOW_SEQUENCE_STYLE)
			return 0;
		break;
	default:
		break;
	}
	return fail(&rd->rep, "it is not JSON: it uses what only YAML has");
}

/* The value whose first event is at hand, to its end. */
static int skip_value(struct reader *rd)
{
	unsigned depth = 0;
	int r;

	for (;;) {
		yaml_event_type_t type = rd->event.type;

		if (type == YAML_MAPPING_END_EVENT || type == YAML_SEQUENCE_END_EVENT) {
			depth--;
		} else {
			r = check_value(rd);
			if (r != 0)
				return r;
			if (type != YAML_SCALAR_EVENT)
				depth++;
		}
		if (depth == 0)
			return 0;
		if (depth + rd->depth > DEPTH_MAX)
			return fail(&rd->rep, "it is nested too deeply");
		r = next_event(rd);
		if (r != 0)
			return r;
	}
}

/* The key at hand must be a string; *ret_which says which of ours it is. */
static int read_key(struct reader *rd, int *ret_which, bool *ret_profiles, bool *ret_current)
{
	const char *key;

	if (rd->event.type != YAML_SCALAR_EVENT ||
	    rd->event.data.scalar.style != YAML_DOUBLE_QUOTED_SCALAR_STYLE)
		return fail(&rd->rep, "it is not JSON: a name stands without quotes");
	key = (const char *)rd->event.data.scalar.value;
	*ret_which = find_field(key);
	*ret_profiles = strcmp(key, "profiles") == 0;
	*ret_current = strcmp(key, "current") == 0;
	return 0;
}

static int read_string(struct reader *rd, struct fields *f, int which)
{
	const yaml_event_t *e = &rd->event;
	int r;

	r = check_value(rd);
	if (r != 0)
		return r;
	if (e->type != YAML_SCALAR_EVENT)
		return fail_named(&rd->rep, "its ", field_names[which].names[0],
				  " is not a string");
	if (e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE) {
		if (strcmp((const char *)e->data.scalar.value, "null") == 0)
			return 0;
		return fail_named(&rd->rep, "its ", field_names[which].names[0],
				  " stands without quotes");
	}
	return set_field(f, which, (const char *)e->data.scalar.value, e->data.scalar.length,
			 &rd->rep);
}

/* What the outermost object may hold besides the fields. */
struct profiles {
	char current[64];
	struct fields *list;
	size_t nr;
};

static int read_object(struct reader *rd, struct fields *f, struct profiles *profiles);

static int read_profiles(struct reader *rd, struct profiles *p)
{
	int r;

	if (rd->event.type != YAML_SEQUENCE_START_EVENT || p->list != NULL)
		return fail(&rd->rep, "its profiles are not one list");
	p->list = calloc(DEPTH_MAX, sizeof(*p->list));
	if (p->list == NULL)
		return fail(&rd->rep, "no memory for the keys");
	for (;;) {
		r = next_event(rd);
		if (r != 0)
			return r;
		if (rd->event.type == YAML_SEQUENCE_END_EVENT)
			return 0;
		if (rd->event.type != YAML_MAPPING_START_EVENT || p->nr == DEPTH_MAX)
			return fail(&rd->rep, "its profiles are not a list of at most 16 objects");
		r = read_object(rd, &p->list[p->nr++], NULL);
		if (r != 0)
			return r;
	}
}

/* After the start of a mapping, to its end. */
static int read_object(struct reader *rd, struct fields *f, struct profiles *profiles)
{
	bool is_profiles = false, is_current = false;
	int r, which = -1;

	r = check_value(rd);
	for (rd->depth++; r == 0;) {
		r = next_event(rd);
		if (r != 0 || rd->event.type == YAML_MAPPING_END_EVENT)
			break;
		r = read_key(rd, &which, &is_profiles, &is_current);
		if (r == 0)
			r = next_event(rd);
		if (r != 0)
			break;
		if (which >= 0) {
			r = read_string(rd, f, which);
		} else if (is_profiles && profiles != NULL) {
			r = read_profiles(rd, profiles);
		} else {
			if (is_current && profiles != NULL && rd->event.type == YAML_SCALAR_EVENT)
				snprintf(profiles->current, sizeof(profiles->current), "%s",
					 (const char *)rd->event.data.scalar.value);
			r = skip_value(rd);
		}
	}
	rd->depth--;
	return r;
}

static int read_document(struct reader *rd, struct fields *f, struct profiles *profiles)
{
	static const yaml_event_type_t ends[] = { YAML_DOCUMENT_END_EVENT, YAML_STREAM_END_EVENT };
	size_t i;
	int r;

	for (i = 0; i < 3; i++) { /* stream, document, object */
		r = next_event(rd);
		if (r != 0)
			return r;
	}
	if (rd->event.type != YAML_MAPPING_START_EVENT)
		return fail(&rd->rep, "it is not a JSON object");
	r = read_object(rd, f, profiles);
	for (i = 0; i < 2 && r == 0; i++) {
		r = next_event(rd);
		if (r == 0 && rd->event.type != ends[i])
			r = fail(&rd->rep, "there is something after the JSON object");
	}
	return r;
}

static int choose_profile(const struct profiles *p, const struct report *rep,
			  const struct fields **ret_fields)
{
	const char *wanted = p->current[0] != '\0' ? p->current : "default";
	size_t i;

	for (i = 0; i < p->nr; i++) {
		if (strcmp(p->list[i].name, wanted) == 0) {
			*ret_fields = &p->list[i];
			return 0;
		}
	}
	return fail(rep, "none of its profiles has the name that it says is current");
}

static int parse_json(char *text, size_t len, struct cred **ret_cred, const struct report *rep)
{
	struct fields f = { .name = "" };
	const struct fields *chosen = &f;
	struct profiles profiles = { .nr = 0 };
	struct reader rd = { .rep = *rep };
	ssize_t n = join_surrogates(text, len);
	int r;

	if (n < 0)
		return fail(rep, "it has half of a two-part \\u escape");
	if (!yaml_parser_initialize(&rd.parser))
		return fail(rep, "no memory for the keys");
	yaml_parser_set_encoding(&rd.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&rd.parser, (const unsigned char *)text, (size_t)n);
	r = read_document(&rd, &f, &profiles);
	yaml_event_delete(&rd.event);
	yaml_parser_delete(&rd.parser);
	if (r == 0 && profiles.list != NULL)
		r = choose_profile(&profiles, rep, &chosen);
	if (r == 0)
		r = build(chosen, ret_cred, rep);
	if (profiles.list != NULL)
		explicit_bzero(profiles.list, DEPTH_MAX * sizeof(*profiles.list));
	free(profiles.list);
	explicit_bzero(&f, sizeof(f));
	return r;
}

/* ---- ini ----------------------------------------------------------------- */

static char *trim(char *str)
{
	char *end;

	str += strspn(str, " \t\r");
	end = str + strlen(str);
	while (end > str && strchr(" \t\r", end[-1]) != NULL)
		*--end = '\0';
	return str;
}

/* Only the section "default" counts. */
static int parse_ini(char *text, struct cred **ret_cred, const struct report *rep)
{
	bool ours = false, found = false;
	struct fields f = { .name = "" };
	char *line, *next, *value;
	int r = 0, which;

	for (line = text; line != NULL && r == 0; line = next) {
		next = strchr(line, '\n');
		if (next != NULL)
			*next++ = '\0';
		line = trim(line);
		if (line[0] == '\0' || line[0] == '#' || line[0] == ';')
			continue;
		if (line[0] == '[') {
			ours = strcmp(line, "[default]") == 0;
			found = found || ours;
			continue;
		}
		value = strchr(line, '=');
		if (value == NULL) {
			r = fail(rep, "it is neither a JSON object nor an ini file");
			break;
		}
		*value++ = '\0';
		which = find_field(trim(line));
		value = trim(value);
		if (ours && which >= 0)
			r = set_field(&f, which, value, strlen(value), rep);
	}
	if (r == 0 && !found)
		r = fail(rep, "it has no section [default] and is no JSON object");
	if (r == 0)
		r = build(&f, ret_cred, rep);
	explicit_bzero(&f, sizeof(f));
	return r;
}

int cred_parse(const char *text, size_t len, struct cred **ret_cred, char *err, size_t err_len)
{
	struct report rep = { err, err_len };
	char *copy, *start;
	int r;

	if (len > TEXT_MAX)
		return fail(&rep, "it is longer than 64 KiB");
	if (memchr(text, '\0', len) != NULL)
		return fail(&rep, "it has a NUL character");
	copy = malloc(len + 1);
	if (copy == NULL) {
		fail(&rep, "no memory for the keys");
		return -ENOMEM;
	}
	memcpy(copy, text, len);
	copy[len] = '\0';
	start = copy;
	if (strncmp(start, "\xef\xbb\xbf", 3) == 0)
		start += 3;
	start += strspn(start, " \t\r\n");
	if (*start == '\0')
		r = fail(&rep, "it is empty");
	else if (*start == '{')
		r = parse_json(start, len - (size_t)(start - copy), ret_cred, &rep);
	else
		r = parse_ini(start, ret_cred, &rep);
	explicit_bzero(copy, len);
	free(copy);
	return r;
}
