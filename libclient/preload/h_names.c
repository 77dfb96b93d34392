/*
 * h_names.c - hooks: what else is asked of a name: its limits, its key, to be
 * watched; and openat2().
 */
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/open.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/preload.h"

#include <limits.h>
#include <linux/openat2.h>
#include <sys/fanotify.h>
#include <sys/inotify.h>
#include <sys/ipc.h>
#include <unistd.h>

/* ---- openat2 -------------------------------------------------------------------------------- */

/*
 * A store file under RESOLVE_ flags: the kernel goes to its directory by them, and the
 * name is then the file's own.
 */
static int open_restricted(int dirfd, const char *path, const struct open_how *how)
{
	struct open_how dir = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC };
	size_t cut = pathtext_last(path, mem_len(path));
	char parent[PATH_MAX];
	int fd, r;

	if (cut >= sizeof(parent))
		return -ENAMETOOLONG;
	mem_copy(parent, cut == 0 ? "." : path, cut == 0 ? 1 : cut);
	parent[cut == 0 ? 1 : cut] = '\0';
	/* Twice: so that the directory is on disk, and by the caller's rules. */
	fd = open_at(dirfd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return fd;
	fds_forget(fd);
	sys_close(fd);
	dir.resolve = how->resolve & ~(uint64_t)RESOLVE_CACHED;
	fd = (int)sys_call4(__NR_openat2, dirfd, parent, &dir, sizeof(dir));
	if (fd < 0)
		return fd;
	(void)fds_enter_dir(fd);
	r = open_at(fd, path + cut, (int)how->flags, (mode_t)how->mode);
	fds_forget(fd);
	sys_close(fd);
	return r;
}

static int open_store(int dirfd, const char *path, const struct open_how *how, size_t size,
		      bool is_file)
{
	/* What is wrong with the flags is said by the kernel, of a name that nothing has. */
	int r = (int)sys_call4(__NR_openat2, AT_FDCWD, "", how, size);

	if (r != -ENOENT)
		return r;
	if (how->resolve != 0 && is_file)
		return open_restricted(dirfd, path, how);
	return open_at(dirfd, path, (int)how->flags, (mode_t)how->mode);
}

int open_how_at(int dirfd, const char *path, const struct open_how *how, size_t size)
{
	struct spot s;
	int flags, r;

	if (!paths_on() || path == NULL || size < sizeof(*how))
		return (int)sys_call4(__NR_openat2, dirfd, path, how, size);
	flags = (int)how->flags;
	paths_look(&s, dirfd, path, open_paths_flags(flags));
	do
		r = s.kind >= SPOT_FILE ? open_store(dirfd, path, how, size, s.kind == SPOT_FILE)
					: (int)sys_call4(__NR_openat2, dirfd, path, how, size);
	while (r == -ENOENT && paths_again(&s));
	if (r >= 0 && s.kind < SPOT_FILE)
		r = open_entered(r, &s, flags);
	paths_done(&s);
	return r;
}

/* In a libc to come; programs look for it there. */
EXPORT int openat2(int dirfd, const char *path, const struct open_how *how, size_t size);
int openat2(int dirfd, const char *path, const struct open_how *how, size_t size)
{
	return (int)answer(open_how_at(dirfd, path, how, size));
}

/* ---- limits and keys ------------------------------------------------------------------------- */

/* -1 without an errno means "no limit", so libc's answer is passed on as it is. */
EXPORT long pathconf(const char *path, int name)
{
	__typeof(&pathconf) libc = NEXT(pathconf);
	int before = errno_get();
	struct spot s;
	long r = libc(path, name);

	if (r != -1 || errno_get() != ENOENT || !paths_on())
		return r;
	paths_look(&s, AT_FDCWD, path, 0);
	while (s.kind < SPOT_FILE && r == -1 && errno_get() == ENOENT && paths_again(&s))
		if (s.kind < SPOT_FILE)
			r = libc(path, name);
	if (s.kind == SPOT_FILE) {
		errno_set(before);
		r = libc(paths_dir(), name);
	} else if (s.kind == SPOT_ERROR) {
		r = answer(s.error);
	}
	paths_done(&s);
	return r;
}

EXPORT long fpathconf(int fd, int name)
{
	__typeof(&fpathconf) libc = NEXT(fpathconf);

	if (fds_is_ours(fd) && !fds_is_dir(fd))
		return pathconf(paths_dir(), name);
	return libc(fd, name);
}

EXPORT key_t ftok(const char *path, int number)
{
	__typeof(&ftok) libc = NEXT(ftok);
	struct stat st;

	if (!paths_on())
		return libc(path, number);
	if (stat(path, &st) != 0)
		return -1;
	/* As every libc puts it together. */
	return (key_t)((st.st_ino & 0xffff) | (st.st_dev & 0xff) << 16 |
		       ((unsigned)number & 0xff) << 24);
}

/* ---- watches ------------------------------------------------------------------------ */

/* `ours` of a store file, else what the call says. */
#define UNLESS_FILE(dirfd, path, flags, ours, call)                                                \
	({                                                                                         \
		struct spot spot_;                                                                 \
		long r_;                                                                           \
		paths_look(&spot_, dirfd, path, flags);                                            \
		do                                                                                 \
			r_ = spot_.kind == SPOT_ERROR  ? spot_.error                               \
			     : spot_.kind == SPOT_FILE ? -(ours)                                   \
						       : (call);                                   \
		while (r_ == -ENOENT && paths_again(&spot_));                                      \
		paths_done(&spot_);                                                                \
		r_;                                                                                \
	})

/*
 * The kernel can watch MODEL_DIR's directories, for they are real, but no store file:
 * whoever hears that there are no watches left looks for himself from time to time.
 */
EXPORT int inotify_add_watch(int fd, const char *path, uint32_t mask)
{
	unsigned how = (mask & IN_DONT_FOLLOW) != 0 ? PATHS_NOFOLLOW : 0;

	return (int)answer(UNLESS_FILE(AT_FDCWD, path, how,
				       (mask & IN_ONLYDIR) != 0 ? ENOTDIR : ENOSPC,
				       sys_call3(__NR_inotify_add_watch, fd, path, mask)));
}

EXPORT int fanotify_mark(int fd, unsigned flags, uint64_t mask, int dirfd, const char *path)
{
	unsigned how = (flags & FAN_MARK_DONT_FOLLOW) != 0 ? PATHS_NOFOLLOW : 0;

	if (path == NULL && fds_is_ours(dirfd) && !fds_is_dir(dirfd))
		return (int)answer(-ENOSPC);
	return (int)answer(
		UNLESS_FILE(dirfd, path, how, (flags & FAN_MARK_ONLYDIR) != 0 ? ENOTDIR : ENOSPC,
			    sys_call5(__NR_fanotify_mark, fd, flags, mask, dirfd, path)));
}
