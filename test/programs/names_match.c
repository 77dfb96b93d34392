/*
 * names_match.c - glob and wordexp with their flags, and directories read by
 * getdents64, scandir and friends: what each gives.
 *
 *	names_match glob FLAGS PATTERN...        the further ones with GLOB_APPEND
 *	names_match words FLAGS TEXT...          the further ones with WRDE_APPEND
 *	names_match dents DIR
 *	names_match scan DIR
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <wordexp.h>

#ifndef __GLIBC__ /* musl calls them otherwise, or has none */
#define dirent64				   dirent
#define getdents64(fd, buf, len)		   getdents(fd, (struct dirent *)(buf), len)
#define getdirentries(fd, buf, len, base)	   (*(base) = 0, getdents64(fd, buf, len))
#define scandirat(fd, path, list, filter, compare) (errno = ENOENT, -1)
#endif

static void stop(const char *what, const char *path)
{
	printf("names_match: %s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static int on_error(const char *path, int error)
{
	printf("error %s %s\n", path, strerror(error));
	return 0;
}

static void globs(int flags, char **patterns)
{
	glob_t g = { .gl_offs = 2 };
	int i, more = 0, r;
	size_t n;

	for (i = 0; patterns[i] != NULL; i++) {
		r = glob(patterns[i], flags | more, on_error, &g);
		printf("%d\n", r);
		if (r == GLOB_NOSPACE)
			exit(1);
		more = GLOB_APPEND;
	}
	printf("%zu\n", g.gl_pathc);
	for (n = 0; (flags & GLOB_DOOFFS) != 0 && n < g.gl_offs; n++)
		printf("%s\n", g.gl_pathv[n] == NULL ? "NULL" : g.gl_pathv[n]);
	for (n = 0; n < g.gl_pathc; n++)
		printf("%s\n", g.gl_pathv[n + ((flags & GLOB_DOOFFS) != 0 ? g.gl_offs : 0)]);
	globfree(&g);
}

static void words(int flags, char **texts)
{
	size_t offs = (flags & WRDE_DOOFFS) != 0 ? 3 : 0, n;
	wordexp_t w = { .we_offs = offs };
	int i, more = 0, r;

	for (i = 0; texts[i] != NULL; i++) {
		r = wordexp(texts[i], &w, flags | more);
		printf("%d\n", r);
		if (r == 0)
			more = WRDE_APPEND;
	}
	if (more == 0)
		return;
	for (n = 0; n < w.we_wordc + offs; n++)
		printf("%s\n", w.we_wordv[n] == NULL ? "NULL" : w.we_wordv[n]);
	if (w.we_wordv[w.we_wordc + offs] != NULL)
		printf("no NULL at the end\n");
	wordfree(&w);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Entries read a few bytes at a time; each d_off must lead to what follows. */
static size_t read_dents(int fd, const char *path, char **names, size_t room)
{
	char buf[300], again[300];
	size_t nr = 0;
	ssize_t n, at;
	struct stat st;

	while ((n = getdents64(fd, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			struct dirent64 *d = (struct dirent64 *)(buf + at), *next;

			if (nr == room)
				exit(3);
			names[nr++] = strdup(d->d_name);
			if (fstatat(fd, d->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
				stop("fstatat", d->d_name);
			if (strcmp(d->d_name, "..") != 0 && d->d_ino != st.st_ino)
				printf("%s has another inode\n", d->d_name);
			if (d->d_type != DT_UNKNOWN && d->d_type != IFTODT(st.st_mode))
				printf("%s has another type\n", d->d_name);
			at += d->d_reclen;
			next = (struct dirent64 *)(buf + at);
			if (at >= n)
				break;
			if (lseek(fd, d->d_off, SEEK_SET) < 0)
				stop("lseek", path);
			if (getdents64(fd, again, sizeof(again)) <= 0 ||
			    strcmp(((struct dirent64 *)again)->d_name, next->d_name) != 0)
				printf("d_off of %s leads elsewhere\n", d->d_name);
		}
		/* Back to where this piece ended. */
		for (at = 0; at < n; at += ((struct dirent64 *)(buf + at))->d_reclen)
			if (at + ((struct dirent64 *)(buf + at))->d_reclen == n)
				lseek(fd, ((struct dirent64 *)(buf + at))->d_off, SEEK_SET);
	}
	if (n < 0)
		stop("getdents64", path);
	return nr;
}

static void dents(const char *path)
{
	static char *names[20000];
	int fd = open(path, O_RDONLY | O_DIRECTORY), other;
	char buf[4096], same[4096];
	off_t base = -1;
	size_t nr, i;
	ssize_t n;

	if (fd == -1)
		stop("open", path);
	nr = read_dents(fd, path, names, 20000);
	qsort(names, nr, sizeof(*names), by_name);
	for (i = 0; i < nr; i++)
		printf("%s\n", names[i]);
	printf("at the end: %zd\n", getdents64(fd, buf, sizeof(buf)));
	/* A duplicate shares the place, and going back shows what was made meanwhile. */
	other = dup(fd);
	printf("rewind %lld\n", (long long)lseek(other, 0, SEEK_SET));
	n = getdirentries(fd, buf, sizeof(buf), &base);
	printf("base %lld %s\n", (long long)base, n > 0 ? "more" : "none");
	lseek(fd, 0, SEEK_SET);
	if (syscall(SYS_getdents64, other, same, sizeof(same)) != n ||
	    strcmp(((struct dirent64 *)same)->d_name, ((struct dirent64 *)buf)->d_name) != 0)
		printf("syscall() sees something else\n");
	close(fd);
	lseek(other, 0, SEEK_SET);
	if (getdents64(other, same, sizeof(same)) != n)
		printf("the duplicate sees something else\n");
	close(other);
}

static int no_dots(const struct dirent *e)
{
	errno = EBUSY; /* a filter may do as it likes */
	return e->d_name[0] != '.';
}

static void scan(const char *path)
{
	struct dirent **list;
	int nr, i, fd;

	nr = scandir(path, &list, no_dots, versionsort);
	if (nr < 0)
		stop("scandir", path);
	for (i = 0; i < nr; i++)
		printf("%s %d\n", list[i]->d_name, list[i]->d_type);
	fd = open(path, O_PATH);
	printf("%d", scandirat(fd, "none", &list, NULL, NULL));
	printf(" %s\n", strerror(errno));
#ifdef __GLIBC__
	printf("%d of %d\n", scandirat(fd, ".", &list, no_dots, alphasort), nr);
#endif
}

int main(int argc, char **argv)
{
	if (argc > 3 && strcmp(argv[1], "glob") == 0)
		globs((int)strtol(argv[2], NULL, 0), argv + 3);
	else if (argc > 3 && strcmp(argv[1], "words") == 0)
		words((int)strtol(argv[2], NULL, 0), argv + 3);
	else if (argc == 3 && strcmp(argv[1], "dents") == 0)
		dents(argv[2]);
	else if (argc == 3 && strcmp(argv[1], "scan") == 0)
		scan(argv[2]);
	else
		return 2;
	return 0;
}
