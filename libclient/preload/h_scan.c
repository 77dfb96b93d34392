/*
 * h_scan.c - hooks: scanf and its kin, by bytes (as h_bytes.c) and by wide
 * characters (as h_wide.c).  libc has each three times, for the rules of GNU, C99
 * and C23; headers choose by renaming, so the C names here are our own.
 */
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/stream.h"

#include <stdarg.h>
#include <stddef.h>

extern FILE *libc_stdin __asm__("stdin") __attribute__((weak));

typedef int scan_function(FILE *f, const char *format, va_list ap);
typedef int wide_scan_function(FILE *f, const wchar_t *format, va_list ap);

static int scan(scan_function *libc, FILE *f, const char *format, va_list ap)
{
	if (fds_moved)
		stream_settle(f);
	return libc(f, format, ap);
}

static int wide_scan(wide_scan_function *libc, FILE *f, const wchar_t *format, va_list ap)
{
	if (fds_end != 0 && !stream_wide(f))
		return EOF;
	return libc(f, format, ap);
}

/* A function of this family: that of libc's that takes a list, found behind us. */
#define SCAN(how, family, libc_name, f, format, ap)                                                \
	({                                                                                         \
		static void *next_slot;                                                            \
		how((family *)next_cached(&next_slot, libc_name), f, format, ap);                  \
	})

#define SCAN_ARGUMENTS(how, family, libc_name, f, format)                                          \
	({                                                                                         \
		va_list ap_;                                                                       \
		int r_;                                                                            \
		va_start(ap_, format);                                                             \
		r_ = SCAN(how, family, libc_name, f, format, ap_);                                 \
		va_end(ap_);                                                                       \
		r_;                                                                                \
	})

/* ---- bytes ------------------------------------------------------------------------------------- */

EXPORT int gnu_fscan(FILE *f, const char *format, ...) __asm__("fscanf");
int gnu_fscan(FILE *f, const char *format, ...)
{
	return SCAN_ARGUMENTS(scan, scan_function, "vfscanf", f, format);
}

EXPORT int gnu_vfscan(FILE *f, const char *format, va_list ap) __asm__("vfscanf");
int gnu_vfscan(FILE *f, const char *format, va_list ap)
{
	return SCAN(scan, scan_function, "vfscanf", f, format, ap);
}

EXPORT int gnu_scan(const char *format, ...) __asm__("scanf");
int gnu_scan(const char *format, ...)
{
	return SCAN_ARGUMENTS(scan, scan_function, "vfscanf", libc_stdin, format);
}

EXPORT int gnu_vscan(const char *format, va_list ap) __asm__("vscanf");
int gnu_vscan(const char *format, va_list ap)
{
	return SCAN(scan, scan_function, "vfscanf", libc_stdin, format, ap);
}

EXPORT int c99_fscan(FILE *f, const char *format, ...) __asm__("__isoc99_fscanf");
int c99_fscan(FILE *f, const char *format, ...)
{
	return SCAN_ARGUMENTS(scan, scan_function, "__isoc99_vfscanf", f, format);
}

EXPORT int c99_vfscan(FILE *f, const char *format, va_list ap) __asm__("__isoc99_vfscanf");
int c99_vfscan(FILE *f, const char *format, va_list ap)
{
	return SCAN(scan, scan_function, "__isoc99_vfscanf", f, format, ap);
}

EXPORT int c99_scan(const char *format, ...) __asm__("__isoc99_scanf");
int c99_scan(const char *format, ...)
{
	return SCAN_ARGUMENTS(scan, scan_function, "__isoc99_vfscanf", libc_stdin, format);
}

EXPORT int c99_vscan(const char *format, va_list ap) __asm__("__isoc99_vscanf");
int c99_vscan(const char *format, va_list ap)
{
	return SCAN(scan, scan_function, "__isoc99_vfscanf", libc_stdin, format, ap);
}

EXPORT int c23_fscan(FILE *f, const char *format, ...) __asm__("__isoc23_fscanf");
int c23_fscan(FILE *f, const char *format, ...)
{
	return SCAN_ARGUMENTS(scan, scan_function, "__isoc23_vfscanf", f, format);
}

EXPORT int c23_vfscan(FILE *f, const char *format, va_list ap) __asm__("__isoc23_vfscanf");
int c23_vfscan(FILE *f, const char *format, va_list ap)
{
	return SCAN(scan, scan_function, "__isoc23_vfscanf", f, format, ap);
}

