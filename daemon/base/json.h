/*
 * json.h - strings of JSON text that is being written: quotes and escapes.
 * Reads no JSON and knows no structure.
 *
 * Threads: any.
 */
#ifndef DAEMON_BASE_JSON_H
#define DAEMON_BASE_JSON_H

#include <stddef.h>

struct strbuf;

/*
 * Add "s" with its quotes.  Control characters are escaped; bytes that are not
 * UTF-8 become U+FFFD, so the text is always valid.
 */
void json_string(struct strbuf *out, const char *s, size_t len);
/* The same for a C string; NULL is written as null. */
void json_cstring(struct strbuf *out, const char *s);

#endif
