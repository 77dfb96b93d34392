/*
 * srv_buf.h - a growing byte string for heads, XML and JSON.  Always ends in a NUL that is not
 * counted.  Running out of memory ends the program: it is a test store.
 */
#ifndef TEST_SERVER_SRV_BUF_H
#define TEST_SERVER_SRV_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct srv_buf {
	char *p;
	size_t len;
	size_t cap;
};

void *srv_alloc(size_t n);		    /* zeroed; never NULL */
char *srv_strndup(const char *s, size_t n); /* never NULL */

void srv_buf_free(struct srv_buf *b);
void srv_buf_reset(struct srv_buf *b);
void srv_buf_reserve(struct srv_buf *b, size_t more);
void srv_buf_add(struct srv_buf *b, const void *p, size_t n);
void srv_buf_str(struct srv_buf *b, const char *s);
void srv_buf_char(struct srv_buf *b, char c);
void srv_buf_u64(struct srv_buf *b, uint64_t value);
void srv_buf_fmt(struct srv_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* Percent-encode everything but A-Z a-z 0-9 - . _ ~ (and '/' if keep_slash). */
void srv_buf_uri(struct srv_buf *b, const char *s, size_t n, bool keep_slash);
/* The form in which S3 encodes keys in listings: '/' and '*' stay, a blank becomes '+'. */
void srv_buf_uri_s3list(struct srv_buf *b, const char *s, size_t n);
void srv_buf_xml(struct srv_buf *b, const char *s, size_t n);
/* With the quotes around it.  Bytes that are no UTF-8 come out as \u00XX. */
void srv_buf_json(struct srv_buf *b, const char *s, size_t n);
void srv_buf_base64(struct srv_buf *b, const void *p, size_t n);
void srv_buf_hex(struct srv_buf *b, const void *p, size_t n, bool upper);

#endif
