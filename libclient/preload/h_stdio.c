/*
 * h_stdio.c - hooks: opening, reopening and closing stdio streams (stream.h says
 * what a stream over a store file is).
 */
#include "libclient/preload/stream.h"

#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/inherit.h"
#include "libclient/preload/next.h"
#include "libclient/preload/open.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"
#include "libclient/preload/selfpath.h"

#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <unistd.h>

#define LINK 40 /* "/proc/self/fd/N" */

/* What open() would be told for this mode, or -EINVAL. */
static int flags_of_mode(const char *mode)
{
	int flags, i;

	switch (mode[0]) {
	case 'r':
		flags = O_RDONLY;
		break;
	case 'w':
		flags = O_WRONLY | O_CREAT | O_TRUNC;
		break;
	case 'a':
		flags = O_WRONLY | O_CREAT | O_APPEND;
		break;
	default:
		return -EINVAL;
	}
	/* No more letters than libc looks at. */
	for (i = 1; i < 7 && mode[i] != '\0'; i++) {
		if (mode[i] == '+')
			flags = (flags & ~O_ACCMODE) | O_RDWR;
		else if (mode[i] == 'x')
			flags |= O_EXCL;
		else if (mode[i] == 'e')
			flags |= O_CLOEXEC;
	}
	return flags;
}

static bool names_charset(const char *mode)
{
	static const char key[] = ",ccs=";
	size_t i;

	for (; *mode != '\0'; mode++) {
		for (i = 0; i < sizeof(key) - 1 && mode[i] == key[i]; i++)
			;
		if (i == sizeof(key) - 1)
			return true;
	}
	return false;
}

static const char *link_of(int fd, char *buf)
{
	struct text t;

	text_init(&t, buf, LINK);
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, fd);
	return buf;
}

/* ---- fopen --------------------------------------------------------------------------------- */

/* libc converts while it reads: it opens a private copy itself, and we put that under `fd`. */
static FILE *charset_stream(int fd, const char *mode)
{
	__typeof(&fopen) libc = NEXT(fopen);
	int r = next_is_glibc() ? escape_descriptor(fd) : -EINVAL;
	char path[LINK];
	FILE *f;

	if (r != 0) {
		errno_set(-r);
		return NULL;
	}
	f = libc(link_of(fd, path), mode);
	if (f != NULL) {
		sys_close(f->_fileno);
		f->_fileno = fd;
	}
	return f;
}

static FILE *stream_of_spot(const struct spot *s, const char *mode)
{
	int flags = flags_of_mode(mode), fd = flags < 0 ? flags : open_spot(s, flags);
	FILE *f;

	if (fd < 0) {
		errno_set(-fd);
		return NULL;
	}
	f = next_is_glibc() && names_charset(mode) ? charset_stream(fd, mode)
						   : stream_new(fd, mode);
	if (f == NULL)
		close(fd);
	return f;
}

/* How a path is looked at, for a stream that may make a file. */
static unsigned paths_flags_of_mode(const char *mode)
{
	int flags = flags_of_mode(mode);

	return flags < 0 ? 0 : open_paths_flags(flags);
}

/* A number whose closing we did not see; it may be a placeholder of somebody's. */
static void opened_by_libc(const char *path, FILE *f)
{
	fds_forget(stream_fd(f));
	if (!selfpath_may_end_at_fd(path))
		return;
	inherit_received(stream_fd(f));
	stream_settle(f);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	__typeof(&fopen) libc = NEXT(fopen);
	int before = errno_get();
	struct spot s;
	FILE *f;

	if (!paths_on())
		return libc(path, mode);
	paths_look(&s, AT_FDCWD, path, paths_flags_of_mode(mode));
	do
		f = s.kind >= SPOT_FILE ? stream_of_spot(&s, mode) : libc(path, mode);
	while (f == NULL && errno_get() == ENOENT && paths_again(&s));
	if (f != NULL && s.kind < SPOT_FILE)
		opened_by_libc(path, f);
	paths_done(&s);
	trace_answer(__func__, f != NULL ? stream_fd(f) : -errno_get());
	if (f != NULL)
		errno_set(before);
	return f;
}
ALIAS(fopen64, fopen);
ALIAS(_IO_fopen, fopen);

EXPORT FILE *fdopen(int fd, const char *mode)
{
	__typeof(&fdopen) libc = NEXT(fdopen);
	struct ofd *o = fds_get(fd);
	int before = errno_get(), flags;
	FILE *f;

	if (o == NULL)
		return libc(fd, mode);
	fds_put(o);
	flags = flags_of_mode(mode);
	if (next_is_glibc() && (flags < 0 || (flags & O_ACCMODE) != O_RDONLY)) {
		errno_set(EINVAL); /* open for reading only */
		return NULL;
	}
	f = stream_new(fd, mode);
	if (f != NULL)
		errno_set(before);
	return f;
}
ALIAS(_IO_fdopen, fdopen);

