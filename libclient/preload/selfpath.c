#include "libclient/preload/selfpath.h"

#include "libclient/core/sys.h"

#include <stddef.h>

/* Where `prefix` ends in s, or NULL; s may be NULL. */
static const char *after(const char *s, const char *prefix)
{
	while (s != NULL && *prefix != '\0')
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

/* A number up to a slash or the end, -1: none; *s moves behind it. */
static int number(const char **s)
{
	int n = 0;

	if (**s < '0' || **s > '9')
		return -1;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		if (n > 100000000)
			return -1;
		n = n * 10 + (**s - '0');
	}
	return **s == '/' || **s == '\0' ? n : -1;
}

/* What follows /proc/PID of this process, or NULL. */
static const char *own_folder(const char *path)
{
	const char *rest = after(path, "/proc/"), *other;

	if (rest == NULL)
		return NULL;
	other = after(rest, "self/task/");
	if (other != NULL)
		return number(&other) > 0 ? other : NULL;
	other = after(rest, "self");
	if (other == NULL)
		other = after(rest, "thread-self");
	if (other != NULL)
		return other;
	return *rest >= '1' && *rest <= '9' && number(&rest) == sys_getpid() ? rest : NULL;
}

bool selfpath_is_numbered(const char *path)
{
	const char *rest = after(path, "/proc/"), *thread;

	if (rest == NULL || number(&rest) < 0)
		return false;
	thread = after(rest, "/task/");
	if (thread != NULL && number(&thread) >= 0)
		rest = thread;
	rest = after(rest, "/fd/");
	return rest != NULL && number(&rest) >= 0 && *rest == '\0';
}

bool selfpath_may_end_at_fd(const char *path)
{
	const char *last = path, *c, *rest;

	for (c = path; *c != '\0'; c++)
		if (*c == '/')
			last = c + 1;
	if (*last >= '0' && *last <= '9')
		return number(&last) >= 0;
	rest = after(last, "std");
	return rest != NULL && (after(rest, "in") != NULL || after(rest, "out") != NULL ||
				after(rest, "err") != NULL);
}

int selfpath_fd(const char *path)
{
	const char *rest;
	int fd;

	if (path[0] != '/' || (path[1] != 'd' && path[1] != 'p'))
		return -1;
	rest = after(path, "/dev/std");
	if (rest != NULL) {
		if (after(rest, "in") != NULL && rest[2] == '\0')
			return 0;
		if (after(rest, "out") != NULL && rest[3] == '\0')
			return 1;
		return after(rest, "err") != NULL && rest[3] == '\0' ? 2 : -1;
	}
	rest = after(path, "/dev");
	if (rest == NULL)
		rest = own_folder(path);
	rest = after(rest, "/fd/");
	if (rest == NULL)
		return -1;
	fd = number(&rest);
	return *rest == '\0' ? fd : -1;
}
