/*
 * h_glob.c - hook: glob.  glibc's own reads directories through functions of the
 * caller's, if it is given any: ours.  musl's cannot be told, so there the matching
 * is done here, component by component.
 */
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/dirstream.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <fnmatch.h>
#include <glob.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>

extern void *malloc(size_t len) LIBC_WEAK;
extern void *realloc(void *mem, size_t len) LIBC_WEAK;
extern void free(void *mem) LIBC_WEAK;
extern void qsort(void *base, size_t nr, size_t size,
		  int (*compare)(const void *, const void *)) LIBC_WEAK;
extern void globfree(glob_t *g) LIBC_WEAK;
extern int fnmatch(const char *pattern, const char *name, int flags) LIBC_WEAK;

/* ---- glibc ---------------------------------------------------------------------------------- */

static void *open_stream(const char *path)
{
	return dirstream_open(AT_FDCWD, path);
}

static struct dirent *read_stream(void *d)
{
	return readdir(d);
}

static void close_stream(void *d)
{
	closedir(d);
}

static int stat_path(const char *path, struct stat *ret)
{
	return fstatat(AT_FDCWD, path, ret, 0);
}

static int lstat_path(const char *path, struct stat *ret)
{
	return fstatat(AT_FDCWD, path, ret, AT_SYMLINK_NOFOLLOW);
}

static int by_glibc(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *ret)
{
	__typeof(&glob) libc = NEXT(glob);
	int r;

	ret->gl_opendir = open_stream;
	ret->gl_readdir = read_stream;
	ret->gl_closedir = close_stream;
	ret->gl_stat = stat_path;
	ret->gl_lstat = lstat_path;
	r = libc(pattern, flags | GLOB_ALTDIRFUNC, on_error, ret);
	ret->gl_flags &= ~GLOB_ALTDIRFUNC;
	return r;
}

/* ---- musl ----------------------------------------------------------------------------------- */

/* musl's globfree() frees each name from this much before it: see its struct match. */
#define HEAD sizeof(void *)

struct matching {
	int flags;
	int (*on_error)(const char *, int);
	char **names;
	size_t nr, room;
	char path[PATH_MAX];
};

