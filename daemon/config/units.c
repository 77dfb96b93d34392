#include "daemon/config/units.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const struct {
	const char *name;
	uint64_t factor;
} size_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "K", 1ull << 10 },
	{ "Ki", 1ull << 10 },
	{ "KiB", 1ull << 10 },
	{ "KB", 1000ull },
	{ "kB", 1000ull },
	{ "M", 1ull << 20 },
	{ "Mi", 1ull << 20 },
	{ "MiB", 1ull << 20 },
	{ "MB", 1000000ull },
	{ "G", 1ull << 30 },
	{ "Gi", 1ull << 30 },
	{ "GiB", 1ull << 30 },
	{ "GB", 1000000000ull },
	{ "T", 1ull << 40 },
	{ "Ti", 1ull << 40 },
	{ "TiB", 1ull << 40 },
	{ "TB", 1000000000000ull },
};

/* Digits at the front; *ret_end is what follows them. */
static int parse_digits(const char *text, uint64_t *ret, const char **ret_end)
{
	uint64_t value = 0;
	const char *p;

	for (p = text; *p >= '0' && *p <= '9'; p++)
		if (__builtin_mul_overflow(value, 10, &value) ||
		    __builtin_add_overflow(value, (uint64_t)(*p - '0'), &value))
			return -ERANGE;
	if (p == text)
		return -EINVAL;
	*ret = value;
	*ret_end = p;
	return 0;
}

int units_parse_count(const char *text, uint64_t *ret)
{
	const char *end;
	uint64_t value;
	int r;

	r = parse_digits(text, &value, &end);
	if (r != 0)
		return r;
	if (*end != '\0')
		return -EINVAL;
	*ret = value;
	return 0;
}

int units_parse_size(const char *text, uint64_t *ret_bytes)
{
	const char *end;
	uint64_t value;
	size_t i;
	int r;

	r = parse_digits(text, &value, &end);
	if (r != 0)
		return r;
	if (strcmp(end, "%") == 0) {
		if (value > 100)
			return -ERANGE;
		*ret_bytes = units_memory() / 100 * value;
		return 0;
	}
	if (*end == ' ')
		end++;
	for (i = 0; i < sizeof(size_units) / sizeof(size_units[0]); i++) {
		if (strcmp(end, size_units[i].name) != 0)
			continue;
		if (__builtin_mul_overflow(value, size_units[i].factor, &value))
			return -ERANGE;
		*ret_bytes = value;
		return 0;
	}
	return -EINVAL;
}

int units_parse_mode(const char *text, unsigned *ret_mode)
{
	unsigned mode = 0;
	size_t len = strlen(text), i;

	if (len < 3 || len > 4)
		return -EINVAL;
	for (i = 0; i < len; i++) {
		if (text[i] < '0' || text[i] > '7')
			return -EINVAL;
		mode = mode << 3 | (unsigned)(text[i] - '0');
	}
	if (mode > 0777)
		return -EINVAL;
	*ret_mode = mode;
	return 0;
}

/* One number in a file; UINT64_MAX when there is none ("max"). */
static uint64_t read_number(const char *path)
{
	uint64_t value = UINT64_MAX;
	char line[64];
	FILE *f;

	f = fopen(path, "re");
	if (f == NULL)
		return value;
	if (fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (units_parse_count(line, &value) != 0)
			value = UINT64_MAX;
	}
	fclose(f);
	return value;
}

/* The lowest memory.max from this process's cgroup up to the root. */
static uint64_t cgroup_limit(void)
{
	uint64_t limit = UINT64_MAX, here;
	char line[1024], path[1200];
	char *group = NULL, *slash;
	FILE *f;

	f = fopen("/proc/self/cgroup", "re");
	if (f == NULL)
		return limit;
	while (group == NULL && fgets(line, sizeof(line), f) != NULL) {
		line[strcspn(line, "\n")] = '\0';
		if (strncmp(line, "0::/", 4) == 0)
			group = line + 3;
	}
	fclose(f);

	while (group != NULL) {
		snprintf(path, sizeof(path), "/sys/fs/cgroup%s/memory.max", group);
		here = read_number(path);
		limit = here < limit ? here : limit;
		slash = strrchr(group, '/');
		if (slash == NULL)
			break;
		*slash = '\0';
	}
	here = read_number("/sys/fs/cgroup/memory/memory.limit_in_bytes");
	return here < limit ? here : limit;
}

uint64_t units_memory(void)
{
	uint64_t limit = cgroup_limit();
	uint64_t total = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);

	return limit < total ? limit : total;
}
