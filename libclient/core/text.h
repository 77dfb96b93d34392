/*
 * text.h - short texts and paths put together in a buffer of the caller's,
 * without stdio.  What does not fit is cut, and text_is_cut() says so.
 *
 * Threads: one at a time for each text; from signal handlers as well.
 */
#ifndef LIBCLIENT_CORE_TEXT_H
#define LIBCLIENT_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct text {
	char *buf;
	size_t cap;
	size_t len; /* without the final NUL */
	bool cut;
};

/* cap > 0.  The buffer holds a NUL-terminated text from now on. */
void text_init(struct text *t, char *buf, size_t cap);
void text_adds(struct text *t, const char *str); /* NULL adds nothing */
void text_addn(struct text *t, const char *bytes, size_t len);
void text_addc(struct text *t, char c);
void text_addu(struct text *t, uint64_t number);
void text_addi(struct text *t, int64_t number);
/* "ENOENT (2)", "errno 250" */
void text_add_errno(struct text *t, int error);

static inline bool text_is_cut(const struct text *t)
{
	return t->cut;
}

/* The name of an errno (either sign), or NULL. */
const char *text_errno_name(int error);

/* The value of NAME in an environment, or NULL.  An empty value counts as absent. */
const char *text_env(char *const *envp, const char *name);
/* Decimal digits and nothing else: 0, or -EINVAL. */
int text_number(const char *str, uint64_t *ret);

#endif