static bool is_dir(const char *path)
{
	struct stat st;

	return stat_path(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int add_name(struct matching *m, const char *name, size_t len, bool mark)
{
	char **names, *copy;

	if (m->nr == m->room) {
		names = realloc(m->names, (m->room == 0 ? 32 : m->room * 2) * sizeof(*names));
		if (names == NULL)
			return GLOB_NOSPACE;
		m->names = names;
		m->room = m->room == 0 ? 32 : m->room * 2;
	}
	copy = malloc(HEAD + len + 2);
	if (copy == NULL)
		return GLOB_NOSPACE;
	mem_copy(copy + HEAD, name, len);
	copy[HEAD + len] = mark ? '/' : '\0';
	copy[HEAD + len + 1] = '\0';
	m->names[m->nr++] = copy + HEAD;
	return 0;
}

/*
 * The first component of a pattern: its length, and whether it is one to match.
 * Without magic `out` gets its text without escapes, else the pattern itself.
 */
static size_t take_component(const struct matching *m, const char *pattern, char *out,
			     size_t *ret_len, bool *ret_magic)
{
	bool escapes = (m->flags & GLOB_NOESCAPE) == 0;
	size_t n, len = 0;

	*ret_magic = false;
	for (n = 0; pattern[n] != '\0' && pattern[n] != '/'; n++)
		*ret_magic |= pattern[n] == '*' || pattern[n] == '?' || pattern[n] == '[';
	for (n = 0; pattern[n] != '\0' && pattern[n] != '/' && len < NAME_MAX * 4; n++) {
		if (pattern[n] == '\\' && escapes && !*ret_magic && pattern[n + 1] != '\0' &&
		    pattern[n + 1] != '/')
			n++;
		out[len++] = pattern[n];
	}
	out[len] = '\0';
	*ret_len = len;
	return n;
}

static int match_from(struct matching *m, size_t len, const char *pattern);

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* All names of the directory m->path[0, len) that match a component; then what follows it. */
static int match_names(struct matching *m, size_t len, const char *component, const char *rest)
{
	int how = (m->flags & GLOB_NOESCAPE) != 0 ? FNM_NOESCAPE : 0, r = 0;
	const struct dirent *e;
	size_t n;
	DIR *d;

	m->path[len] = '\0';
	d = dirstream_open(AT_FDCWD, len == 0 ? "." : m->path);
	if (d == NULL) {
		r = m->on_error != NULL && m->on_error(m->path, errno_get()) != 0;
		return r != 0 || (m->flags & GLOB_ERR) != 0 ? GLOB_ABORTED : 0;
	}
	while (r == 0 && (e = readdir(d)) != NULL) {
		bool hidden = e->d_name[0] == '.' &&
			      ((m->flags & GLOB_PERIOD) == 0 || is_dots(e->d_name));

		if (*rest == '/' && e->d_type == DT_REG)
			continue;
		if (fnmatch(component, e->d_name, how | (hidden ? FNM_PERIOD : 0)) != 0)
			continue;
		n = mem_len(e->d_name);
		if (len + n + 2 >= sizeof(m->path))
			continue;
		mem_copy(m->path + len, e->d_name, n);
		r = match_from(m, len + n, rest);
	}
	closedir(d);
	return r;
}

/* m->path[0, len) is there; the pattern says what follows. */
static int match_from(struct matching *m, size_t len, const char *pattern)
{
	char component[NAME_MAX * 4 + 2];
	struct stat st;
	size_t n;
	bool magic;

	while (*pattern != '\0') {
		while (*pattern == '/' && len + 1 < sizeof(m->path))
			m->path[len++] = *pattern++;
		if (*pattern == '\0')
			break;
		pattern += take_component(m, pattern, component, &n, &magic);
		if (magic)
			return match_names(m, len, component, pattern);
		if (len + n + 2 >= sizeof(m->path))
			return 0;
		mem_copy(m->path + len, component, n);
		len += n;
	}
	m->path[len] = '\0';
	if (len == 0 || lstat_path(m->path, &st) != 0)
		return 0;
	return add_name(m, m->path, len,
			(m->flags & GLOB_MARK) != 0 && m->path[len - 1] != '/' && is_dir(m->path));
}

static int by_bytes(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	while (*x != '\0' && *x == *y) {
		x++;
		y++;
	}
	return (unsigned char)*x - (unsigned char)*y;
}

/* "~" and "~user" are turned into a directory by libc itself. */
static int expand_home(struct matching *m, const char **pattern, size_t *ret_len)
{
	__typeof(&glob) libc = NEXT(glob);
	char home[NAME_MAX + 2];
	glob_t found = { 0 };
	size_t n;
	int r;

	for (n = 0; n < NAME_MAX && (*pattern)[n] != '\0' && (*pattern)[n] != '/'; n++)
		home[n] = (*pattern)[n];
	home[n] = '\0';
	r = libc(home, (m->flags & (GLOB_TILDE | GLOB_TILDE_CHECK)) | GLOB_NOCHECK, NULL, &found);
	if (r != 0)
		return r;
	*ret_len = mem_len(found.gl_pathv[0]);
	if (*ret_len < sizeof(m->path) / 2) {
		mem_copy(m->path, found.gl_pathv[0], *ret_len);
		*pattern += n;
	} else {
		*ret_len = 0;
	}
	globfree(&found);
	return 0;
}

/* Hand the names over, behind those that are there (GLOB_APPEND). */
static int hand_over(struct matching *m, int flags, glob_t *ret)
{
	size_t first = (flags & GLOB_DOOFFS) != 0 ? ret->gl_offs : 0, had = 0, i;
	char **all;

	if ((flags & GLOB_APPEND) != 0)
		had = ret->gl_pathc;
	else
		ret->gl_pathv = NULL;
	all = realloc(ret->gl_pathv, (first + had + m->nr + 1) * sizeof(*all));
	if (all == NULL)
		return GLOB_NOSPACE;
	for (i = 0; had == 0 && i < first; i++)
		all[i] = NULL;
	mem_copy(all + first + had, m->names, m->nr * sizeof(*all));
	all[first + had + m->nr] = NULL;
	ret->gl_pathv = all;
	ret->gl_pathc = had + m->nr;
	if ((flags & GLOB_DOOFFS) == 0)
		ret->gl_offs = 0;
	return 0;
}

static int by_ourselves(const char *pattern, int flags, int (*on_error)(const char *, int),
			glob_t *ret)
{
	struct matching m = { .flags = flags, .on_error = on_error };
	const char *rest = pattern;
	size_t len = 0;
	int r = 0, handed;

	if ((flags & (GLOB_TILDE | GLOB_TILDE_CHECK)) != 0 && pattern[0] == '~')
		r = expand_home(&m, &rest, &len);
	if (r == 0)
		r = match_from(&m, len, rest);
	if (r == 0 && m.nr == 0)
		r = (flags & GLOB_NOCHECK) == 0 ? GLOB_NOMATCH
						: add_name(&m, pattern, mem_len(pattern), false);
	if (m.nr > 1 && (flags & GLOB_NOSORT) == 0)
		qsort(m.names, m.nr, sizeof(*m.names), by_bytes);
	/* What was found before an error is handed over as well. */
	handed = hand_over(&m, flags, ret);
	if (handed != 0) {
		while (m.nr > 0)
			free(m.names[--m.nr] - HEAD);
		r = handed;
	}
	free(m.names);
	return r;
}

EXPORT int glob(const char *pattern, int flags, int (*on_error)(const char *, int), glob_t *ret)
{
	__typeof(&glob) libc = NEXT(glob);

	if (!paths_on())
		return libc(pattern, flags, on_error, ret);
	if (!next_is_glibc())
		return by_ourselves(pattern, flags, on_error, ret);
	/* A caller with functions of its own reads through our hooks, if it reads files at all. */
	if ((flags & GLOB_ALTDIRFUNC) != 0)
		return libc(pattern, flags, on_error, ret);
	return by_glibc(pattern, flags, on_error, ret);
}
ALIAS(glob64, glob);
