/*
 * say.h - the lines that a user must see, on standard error: what was wrong and
 * what to do.  One line, one write; nothing is said twice for the same cause.
 *
 * Threads: any; from signal handlers and vfork children as well.
 */
#ifndef LIBCLIENT_PRELOAD_SAY_H
#define LIBCLIENT_PRELOAD_SAY_H

#include "libclient/preload/trace.h"

#include <stdbool.h>
#include <stdint.h>

/* Once, at the start: a process that begins without a standard error hears nothing. */
void say_start(void);

/* It began with one, and still has one. */
bool say_has_stderr(void);

/* "oss-connector: " and the strings, up to a NULL, in one line. */
void say(const char *first, ...) __attribute__((sentinel));

/* True the first time for each flag. */
static inline bool say_first(uint32_t *said)
{
	return __atomic_load_n(said, __ATOMIC_RELAXED) == 0 &&
	       __atomic_exchange_n(said, 1, __ATOMIC_RELAXED) == 0;
}

#define SAY_ONCE(...)                                                                              \
	do {                                                                                       \
		static uint32_t said_here;                                                         \
		if (say_first(&said_here))                                                         \
			say(__VA_ARGS__, NULL);                                                    \
	} while (0)

/*
 * A call that cannot be made safe on a store file: one line for each place in
 * the code that refuses, and the errno to return.
 */
#define REFUSE(error, call, path)                                                                  \
	({                                                                                         \
		trace_path(TRACE_REFUSED, TRACE_AS_IT_IS, (path));                                 \
		SAY_ONCE(call, " is not supported on a store file (", (path), ")");                \
		-(error);                                                                          \
	})

#endif
