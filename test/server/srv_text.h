/*
 * srv_text.h - reading and writing the small texts of the protocol: percent and base64 coding,
 * dates, globs, numbers.  No allocation, no state but the store's clock offset.
 */
#ifndef TEST_SERVER_SRV_TEXT_H
#define TEST_SERVER_SRV_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Decode %XX (and '+' as a blank if plus_is_blank) in place; a bad escape stays as it is. */
size_t srv_uri_decode(char *s, size_t n, bool plus_is_blank);

/* Returns the number of bytes, or -1: not base64 or longer than cap. */
int srv_base64_decode(const char *s, size_t n, unsigned char *out, size_t cap);

/* '*' any bytes, '?' one byte; nothing else is special. */
bool srv_glob(const char *pattern, const char *text);

/* Decimal, whole string, no sign. */
bool srv_parse_u64(const char *s, uint64_t *ret);

uint64_t srv_mono_ns(void);

/* The store's clock: real time plus an offset that a test sets. */
int64_t srv_clock_now(void);
void srv_clock_set_offset(int64_t seconds);

#define SRV_DATE_LEN 96

void srv_date_http(char out[SRV_DATE_LEN], int64_t t);	/* Fri, 02 Jan 2026 03:04:05 GMT */
void srv_date_iso(char out[SRV_DATE_LEN], int64_t t);	/* 2026-01-02T03:04:05.000Z */
void srv_date_basic(char out[SRV_DATE_LEN], int64_t t); /* 20260102T030405Z */
bool srv_date_parse_http(const char *s, int64_t *ret);
bool srv_date_parse_basic(const char *s, int64_t *ret);

#endif
