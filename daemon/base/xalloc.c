#include "daemon/base/xalloc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOG_MODULE "bug"
#include "daemon/base/log.h"

void bug_die(const char *file, int line, const char *what)
{
	log_error("%s:%d: %s: this is a fault of osscd itself; please report it", file, line, what);
	abort();
}

static void out_of_memory(size_t nr, size_t size)
{
	log_error("no memory for %zu x %zu bytes; osscd ends", nr, size);
	abort();
}

void *xcalloc(size_t nr, size_t size)
{
	void *mem = calloc(nr != 0 ? nr : 1, size != 0 ? size : 1);

	if (mem == NULL)
		out_of_memory(nr, size);
	return mem;
}

void *xrealloc(void *old, size_t nr, size_t size)
{
	void *mem;

	if (nr == 0 || size == 0)
		nr = size = 1;
	mem = reallocarray(old, nr, size);
	if (mem == NULL)
		out_of_memory(nr, size);
	return mem;
}

char *xstrdup(const char *s)
{
	return s != NULL ? xstrndup(s, strlen(s)) : NULL;
}

char *xstrndup(const char *s, size_t len)
{
	char *copy;

	len = strnlen(s, len);
	copy = xcalloc(len + 1, 1);
	memcpy(copy, s, len);
	return copy;
}

char *xasprintf(const char *fmt, ...)
{
	va_list ap;
	char *text;
	int len;

	va_start(ap, fmt);
	len = vasprintf(&text, fmt, ap);
	va_end(ap);
	if (len < 0)
		out_of_memory(1, strlen(fmt));
	return text;
}

void wipe(void *mem, size_t len)
{
	explicit_bzero(mem, len);
}

void wipe_string(char *s)
{
	if (s != NULL)
		explicit_bzero(s, strlen(s));
}
