/*
 * canon.h - percent-encoding and the sorted forms that signatures are made
 * over: queries and headers.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_CANON_H
#define DAEMON_OSS_CANON_H

#include <stdbool.h>
#include <stddef.h>

struct http_header;
struct strbuf;

#define CANON_MAX_PARAMS  64
#define CANON_MAX_HEADERS 64
#define CANON_NAME_MAX	  127

struct oss_param {
	const char *name;
	const char *value; /* NULL or "": none */
};

/* Everything but A-Z a-z 0-9 - . _ ~ (and '/', if it is kept) becomes %XX. */
void canon_encode(struct strbuf *sb, const char *str, size_t len, bool keep_slash);
/*
 * Encoded name=value pairs joined by '&', sorted by encoded name, then by encoded value.
 * A parameter without value is "name", or "name=" if empty_equals.  -E2BIG, -ENOMEM.
 */
int canon_query(struct strbuf *sb, const struct oss_param *params, size_t nr_params,
		bool empty_equals);
/*
 * "+" to space if plus_is_space, "%XX" to its byte, in place; the length is returned.
 * -EINVAL: a '%' without two hex digits, or a NUL.
 */
int canon_decode(char *str, bool plus_is_space);

/* Header fields, lower-case names, values trimmed, in the order of their names. */
struct canon_fields {
	struct canon_field {
		char name[CANON_NAME_MAX + 1];
		const char *value;
		size_t value_len;
		size_t order;	 /* equal names stay in the order they were added */
		bool additional; /* signed only because the caller asked */
	} field[CANON_MAX_HEADERS];
	size_t nr;
};

/* The value must outlive the fields.  -E2BIG. */
int canon_fields_add(struct canon_fields *f, const char *name, const char *value, bool additional);
void canon_fields_sort(struct canon_fields *f);
/* "name:value LF" each; the values of equal names are joined by ','.  Sorted already. */
void canon_fields_lines(const struct canon_fields *f, bool collapse_blanks, struct strbuf *sb);
/* "a;b;c": each name once. */
void canon_fields_names(const struct canon_fields *f, bool only_additional, struct strbuf *sb);

#endif
