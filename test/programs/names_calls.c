/*
 * names_calls.c - asks of many names what each call says: one line a call, with
 * its errno.  Nothing is changed by it in a directory that is read-only; on one that
 * is not, it would be.
 *
 *	names_calls open|look|change DIR absolute|inside|dirfd
 *
 * DIR holds the file "f", the directory "d" with the file "d/g" in it, and no "n".
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/xattr.h>
#include <unistd.h>
#include <utime.h>

static char prefix[4096];
static int at = AT_FDCWD;

/* The name as this run spells it. */
static const char *path(const char *name)
{
	static char buf[2][20000];
	static int turn;

	turn = !turn;
	snprintf(buf[turn], sizeof(buf[turn]), "%s%s", prefix, name);
	return buf[turn];
}

static void show(const char *what, const char *name, long r)
{
	const char *dots = strlen(name) > 60 ? "..." : "";

	if (r < 0)
		printf("%s %.60s%s: %s\n", what, name, dots, strerrorname_np(errno));
	else
		printf("%s %.60s%s: %ld\n", what, name, dots, r);
}

/* The same with a number that the call was made with. */
#define SHOW_OF(name, number, call)                                                                \
	do {                                                                                       \
		printf("%#x ", (unsigned)(number));                                                \
		SHOW(name, call);                                                                  \
	} while (0)
