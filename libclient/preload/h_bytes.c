/*
 * h_bytes.c - hooks: reading bytes from a stream.  A cookie stream needs none of
 * them.  They are for libc's own streams over a descriptor that became a store
 * file's later (dup2 onto descriptor 0) or before the stream was ours (libc's first
 * stdin): these read inside libc, so that descriptor becomes a private copy first.
 */
#define __NO_INLINE__ 1 /* stdio.h would define some of these itself */

#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/stream.h"

#include <stdio.h>

extern FILE *libc_stdin __asm__("stdin") __attribute__((weak));

/* All that happens in a program without such a descriptor: one load. */
static inline FILE *ready(FILE *f)
{
	if (__builtin_expect(fds_moved, 0))
		stream_settle(f);
	return f;
}

/* ---- characters ------------------------------------------------------------------------------ */

EXPORT int fgetc(FILE *f)
{
	__typeof(&fgetc) libc = NEXT(fgetc);

	return libc(ready(f));
}

EXPORT int getc(FILE *f)
{
	__typeof(&getc) libc = NEXT(getc);

	return libc(ready(f));
}
ALIAS(_IO_getc, getc);

EXPORT int fgetc_unlocked(FILE *f)
{
	__typeof(&fgetc_unlocked) libc = NEXT(fgetc_unlocked);

	return libc(ready(f));
}

EXPORT int getc_unlocked(FILE *f)
{
	__typeof(&getc_unlocked) libc = NEXT(getc_unlocked);

	return libc(ready(f));
}

EXPORT int getchar(void)
{
	return getc(libc_stdin);
}

EXPORT int getchar_unlocked(void)
{
	return getc_unlocked(libc_stdin);
}

/* What inlined getc_unlocked() calls when its buffer is empty. */
EXPORT int __uflow(FILE *f);
int __uflow(FILE *f)
{
	__typeof(&__uflow) libc = NEXT(__uflow);

	return libc(ready(f));
}

EXPORT int __underflow(FILE *f);
int __underflow(FILE *f)
{
	__typeof(&__underflow) libc = NEXT(__underflow);

	return libc(ready(f));
}

EXPORT int getw(FILE *f)
{
	__typeof(&getw) libc = NEXT(getw);

	return libc(ready(f));
}

/* ---- blocks and lines -------------------------------------------------------------------------- */

EXPORT size_t fread(void *buf, size_t size, size_t nr, FILE *f)
{
	__typeof(&fread) libc = NEXT(fread);

	return libc(buf, size, nr, ready(f));
}
ALIAS(_IO_fread, fread);

EXPORT size_t fread_unlocked(void *buf, size_t size, size_t nr, FILE *f)
{
	__typeof(&fread_unlocked) libc = NEXT(fread_unlocked);

	return libc(buf, size, nr, ready(f));
}

EXPORT size_t __fread_chk(void *buf, size_t room, size_t size, size_t nr, FILE *f);
size_t __fread_chk(void *buf, size_t room, size_t size, size_t nr, FILE *f)
{
	__typeof(&__fread_chk) libc = NEXT(__fread_chk);

	return libc(buf, room, size, nr, ready(f));
}

EXPORT size_t __fread_unlocked_chk(void *buf, size_t room, size_t size, size_t nr, FILE *f);
size_t __fread_unlocked_chk(void *buf, size_t room, size_t size, size_t nr, FILE *f)
{
	__typeof(&__fread_unlocked_chk) libc = NEXT(__fread_unlocked_chk);

	return libc(buf, room, size, nr, ready(f));
}

EXPORT size_t _IO_sgetn(FILE *f, void *buf, size_t len);
size_t _IO_sgetn(FILE *f, void *buf, size_t len)
{
	__typeof(&_IO_sgetn) libc = NEXT(_IO_sgetn);

	return libc(ready(f), buf, len);
}

EXPORT char *fgets(char *buf, int len, FILE *f)
{
	__typeof(&fgets) libc = NEXT(fgets);

	return libc(buf, len, ready(f));
}
ALIAS(_IO_fgets, fgets);

EXPORT char *fgets_unlocked(char *buf, int len, FILE *f)
{
	__typeof(&fgets_unlocked) libc = NEXT(fgets_unlocked);

	return libc(buf, len, ready(f));
}

EXPORT char *__fgets_chk(char *buf, size_t room, int len, FILE *f);
char *__fgets_chk(char *buf, size_t room, int len, FILE *f)
{
	__typeof(&__fgets_chk) libc = NEXT(__fgets_chk);

	return libc(buf, room, len, ready(f));
}

EXPORT char *__fgets_unlocked_chk(char *buf, size_t room, int len, FILE *f);
char *__fgets_unlocked_chk(char *buf, size_t room, int len, FILE *f)
{
	__typeof(&__fgets_unlocked_chk) libc = NEXT(__fgets_unlocked_chk);

	return libc(buf, room, len, ready(f));
}

EXPORT ssize_t getline(char **line, size_t *room, FILE *f)
{
	__typeof(&getline) libc = NEXT(getline);

	return libc(line, room, ready(f));
}

EXPORT ssize_t getdelim(char **line, size_t *room, int end, FILE *f)
{
	__typeof(&getdelim) libc = NEXT(getdelim);

	return libc(line, room, end, ready(f));
}
ALIAS(__getdelim, getdelim);

/* The one that cannot know how much room there is. */
EXPORT char *line_of_stdin(char *buf) __asm__("gets");
char *line_of_stdin(char *buf)
{
	__typeof(&line_of_stdin) libc = NEXT_LIKE(gets, line_of_stdin);

	ready(libc_stdin);
	return libc(buf);
}

EXPORT char *__gets_chk(char *buf, size_t room);
char *__gets_chk(char *buf, size_t room)
{
	__typeof(&__gets_chk) libc = NEXT(__gets_chk);

	ready(libc_stdin);
	return libc(buf, room);
}

/* ---- positions --------------------------------------------------------------------------------- */

EXPORT int fseek(FILE *f, long off, int whence)
{
	__typeof(&fseek) libc = NEXT(fseek);

	return libc(ready(f), off, whence);
}

EXPORT int fseeko(FILE *f, off_t off, int whence)
{
	__typeof(&fseeko) libc = NEXT(fseeko);

	return libc(ready(f), off, whence);
}
ALIAS(fseeko64, fseeko);

EXPORT long ftell(FILE *f)
{
	__typeof(&ftell) libc = NEXT(ftell);

	return libc(ready(f));
}

EXPORT off_t ftello(FILE *f)
{
	__typeof(&ftello) libc = NEXT(ftello);

	return libc(ready(f));
}
ALIAS(ftello64, ftello);

EXPORT void rewind(FILE *f)
{
	__typeof(&rewind) libc = NEXT(rewind);

	libc(ready(f));
}

EXPORT int fgetpos(FILE *f, fpos_t *position)
{
	__typeof(&fgetpos) libc = NEXT(fgetpos);

	return libc(ready(f), position);
}
ALIAS(fgetpos64, fgetpos);

EXPORT int fsetpos(FILE *f, const fpos_t *position)
{
	__typeof(&fsetpos) libc = NEXT(fsetpos);

	return libc(ready(f), position);
}
ALIAS(fsetpos64, fsetpos);
