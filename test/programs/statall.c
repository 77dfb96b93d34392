/*
 * statall.c - asks for one file's attributes in every way and prints them once;
 * the ways must agree.  Then what else may be asked of a file, and the errno of
 * what may not be done to it.
 *
 *	statall FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static void stop(const char *what)
{
	fprintf(stderr, "statall: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void must_equal(const char *how, const struct stat *a, const struct stat *b)
{
	if (a->st_dev != b->st_dev || a->st_ino != b->st_ino || a->st_mode != b->st_mode ||
	    a->st_nlink != b->st_nlink || a->st_uid != b->st_uid || a->st_gid != b->st_gid ||
	    a->st_size != b->st_size || a->st_blocks != b->st_blocks ||
	    a->st_blksize != b->st_blksize || a->st_mtim.tv_sec != b->st_mtim.tv_sec ||
	    a->st_mtim.tv_nsec != b->st_mtim.tv_nsec) {
		fprintf(stderr, "statall: %s differs from stat\n", how);
		exit(1);
	}
}

static void from_statx(const struct statx *x, struct stat *st)
{
	memset(st, 0, sizeof(*st));
	st->st_dev = makedev(x->stx_dev_major, x->stx_dev_minor);
	st->st_ino = x->stx_ino;
	st->st_mode = x->stx_mode;
	st->st_nlink = x->stx_nlink;
	st->st_uid = x->stx_uid;
	st->st_gid = x->stx_gid;
	st->st_size = (off_t)x->stx_size;
	st->st_blocks = (blkcnt_t)x->stx_blocks;
	st->st_blksize = (blksize_t)x->stx_blksize;
	st->st_mtim.tv_sec = x->stx_mtime.tv_sec;
	st->st_mtim.tv_nsec = x->stx_mtime.tv_nsec;
}

static void compare_all(const char *path, int fd, const struct stat *want)
{
	struct statx x;
	struct stat st;

	if (lstat(path, &st) != 0)
		stop("lstat");
	must_equal("lstat", want, &st);
	if (fstat(fd, &st) != 0)
		stop("fstat");
	must_equal("fstat", want, &st);
	if (fstatat(AT_FDCWD, path, &st, 0) != 0)
		stop("fstatat");
	must_equal("fstatat", want, &st);
	if (fstatat(fd, "", &st, AT_EMPTY_PATH) != 0)
		stop("fstatat by descriptor");
	must_equal("fstatat by descriptor", want, &st);
	if (statx(AT_FDCWD, path, 0, STATX_BASIC_STATS, &x) != 0)
		stop("statx");
	from_statx(&x, &st);
	must_equal("statx", want, &st);
	if (statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) != 0)
		stop("statx by descriptor");
	from_statx(&x, &st);
	must_equal("statx by descriptor", want, &st);
}

static void say_errno(const char *call, int r)
{
	printf("%s: %s\n", call, r == 0 ? "done" : strerrorname_np(errno));
}

int main(int argc, char **argv)
{
	struct statvfs a, b;
	struct stat st;
	char buf[256];
	int fd;

	if (argc != 2) {
		fprintf(stderr, "usage: statall FILE\n");
		return 2;
	}
	if (stat(argv[1], &st) != 0)
		stop("stat");
	fd = open(argv[1], O_RDONLY);
	if (fd == -1)
		stop("open");
	compare_all(argv[1], fd, &st);
	printf("size %lld, links %lu, no holes: %d\n", (long long)st.st_size,
	       (unsigned long)st.st_nlink, st.st_blocks * 512 >= st.st_size);
	printf("F_GETFL reads only: %d\n", (fcntl(fd, F_GETFL) & O_ACCMODE) == O_RDONLY);
	printf("SEEK_DATA %lld, SEEK_HOLE %lld\n", (long long)lseek(fd, 0, SEEK_DATA),
	       (long long)lseek(fd, 0, SEEK_HOLE));
	say_errno("access R_OK", access(argv[1], R_OK));
	say_errno("faccessat", faccessat(AT_FDCWD, argv[1], F_OK, AT_EACCESS));
	say_errno("readlink", readlink(argv[1], buf, sizeof(buf)) < 0 ? -1 : 0);
	say_errno("getxattr", getxattr(argv[1], "user.statall", buf, sizeof(buf)) < 0 ? -1 : 0);
	say_errno("open as a directory", open(argv[1], O_RDONLY | O_DIRECTORY) < 0 ? -1 : 0);
	say_errno("open to create anew",
		  open(argv[1], O_RDWR | O_CREAT | O_EXCL, 0600) < 0 ? -1 : 0);
	say_errno("mkdir", mkdir(argv[1], 0700));
	snprintf(buf, sizeof(buf), "%s/below", argv[1]);
	say_errno("stat below it", stat(buf, &st));
	if (statvfs(argv[1], &a) != 0 || fstatvfs(fd, &b) != 0)
		stop("statvfs");
	printf("statvfs agrees: %d\n", a.f_bsize == b.f_bsize && a.f_blocks == b.f_blocks);
	close(fd);
	say_errno("fstat of a closed descriptor", fstat(fd, &st));
	return 0;
}
