/*
 * op_walk.c - calls that walk directories inside libc.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <fts.h>
#include <ftw.h>
#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wordexp.h>

/* What a walk found: lines that can be sorted and compared. */
struct found {
	unsigned nr;
	char **lines;
};

static void found_add(struct found *f, const char *line)
{
	if ((f->nr & (f->nr - 1)) == 0)
		f->lines = realloc(f->lines, (f->nr == 0 ? 1 : f->nr * 2) * sizeof(*f->lines));
	f->lines[f->nr++] = strdup(line);
}

static int by_text(const void *x, const void *y)
{
	return strcmp(*(char *const *)x, *(char *const *)y);
}

static void found_free(struct found *f)
{
	while (f->nr > 0)
		free(f->lines[--f->nr]);
	free(f->lines);
}

static void found_same(struct actor *a, const char *what, struct found *p, struct found *m,
		       bool sort)
{
	unsigned i;

	if (sort && p->nr > 0)
		qsort(p->lines, p->nr, sizeof(*p->lines), by_text);
	if (sort && m->nr > 0)
		qsort(m->lines, m->nr, sizeof(*m->lines), by_text);
	for (i = 0; i < p->nr || i < m->nr; i++) {
		const char *x = i < p->nr ? p->lines[i] : "(the end)";
		const char *y = i < m->nr ? m->lines[i] : "(the end)";

		if (strcmp(x, y) != 0)
			differ(a, "%s: \"%s\" on the plain directory, \"%s\" below MODEL_DIR", what,
			       x, y);
	}
	found_free(p);
	found_free(m);
}

/* A path with another actor's name in it says nothing. */
static bool path_is_foreign(const struct actor *a, const char *path)
{
	char copy[PATH_SIZE], *save, *name;

	snprintf(copy, sizeof(copy), "%s", path);
	for (name = strtok_r(copy, "/", &save); name != NULL; name = strtok_r(NULL, "/", &save))
		if (is_foreign(a, name))
			return true;
	return false;
}

static int only_visible(const struct dirent *e)
{
	return e->d_name[0] != '.';
}

OP(scandir)
{
	struct dirent **list_p = NULL, **list_m = NULL;
	struct found p = { 0 }, m = { 0 };
	struct outcome x, y;
	struct place pl;
	char line[512];
	long i;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (arg[2] % 4 != 0 ? PLACE_DIR : 0));
	x = TRY(scandirat(pl.pdir, pl.p, &list_p, arg[3] % 2 ? only_visible : NULL, alphasort));
	if (pl.mdir == AT_FDCWD)
		y = TRY(scandir(pl.m, &list_m, arg[3] % 2 ? only_visible : NULL, alphasort));
	else
		y = TRY(scandirat(pl.mdir, pl.m, &list_m, arg[3] % 2 ? only_visible : NULL,
				  alphasort));
	x.touched = y.touched = false;
	judge(a, pl.m, x, y, JUDGE_ANY_RESULT);
	for (i = 0; i < x.ret; i++) {
		snprintf(line, sizeof(line), "%s %d", list_p[i]->d_name, list_p[i]->d_type);
		if (!is_foreign(a, list_p[i]->d_name))
			found_add(&p, line);
		free(list_p[i]);
	}
	for (i = 0; i < y.ret; i++) {
		snprintf(line, sizeof(line), "%s %d", list_m[i]->d_name, list_m[i]->d_type);
		if (!is_foreign(a, list_m[i]->d_name))
			found_add(&m, line);
		free(list_m[i]);
	}
	free(list_p);
	free(list_m);
	if (x.ret >= 0 && y.ret >= 0)
		found_same(a, "scandir", &p, &m, false);
	else {
		found_free(&p);
		found_free(&m);
	}
	return true;
}

static void take_paths(struct actor *a, struct found *f, char **paths, size_t nr, const char *root,
		       const char *real)
{
	size_t i;

	for (i = 0; i < nr; i++) {
		const char *rest = place_strip(paths[i], root, real);

		if (!path_is_foreign(a, rest != NULL ? rest : paths[i]))
			found_add(f, rest != NULL ? rest : paths[i]);
	}
}

static const char *const patterns[] = {
	"*",	    "*.bin", "*/*", "[a-c]*/f*", "{d*,f*}",   "d?/*[0-9]", "none*", "*/*/*",
	"many/*1*", "?*/",   ".*",  "d*/../f*",	 "many/./f*", "\\d*",	   "[!d]*", "f*/none",
};

