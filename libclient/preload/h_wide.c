/*
 * h_wide.c - hooks: wide characters from a stream.  glibc's cookie streams have
 * none, so a store file's stream becomes a plain one at the first.
 */
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/stream.h"

#include <stdio.h>
#include <wchar.h>

extern FILE *libc_stdin __asm__("stdin") __attribute__((weak));

/* May libc read wide characters from the stream?  False: errno and the error flag are set. */
static inline bool ready(FILE *f)
{
	return __builtin_expect(fds_end == 0, 1) || stream_wide(f);
}

EXPORT wint_t fgetwc(FILE *f)
{
	__typeof(&fgetwc) libc = NEXT(fgetwc);

	return ready(f) ? libc(f) : WEOF;
}
ALIAS(getwc, fgetwc);

EXPORT wint_t fgetwc_unlocked(FILE *f)
{
	__typeof(&fgetwc_unlocked) libc = NEXT(fgetwc_unlocked);

	return ready(f) ? libc(f) : WEOF;
}
ALIAS(getwc_unlocked, fgetwc_unlocked);

EXPORT wint_t getwchar(void)
{
	return fgetwc(libc_stdin);
}

EXPORT wint_t getwchar_unlocked(void)
{
	return fgetwc_unlocked(libc_stdin);
}

EXPORT wchar_t *fgetws(wchar_t *buf, int len, FILE *f)
{
	__typeof(&fgetws) libc = NEXT(fgetws);

	return ready(f) ? libc(buf, len, f) : NULL;
}

EXPORT wchar_t *fgetws_unlocked(wchar_t *buf, int len, FILE *f)
{
	__typeof(&fgetws_unlocked) libc = NEXT(fgetws_unlocked);

	return ready(f) ? libc(buf, len, f) : NULL;
}

/* What fortified programs call. */
EXPORT wchar_t *__fgetws_chk(wchar_t *buf, size_t room, int len, FILE *f);
wchar_t *__fgetws_chk(wchar_t *buf, size_t room, int len, FILE *f)
{
	__typeof(&__fgetws_chk) libc = NEXT(__fgetws_chk);

	return ready(f) ? libc(buf, room, len, f) : NULL;
}

EXPORT wchar_t *__fgetws_unlocked_chk(wchar_t *buf, size_t room, int len, FILE *f);
wchar_t *__fgetws_unlocked_chk(wchar_t *buf, size_t room, int len, FILE *f)
{
	__typeof(&__fgetws_unlocked_chk) libc = NEXT(__fgetws_unlocked_chk);

	return ready(f) ? libc(buf, room, len, f) : NULL;
}

EXPORT wint_t ungetwc(wint_t c, FILE *f)
{
	__typeof(&ungetwc) libc = NEXT(ungetwc);

	return ready(f) ? libc(c, f) : WEOF;
}

/* A stream that cannot become wide stays as it is: libc answers what it is. */
EXPORT int fwide(FILE *f, int mode)
{
	__typeof(&fwide) libc = NEXT(fwide);

	return mode <= 0 || ready(f) ? libc(f, mode) : libc(f, 0);
}
