/*
 * names_walk.c - walks a tree by the calls that walk inside libc and prints what
 * each visits, in its order.  Inode and device numbers are checked, not printed.
 *
 *	names_walk nftw FLAGS NR_OPEN DIR [skip NAME RESULT]
 *	names_walk ftw NR_OPEN DIR
 *	names_walk fts OPTIONS SORTED DIR...
 *	names_walk fts-set OPTIONS INSTRUCTION NAME DIR
 *	names_walk fts-children OPTIONS NAMES_ONLY DIR
 *	names_walk fts-set-child OPTIONS INSTRUCTION NAME DIR
 */
#include <errno.h>
#include <fts.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *skip_name = "";
static int skip_result;
static int walk_flags;

static void stop(const char *what, const char *path)
{
	printf("names_walk: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

/* The working directory below where the walk began. */
static char start[PATH_MAX];
static const char *below_start(void)
{
	static char cwd[PATH_MAX];

	if (getcwd(cwd, sizeof(cwd)) == NULL)
		return "?";
	if (strncmp(cwd, start, strlen(start)) == 0)
		return cwd + strlen(start);
	return "elsewhere";
}

/* Sizes of directories are their file system's business. */
static void show_stat(const struct stat *st)
{
	if (S_ISREG(st->st_mode))
		printf(" file %lld", (long long)st->st_size);
	else
		printf(" %s", S_ISDIR(st->st_mode)   ? "dir"
			      : S_ISLNK(st->st_mode) ? "link"
						     : "other");
}

static int visit_nftw(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	struct stat now;

	printf("%d %d %s %s", type, ftw->level, path, path + ftw->base);
	if (type != FTW_NS)
		show_stat(st);
	if ((walk_flags & FTW_CHDIR) != 0) {
		printf(" in %s", below_start());
		if (type != FTW_NS && (lstat(path + ftw->base, &now) != 0))
			printf(" LOST");
	}
	if (type == FTW_F &&
	    stat((walk_flags & FTW_CHDIR) != 0 ? path + ftw->base : path, &now) == 0 &&
	    (now.st_ino != st->st_ino || now.st_dev != st->st_dev))
		printf(" ANOTHER");
	printf("\n");
	return strcmp(path + ftw->base, skip_name) == 0 ? skip_result : 0;
}

static int visit_ftw(const char *path, const struct stat *st, int type)
{
	printf("%d %s", type, path);
	if (type != FTW_NS)
		show_stat(st);
	printf("\n");
	return 0;
}

static int by_name(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

static void show_entry(const FTS *f, const FTSENT *e, int options)
{
	struct stat now;

	printf("%d %d %s %s %s %u %u %s", e->fts_info, e->fts_level, e->fts_name, e->fts_path,
	       e->fts_accpath, e->fts_pathlen, e->fts_namelen, strerror(e->fts_errno));
	if (e->fts_info == FTS_DC)
		printf(" cycle %s", e->fts_cycle->fts_name);
	if ((options & FTS_NOSTAT) == 0 && e->fts_info != FTS_NS && e->fts_info != FTS_NSOK &&
	    e->fts_info != FTS_DNR)
		show_stat(e->fts_statp);
	if ((options & FTS_NOCHDIR) == 0)
		printf(" in %s", below_start());
	if (e->fts_info == FTS_F && (options & FTS_NOSTAT) == 0 && f->fts_cur == e &&
	    (stat(e->fts_accpath, &now) != 0 || now.st_ino != e->fts_statp->st_ino))
		printf(" ANOTHER");
	printf("\n");
}

static FTS *open_fts(char **paths, int options, int sorted)
{
	FTS *f = fts_open(paths, options, sorted ? by_name : NULL);

	if (f == NULL)
		stop("fts_open", paths[0]);
	return f;
}

static void walk_fts(FTS *f, int options, int instr, const char *name, int show_children)
{
	FTSENT *e, *c;

	if (show_children >= 0)
		for (c = fts_children(f, show_children); c != NULL; c = c->fts_link)
			printf("  root %s\n", c->fts_name);
	for (;;) {
		errno = 0;
		e = fts_read(f);
		if (e == NULL)
			break;
		show_entry(f, e, options);
		if (name != NULL && strcmp(e->fts_name, name) == 0 && e->fts_number++ == 0)
			printf("fts_set %d\n", fts_set(f, e, instr));
		if (show_children >= 0 && e->fts_info == FTS_D) {
			errno = 0;
			for (c = fts_children(f, show_children); c != NULL; c = c->fts_link) {
				printf("  child %s %d %d", c->fts_name, c->fts_info, c->fts_level);
				if (show_children == 0 && c->fts_info == FTS_F)
					show_stat(c->fts_statp);
				printf("\n");
			}
		}
	}
	printf("end: %s\n", strerror(errno));
	if (fts_close(f) != 0)
		stop("fts_close", "");
	printf("in %s\n", below_start());
}

/* Before it is read: of the children of each directory, the one of this name. */
static void walk_setting_child(FTS *f, int options, int instr, const char *name)
{
	FTSENT *e, *c;

	while ((e = fts_read(f)) != NULL) {
		show_entry(f, e, options);
		for (c = e->fts_info == FTS_D ? fts_children(f, 0) : NULL; c != NULL;
		     c = c->fts_link)
			if (strcmp(c->fts_name, name) == 0)
				printf("fts_set %d\n", fts_set(f, c, instr));
	}
	fts_close(f);
}

int main(int argc, char **argv)
{
	const char *mode = argc > 3 ? argv[1] : "";
	int a = argc > 2 ? (int)strtol(argv[2], NULL, 0) : 0;

	if (getcwd(start, sizeof(start)) == NULL)
		stop("getcwd", "");
	if (strcmp(mode, "nftw") == 0) {
		if (argc > 7) {
			skip_name = argv[6];
			skip_result = atoi(argv[7]);
		}
		walk_flags = a;
		errno = 0;
		printf("nftw %d", nftw(argv[4], visit_nftw, atoi(argv[3]), a));
		printf(" %s in %s\n", strerror(errno), below_start());
	} else if (strcmp(mode, "ftw") == 0) {
		printf("ftw %d\n", ftw(argv[3], visit_ftw, a));
	} else if (strcmp(mode, "fts") == 0) {
		walk_fts(open_fts(argv + 4, a, atoi(argv[3])), a, 0, NULL, -1);
	} else if (strcmp(mode, "fts-set") == 0) {
		walk_fts(open_fts(argv + 5, a, 1), a, atoi(argv[3]), argv[4], -1);
	} else if (strcmp(mode, "fts-set-child") == 0) {
		walk_setting_child(open_fts(argv + 5, a, 1), a, atoi(argv[3]), argv[4]);
	} else if (strcmp(mode, "fts-children") == 0) {
		walk_fts(open_fts(argv + 4, a, 1), a, 0, NULL, atoi(argv[3]) ? FTS_NAMEONLY : 0);
	} else {
		fprintf(stderr, "usage: see the head of names_walk.c\n");
		return 2;
	}
	return 0;
}
