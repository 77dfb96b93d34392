#include "libclient/preload/memory.h"

#include "libclient/core/sys.h"
#include "libclient/core/text.h"

#include <limits.h>

#define GROUPS "/sys/fs/cgroup"

/* A small text file, whole.  The number of bytes, or a negative errno. */
static ssize_t read_text(const char *path, char *buf, size_t cap)
{
	int fd = sys_openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC, 0);
	size_t len = 0;
	ssize_t n;

	if (fd < 0)
		return fd;
	while (len + 1 < cap && (n = sys_read(fd, buf + len, cap - 1 - len)) > 0)
		len += (size_t)n;
	sys_close(fd);
	buf[len] = '\0';
	return (ssize_t)len;
}

/* Decimal digits after spaces; UINT64_MAX when there are none ("max"). */
static uint64_t digits(const char *s)
{
	uint64_t n = 0;

	while (*s == ' ' || *s == '\t')
		s++;
	if (*s < '0' || *s > '9')
		return UINT64_MAX;
	while (*s >= '0' && *s <= '9')
		n = n * 10 + (uint64_t)(*s++ - '0');
	return n;
}

uint64_t memory_field(const char *text, const char *name)
{
	while (*text != '\0') {
		const char *n = name;

		while (*n != '\0' && *text == *n) {
			text++;
			n++;
		}
		if (*n == '\0' && (*text == ':' || *text == ' '))
			return digits(text + 1);
		while (*text != '\0' && *text++ != '\n')
			;
	}
	return UINT64_MAX;
}

static uint64_t group_number(const char *group, const char *name, const char *field)
{
	char path[PATH_MAX], buf[4096];
	struct text t;

	text_init(&t, path, sizeof(path));
	text_adds(&t, GROUPS);
	text_adds(&t, group);
	text_adds(&t, name);
	if (text_is_cut(&t) || read_text(path, buf, sizeof(buf)) <= 0)
		return UINT64_MAX;
	return field != NULL ? memory_field(buf, field) : digits(buf);
}

/* What one group leaves: its limit less what it holds and cannot give back. */
static uint64_t group_available(const char *group)
{
	uint64_t limit = group_number(group, "/memory.max", NULL);
	uint64_t used = group_number(group, "/memory.current", NULL);
	uint64_t file = group_number(group, "/memory.stat", "inactive_file");

	if (limit == UINT64_MAX || used == UINT64_MAX)
		return UINT64_MAX;
	if (file != UINT64_MAX)
		used = used > file ? used - file : 0;
	return limit > used ? limit - used : 0;
}

/* The group of this process and all above it (unified hierarchy: "0::/path"). */
static uint64_t groups_available(void)
{
	char buf[PATH_MAX], *group, *end;
	uint64_t least = UINT64_MAX, here;
	ssize_t n = read_text("/proc/self/cgroup", buf, sizeof(buf));

	if (n < 4 || buf[0] != '0' || buf[1] != ':' || buf[2] != ':')
		return group_available("");
	group = buf + 3;
	for (end = group; *end != '\0' && *end != '\n'; end++)
		;
	while (end > group) {
		*end = '\0';
		here = group_available(group);
		least = here < least ? here : least;
		while (end > group && *end != '/')
			end--;
	}
	here = group_available("");
	return here < least ? here : least;
}

uint64_t memory_available(void)
{
	char buf[4096];
	uint64_t kib = UINT64_MAX, node, groups;

	if (read_text("/proc/meminfo", buf, sizeof(buf)) > 0)
		kib = memory_field(buf, "MemAvailable");
	node = kib > UINT64_MAX / 1024 ? UINT64_MAX : kib * 1024;
	groups = groups_available();
	return node < groups ? node : groups;
}
