/*
 * json_escape.h - JSON made fit for a YAML parser: characters beyond U+FFFF,
 * which JSON writes as two \u escapes, become the UTF-8 that they mean.
 *
 * Threads: any.
 */
#ifndef DAEMON_CONFIG_JSON_ESCAPE_H
#define DAEMON_CONFIG_JSON_ESCAPE_H

#include <stdbool.h>
#include <stddef.h>

struct strbuf;

/* Does the text start as a JSON object or array? */
bool json_escape_is_json(const char *text, size_t len);
/* 0, or -EINVAL with the offset of half a pair that stands alone. */
int json_escape_join(const char *text, size_t len, struct strbuf *out, size_t *ret_bad);

#endif
