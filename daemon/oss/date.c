#include "daemon/oss/date.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DAY_S	 86400
#define LAST_S	 253402300799 /* the end of the year 9999 */
#define ERA_DAYS 146097	      /* of 400 years */

static const char month_names[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char day_names[] = "SunMonTueWedThuFriSat";

struct calendar {
	int year, month, day; /* month and day from 1 */
	int hour, minute, second;
};

/* Years begin in March here, so that the leap day is the last of its year. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month > 2 ? year : year - 1;
	int64_t era = y / 400, year_of_era = y % 400;
	int64_t day_of_year = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;

	return era * ERA_DAYS + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 +
	       day_of_year - 719468;
}

static void calendar_of(int64_t days, struct calendar *ret)
{
	int64_t z = days + 719468, era = z / ERA_DAYS, day_of_era = z % ERA_DAYS;
	int64_t year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36524 -
			       day_of_era / (ERA_DAYS - 1)) /
			      365;
	int64_t day_of_year =
		day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t m = (5 * day_of_year + 2) / 153;

	ret->day = (int)(day_of_year - (153 * m + 2) / 5 + 1);
	ret->month = (int)(m < 10 ? m + 3 : m - 9);
	ret->year = (int)(year_of_era + era * 400 + (ret->month <= 2));
}

static int64_t split(int64_t t, struct calendar *ret)
{
	int64_t days;

	if (t < 0)
		t = 0;
	if (t > LAST_S)
		t = LAST_S;
	days = t / DAY_S;
	calendar_of(days, ret);
	ret->hour = (int)(t % DAY_S / 3600);
	ret->minute = (int)(t % 3600 / 60);
	ret->second = (int)(t % 60);
	return days;
}

static void put_digits(char *at, int value, int nr)
{
	while (nr-- > 0) {
		at[nr] = (char)('0' + value % 10);
		value /= 10;
	}
}

void date_format_basic(int64_t unix_time, char buf[DATE_BASIC_LEN])
{
	struct calendar c;

	split(unix_time, &c);
	memcpy(buf, "00000000T000000Z", DATE_BASIC_LEN);
	put_digits(buf, c.year, 4);
	put_digits(buf + 4, c.month, 2);
	put_digits(buf + 6, c.day, 2);
	put_digits(buf + 9, c.hour, 2);
	put_digits(buf + 11, c.minute, 2);
	put_digits(buf + 13, c.second, 2);
}

void date_format_http(int64_t unix_time, char buf[DATE_HTTP_LEN])
{
	struct calendar c;
	int64_t days = split(unix_time, &c);

	memcpy(buf, "Day, 00 Mon 0000 00:00:00 GMT", DATE_HTTP_LEN);
	memcpy(buf, day_names + (days + 4) % 7 * 3, 3);
	put_digits(buf + 5, c.day, 2);
	memcpy(buf + 8, month_names + (c.month - 1) * 3, 3);
	put_digits(buf + 12, c.year, 4);
	put_digits(buf + 17, c.hour, 2);
	put_digits(buf + 20, c.minute, 2);
	put_digits(buf + 23, c.second, 2);
}

/* `nr` digits at `at`, or -1. */
static int digits(const char *at, int nr)
{
	int value = 0;

	for (; nr > 0; nr--, at++) {
		if (*at < '0' || *at > '9')
			return -1;
		value = value * 10 + (*at - '0');
	}
	return value;
}

static int days_in(int year, int month)
{
	static const char days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month - 1] + (month == 2 && leap);
}

static int join(const struct calendar *c, int64_t *ret)
{
	if (c->year < 1970 || c->month < 1 || c->month > 12 || c->day < 1 ||
	    c->day > days_in(c->year, c->month))
		return -EINVAL;
	if (c->hour < 0 || c->hour > 23 || c->minute < 0 || c->minute > 59 || c->second < 0 ||
	    c->second > 60)
		return -EINVAL;
	*ret = days_of(c->year, c->month, c->day) * DAY_S + c->hour * 3600 + c->minute * 60 +
	       c->second;
	return 0;
}

/* Everything but letters and digits must be as in the pattern. */
static bool has_shape(const char *str, const char *pattern)
{
	for (; *pattern != '\0'; str++, pattern++) {
		if (*str == '\0')
			return false;
		if (*pattern != '0' && *pattern != 'A' && *str != *pattern)
			return false;
	}
	return true;
}

int date_parse_http(const char *str, int64_t *ret_unix_time)
{
	struct calendar c = { 0 };
	int i;

	if (!has_shape(str, "AAA, 00 AAA 0000 00:00:00 GMT") || str[DATE_HTTP_LEN - 1] != '\0')
		return -EINVAL;
	for (i = 0; i < 12; i++) {
		if (memcmp(str + 8, month_names + 3 * i, 3) == 0)
			c.month = i + 1;
	}
	c.day = digits(str + 5, 2);
	c.year = digits(str + 12, 4);
	c.hour = digits(str + 17, 2);
	c.minute = digits(str + 20, 2);
	c.second = digits(str + 23, 2);
	return join(&c, ret_unix_time);
}

int date_parse_iso(const char *str, int64_t *ret_unix_time)
{
	struct calendar c;
	const char *rest;

	if (!has_shape(str, "0000-00-00T00:00:00"))
		return -EINVAL;
	c.year = digits(str, 4);
	c.month = digits(str + 5, 2);
	c.day = digits(str + 8, 2);
	c.hour = digits(str + 11, 2);
	c.minute = digits(str + 14, 2);
	c.second = digits(str + 17, 2);
	rest = str + 19;
	if (*rest == '.') {
		size_t nr = strspn(rest + 1, "0123456789");

		if (nr == 0 || nr > 9)
			return -EINVAL;
		rest += 1 + nr;
	}
	if (strcmp(rest, "Z") != 0)
		return -EINVAL;
	return join(&c, ret_unix_time);
}
