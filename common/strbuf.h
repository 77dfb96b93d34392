/*
 * strbuf.h - a string that grows up to a bound.  The first error sticks: later
 * additions do nothing, so a writer checks once, at the end.
 *
 * Threads: one at a time for each strbuf.
 */
#ifndef COMMON_STRBUF_H
#define COMMON_STRBUF_H

#include <stddef.h>

struct strbuf {
	char *buf; /* NULL, or `len` bytes and a final NUL */
	size_t len;
	size_t cap;
	size_t max;
	int error;
};

/* At most `max` bytes will be held, the final NUL not counted. */
void strbuf_init(struct strbuf *sb, size_t max);
void strbuf_fini(struct strbuf *sb);
/* As strbuf_fini(), after the bytes are overwritten: for what may hold a secret. */
void strbuf_wipe(struct strbuf *sb);
/* Empty again, with the memory and without the error. */
void strbuf_reset(struct strbuf *sb);

void strbuf_add(struct strbuf *sb, const void *bytes, size_t len);
void strbuf_adds(struct strbuf *sb, const char *str);
void strbuf_addc(struct strbuf *sb, char c);
void strbuf_addf(struct strbuf *sb, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Never NULL, always ended by a NUL; valid until the next addition. */
const char *strbuf_str(const struct strbuf *sb);
size_t strbuf_len(const struct strbuf *sb);
/* 0, -ENOMEM, -E2BIG when the bound was reached, or -EINVAL for a format that cannot be written. */
int strbuf_error(const struct strbuf *sb);

#endif