EXPORT FILE *setmntent(const char *path, const char *mode)
{
	__typeof(&setmntent) libc = NEXT(setmntent);
	struct spot s;
	FILE *f = NULL;

	paths_look(&s, AT_FDCWD, path, paths_flags_of_mode(mode));
	if (s.kind >= SPOT_FILE)
		f = stream_of_spot(&s, mode);
	else if (libc != NULL)
		f = libc(path, mode);
	paths_done(&s);
	return f;
}
ALIAS(__setmntent, setmntent);

EXPORT int fclose(FILE *f)
{
	__typeof(&fclose) libc = NEXT(fclose);
	struct cookie *c;
	int r;

	if (fds_end == 0)
		return libc(f);
	c = stream_before_close(f);
	r = libc(f);
	stream_after_close(c);
	return r;
}
ALIAS(_IO_fclose, fclose);

/* ---- freopen ------------------------------------------------------------------------------- */

/* What a path says: a store descriptor, a negative errno, or NOT_OURS. */
#define NOT_OURS INT_MIN

static int open_path(const char *path, const char *mode)
{
	int flags = flags_of_mode(mode), fd = NOT_OURS;
	struct stat st;
	struct spot s;

	paths_look(&s, AT_FDCWD, path, paths_flags_of_mode(mode));
	if (s.kind < SPOT_FILE && sys_fstatat(AT_FDCWD, path, &st, 0) == -ENOENT)
		(void)paths_again(&s);
	if (s.kind >= SPOT_FILE)
		fd = flags < 0 ? flags : open_spot(&s, flags);
	paths_done(&s);
	return fd;
}

/* The stream's own file, as "/proc/self/fd/N" would open it on a read-only file system. */
static int open_same(FILE *f, const char *mode)
{
	struct ofd *o = fds_get(stream_fd(f));
	int flags = flags_of_mode(mode), fd;
	bool first;

	if (o == NULL)
		return NOT_OURS;
	if (flags < 0)
		fd = flags;
	else if ((flags & O_ACCMODE) != O_RDONLY)
		fd = (flags & (O_CREAT | O_EXCL)) == (O_CREAT | O_EXCL) ? -EEXIST : -EROFS;
	else
		fd = open_file(file_ref(o->file), flags, &first);
	fds_put(o);
	return fd;
}

/* libc's own freopen, of something that it can open itself. */
static FILE *reopen_by_libc(const char *path, const char *mode, FILE *f)
{
	__typeof(&freopen) libc = NEXT(freopen);

	stream_detach(f);
	return libc(path, mode, f);
}

/* The stream is closed, as when libc cannot open the path. */
static FILE *fail_reopen(int error, const char *mode, FILE *f)
{
	reopen_by_libc("", mode, f);
	errno_set(-error);
	return NULL;
}

/* A closed stream gets the lowest number, which our descriptor must not hold. */
static int make_room(int fd, FILE *f)
{
	int other;

	if (stream_fd(f) >= 0 && stream_fd(f) != fd)
		return fd;
	other = fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
	if (other >= 0)
		close(fd);
	return other >= 0 ? other : fd;
}

/* libc opens a private copy; then the stream's descriptor is the one that shows the store file. */
static FILE *reopen_copy(int fd, const char *mode, FILE *f)
{
	int r = escape_descriptor(fd), flags;
	char path[LINK];

	if (r != 0) {
		close(fd);
		return fail_reopen(r, mode, f);
	}
	fd = make_room(fd, f);
	f = reopen_by_libc(link_of(fd, path), mode, f);
	if (f != NULL) {
		flags = sys_fcntl(stream_fd(f), F_GETFD, 0);
		dup3(fd, stream_fd(f), flags > 0 && (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
	}
	close(fd);
	return f;
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *f)
{
	__typeof(&freopen) libc = NEXT(freopen);
	int before = errno_get(), fd;

	if (!paths_on() && fds_end == 0)
		return libc(path, mode, f);
	if (stream_is_cookie(f) && !stream_can_be_plain()) {
		errno_set(-REFUSE(ENOTSUP, "freopen of its stream", path != NULL ? path : ""));
		return NULL;
	}
	fd = path != NULL ? open_path(path, mode) : open_same(f, mode);
	if (fd == NOT_OURS) {
		f = reopen_by_libc(path, mode, f);
		if (f != NULL && path != NULL)
			opened_by_libc(path, f);
		return f;
	}
	if (fd < 0)
		return fail_reopen(fd, mode, f);
	if (stream_is_cookie(f) && !names_charset(mode))
		stream_reopen(f, fd);
	else
		f = reopen_copy(fd, mode, f);
	if (f != NULL)
		errno_set(before);
	return f;
}
ALIAS(freopen64, freopen);
