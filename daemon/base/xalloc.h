/*
 * xalloc.h - small allocations of the daemon that must not fail, and the word
 * for what must not happen.  Both end the daemon, with one line in the log.
 *
 * Sizes that come from a network or a client never go through here: they are
 * bounded, and malloc() is checked.
 *
 * Threads: any.
 */
#ifndef DAEMON_BASE_XALLOC_H
#define DAEMON_BASE_XALLOC_H

#include <stddef.h>

/* Zeroed memory; free() gives it back. */
void *xcalloc(size_t nr, size_t size) __attribute__((malloc, returns_nonnull));
void *xrealloc(void *old, size_t nr, size_t size) __attribute__((returns_nonnull));
/* NULL stays NULL. */
char *xstrdup(const char *s);
char *xstrndup(const char *s, size_t len) __attribute__((returns_nonnull));
char *xasprintf(const char *fmt, ...) __attribute__((format(printf, 1, 2), returns_nonnull));

/* Overwrite what may hold a secret; never optimised away.  NULL is fine for the string. */
void wipe(void *mem, size_t len);
void wipe_string(char *s);

/* Our own mistake: the daemon dies here rather than go on with a broken state. */
#define BUG_ON(condition)                                                                          \
	do {                                                                                       \
		if (__builtin_expect(!!(condition), 0))                                            \
			bug_die(__FILE__, __LINE__, #condition);                                   \
	} while (0)
void bug_die(const char *file, int line, const char *what) __attribute__((noreturn, cold, nonnull));

#endif
