#include "libclient/preload/stream.h"

#include "libclient/core/arena.h"
#include "libclient/core/lock.h"
#include "libclient/core/sys.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"

#include <sys/stat.h>
#include <unistd.h>

#define BUFFER	     (60u * 1024) /* with its cookie under 64 KiB */
#define WINDOW	     4096u	  /* read ahead at first and after a seek; then ever more */
#define _IO_USER_BUF 1		  /* glibc's flag: the buffer is not its own */
#define WIDE_WORDS   128u	  /* more than the wide part of a stream has in any glibc */

/* Weak copies of declarations that stdio.h has as strong ones. */
extern FILE *libc_fopencookie(void *cookie, const char *mode,
			      cookie_io_functions_t f) __asm__("fopencookie") LIBC_WEAK;
extern int libc_setvbuf(FILE *f, char *buf, int mode, size_t len) __asm__("setvbuf") LIBC_WEAK;
extern int libc_fflush(FILE *f) __asm__("fflush") LIBC_WEAK;
extern int libc_fileno(FILE *f) __asm__("fileno") LIBC_WEAK;
extern void libc_fpurge(FILE *f) __asm__("__fpurge") LIBC_WEAK;
extern void libc_flockfile(FILE *f) __asm__("flockfile") LIBC_WEAK;
extern void libc_funlockfile(FILE *f) __asm__("funlockfile") LIBC_WEAK;
extern FILE *libc_stdin __asm__("stdin") __attribute__((weak));
extern FILE *libc_stderr __asm__("stderr") __attribute__((weak));
extern const char libc_wide_table[] __asm__("_IO_wfile_jumps") __attribute__((weak));

struct cookie {
	FILE *stream;
	struct cookie *next; /* of those made plain */
	int fd;
	uint32_t window;
	uint32_t buffer_len;
	/* What glibc keeps of a stream for wide characters: its own cookie streams have none. */
	const void *wide[WIDE_WORDS];
	char buffer[];
};

/*
 * What we must know of glibc's streams to make a cookie stream plain, as its
 * freopen does: the table of functions behind a FILE, and the one behind its wide
 * part.  Learned from stderr; where they are not found, that is refused.
 */
static struct {
	const void *file_table;
	const void *cookie_table;
	unsigned wide_at; /* the word of the wide part that holds its table; 0: not known */
} layout;

static FILE *first_stdin;
static struct lock plain_lock;
static struct cookie *plain; /* made plain, not closed yet: libc still uses their memory */

static const void **table_of(FILE *f)
{
	return (const void **)(f + 1);
}

static void learn_layout(void)
{
	const void *const *wide;
	unsigned i;

	if (&libc_stderr == NULL || libc_stderr == NULL || libc_wide_table == NULL)
		return;
	layout.file_table = *table_of(libc_stderr);
	wide = (const void *const *)libc_stderr->_wide_data;
	for (i = 1; wide != NULL && layout.wide_at == 0 && i < WIDE_WORDS / 2; i++)
		if (wide[i] == libc_wide_table)
			layout.wide_at = i;
}

static struct cookie *cookie_of(FILE *f)
{
	return (struct cookie *)((char *)f->_wide_data - offsetof(struct cookie, wide));
}

int stream_fd(FILE *f)
{
	if (f == NULL)
		return -1;
	if (next_is_glibc())
		return f->_fileno;
	return libc_fileno != NULL ? libc_fileno(f) : -1;
}

bool stream_is_store(FILE *f)
{
	struct ofd *o = fds_get(stream_fd(f));

	if (o == NULL)
		return false;
	fds_put(o);
	return true;
}

/* A program's own cookie stream has no descriptor, or -1 for its wide part. */
bool stream_is_cookie(FILE *f)
{
	return f != NULL && layout.cookie_table != NULL && *table_of(f) == layout.cookie_table &&
	       f->_fileno >= 0 && (layout.wide_at == 0 || (long)f->_wide_data != -1);
}

