/*
 * h_walk.c - hooks: the calls that walk directories inside libc, where no hook
 * of ours is seen: scandir and glob are done with our streams; those not built
 * yet are refused below MODEL_DIR.
 */
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/dirstream.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"

#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <stdlib.h>

extern void *malloc(size_t len) LIBC_WEAK;
extern void *realloc(void *mem, size_t len) LIBC_WEAK;
extern void free(void *mem) LIBC_WEAK;
extern void qsort(void *base, size_t nr, size_t size,
		  int (*compare)(const void *, const void *)) LIBC_WEAK;

/* ---- scandir ------------------------------------------------------------------------------ */

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

	errno_set(0);
	while ((e = readdir(d)) != NULL) {
		if (filter != NULL && filter(e) == 0)
			continue;
		errno_set(0);
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

/* ---- glob ----------------------------------------------------------------------------------- */

static void *glob_opendir(const char *path)
{
	return dirstream_open(AT_FDCWD, path);
}

static struct dirent *glob_readdir(void *d)
{
	return readdir(d);
}

static void glob_closedir(void *d)
{
	closedir(d);
}

static int glob_stat(const char *path, struct stat *ret)
{
	return fstatat(AT_FDCWD, path, ret, 0);
}

static int glob_lstat(const char *path, struct stat *ret)
{
	return fstatat(AT_FDCWD, path, ret, AT_SYMLINK_NOFOLLOW);
}

/* glibc's glob reads directories through functions of the caller's, if it has any. */
EXPORT int glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *ret)
{
	__typeof(&glob) libc = NEXT(glob);
	int r;

	if (!paths_on() || !next_is_glibc() || (flags & GLOB_ALTDIRFUNC) != 0)
		return libc(pattern, flags, on_error, ret);
	ret->gl_opendir = glob_opendir;
	ret->gl_readdir = glob_readdir;
	ret->gl_closedir = glob_closedir;
	ret->gl_stat = glob_stat;
	ret->gl_lstat = glob_lstat;
	r = libc(pattern, flags | GLOB_ALTDIRFUNC, on_error, ret);
	ret->gl_flags &= ~GLOB_ALTDIRFUNC;
	return r;
}
ALIAS(glob64, glob);

/* ---- not built yet ---------------------------------------------------------------------------- */

static bool is_ours(const char *path)
{
	struct spot s;
	struct stat st;
	bool is;
	int r;

	paths_look(&s, AT_FDCWD, path, 0);
	do
		r = s.kind >= SPOT_FILE ? 0 : sys_fstatat(AT_FDCWD, path, &st, 0);
	while (r == -ENOENT && paths_again(&s));
	is = s.kind >= SPOT_DIR;
	paths_done(&s);
	return is;
}

#define WALKS(name)                                                                                \
	if (paths_on() && is_ours(path))                                                           \
		return (int)answer(REFUSE(ENOTSUP, #name, path));

EXPORT int nftw(const char *path, __nftw_func_t visit, int nr_open, int flags)
{
	__typeof(&nftw) libc = NEXT(nftw);

	WALKS(nftw)
	return libc(path, visit, nr_open, flags);
}
ALIAS(nftw64, nftw);

EXPORT int ftw(const char *path, __ftw_func_t visit, int nr_open)
{
	__typeof(&ftw) libc = NEXT(ftw);

	WALKS(ftw)
	return libc(path, visit, nr_open);
}
ALIAS(ftw64, ftw);

EXPORT FTS *fts_open(char *const *paths, int flags,
		     int (*compare)(const FTSENT **, const FTSENT **))
{
	__typeof(&fts_open) libc = NEXT(fts_open);
	int i;

	for (i = 0; paths_on() && paths[i] != NULL; i++) {
		if (is_ours(paths[i])) {
			(void)answer(REFUSE(ENOTSUP, "fts_open", paths[i]));
			return NULL;
		}
	}
	return libc != NULL ? libc(paths, flags, compare) : NULL;
}
ALIAS(fts64_open, fts_open);

EXPORT ssize_t getdents64(int fd, void *buf, size_t len)
{
	if (fds_is_dir(fd))
		return answer(REFUSE(ENOTSUP, "getdents64", paths_dir()));
	return answer(sys_call3(__NR_getdents64, fd, buf, len));
}

EXPORT ssize_t getdirentries(int fd, char *buf, size_t len, off_t *base)
{
	__typeof(&getdirentries) libc = NEXT(getdirentries);

	if (fds_is_dir(fd))
		return answer(REFUSE(ENOTSUP, "getdirentries", paths_dir()));
	return libc(fd, buf, len, base);
}
ALIAS(getdirentries64, getdirentries);
