/*
 * dirwalk.c - lists a tree by opendir, fdopendir, scandir and glob, and prints
 * what each saw, sorted.  d_type and d_ino must agree with lstat; telldir and
 * seekdir must come back to the same name.
 *
 *	dirwalk DIR
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void stop(const char *what, const char *path)
{
	fprintf(stderr, "dirwalk: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static int is_dots(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void check_entry(int fd, const struct dirent *e)
{
	struct stat st;

	if (fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
		stop("fstatat", e->d_name);
	if (e->d_type != DT_UNKNOWN && e->d_type != IFTODT(st.st_mode))
		stop("d_type of", e->d_name);
	if (strcmp(e->d_name, "..") != 0 && e->d_ino != st.st_ino)
		stop("d_ino of", e->d_name);
}

/* Names in this directory by readdir; the same again after rewinddir; seekdir finds its place. */
static unsigned count(int dirfd_of, const char *name)
{
	int fd = openat(dirfd_of, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd == -1 ? NULL : fdopendir(fd);
	unsigned nr = 0, again = 0;
	char third[256] = "";
	struct dirent *e;
	long place = 0;

	if (d == NULL)
		stop("fdopendir", name);
	for (;;) {
		long here = telldir(d);

		e = readdir(d);
		if (e == NULL)
			break;
		check_entry(dirfd(d), e);
		if (nr++ == 2) {
			place = here;
			snprintf(third, sizeof(third), "%s", e->d_name);
		}
	}
	rewinddir(d);
	while (readdir(d) != NULL)
		again++;
	if (again != nr)
		stop("rewinddir", name);
	if (nr > 2) {
		seekdir(d, place);
		e = readdir(d);
		if (e == NULL || strcmp(e->d_name, third) != 0)
			stop("seekdir", name);
	}
	closedir(d);
	return nr;
}

static void walk(const char *path, const char *shown)
{
	struct dirent **list;
	int nr = scandir(path, &list, NULL, by_name), i;

	if (nr < 0)
		stop("scandir", path);
	printf("%s: %d names\n", shown, nr);
	if (count(AT_FDCWD, path) != (unsigned)nr)
		stop("readdir and scandir differ in", path);
	for (i = 0; i < nr; i++) {
		char child[4096], child_shown[4096];
		struct stat st;

		snprintf(child, sizeof(child), "%s/%s", path, list[i]->d_name);
		snprintf(child_shown, sizeof(child_shown), "%s/%s", shown, list[i]->d_name);
		if (stat(child, &st) != 0)
			stop("stat", child);
		if (S_ISDIR(st.st_mode)) {
			if (!is_dots(list[i]->d_name))
				walk(child, child_shown);
		} else {
			printf("%s %lld\n", child_shown, (long long)st.st_size);
		}
		free(list[i]);
	}
	free(list);
}

static void globs(const char *top, const char *pattern)
{
	char whole[4096];
	glob_t g;
	size_t i;
	int r;

	snprintf(whole, sizeof(whole), "%s/%s", top, pattern);
	r = glob(whole, GLOB_MARK, NULL, &g);
	printf("glob %s: %d\n", pattern, r);
	for (i = 0; r == 0 && i < g.gl_pathc; i++)
		printf("  %s\n", g.gl_pathv[i] + strlen(top));
	if (r == 0)
		globfree(&g);
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: dirwalk DIR\n");
		return 2;
	}
	walk(argv[1], "");
	globs(argv[1], "*");
	globs(argv[1], "*/*");
	globs(argv[1], "*.json");
	globs(argv[1], "no*such*name");
	/* The same tree from inside. */
	if (chdir(argv[1]) != 0)
		stop("chdir", argv[1]);
	walk(".", "inside");
	return 0;
}