static void lock_stream(FILE *f)
{
	if (libc_flockfile != NULL)
		libc_flockfile(f);
}

static void unlock_stream(FILE *f)
{
	if (libc_funlockfile != NULL)
		libc_funlockfile(f);
}

/* ---- cookie streams --------------------------------------------------------------------- */

/*
 * libc gives up its buffer at each seek: a program that jumps about should not
 * pay for a whole one each time.
 */
static ssize_t cookie_read(void *cookie, char *buf, size_t len)
{
	struct cookie *c = cookie;

	if (len <= c->buffer_len && len > c->window) {
		len = c->window;
		c->window *= 2;
	}
	return read(c->fd, buf, len);
}

static int cookie_seek(void *cookie, off64_t *position, int whence)
{
	struct cookie *c = cookie;
	off_t at = lseek(c->fd, *position, whence);

	if (at < 0)
		return -1;
	if (whence != SEEK_CUR || *position != 0)
		c->window = WINDOW;
	*position = at;
	return 0;
}

static int cookie_close(void *cookie)
{
	int r = close(((struct cookie *)cookie)->fd);

	arena_free(cookie);
	return r;
}

/* As libc makes its own streams: not yet read by bytes nor by wide characters. */
static void set_up(FILE *f, struct cookie *c)
{
	c->window = WINDOW;
	f->_fileno = c->fd;
	if (layout.wide_at != 0) {
		c->wide[layout.wide_at] = libc_wide_table;
		f->_wide_data = (struct _IO_wide_data *)c->wide;
		f->_mode = 0;
	}
	if (libc_setvbuf != NULL)
		libc_setvbuf(f, c->buffer, _IOFBF, c->buffer_len);
}

static FILE *cookie_stream(int fd, uint64_t size)
{
	static const cookie_io_functions_t functions = {
		.read = cookie_read,
		.seek = cookie_seek,
		.close = cookie_close,
	};
	uint32_t len = size < BUFFER ? (uint32_t)size + 64 : BUFFER;
	struct cookie *c = arena_alloc(sizeof(*c) + len);
	FILE *f;

	if (c == NULL) {
		errno_set(ENOMEM);
		return NULL;
	}
	c->fd = fd;
	c->buffer_len = len;
	f = libc_fopencookie(c, "r", functions);
	if (f == NULL) {
		arena_free(c);
		return NULL;
	}
	layout.cookie_table = *table_of(f);
	set_up(f, c);
	return f;
}

static FILE *copy_stream(int fd, const char *mode)
{
	__typeof(&fdopen) libc = NEXT(fdopen);
	int r = escape_descriptor(fd);

	if (r != 0 || libc == NULL) {
		errno_set(libc == NULL ? ENOTSUP : -r);
		return NULL;
	}
	return libc(fd, mode);
}

FILE *stream_new(int fd, const char *mode)
{
	struct ofd *o = fds_get(fd);
	uint64_t size;

	if (o == NULL) {
		errno_set(EBADF);
		return NULL;
	}
	size = o->size;
	fds_put(o);
	if (next_is_glibc() && libc_fopencookie != NULL)
		return cookie_stream(fd, size);
	return copy_stream(fd, mode);
}

