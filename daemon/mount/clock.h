/*
 * clock.h - the monotonic clock in milliseconds, for deadlines and rates.
 * Not the time of day.
 *
 * Threads: any.
 */
#ifndef DAEMON_MOUNT_CLOCK_H
#define DAEMON_MOUNT_CLOCK_H

#include <stdint.h>
#include <time.h>

static inline uint64_t clock_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
