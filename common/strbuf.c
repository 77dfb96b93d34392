#include "common/strbuf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void strbuf_init(struct strbuf *sb, size_t max)
{
	*sb = (struct strbuf){ .max = max };
}

void strbuf_fini(struct strbuf *sb)
{
	free(sb->buf);
	strbuf_init(sb, sb->max);
}

void strbuf_wipe(struct strbuf *sb)
{
	if (sb->buf != NULL)
		explicit_bzero(sb->buf, sb->cap);
	strbuf_fini(sb);
}

void strbuf_reset(struct strbuf *sb)
{
	sb->len = 0;
	sb->error = 0;
	if (sb->buf != NULL)
		sb->buf[0] = '\0';
}

/* Room for `more` bytes and the NUL: 0, or the error, which sticks. */
static int reserve(struct strbuf *sb, size_t more)
{
	size_t cap;
	char *buf;

	if (sb->error != 0)
		return sb->error;
	if (more > sb->max - sb->len)
		return sb->error = -E2BIG;
	if (sb->len + more < sb->cap)
		return 0;

	cap = sb->cap < 64 ? 64 : sb->cap;
	while (cap <= sb->len + more)
		cap += cap;
	buf = malloc(cap);
	if (buf == NULL)
		return sb->error = -ENOMEM;
	/* Not realloc(): it could leave a copy of a secret behind. */
	if (sb->buf != NULL) {
		memcpy(buf, sb->buf, sb->len + 1);
		explicit_bzero(sb->buf, sb->cap);
		free(sb->buf);
	}
	sb->buf = buf;
	sb->cap = cap;
	return 0;
}

void strbuf_add(struct strbuf *sb, const void *bytes, size_t len)
{
	if (reserve(sb, len) != 0)
		return;
	if (len > 0)
		memcpy(sb->buf + sb->len, bytes, len);
	sb->len += len;
	sb->buf[sb->len] = '\0';
}

void strbuf_adds(struct strbuf *sb, const char *str)
{
	strbuf_add(sb, str, strlen(str));
}

void strbuf_addc(struct strbuf *sb, char c)
{
	strbuf_add(sb, &c, 1);
}

void strbuf_addf(struct strbuf *sb, const char *fmt, ...)
{
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(NULL, 0, fmt, args);
	va_end(args);
	if (n < 0) {
		if (sb->error == 0)
			sb->error = -EINVAL;
		return;
	}
	if (reserve(sb, (size_t)n) != 0)
		return;
	va_start(args, fmt);
	vsnprintf(sb->buf + sb->len, (size_t)n + 1, fmt, args);
	va_end(args);
	sb->len += (size_t)n;
}

const char *strbuf_str(const struct strbuf *sb)
{
	return sb->buf != NULL ? sb->buf : "";
}

size_t strbuf_len(const struct strbuf *sb)
{
	return sb->len;
}

int strbuf_error(const struct strbuf *sb)
{
	return sb->error;
}
