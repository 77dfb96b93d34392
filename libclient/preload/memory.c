#include "libclient/preload/memory.h"

#include "libclient/core/sys.h"
#include "libclient/core/text.h"

#include <limits.h>

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

/* Where the two versions of control groups keep their figures. */
struct hierarchy {
	const char *root;
	const char *line; /* of /proc/self/cgroup, between its colons */
	const char *limit;
	const char *used;
	const char *file; /* field of memory.stat: pages that can be given back */
};

static const struct hierarchy hierarchies[] = {
	{ "/sys/fs/cgroup", "", "/memory.max", "/memory.current", "inactive_file" },
	{ "/sys/fs/cgroup/memory", "memory", "/memory.limit_in_bytes", "/memory.usage_in_bytes",
	  "total_inactive_file" },
};

/* Not on the stack: a thread may have 16 KiB of it. */
struct scratch {
	char group[PATH_MAX];
	char path[PATH_MAX];
	char text[4096];
};

static uint64_t group_number(struct scratch *s, const struct hierarchy *h, const char *group,
			     const char *name, const char *field)
{
	struct text t;

	text_init(&t, s->path, sizeof(s->path));
	text_adds(&t, h->root);
	text_adds(&t, group);
	text_adds(&t, name);
	if (text_is_cut(&t) || read_text(s->path, s->text, sizeof(s->text)) <= 0)
		return UINT64_MAX;
	return field != NULL ? memory_field(s->text, field) : digits(s->text);
}

/* What one group leaves: its limit less what it holds and cannot give back. */
static uint64_t group_available(struct scratch *s, const struct hierarchy *h, const char *group)
{
	uint64_t limit = group_number(s, h, group, h->limit, NULL);
	uint64_t used = group_number(s, h, group, h->used, NULL);
	uint64_t file = group_number(s, h, group, "/memory.stat", h->file);

	if (limit == UINT64_MAX || used == UINT64_MAX)
		return UINT64_MAX;
	if (file != UINT64_MAX)
		used = used > file ? used - file : 0;
	return limit > used ? limit - used : 0;
}

/* The path in the line "number:controllers:path" that names this hierarchy; "" without one. */
static char *own_group(char *lines, const struct hierarchy *h)
{
	char *at = lines;

	while (*at != '\0') {
		const char *name = h->line;
		char *end = at;

		while (*end != '\0' && *end != '\n')
			end++;
		while (at < end && *at != ':')
			at++;
		at += at < end;
		while (*name != '\0' && *at == *name) {
			at++;
			name++;
		}
		if (*name == '\0' && *at == ':') {
			*end = '\0';
			return at + 1;
		}
		at = *end == '\n' ? end + 1 : end;
	}
	return at;
}

/* The group of this process and all above it. */
static uint64_t groups_available(struct scratch *s, const struct hierarchy *h)
{
	uint64_t least = group_available(s, h, ""), here;
	char *group, *end;

	if (read_text("/proc/self/cgroup", s->group, sizeof(s->group)) <= 0)
		return least;
	group = own_group(s->group, h);
	for (end = group; *end != '\0'; end++)
		;
	while (end > group) {
		*end = '\0';
		here = group_available(s, h, group);
		least = here < least ? here : least;
		while (end > group && *end != '/')
			end--;
	}
	return least;
}

uint64_t memory_available(void)
{
	uint64_t kib = UINT64_MAX, least;
	struct scratch *s;
	unsigned i;

	s = sys_mmap(NULL, sizeof(*s), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(s))
		return 0;
	if (read_text("/proc/meminfo", s->text, sizeof(s->text)) > 0)
		kib = memory_field(s->text, "MemAvailable");
	least = kib > UINT64_MAX / 1024 ? UINT64_MAX : kib * 1024;
	for (i = 0; i < sizeof(hierarchies) / sizeof(hierarchies[0]); i++) {
		uint64_t groups = groups_available(s, &hierarchies[i]);

		least = groups < least ? groups : least;
	}
	sys_munmap(s, sizeof(*s));
	return least;
}