void stream_reopen(FILE *f, int fd)
{
	struct cookie *c;
	int flags = sys_fcntl(fd, F_GETFD, 0);

	lock_stream(f);
	c = layout.wide_at != 0 ? cookie_of(f) : NULL;
	if (libc_fflush != NULL)
		libc_fflush(f);
	dup3(fd, f->_fileno, flags > 0 && (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0);
	close(fd);
	if (libc_fpurge != NULL)
		libc_fpurge(f);
	f->_flags &= ~(_IO_EOF_SEEN | _IO_ERR_SEEN);
	f->_offset = -1;
	if (c != NULL)
		set_up(f, c);
	unlock_stream(f);
}

/* Many programs never read their input: the file behind it is not opened before they do. */
void stream_start(void)
{
	struct stat st;
	FILE *f;

	if (&libc_stdin == NULL || !next_is_glibc())
		return;
	learn_layout();
	if (!fds_is_ours(0) || libc_fopencookie == NULL || sys_fstat(0, &st) != 0)
		return;
	f = cookie_stream(0, (uint64_t)st.st_size);
	if (f == NULL)
		return;
	first_stdin = libc_stdin;
	libc_stdin = f;
}

/* ---- plain streams ------------------------------------------------------------------------ */

/* libc will not close this cookie: its memory stays until the stream is closed. */
static void keep(struct cookie *c, FILE *f)
{
	uint64_t signals = lock_enter(&plain_lock);

	c->stream = f;
	c->next = plain;
	plain = c;
	lock_leave(&plain_lock, signals);
}

static struct cookie *take(FILE *f)
{
	struct cookie **at, *c;
	uint64_t signals;

	if (__atomic_load_n(&plain, __ATOMIC_RELAXED) == NULL)
		return NULL;
	signals = lock_enter(&plain_lock);
	for (at = &plain; *at != NULL && (*at)->stream != f; at = &(*at)->next)
		;
	c = *at;
	if (c != NULL)
		*at = c->next;
	lock_leave(&plain_lock, signals);
	return c;
}

/* Nothing is in our buffer: libc makes its own, whose size it knows for wide characters. */
static void drop_buffer(FILE *f, const struct cookie *c)
{
	if (f->_IO_buf_base != c->buffer || f->_IO_read_ptr != f->_IO_read_end)
		return;
	f->_flags &= ~_IO_USER_BUF;
	f->_IO_buf_base = f->_IO_buf_end = NULL;
	f->_IO_read_base = f->_IO_read_ptr = f->_IO_read_end = NULL;
	f->_IO_write_base = f->_IO_write_ptr = f->_IO_write_end = NULL;
}

bool stream_can_be_plain(void)
{
	return layout.wide_at != 0 || !next_is_glibc();
}

int stream_make_plain(FILE *f)
{
	int r = 0;

	lock_stream(f);
	if (stream_is_cookie(f) && !stream_can_be_plain())
		r = REFUSE(ENOTSUP, "this use of its stream", "with this C library");
	if (r == 0)
		r = escape_descriptor(stream_fd(f));
	if (r == 0 && stream_is_cookie(f)) {
		keep(cookie_of(f), f);
		f->_offset = -1; /* libc asks the kernel */
		drop_buffer(f, cookie_of(f));
		*table_of(f) = layout.file_table;
	}
	unlock_stream(f);
	return r;
}

bool stream_wide(FILE *f)
{
	int r;

	/* Once read by bytes, a stream gives no wide characters: libc says so. */
	if (!stream_is_store(f) || (stream_is_cookie(f) && f->_mode < 0 && layout.wide_at != 0))
		return true;
	r = stream_make_plain(f);
	if (r == 0)
		return true;
	if (next_is_glibc())
		f->_flags |= _IO_ERR_SEEN;
	errno_set(-r);
	return false;
}

/* When it cannot be, libc's read of the placeholder fails and the stream says so. */
void stream_settle(FILE *f)
{
	int before = errno_get();

	if (f != NULL && !stream_is_cookie(f) && stream_is_store(f))
		(void)escape_descriptor(stream_fd(f));
	errno_set(before);
}

void stream_detach(FILE *f)
{
	if (stream_is_cookie(f)) {
		if (libc_fflush != NULL)
			libc_fflush(f);
		keep(cookie_of(f), f);
	}
	fds_forget(stream_fd(f));
}

struct cookie *stream_before_close(FILE *f)
{
	/* Programs go on with stdin after closing it: then it is libc's own again. */
	if (first_stdin != NULL && f == libc_stdin) {
		first_stdin->_fileno = -1;
		libc_stdin = first_stdin;
		first_stdin = NULL;
	}
	if (!stream_is_cookie(f) && stream_is_store(f))
		fds_forget(stream_fd(f));
	return take(f);
}

void stream_after_close(struct cookie *c)
{
	arena_free(c);
}
