/*
 * h_stdio.c - hooks: opening stdio streams.  libc's streams read inside libc,
 * past every hook; so a store file gets a cookie stream, which calls us, with its
 * descriptor noted in the FILE for fileno().  What such a stream cannot do is
 * refused here.
 */
#include "libclient/preload/stream.h"

#include "libclient/core/arena.h"
#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/open.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"
#include "libclient/preload/store.h"

#include <stdio.h>
#include <unistd.h>
#include <wchar.h>

#define BUFFER (60 * 1024) /* with its cookie under 64 KiB */

/* Weak copies of declarations that stdio.h has as strong ones. */
extern FILE *libc_fopencookie(void *cookie, const char *mode,
			      cookie_io_functions_t f) __asm__("fopencookie") LIBC_WEAK;
extern int libc_setvbuf(FILE *f, char *buf, int mode, size_t len) __asm__("setvbuf") LIBC_WEAK;
extern FILE *libc_stdin __asm__("stdin") __attribute__((weak));

struct cookie {
	int fd;
	char buffer[BUFFER];
};

static ssize_t cookie_read(void *cookie, char *buf, size_t len)
{
	return read(((struct cookie *)cookie)->fd, buf, len);
}

static int cookie_seek(void *cookie, off64_t *position, int whence)
{
	off_t at = lseek(((struct cookie *)cookie)->fd, *position, whence);

	if (at < 0)
		return -1;
	*position = at;
	return 0;
}

static int cookie_close(void *cookie)
{
	int r = close(((struct cookie *)cookie)->fd);

	arena_free(cookie);
	return r;
}

/* A stream over a descriptor of ours, which it takes over on success; NULL and errno. */
static FILE *stream_new(int fd)
{
	static const cookie_io_functions_t functions = {
		.read = cookie_read,
		.seek = cookie_seek,
		.close = cookie_close,
	};
	struct cookie *c;
	FILE *f;

	if (libc_fopencookie == NULL || !next_is_glibc()) {
		(void)answer(REFUSE(ENOTSUP, "stdio of this C library", "fopen"));
		return NULL;
	}
	c = arena_alloc(sizeof(*c));
	if (c == NULL) {
		errno_set(ENOMEM);
		return NULL;
	}
	c->fd = fd;
	f = libc_fopencookie(c, "r", functions);
	if (f == NULL) {
		arena_free(c);
		return NULL;
	}
	f->_fileno = fd;
	if (libc_setvbuf != NULL)
		libc_setvbuf(f, c->buffer, _IOFBF, sizeof(c->buffer));
	return f;
}

void stream_start(void)
{
	FILE *f;

	if (&libc_stdin == NULL || !next_is_glibc() || !fds_is_ours(0))
		return;
	f = stream_new(0);
	if (f != NULL)
		libc_stdin = f;
}

/* The open flags of a mode for reading, or a negative errno. */
static int flags_of_mode(const char *mode)
{
	int flags = O_RDONLY;
	const char *m;

	if (mode[0] != 'r')
		return mode[0] == 'w' || mode[0] == 'a' ? -EROFS : -EINVAL;
	for (m = mode + 1; *m != '\0' && *m != ','; m++) {
		if (*m == '+')
			return -EROFS;
		if (*m == 'e')
			flags |= O_CLOEXEC;
	}
	if (*m == ',')
		return REFUSE(ENOTSUP, "fopen with a character set", "ccs");
	return flags;
}

static FILE *stream_of_spot(const struct spot *s, const char *mode)
{
	int flags = s->kind == SPOT_ERROR ? s->error : flags_of_mode(mode), fd;
	FILE *f;

	fd = flags < 0 ? flags : open_spot(s, flags);
	if (fd < 0) {
		errno_set(-fd);
		return NULL;
	}
	f = stream_new(fd);
	if (f == NULL)
		close(fd);
	return f;
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
	__typeof(&fopen) libc = NEXT(fopen);
	int before = errno_get();
	struct spot s;
	FILE *f;

	paths_look(&s, AT_FDCWD, path, 0);
	do
		f = s.kind >= SPOT_FILE ? stream_of_spot(&s, mode)
		    : libc != NULL	? libc(path, mode)
					: NULL;
	while (f == NULL && errno_get() == ENOENT && paths_again(&s));
	paths_done(&s);
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
	FILE *f = NULL;
	int flags;

	if (o == NULL)
		return libc(fd, mode);
	fds_put(o);
	flags = flags_of_mode(mode);
	if (flags < 0) {
		errno_set(flags == -EROFS ? EINVAL : -flags);
		return NULL;
	}
	if ((flags & O_CLOEXEC) != 0)
		sys_fcntl(fd, F_SETFD, FD_CLOEXEC);
	f = stream_new(fd);
	return f;
}
ALIAS(_IO_fdopen, fdopen);

/* ---- what a cookie stream cannot do ----------------------------------------------------------- */

static bool is_ours(FILE *f)
{
	return f != NULL && fds_end != 0 && next_is_glibc() && f->_fileno >= 0 &&
	       fds_is_ours(f->_fileno);
}

/*
 * libc opens the path and reads it past us, and a cookie stream cannot be opened
 * again: the stream gets a copy of the file's bytes.
 */
static FILE *reopen_spot(const struct spot *s, const char *mode, FILE *f)
{
	__typeof(&freopen) libc = NEXT(freopen);
	int flags = s->kind == SPOT_ERROR ? s->error : flags_of_mode(mode), fd = flags;
	char link[40];
	struct file *file;
	struct text t;

	if (flags >= 0) {
		fd = store_open(s->snap, s->entry, &file);
		if (fd == 0) {
			fd = escape_copy(file, 0, file_size(file));
			file_put(file);
		}
	}
	if (fd < 0) {
		errno_set(-fd);
		return NULL;
	}
	text_init(&t, link, sizeof(link));
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, fd);
	f = libc(link, mode, f);
	sys_close(fd);
	return f;
}

EXPORT FILE *freopen(const char *path, const char *mode, FILE *f)
{
	__typeof(&freopen) libc = NEXT(freopen);
	struct spot s;

	if (is_ours(f)) {
		(void)answer(REFUSE(ENOTSUP, "freopen of its stream", path != NULL ? path : ""));
		return NULL;
	}
	paths_look(&s, AT_FDCWD, path, 0);
	if (s.kind == SPOT_NONE && paths_on() && path != NULL && access(path, F_OK) != 0)
		(void)paths_again(&s);
	f = s.kind >= SPOT_FILE ? reopen_spot(&s, mode, f) : libc(path, mode, f);
	paths_done(&s);
	return f;
}
ALIAS(freopen64, freopen);

EXPORT wint_t fgetwc(FILE *f)
{
	__typeof(&fgetwc) libc = NEXT(fgetwc);

	if (!is_ours(f))
		return libc(f);
	(void)answer(REFUSE(ENOTSUP, "reading wide characters", "fgetwc"));
	return WEOF;
}
ALIAS(getwc, fgetwc);

EXPORT wchar_t *fgetws(wchar_t *buf, int len, FILE *f)
{
	__typeof(&fgetws) libc = NEXT(fgetws);

	if (!is_ours(f))
		return libc(buf, len, f);
	(void)answer(REFUSE(ENOTSUP, "reading wide characters", "fgetws"));
	return NULL;
}