OP(glob)
{
	static const int ways[] = {
		0,	     GLOB_MARK,	   GLOB_BRACE, GLOB_NOSORT,   GLOB_ONLYDIR,
		GLOB_PERIOD, GLOB_NOCHECK, GLOB_ERR,   GLOB_NOESCAPE, GLOB_TILDE | GLOB_NOMAGIC
	};
	const char *pattern = patterns[arg[0] % LENGTH(patterns)];
	const struct node *dir = &world.nodes[world.dirs[arg[3] % world.nr_dirs]];
	int flags = ways[arg[1] % LENGTH(ways)] | ways[arg[2] % LENGTH(ways)], x, y;
	char text_p[PATH_SIZE + 64], text_m[PATH_SIZE + 64], root_p[PATH_SIZE];
	struct found p = { 0 }, m = { 0 };
	glob_t found_p = { 0 }, found_m = { 0 };

	if (arg[4] % 2 == 0 && !a->cwd_outside) {
		/* Relative: the results are too. */
		snprintf(root_p, sizeof(root_p), "%s%s%s", world.plain, a->cwd[0] ? "/" : "",
			 a->cwd);
		snprintf(text_m, sizeof(text_m), "%s", pattern);
	} else {
		snprintf(root_p, sizeof(root_p), "%s%s%s", world.plain, dir->rel[0] ? "/" : "",
			 dir->rel);
		snprintf(text_m, sizeof(text_m), "%s%s%s/%s", world.model, dir->rel[0] ? "/" : "",
			 dir->rel, pattern);
	}
	snprintf(text_p, sizeof(text_p), "%s/%s", root_p, pattern);
	x = glob(text_p, flags, NULL, &found_p);
	y = glob(text_m, flags, NULL, &found_m);
	/* With GLOB_ERR: a directory of another actor may go away while a walk is at it. */
	if (x == GLOB_ABORTED || y == GLOB_ABORTED) {
		if (x != y && !world.threads)
			differ(a, "glob of %s: %d on the plain directory, %d below MODEL_DIR",
			       text_m, x, y);
		globfree(&found_p);
		globfree(&found_m);
		return true;
	}
	take_paths(a, &p, found_p.gl_pathv, found_p.gl_pathc, root_p, root_p);
	snprintf(root_p, sizeof(root_p), "%s%s%s", world.model, dir->rel[0] ? "/" : "", dir->rel);
	take_paths(a, &m, found_m.gl_pathv, found_m.gl_pathc, root_p, root_p);
	/* The names of others may be all that one of the two has found. */
	if (x != y && (p.nr > 0 || m.nr > 0))
		differ(a, "glob of %s: %d on the plain directory, %d below MODEL_DIR", text_m, x,
		       y);
	found_same(a, text_m, &p, &m, (flags & GLOB_NOSORT) != 0 || (flags & GLOB_BRACE) != 0);
	globfree(&found_p);
	globfree(&found_m);
	return true;
}

/*
 * Did the walk end at a directory of another actor, which went away while the walk was on its way there,
 * or is a file by then?
 */
static bool met_a_change(struct outcome o)
{
	return o.err == ENOENT || (world.threads && o.err == ENOTDIR);
}

/* ---- nftw: it gives its callback nothing of ours ------------------------------------------ */

static __thread struct found *walk_found;
static __thread struct actor *walk_actor;
static __thread const char *walk_root;
static __thread unsigned walk_left;

static int visit(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	const char *rest = place_strip(path, walk_root, walk_root);
	char line[PATH_SIZE + 128];

	if (rest == NULL)
		rest = path;
	if (path_is_foreign(walk_actor, rest))
		return 0;
	snprintf(line, sizeof(line), "%s type %d level %d base %s size %lld", rest, type,
		 ftw->level, rest[0] != '\0' ? path + ftw->base : "",
		 S_ISREG(st->st_mode) ? (long long)st->st_size : 0LL);
	found_add(walk_found, line);
	return walk_left-- == 0 ? 77 : 0;
}

static long walk(struct actor *a, struct found *f, const char *root, const char *path, int flags,
		 int depth)
{
	walk_found = f;
	walk_actor = a;
	walk_root = root;
	walk_left = 100000;
	return nftw(path, visit, depth, flags);
}