EXPORT int c23_scan(const char *format, ...) __asm__("__isoc23_scanf");
int c23_scan(const char *format, ...)
{
	return SCAN_ARGUMENTS(scan, scan_function, "__isoc23_vfscanf", libc_stdin, format);
}

EXPORT int c23_vscan(const char *format, va_list ap) __asm__("__isoc23_vscanf");
int c23_vscan(const char *format, va_list ap)
{
	return SCAN(scan, scan_function, "__isoc23_vfscanf", libc_stdin, format, ap);
}

/* ---- wide characters --------------------------------------------------------------------------- */

EXPORT int gnu_fwscan(FILE *f, const wchar_t *format, ...) __asm__("fwscanf");
int gnu_fwscan(FILE *f, const wchar_t *format, ...)
{
	return SCAN_ARGUMENTS(wide_scan, wide_scan_function, "vfwscanf", f, format);
}

EXPORT int gnu_vfwscan(FILE *f, const wchar_t *format, va_list ap) __asm__("vfwscanf");
int gnu_vfwscan(FILE *f, const wchar_t *format, va_list ap)
{
	return SCAN(wide_scan, wide_scan_function, "vfwscanf", f, format, ap);
}

EXPORT int gnu_wscan(const wchar_t *format, ...) __asm__("wscanf");
int gnu_wscan(const wchar_t *format, ...)
{
	return SCAN_ARGUMENTS(wide_scan, wide_scan_function, "vfwscanf", libc_stdin, format);
}

EXPORT int gnu_vwscan(const wchar_t *format, va_list ap) __asm__("vwscanf");
int gnu_vwscan(const wchar_t *format, va_list ap)
{
	return SCAN(wide_scan, wide_scan_function, "vfwscanf", libc_stdin, format, ap);
}

EXPORT int c99_fwscan(FILE *f, const wchar_t *format, ...) __asm__("__isoc99_fwscanf");
int c99_fwscan(FILE *f, const wchar_t *format, ...)
{
	return SCAN_ARGUMENTS(wide_scan, wide_scan_function, "__isoc99_vfwscanf", f, format);
}

EXPORT int c99_vfwscan(FILE *f, const wchar_t *format, va_list ap) __asm__("__isoc99_vfwscanf");
int c99_vfwscan(FILE *f, const wchar_t *format, va_list ap)
{
	return SCAN(wide_scan, wide_scan_function, "__isoc99_vfwscanf", f, format, ap);
}

EXPORT int c99_wscan(const wchar_t *format, ...) __asm__("__isoc99_wscanf");
int c99_wscan(const wchar_t *format, ...)
{
	return SCAN_ARGUMENTS(wide_scan, wide_scan_function, "__isoc99_vfwscanf", libc_stdin,
			      format);
}

EXPORT int c99_vwscan(const wchar_t *format, va_list ap) __asm__("__isoc99_vwscanf");
int c99_vwscan(const wchar_t *format, va_list ap)
{
	return SCAN(wide_scan, wide_scan_function, "__isoc99_vfwscanf", libc_stdin, format, ap);
}

EXPORT int c23_fwscan(FILE *f, const wchar_t *format, ...) __asm__("__isoc23_fwscanf");
int c23_fwscan(FILE *f, const wchar_t *format, ...)
{
	return SCAN_ARGUMENTS(wide_scan, wide_scan_function, "__isoc23_vfwscanf", f, format);
}

EXPORT int c23_vfwscan(FILE *f, const wchar_t *format, va_list ap) __asm__("__isoc23_vfwscanf");
int c23_vfwscan(FILE *f, const wchar_t *format, va_list ap)
{
	return SCAN(wide_scan, wide_scan_function, "__isoc23_vfwscanf", f, format, ap);
}

EXPORT int c23_wscan(const wchar_t *format, ...) __asm__("__isoc23_wscanf");
int c23_wscan(const wchar_t *format, ...)
{
	return SCAN_ARGUMENTS(wide_scan, wide_scan_function, "__isoc23_vfwscanf", libc_stdin,
			      format);
}

EXPORT int c23_vwscan(const wchar_t *format, va_list ap) __asm__("__isoc23_vwscanf");
int c23_vwscan(const wchar_t *format, va_list ap)
{
	return SCAN(wide_scan, wide_scan_function, "__isoc23_vfwscanf", libc_stdin, format, ap);
}
