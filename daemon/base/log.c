#include "daemon/base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/logfile.h"

#define TEXT_MAX 2048 /* longer messages are cut */

static struct logfile target = LOGFILE_CLOSED;
static int threshold = LOG_LEVEL_INFO;

static const char *const level_names[] = {
	[LOG_LEVEL_DEBUG] = "DEBUG",
	[LOG_LEVEL_INFO] = "INFO",
	[LOG_LEVEL_WARN] = "WARN",
	[LOG_LEVEL_ERROR] = "ERROR",
};

int log_open(const char *path, enum log_level level)
{
	int r = 0;

	if (path != NULL)
		r = logfile_open(&target, path);
	else
		logfile_close(&target);
	if (r == 0)
		log_set_level(level);
	return r;
}

int log_reopen(void)
{
	return logfile_reopen(&target);
}

void log_set_level(enum log_level level)
{
	__atomic_store_n(&threshold, (int)level, __ATOMIC_RELAXED);
}

enum log_level log_get_level(void)
{
	return (enum log_level)__atomic_load_n(&threshold, __ATOMIC_RELAXED);
}

void log_close(void)
{
	logfile_close(&target);
}

/* What could end the line, or steer a terminal, is written as an escape. */
static size_t escape(char *out, size_t cap, const char *text)
{
	static const char hex[] = "0123456789abcdef";
	size_t len = 0;

	for (; *text != '\0' && len + 4 < cap; text++) {
		unsigned char c = (unsigned char)*text;

		if (c >= 0x20 && c != 0x7f) {
			out[len++] = (char)c;
			continue;
		}
		out[len++] = '\\';
		if (c == '\n' || c == '\t' || c == '\r') {
			out[len++] = c == '\n' ? 'n' : c == '\t' ? 't' : 'r';
			continue;
		}
		out[len++] = 'x';
		out[len++] = hex[c >> 4];
		out[len++] = hex[c & 15];
	}
	return len;
}

void log_write(enum log_level level, const char *module, const char *fmt, ...)
{
	int saved_errno = errno;
	char stamp[LOGFILE_TIME_LEN], text[TEXT_MAX], line[TEXT_MAX * 2];
	size_t len;
	va_list ap;
	int n;

	if (level < log_get_level())
		return;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	if ((size_t)n >= sizeof(text))
		memcpy(text + sizeof(text) - 4, "...", 4);

	logfile_time(stamp);
	len = (size_t)snprintf(line, sizeof(line) / 2, "%s %s %s: ", stamp, level_names[level],
			       module);
	len += escape(line + len, sizeof(line) - len - 1, text);
	line[len++] = '\n';
	logfile_write(&target, line, len, STDERR_FILENO);
	errno = saved_errno;
}

static long long monotonic_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (long long)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int log_limit_pass(struct log_limit *l, unsigned *ret_suppressed)
{
	long long now = monotonic_ms();
	long long last = __atomic_load_n(&l->last_ms, __ATOMIC_RELAXED);

	/* Of several threads that find the second over, the one that moves the mark may speak. */
	if ((last != 0 && now - last < 1000) ||
	    !__atomic_compare_exchange_n(&l->last_ms, &last, now, false, __ATOMIC_RELAXED,
					 __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&l->suppressed, 1, __ATOMIC_RELAXED);
		return false;
	}
	*ret_suppressed = __atomic_exchange_n(&l->suppressed, 0, __ATOMIC_RELAXED);
	return true;
}
