/*
 * h_open.c - hooks: the open family and creat.  Also open.h.
 */
#include "libclient/preload/open.h"

#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/inherit.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"
#include "libclient/preload/selfpath.h"
#include "libclient/preload/shadow.h"
#include "libclient/preload/store.h"

#include <limits.h>
#include <stdarg.h>

/* What F_GETFL shows of the flags that a file was opened with. */
#define SHOWN		  (O_NONBLOCK | O_APPEND | O_NOATIME | O_DIRECT | O_NOFOLLOW | O_SYNC)
#define SHOWN_OF_PATH	  (O_PATH | O_NOFOLLOW)

#define WANTS_MODE(flags) (((flags)&O_CREAT) != 0 || ((flags)&O_TMPFILE) == O_TMPFILE)

/* What the kernel would say to these flags for a read-only file of a read-only file system. */
static int judge_flags(int flags)
{
	if ((flags & O_PATH) != 0)
		return (flags & O_DIRECTORY) != 0 ? -ENOTDIR : 0;
	if ((flags & (O_CREAT | O_DIRECTORY)) == (O_CREAT | O_DIRECTORY))
		return -EINVAL;
	if ((flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL))
		return -EEXIST;
	if ((flags & O_DIRECTORY) != 0)
		return -ENOTDIR;
	if ((flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0)
		return -EROFS;
	return 0;
}

/* A local file of the same name would be read by programs that we are not in. */
static void warn_of_local(const struct spot *s)
{
	static uint32_t said;
	char path[PATH_MAX];
	struct stat st;

	if (__atomic_load_n(&said, __ATOMIC_RELAXED) != 0 ||
	    paths_full(s->snap, s->entry, path, sizeof(path)) < 0 ||
	    sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0 || !say_first(&said))
		return;
	shadow_met();
	say("the local file ", path,
	    " has the name of a store file: programs see the store's; programs without the "
	    "library see the local one",
	    NULL);
}

int open_file(struct file *f, int flags, bool *ret_first)
{
	uint64_t placeholder;
	struct ofd *o;
	int fd, r;

	fd = placeholder_open(f, flags, &placeholder, ret_first);
	if (fd < 0) {
		file_put(f);
		return fd;
	}
	o = fds_new(f, (uint32_t)flags & ((flags & O_PATH) != 0 ? SHOWN_OF_PATH : SHOWN),
		    placeholder);
	if (o == NULL) {
		file_put(f);
		sys_close(fd);
		return -ENOMEM;
	}
	r = fds_enter(fd, o);
	if (r != 0) {
		fds_put(o);
		sys_close(fd);
		return r;
	}
	return fd;
}

/* Is the path that of a store file but for slashes at its end? */
static bool is_file_with_slash(const struct spot *s)
{
	char path[PATH_MAX];
	size_t len = mem_len(s->path);
	struct spot file;
	bool is;

	if (len >= sizeof(path) || s->path[len - 1] != '/')
		return false;
	while (len > 0 && s->path[len - 1] == '/')
		len--;
	mem_copy(path, s->path, len);
	path[len] = '\0';
	paths_look(&file, s->dirfd, path, s->flags);
	is = file.kind == SPOT_FILE;
	paths_done(&file);
	return is;
}

int open_spot(const struct spot *s, int flags)
{
	struct file *f;
	bool first;
	int fd, r;

	if ((flags & (O_TMPFILE | O_PATH)) == O_TMPFILE && (flags & O_ACCMODE) == O_RDONLY)
		return -EINVAL;
	if (s->kind == SPOT_ERROR && s->error == -ENOTDIR &&
	    (flags & (O_CREAT | O_PATH)) == O_CREAT)
		return is_file_with_slash(s) ? -EISDIR : -ENOTDIR;
	if (s->kind == SPOT_ERROR)
		return s->error;
	r = judge_flags(flags);
	if (r != 0)
		return r;
	r = store_open(s->snap, s->entry, &f);
	if (r != 0)
		return r;
	fd = open_file(f, flags, &first);
	if (fd >= 0 && first)
		warn_of_local(s);
	return fd;
}

unsigned open_paths_flags(int flags)
{
	bool makes = (flags & (O_CREAT | O_PATH)) == O_CREAT;
	/* A link at the end is not followed by O_EXCL either. */
	bool stays = (flags & O_NOFOLLOW) != 0 || (makes && (flags & O_EXCL) != 0);

	return (makes ? PATHS_CHANGES : 0) | (stays ? PATHS_NOFOLLOW : 0);
}

/*
 * A placeholder that somebody holds, opened by a path that does not look like it: root
 * could read its zeros.  The file that it stands for instead.
 */
static int open_instead(int fd, int flags)
{
	struct file *f;
	bool first;
	int r = inherit_file(fd, &f);

	if (r == -EBADF)
		return fd; /* it is none */
	sys_close(fd);
	if (r != 0)
		return r == -ENAMETOOLONG ? -EIO : r;
	r = judge_flags(flags);
	if (r == 0)
		return open_file(f, flags, &first);
	file_put(f);
	return r;
}

int open_entered(int fd, const struct spot *s, int flags)
{
	fds_forget(fd); /* a number whose closing we did not see */
	if (s->kind == SPOT_DIR)
		(void)fds_enter_dir(fd);
	else if (paths_on() && selfpath_may_end_at_fd(s->path))
		return open_instead(fd, flags);
	return fd;
}

int open_at(int dirfd, const char *path, int flags, mode_t mode)
{
	struct spot s;
	int r;

	paths_look(&s, dirfd, path, open_paths_flags(flags));
	do {
		if (s.kind >= SPOT_FILE)
			r = open_spot(&s, flags);
		else
			r = sys_openat(dirfd, path, flags, mode);
	} while (r == -ENOENT && paths_again(&s));
	if (r >= 0 && s.kind < SPOT_FILE)
		r = open_entered(r, &s, flags);
	paths_done(&s);
	return r;
}

/* While the connector is off, libc's own open keeps its thread cancellation. */
#define open_any(...) open_as(__func__, __VA_ARGS__)
static int open_as(const char *call, int dirfd, const char *path, int flags, mode_t mode)
{
	__typeof(&openat) libc;

	if (!paths_on()) {
		libc = NEXT(openat);
		if (libc != NULL)
			return libc(dirfd, path, flags, mode);
	}
	return (int)answer_of(call, open_at(dirfd, path, flags, mode));
}

#define MODE_ARGUMENT(flags)                                                                       \
	({                                                                                         \
		mode_t mode_ = 0;                                                                  \
		if (WANTS_MODE(flags)) {                                                           \
			va_list ap_;                                                               \
			va_start(ap_, flags);                                                      \
			mode_ = va_arg(ap_, mode_t);                                               \
			va_end(ap_);                                                               \
		}                                                                                  \
		mode_;                                                                             \
	})

EXPORT int open(const char *path, int flags, ...)
{
	return open_any(AT_FDCWD, path, flags, MODE_ARGUMENT(flags));
}
ALIAS(open64, open);
ALIAS(__open, open);
ALIAS(__open64, open);

EXPORT int openat(int dirfd, const char *path, int flags, ...)
{
	return open_any(dirfd, path, flags, MODE_ARGUMENT(flags));
}
ALIAS(openat64, openat);

/* What fortified programs call when no mode is given. */
EXPORT int __open_2(const char *path, int flags);
int __open_2(const char *path, int flags)
{
	return open_any(AT_FDCWD, path, flags, 0);
}
ALIAS(__open64_2, __open_2);

EXPORT int __openat_2(int dirfd, const char *path, int flags);
int __openat_2(int dirfd, const char *path, int flags)
{
	return open_any(dirfd, path, flags, 0);
}
ALIAS(__openat64_2, __openat_2);

EXPORT int creat(const char *path, mode_t mode)
{
	return open_any(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode);
}
ALIAS(creat64, creat);
