#include "daemon/oss/canon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "common/strbuf.h"

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '.' || c == '_' || c == '~';
}

void canon_encode(struct strbuf *sb, const char *str, size_t len, bool keep_slash)
{
	static const char hex[] = "0123456789ABCDEF";
	size_t i, start = 0;

	for (i = 0; i < len; i++) {
		unsigned char c = (unsigned char)str[i];
		char escape[3] = { '%', hex[c >> 4], hex[c & 15] };

		if (is_unreserved(c) || (keep_slash && c == '/'))
			continue;
		strbuf_add(sb, str + start, i - start);
		strbuf_add(sb, escape, sizeof(escape));
		start = i + 1;
	}
	strbuf_add(sb, str + start, len - start);
}

/* One encoded parameter inside the scratch buffer. */
struct span {
	const char *base;
	size_t name, name_len, value, value_len;
};

static int compare_bytes(const char *a, size_t a_len, const char *b, size_t b_len)
{
	int r = memcmp(a, b, a_len < b_len ? a_len : b_len);

	if (r != 0)
		return r;
	return a_len < b_len ? -1 : a_len > b_len;
}

static int compare_spans(const void *va, const void *vb)
{
	const struct span *a = va, *b = vb;
	int r = compare_bytes(a->base + a->name, a->name_len, b->base + b->name, b->name_len);

	if (r != 0)
		return r;
	return compare_bytes(a->base + a->value, a->value_len, b->base + b->value, b->value_len);
}

int canon_query(struct strbuf *sb, const struct oss_param *params, size_t nr_params,
		bool empty_equals)
{
	struct span spans[CANON_MAX_PARAMS];
	struct strbuf scratch;
	size_t i;
	int r;

	if (nr_params > CANON_MAX_PARAMS)
		return -E2BIG;
	strbuf_init(&scratch, sb->max);
	for (i = 0; i < nr_params; i++) {
		const char *value = params[i].value != NULL ? params[i].value : "";

		spans[i].name = strbuf_len(&scratch);
		canon_encode(&scratch, params[i].name, strlen(params[i].name), false);
		spans[i].name_len = strbuf_len(&scratch) - spans[i].name;
		spans[i].value = strbuf_len(&scratch);
		canon_encode(&scratch, value, strlen(value), false);
		spans[i].value_len = strbuf_len(&scratch) - spans[i].value;
	}
	r = strbuf_error(&scratch);
	if (r != 0)
		goto out;
	for (i = 0; i < nr_params; i++)
		spans[i].base = strbuf_str(&scratch);
	qsort(spans, nr_params, sizeof(spans[0]), compare_spans);
	for (i = 0; i < nr_params; i++) {
		if (i > 0)
			strbuf_addc(sb, '&');
		strbuf_add(sb, spans[i].base + spans[i].name, spans[i].name_len);
		if (spans[i].value_len > 0 || empty_equals)
			strbuf_addc(sb, '=');
		strbuf_add(sb, spans[i].base + spans[i].value, spans[i].value_len);
	}
	r = strbuf_error(sb);
out:
	strbuf_wipe(&scratch);
	return r;
}

static int hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int canon_decode(char *str, bool plus_is_space)
{
	char *in = str, *out = str;

	for (; *in != '\0'; in++, out++) {
		if (*in == '%') {
			int high = hex_value(in[1]);
			int low = high < 0 ? -1 : hex_value(in[2]);

			if (low < 0 || (high == 0 && low == 0))
				return -EINVAL;
			*out = (char)(high << 4 | low);
			in += 2;
		} else {
			*out = *in == '+' && plus_is_space ? ' ' : *in;
		}
	}
	*out = '\0';
	return (int)(out - str);
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

int canon_fields_add(struct canon_fields *f, const char *name, const char *value, bool additional)
{
	struct canon_field *field;
	size_t i, name_len = strlen(name), value_len = strlen(value);

	if (f->nr == CANON_MAX_HEADERS || name_len > CANON_NAME_MAX)
		return -E2BIG;
	while (is_blank(*value)) {
		value++;
		value_len--;
	}
	while (value_len > 0 && is_blank(value[value_len - 1]))
		value_len--;

	field = &f->field[f->nr];
	for (i = 0; i < name_len; i++)
		field->name[i] = name[i] >= 'A' && name[i] <= 'Z' ? (char)(name[i] + 32) : name[i];
	field->name[name_len] = '\0';
	field->value = value;
	field->value_len = value_len;
	field->order = f->nr++;
	field->additional = additional;
	return 0;
}

static int compare_fields(const void *va, const void *vb)
{
	const struct canon_field *a = va, *b = vb;
	int r = strcmp(a->name, b->name);

	if (r != 0)
		return r;
	return a->order < b->order ? -1 : 1;
}

void canon_fields_sort(struct canon_fields *f)
{
	qsort(f->field, f->nr, sizeof(f->field[0]), compare_fields);
}

static void add_value(struct strbuf *sb, const struct canon_field *field, bool collapse_blanks)
{
	size_t i;

	if (!collapse_blanks) {
		strbuf_add(sb, field->value, field->value_len);
		return;
	}
	for (i = 0; i < field->value_len; i++) {
		if (field->value[i] == ' ' && i > 0 && field->value[i - 1] == ' ')
			continue;
		strbuf_addc(sb, field->value[i]);
	}
}

static bool repeats(const struct canon_fields *f, size_t i)
{
	return i > 0 && strcmp(f->field[i].name, f->field[i - 1].name) == 0;
}

void canon_fields_lines(const struct canon_fields *f, bool collapse_blanks, struct strbuf *sb)
{
	size_t i;

	for (i = 0; i < f->nr; i++) {
		if (repeats(f, i)) {
			strbuf_addc(sb, ',');
		} else {
			if (i > 0)
				strbuf_addc(sb, '\n');
			strbuf_adds(sb, f->field[i].name);
			strbuf_addc(sb, ':');
		}
		add_value(sb, &f->field[i], collapse_blanks);
	}
	if (f->nr > 0)
		strbuf_addc(sb, '\n');
}

void canon_fields_names(const struct canon_fields *f, bool only_additional, struct strbuf *sb)
{
	bool first = true;
	size_t i;

	for (i = 0; i < f->nr; i++) {
		if (repeats(f, i) || (only_additional && !f->field[i].additional))
			continue;
		if (!first)
			strbuf_addc(sb, ';');
		strbuf_adds(sb, f->field[i].name);
		first = false;
	}
}
