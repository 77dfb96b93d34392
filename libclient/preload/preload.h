/*
 * preload.h - what every file of hooks needs: how a hook is exported under one
 * or more names, and how the kernel's answer becomes libc's.
 *
 * A hook asks whose descriptor or path it is, does the work with negative
 * errnos, and translates once, at its end.  errno is untouched on success.
 */
#ifndef LIBCLIENT_PRELOAD_PRELOAD_H
#define LIBCLIENT_PRELOAD_PRELOAD_H

#include "libclient/preload/trace.h"

#define EXPORT __attribute__((visibility("default")))

#if defined(__has_attribute) && __has_attribute(copy)
#define ALIAS_COPY(real) __attribute__((copy(real)))
#else
#define ALIAS_COPY(real)
#endif

/* The same code under another exported name, whatever type libc's header gives that name. */
#define ALIAS(other, real)                                                                         \
	extern __typeof(real) alias_of_##other __asm__(#other) ALIAS_COPY(real)                    \
		__attribute__((alias(#real), visibility("default")))

/* A function of libc's that we use if it is there; reached without a lazily bound stub. */
#if defined(__has_attribute) && __has_attribute(noplt)
#define LIBC_WEAK __attribute__((weak, noplt))
#else
#define LIBC_WEAK __attribute__((weak))
#endif

/*
 * For the little that is written at every start: on the page that the loader has
 * written to already, so that programs do not pay for another.
 */
#define START_DATA __attribute__((section(".data")))

extern int *__errno_location(void) LIBC_WEAK;

static inline int errno_get(void)
{
	return __errno_location != 0 ? *__errno_location() : 0;
}

static inline void errno_set(int error)
{
	if (__errno_location != 0)
		*__errno_location() = error;
}

/* -errno becomes -1 and errno. */
#define answer(r) answer_of(__func__, (long)(r))
static inline long answer_of(const char *call, long r)
{
	trace_answer(call, r);
	if (__builtin_expect(r < 0 && r >= -4095, 0)) {
		errno_set((int)-r);
		return -1;
	}
	return r;
}

#endif