OP(nftw)
{
	static const int ways[] = { 0, FTW_DEPTH, FTW_MOUNT, FTW_CHDIR, FTW_CHDIR | FTW_DEPTH };
	const struct node *n = arg[2] % 8 == 0 ? &world.nodes[world.files[arg[0] % world.nr_files]]
					       : &world.nodes[world.dirs[arg[0] % world.nr_dirs]];
	int flags = FTW_PHYS | ways[arg[1] % LENGTH(ways)];
	char path_p[PATH_SIZE], path_m[PATH_SIZE];
	struct found p = { 0 }, m = { 0 };
	struct outcome x, y;

	/* With FTW_CHDIR the plain walk leaves MODEL_DIR's half somewhere else meanwhile. */
	snprintf(path_p, sizeof(path_p), "%s/%s", world.plain_real, n->rel);
	snprintf(path_m, sizeof(path_m), "%s/%s", world.model_real, n->rel);
	x = TRY(walk(a, &p, world.plain_real, path_p, flags, 1 + (int)(arg[3] % 20)));
	y = TRY(walk(a, &m, world.model_real, path_m, flags, 1 + (int)(arg[3] % 20)));
	x.touched = y.touched = false;
	if ((x.ret == -1 && met_a_change(x)) || (y.ret == -1 && met_a_change(y))) {
		found_free(&p);
		found_free(&m);
		return true;
	}
	if (judge(a, "nftw", x, y, 0) == STORE_FAILED) {
		found_free(&p);
		found_free(&m);
		return true;
	}
	found_same(a, "nftw", &p, &m, true);
	return true;
}

/* 0, or why the walk ended before its end. */
static int fts_walk(struct actor *a, struct found *f, char *path, const char *root, int flags)
{
	char *paths[] = { path, NULL }, line[PATH_SIZE + 128];
	FTS *fts = fts_open(paths, flags, NULL);
	FTSENT *e;
	int error;

	if (fts == NULL)
		return errno;
	while (errno = 0, (e = fts_read(fts)) != NULL) {
		const char *rest = place_strip(e->fts_path, root, root);

		if (path_is_foreign(a, rest != NULL ? rest : e->fts_path))
			continue;
		snprintf(line, sizeof(line), "%s what %d level %d size %lld", rest, e->fts_info,
			 e->fts_level,
			 e->fts_info == FTS_F ? (long long)e->fts_statp->st_size : 0LL);
		found_add(f, line);
	}
	error = errno;
	fts_close(fts);
	return error;
}

OP(fts)
{
	const struct node *n = arg[2] % 8 == 0 ? &world.nodes[world.files[arg[0] % world.nr_files]]
					       : &world.nodes[world.dirs[arg[0] % world.nr_dirs]];
	static const int ways[] = { 0, FTS_NOCHDIR, FTS_NOCHDIR | FTS_SEEDOT, FTS_XDEV };
	int flags = FTS_PHYSICAL | ways[arg[1] % LENGTH(ways)];
	char path_p[PATH_SIZE], path_m[PATH_SIZE];
	struct found p = { 0 }, m = { 0 };
	struct outcome x, y;

	snprintf(path_p, sizeof(path_p), "%s/%s", world.plain_real, n->rel);
	snprintf(path_m, sizeof(path_m), "%s/%s", world.model_real, n->rel);
	x = TRY_ERROR(fts_walk(a, &p, path_p, world.plain_real, flags));
	y = TRY_ERROR(fts_walk(a, &m, path_m, world.model_real, flags));
	if (!met_a_change(x) && !met_a_change(y) && judge(a, "fts", x, y, 0) == BOTH_DID) {
		found_same(a, "fts", &p, &m, true);
	} else {
		found_free(&p);
		found_free(&m);
	}
	return true;
}

OP(wordexp)
{
	static const char *const words[] = { "*", "d*/f*", "f*", "{a,b}", "none*" };
	const struct node *dir = &world.nodes[world.dirs[arg[0] % world.nr_dirs]];
	const char *word = words[arg[1] % LENGTH(words)];
	char root_p[PATH_SIZE], root_m[PATH_SIZE], text[PATH_SIZE + 64];
	struct found p = { 0 }, m = { 0 };
	wordexp_t words_p = { 0 }, words_m = { 0 };
	int x, y;

	snprintf(root_p, sizeof(root_p), "%s/%s", world.plain, dir->rel);
	snprintf(root_m, sizeof(root_m), "%s/%s", world.model, dir->rel);
	snprintf(text, sizeof(text), "%s/%s", root_p, word);
	x = wordexp(text, &words_p, WRDE_NOCMD);
	snprintf(text, sizeof(text), "%s/%s", root_m, word);
	y = wordexp(text, &words_m, WRDE_NOCMD);
	same_number(a, "wordexp", x, y);
	if (x != 0)
		return true;
	take_paths(a, &p, words_p.we_wordv, words_p.we_wordc, root_p, root_p);
	take_paths(a, &m, words_m.we_wordv, words_m.we_wordc, root_m, root_m);
	wordfree(&words_p);
	wordfree(&words_m);
	/* A pattern that finds nothing stays as it is: only the names of others may have matched. */
	if (p.nr != m.nr && (p.nr == 0 || m.nr == 0)) {
		found_free(&p);
		found_free(&m);
		return true;
	}
	found_same(a, "wordexp", &p, &m, false);
	return true;
}
