/*
 * futex.h - sleep on a 32-bit word in shared memory, and wake who sleeps there.
 * The word is shared between processes, so no private futexes.  Errors are
 * negative errnos; errno itself is not to be looked at.
 *
 * Threads: any.
 */
#ifndef COMMON_FUTEX_H
#define COMMON_FUTEX_H

#include <errno.h>
#include <limits.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/*
 * Sleep while *word == value, at most timeout_ms.  0: woken (or for no reason);
 * -EAGAIN: the word had changed already; -ETIMEDOUT; -EINTR.  Works on
 * memory that is mapped read-only.
 */
static inline int futex_wait(const uint32_t *word, uint32_t value, unsigned timeout_ms)
{
	struct timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};

	if (syscall(SYS_futex, word, FUTEX_WAIT, value, &ts, NULL, 0) == -1)
		return -errno;
	return 0;
}

/* Wake all who sleep on the word.  How many that were, or a negative errno. */
static inline int futex_wake_all(const uint32_t *word)
{
	long nr = syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);

	return nr == -1 ? -errno : (int)nr;
}

#endif
