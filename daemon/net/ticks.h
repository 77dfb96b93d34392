/*
 * ticks.h - the monotonic clock in milliseconds, as the network modules count time.
 *
 * Threads: any.
 */
#ifndef DAEMON_NET_TICKS_H
#define DAEMON_NET_TICKS_H

#include <stdint.h>
#include <time.h>

static inline uint64_t ticks_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

#endif
