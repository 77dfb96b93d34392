/*
 * h_scandir.c - hooks: scandir and its kin, which read directories inside libc,
 * where no hook of ours is seen: done with our streams.
 */
#include "libclient/core/mem.h"
#include "libclient/preload/dirstream.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

extern void *malloc(size_t len) LIBC_WEAK;
extern void *realloc(void *mem, size_t len) LIBC_WEAK;
extern void free(void *mem) LIBC_WEAK;
extern void qsort(void *base, size_t nr, size_t size,
		  int (*compare)(const void *, const void *)) LIBC_WEAK;

struct names {
	struct dirent **list;
	size_t nr, room;
};

static bool names_add(struct names *n, const struct dirent *e)
{
	size_t len = offsetof(struct dirent, d_name) + mem_len(e->d_name) + 1;
	struct dirent **list, *copy;

	if (n->nr == n->room) {
		list = realloc(n->list, (n->room == 0 ? 32 : n->room * 2) * sizeof(*list));
		if (list == NULL)
			return false;
		n->list = list;
		n->room = n->room == 0 ? 32 : n->room * 2;
	}
	copy = malloc((len + 7) & ~(size_t)7);
	if (copy == NULL)
		return false;
	mem_copy(copy, e, len);
	n->list[n->nr++] = copy;
	return true;
}

static int scan(DIR *d, struct dirent ***ret, int (*filter)(const struct dirent *),
		int (*compare)(const struct dirent **, const struct dirent **))
{
	struct names n = { 0 };
	const struct dirent *e;
	int before = errno_get();

	for (;;) {
		errno_set(0);
		e = readdir(d);
		if (e == NULL)
			break;
		if (filter != NULL && filter(e) == 0)
			continue;
		if (!names_add(&n, e)) {
			errno_set(ENOMEM);
			break;
		}
	}
	if (errno_get() != 0) {
		while (n.nr > 0)
			free(n.list[--n.nr]);
		free(n.list);
		return -1;
	}
	errno_set(before);
	if (n.nr > 1 && compare != NULL)
		qsort(n.list, n.nr, sizeof(*n.list), (int (*)(const void *, const void *))compare);
	*ret = n.list;
	return (int)n.nr;
}

EXPORT int scandirat(int dirfd, const char *path, struct dirent ***ret,
		     int (*filter)(const struct dirent *),
		     int (*compare)(const struct dirent **, const struct dirent **))
{
	__typeof(&scandirat) libc = NEXT(scandirat);
	DIR *d;
	int r;

	if (!paths_on())
		return libc(dirfd, path, ret, filter, compare);
	d = dirstream_open(dirfd, path);
	if (d == NULL)
		return -1;
	r = scan(d, ret, filter, compare);
	closedir(d);
	return r;
}
ALIAS(scandirat64, scandirat);

EXPORT int scandir(const char *path, struct dirent ***ret, int (*filter)(const struct dirent *),
		   int (*compare)(const struct dirent **, const struct dirent **))
{
	__typeof(&scandir) libc = NEXT(scandir);

	if (!paths_on())
		return libc(path, ret, filter, compare);
	return scandirat(AT_FDCWD, path, ret, filter, compare);
}
ALIAS(scandir64, scandir);
