/*
 * units.h - texts of the configuration turned into numbers: counts, sizes,
 * file modes, and how much memory a percentage is of.
 *
 * Threads: any.
 */
#ifndef DAEMON_CONFIG_UNITS_H
#define DAEMON_CONFIG_UNITS_H

#include <stdint.h>

/* Decimal digits only.  -EINVAL; -ERANGE when it does not fit. */
int units_parse_count(const char *text, uint64_t *ret);
/*
 * "4096", "512MiB", "8GB" (powers of 1000), "8G" and "8Gi" (powers of 1024),
 * "50%" of units_memory().  -EINVAL, -ERANGE.
 */
int units_parse_size(const char *text, uint64_t *ret_bytes);
/* Three or four octal digits.  -EINVAL. */
int units_parse_mode(const char *text, unsigned *ret_mode);

/* The machine's memory, or the cgroup's limit where that is lower. */
uint64_t units_memory(void);

#endif