#define SHOW(name, call)                                                                           \
	do {                                                                                       \
		errno = 0;                                                                         \
		show(#call, name, (long)(call));                                                   \
	} while (0)

/* 1 and closed again, or -1. */
static long opened(int fd)
{
	if (fd == -1)
		return -1;
	close(fd);
	return 1;
}

/* ---- open --------------------------------------------------------------------------------- */

static const char *const names[] = {
	"f",	"f/",  "f/x",  "f/.",	   "f/..",   "d",	 "d/",	   "d/.",
	"d/..", "d/g", "d//g", ".//d/./g", "d/../f", "d/../d/g", "n/../f", "f/../f",
	"./f",	"",    ".",    "..",	   "d/n/x",  "n/x",
};
#define NR_NAMES (sizeof(names) / sizeof(*names))

static const struct {
	const char *text;
	int flags;
} flags[] = {
#define F(x)                                                                                       \
	{                                                                                          \
#x, x                                                                              \
	}
	F(O_RDONLY),
	F(O_WRONLY),
	F(O_RDWR),
	F(O_RDONLY | O_TRUNC),
	F(O_WRONLY | O_TRUNC),
	F(O_WRONLY | O_APPEND),
	F(O_RDONLY | O_APPEND),
	F(O_RDONLY | O_CREAT),
	F(O_WRONLY | O_CREAT),
	F(O_RDWR | O_CREAT | O_TRUNC),
	F(O_RDONLY | O_CREAT | O_EXCL),
	F(O_WRONLY | O_CREAT | O_EXCL),
	F(O_RDONLY | O_EXCL),
	F(O_RDONLY | O_DIRECTORY),
	F(O_WRONLY | O_DIRECTORY),
	F(O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
	F(O_RDONLY | O_NOFOLLOW),
	F(O_RDONLY | O_NOFOLLOW | O_CREAT),
	F(O_PATH),
	F(O_PATH | O_DIRECTORY),
	F(O_PATH | O_NOFOLLOW),
	F(O_PATH | O_WRONLY | O_CREAT | O_EXCL),
	F(O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY),
	F(O_RDONLY | O_NOATIME),
	F(O_RDONLY | O_SYNC),
	F(O_RDONLY | O_CREAT | O_TRUNC),
	F(O_RDONLY | O_TMPFILE),
#undef F
};
#define NR_FLAGS (sizeof(flags) / sizeof(*flags))

static void open_all(void)
{
	size_t i, j;

	for (i = 0; i < NR_NAMES; i++)
		for (j = 0; j < NR_FLAGS; j++) {
			errno = 0;
			show(flags[j].text, names[i],
			     opened(openat(at, path(names[i]), flags[j].flags, 0600)));
		}
	for (i = 0; i < NR_NAMES; i++) {
		struct open_how how = { .flags = O_RDONLY, .resolve = RESOLVE_NO_SYMLINKS };

		SHOW(names[i],
		     opened((int)syscall(SYS_openat2, at, path(names[i]), &how, sizeof(how))));
		how.flags = O_RDWR;
		SHOW(names[i],
		     opened((int)syscall(SYS_openat2, at, path(names[i]), &how, sizeof(how))));
		how.flags = O_RDONLY | O_CREAT | O_EXCL;
		how.mode = 0600;
		SHOW(names[i],
		     opened((int)syscall(SYS_openat2, at, path(names[i]), &how, sizeof(how))));
		how.flags = 1ull << 40;
		SHOW(names[i],
		     opened((int)syscall(SYS_openat2, at, path(names[i]), &how, sizeof(how))));
		how = (struct open_how){ .flags = O_RDONLY, .resolve = 1ull << 30 };
		SHOW(names[i],
		     opened((int)syscall(SYS_openat2, at, path(names[i]), &how, sizeof(how))));
		how = (struct open_how){ .flags = O_RDONLY, .mode = 0600 };
		SHOW(names[i],
		     opened((int)syscall(SYS_openat2, at, path(names[i]), &how, sizeof(how))));
		SHOW(names[i], opened((int)syscall(SYS_openat2, at, path(names[i]), &how, 8)));
	}
	SHOW("f", opened(creat(path("f"), 0600)));
}

/* ---- what changes nothing -------------------------------------------------------------------- */

static void look_at(const char *name)
{
	static const int stat_flags[] = { 0, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH,
					  0x8 };
	static const int statx_flags[] = { AT_STATX_SYNC_AS_STAT, AT_STATX_FORCE_SYNC,
					   AT_STATX_DONT_SYNC, AT_STATX_SYNC_TYPE, 0x10000000 };
	static const int modes[] = { F_OK, R_OK, W_OK, X_OK, R_OK | X_OK, W_OK | X_OK, 8 };
	struct statx x;
	struct stat st;
	struct statfs fs;
	struct statvfs vfs;
	char buf[4096];
	size_t i;

	SHOW(name, stat(path(name), &st) == 0 ? (long)(st.st_mode & S_IFMT) : -1);
	SHOW(name, lstat(path(name), &st) == 0 ? (long)(st.st_mode & S_IFMT) : -1);
	for (i = 0; i < sizeof(stat_flags) / sizeof(*stat_flags); i++)
		SHOW_OF(name, stat_flags[i], fstatat(at, path(name), &st, stat_flags[i]));
	for (i = 0; i < sizeof(statx_flags) / sizeof(*statx_flags); i++)
		SHOW_OF(name, statx_flags[i],
			statx(at, path(name), statx_flags[i], STATX_BASIC_STATS, &x));
	SHOW(name, statx(at, path(name), 0, 0, &x) == 0 ? (long)(x.stx_mask & STATX_SIZE) : -1);
	SHOW(name, statx(at, path(name), 0, 0x80000000u, &x));
	SHOW(name, statx(at, path(name), 0, STATX_ALL, &x) == 0 ? (long)(x.stx_mask & 0x7ff) : -1);
	for (i = 0; i < sizeof(modes) / sizeof(*modes); i++) {
		SHOW_OF(name, modes[i], access(path(name), modes[i]));
		SHOW_OF(name, modes[i], faccessat(at, path(name), modes[i], AT_EACCESS));
		SHOW_OF(name, modes[i], faccessat(at, path(name), modes[i], AT_SYMLINK_NOFOLLOW));
		SHOW_OF(name, modes[i], faccessat(at, path(name), modes[i], 0x8));
		SHOW_OF(name, modes[i], syscall(SYS_faccessat2, at, path(name), modes[i], 0));
	}
	SHOW(name, readlinkat(at, path(name), buf, sizeof(buf)));
	SHOW(name, readlinkat(at, path(name), buf, 0));
	if (strlen(name) < 4096) /* libc takes longer ones, the kernel does not */
		SHOW(name, realpath(path(name), buf) == NULL ? -1 : 0);
	SHOW(name, statfs(path(name), &fs));
	SHOW(name, statvfs(path(name), &vfs));
	SHOW(name, pathconf(path(name), _PC_NAME_MAX));
	SHOW(name, pathconf(path(name), _PC_LINK_MAX) > 0);
	SHOW(name, pathconf(path(name), _PC_PIPE_BUF));
	SHOW(name, pathconf(path(name), 12345));
	SHOW(name, getxattr(path(name), "user.none", buf, sizeof(buf)));
	SHOW(name, lgetxattr(path(name), "user.none", buf, 0));
	SHOW(name, listxattr(path(name), buf, sizeof(buf)) >= 0 ? 0 : -1);
	SHOW(name, llistxattr(path(name), NULL, 0) >= 0 ? 0 : -1);
}

static void look_all(void)
{
	static char longest[300], deep[9000];
	size_t i;

	for (i = 0; i < NR_NAMES; i++)
		look_at(names[i]);
	memset(longest, 'x', 256);
	look_at(longest);
	longest[255] = '\0';
	look_at(longest);
	for (i = 0; i < 3000; i++)
		memcpy(deep + 2 * i, "./", 2);
	memcpy(deep + 2 * i, "f", 2);
	look_at(deep);
	SHOW("deep", opened(openat(at, path(deep), O_RDONLY)));
	look_at("odd \xff\x01 name");
	look_at("no\xc3\xa4me");
}

/* ---- what would change something ---------------------------------------------------------------- */

/* The same call of a file, a directory and a name in the directory. */
#define EACH(call)                                                                                 \
	do {                                                                                       \
		const char *name = "f";                                                            \
		SHOW(name, call);                                                                  \
		name = "d";                                                                        \
		SHOW(name, call);                                                                  \
		name = "d/g";                                                                      \
		SHOW(name, call);                                                                  \
		name = "f/x";                                                                      \
		SHOW(name, call);                                                                  \
		name = "n/x";                                                                      \
		SHOW(name, call);                                                                  \
	} while (0)

static void change_all(void)
{
	struct timeval tv[2] = { { 1, 2 }, { 3, 4 } }, bad[2] = { { 1, 2000000 }, { 3, 4 } };
	struct timespec ts[2] = { { 1, 2 }, { 3, 4 } };
	struct utimbuf ub = { 1, 2 };

	EACH(chmod(path(name), 0600));
	EACH(fchmodat(at, path(name), 0600, 0));
	EACH(syscall(452, at, path(name), 0600, 0));
	EACH(chown(path(name), 0, 0));
	EACH(lchown(path(name), 0, 0));
	EACH(fchownat(at, path(name), 0, 0, AT_SYMLINK_NOFOLLOW));
	EACH(truncate(path(name), 0));
	EACH(utime(path(name), &ub));
	EACH(utimes(path(name), tv));
	EACH(utimes(path(name), bad));
	EACH(lutimes(path(name), tv));
	EACH(futimesat(at, path(name), tv));
	EACH(utimensat(at, path(name), ts, 0));
	EACH(utimensat(at, path(name), NULL, AT_SYMLINK_NOFOLLOW));
	EACH(setxattr(path(name), "user.x", "y", 1, 0));
	EACH(lsetxattr(path(name), "user.x", "y", 1, 0));
	EACH(removexattr(path(name), "user.x"));
	EACH(lremovexattr(path(name), "user.x"));
	EACH(unlink(path(name)));
	EACH(unlinkat(at, path(name), AT_REMOVEDIR));
	EACH(rmdir(path(name)));
	EACH(remove(path(name)));
	EACH(mkdir(path(name), 0700));
	EACH(mkdirat(at, path(name), 0700));
	EACH(symlinkat("x", at, path(name)));
	EACH(mknod(path(name), S_IFREG | 0600, 0));
	EACH(mknodat(at, path(name), S_IFIFO | 0600, 0));
	EACH(mkfifo(path(name), 0600));
	EACH(rename(path(name), path("n")));
	EACH(rename(path(name), path("f")));
	EACH(rename(path(name), path("d")));
	EACH(renameat(at, path("f"), at, path(name)));
	EACH(renameat2(at, path("d"), at, path(name), 0));
	EACH(renameat2(at, path("f"), at, path(name), 1 /* not over another */));
	EACH(renameat2(at, path("f"), at, path(name), 2 /* exchange */));
	EACH(link(path(name), path("n")));
	EACH(link(path(name), path("f")));
	EACH(linkat(at, path("f"), at, path(name), 0));
}

int main(int argc, char **argv)
{
	if (argc != 4)
		return 2;
	if (strcmp(argv[3], "inside") == 0) {
		if (chdir(argv[2]) != 0)
			return 1;
	} else if (strcmp(argv[3], "dirfd") == 0) {
		at = open(argv[2], O_RDONLY | O_DIRECTORY);
		if (at == -1 || chdir(argv[2]) != 0)
			return 1;
	} else {
		snprintf(prefix, sizeof(prefix), "%s/", argv[2]);
	}
	if (strcmp(argv[1], "open") == 0)
		open_all();
	else if (strcmp(argv[1], "look") == 0)
		look_all();
	else if (strcmp(argv[1], "change") == 0)
		change_all();
	return 0;
}
