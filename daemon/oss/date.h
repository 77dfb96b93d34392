/*
 * date.h - the three ways in which stores write a time, to and from unix
 * seconds.  Always UTC; touches neither the locale nor TZ.
 *
 * Threads: any.
 */
#ifndef DAEMON_OSS_DATE_H
#define DAEMON_OSS_DATE_H

#include <stdint.h>

#define DATE_BASIC_LEN 17 /* "20260102T030405Z" and a NUL */
#define DATE_HTTP_LEN  30 /* "Fri, 02 Jan 2026 03:04:05 GMT" and a NUL */

/* Times outside the years 1970 to 9999 are written as the nearest of them. */
void date_format_basic(int64_t unix_time, char buf[DATE_BASIC_LEN]);
void date_format_http(int64_t unix_time, char buf[DATE_HTTP_LEN]);

/* "Fri, 02 Jan 2026 03:04:05 GMT".  0 or -EINVAL. */
int date_parse_http(const char *str, int64_t *ret_unix_time);
/* "2026-01-02T03:04:05.000Z", with or without a fraction.  0 or -EINVAL. */
int date_parse_iso(const char *str, int64_t *ret_unix_time);

#endif
