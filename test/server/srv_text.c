#include "test/server/srv_text.h"

#include <ctype.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static _Atomic int64_t clock_offset;

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

size_t srv_uri_decode(char *s, size_t n, bool plus_is_blank)
{
	size_t i, o = 0;

	for (i = 0; i < n; i++) {
		if (s[i] == '%' && i + 2 < n && hex_value(s[i + 1]) >= 0 &&
		    hex_value(s[i + 2]) >= 0) {
			s[o++] = (char)(hex_value(s[i + 1]) * 16 + hex_value(s[i + 2]));
			i += 2;
		} else if (s[i] == '+' && plus_is_blank) {
			s[o++] = ' ';
		} else {
			s[o++] = s[i];
		}
	}
	return o;
}

static int base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+')
		return 62;
	if (c == '/')
		return 63;
	return -1;
}

int srv_base64_decode(const char *s, size_t n, unsigned char *out, size_t cap)
{
	unsigned acc = 0;
	int bits = 0;
	size_t i, o = 0;

	while (n > 0 && s[n - 1] == '=')
		n--;
	for (i = 0; i < n; i++) {
		int v = base64_value(s[i]);

		if (v < 0)
			return -1;
		acc = (acc << 6) | (unsigned)v;
		bits += 6;
		if (bits >= 8) {
			bits -= 8;
			if (o == cap)
				return -1;
			out[o++] = (unsigned char)(acc >> bits);
		}
	}
	return (int)o;
}

bool srv_glob(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;

	while (*text != '\0') {
		if (*pattern == '*') {
			star = pattern++;
			resume = text;
		} else if (*pattern == '?' || *pattern == *text) {
			pattern++;
			text++;
		} else if (star != NULL) {
			pattern = star + 1;
			text = ++resume;
		} else {
			return false;
		}
	}
	while (*pattern == '*')
		pattern++;
	return *pattern == '\0';
}

bool srv_parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;

	if (*s == '\0')
		return false;
	for (; *s != '\0'; s++) {
		if (*s < '0' || *s > '9')
			return false;
		if (v > (UINT64_MAX - (uint64_t)(*s - '0')) / 10)
			return false;
		v = v * 10 + (uint64_t)(*s - '0');
	}
	*ret = v;
	return true;
}

uint64_t srv_mono_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

int64_t srv_clock_now(void)
{
	return (int64_t)time(NULL) + atomic_load_explicit(&clock_offset, memory_order_relaxed);
}

void srv_clock_set_offset(int64_t seconds)
{
	atomic_store_explicit(&clock_offset, seconds, memory_order_relaxed);
}

static const char day_names[7][4] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
static const char month_names[12][4] = { "Jan", "Feb", "Mar", "Apr", "May", "Jun",
					 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec" };

/* Years outside 0..9999 would not fit the formats. */
static void split_time(int64_t t, struct tm *tm)
{
	time_t tt = (time_t)t;

	if (t < 0 || t > INT64_C(253402300799))
		tt = 0;
	gmtime_r(&tt, tm);
}

void srv_date_http(char out[SRV_DATE_LEN], int64_t t)
{
	struct tm tm;

	split_time(t, &tm);
	snprintf(out, SRV_DATE_LEN, "%s, %02d %s %04d %02d:%02d:%02d GMT", day_names[tm.tm_wday],
		 tm.tm_mday, month_names[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min,
		 tm.tm_sec);
}

void srv_date_iso(char out[SRV_DATE_LEN], int64_t t)
{
	struct tm tm;

	split_time(t, &tm);
	snprintf(out, SRV_DATE_LEN, "%04d-%02d-%02dT%02d:%02d:%02d.000Z", tm.tm_year + 1900,
		 tm.tm_mon + 1, tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

void srv_date_basic(char out[SRV_DATE_LEN], int64_t t)
{
	struct tm tm;

	split_time(t, &tm);
	snprintf(out, SRV_DATE_LEN, "%04d%02d%02dT%02d%02d%02dZ", tm.tm_year + 1900, tm.tm_mon + 1,
		 tm.tm_mday, tm.tm_hour, tm.tm_min, tm.tm_sec);
}

static bool digits(const char *s, int n, int *ret)
{
	int v = 0;

	while (n-- > 0) {
		if (!isdigit((unsigned char)*s))
			return false;
		v = v * 10 + (*s++ - '0');
	}
	*ret = v;
	return true;
}

static bool join_time(struct tm *tm, int64_t *ret)
{
	if (tm->tm_mon < 0 || tm->tm_mon > 11 || tm->tm_mday < 1 || tm->tm_mday > 31 ||
	    tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60 || tm->tm_year < 0)
		return false;
	*ret = (int64_t)timegm(tm);
	return true;
}

bool srv_date_parse_http(const char *s, int64_t *ret)
{
	struct tm tm = { 0 };
	int year, mon;

	if (strlen(s) != 29 || s[3] != ',' || strcmp(s + 25, " GMT") != 0)
		return false;
	for (mon = 0; mon < 12; mon++) {
		if (strncmp(s + 8, month_names[mon], 3) == 0)
			break;
	}
	tm.tm_mon = mon < 12 ? mon : -1;
	if (!digits(s + 5, 2, &tm.tm_mday) || !digits(s + 12, 4, &year) ||
	    !digits(s + 17, 2, &tm.tm_hour) || !digits(s + 20, 2, &tm.tm_min) ||
	    !digits(s + 23, 2, &tm.tm_sec))
		return false;
	tm.tm_year = year - 1900;
	return join_time(&tm, ret);
}

bool srv_date_parse_basic(const char *s, int64_t *ret)
{
	struct tm tm = { 0 };
	int year;

	if (strlen(s) != 16 || s[8] != 'T' || s[15] != 'Z')
		return false;
	if (!digits(s, 4, &year) || !digits(s + 4, 2, &tm.tm_mon) ||
	    !digits(s + 6, 2, &tm.tm_mday) || !digits(s + 9, 2, &tm.tm_hour) ||
	    !digits(s + 11, 2, &tm.tm_min) || !digits(s + 13, 2, &tm.tm_sec))
		return false;
	tm.tm_year = year - 1900;
	tm.tm_mon -= 1;
	return join_time(&tm, ret);
}
