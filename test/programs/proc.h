/*
 * proc.h - what the proc_* programs share: a store file beside a plain copy of it,
 * compared byte by byte in several ways.  Plain POSIX; knows nothing of the store.
 */
#ifndef TEST_PROGRAMS_PROC_H
#define TEST_PROGRAMS_PROC_H

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const unsigned char *right; /* the bytes, from the plain copy */
static size_t right_len;

__attribute__((noreturn, format(printf, 1, 2))) static void wrong(const char *fmt, ...)
{
	char line[512];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 2)
		n = sizeof(line) - 2;
	line[n] = '\n';
	if (write(1, line, (size_t)n + 1) == -1)
		_exit(3);
	_exit(1);
}

static inline void load_right(const char *plain)
{
	int fd = open(plain, O_RDONLY);
	struct stat st;
	void *mem;

	if (fd == -1 || fstat(fd, &st) == -1)
		wrong("%s: %s", plain, strerror(errno));
	right_len = (size_t)st.st_size;
	mem = malloc(right_len);
	if (mem == NULL || pread(fd, mem, right_len, 0) != (ssize_t)right_len)
		wrong("%s: cannot be read", plain);
	right = mem;
	close(fd);
}

/* Past every library: the kernel's own call. */
static inline void raw_close(int fd)
{
#if defined(__x86_64__)
	long r = 3;

	__asm__ volatile("syscall" : "+a"(r) : "D"((long)fd) : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = 57, x0 __asm__("x0") = fd;

	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8) : "memory");
#else
	close(fd);
#endif
}

/* Are these `len` bytes at `off` right? */
static inline void check_bytes(const char *what, const void *bytes, size_t off, size_t len)
{
	if (off + len > right_len || memcmp(bytes, right + off, len) != 0)
		wrong("%s: wrong bytes in %zu at %zu", what, len, off);
}

static inline void check_pread(const char *what, int fd, size_t off, size_t len)
{
	char buf[65536];
	size_t want;
	ssize_t n;

	if (len > sizeof(buf))
		len = sizeof(buf);
	want = off >= right_len ? 0 : len < right_len - off ? len : right_len - off;
	n = pread(fd, buf, len, (off_t)off);
	if (n != (ssize_t)want)
		wrong("%s: pread of %zu at %zu gave %zd (%s)", what, len, off, n,
		      n < 0 ? strerror(errno) : "short");
	check_bytes(what, buf, off, want);
}

/* All of an open file, by pread. */
static inline void check_all(const char *what, int fd)
{
	size_t off;

	for (off = 0; off < right_len; off += 65536)
		check_pread(what, fd, off, 65536);
}

/* Open, look, read, close. */
static inline void check_path(const char *what, const char *path)
{
	struct stat st;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		wrong("%s: open: %s", what, strerror(errno));
	if (fstat(fd, &st) == -1 || (size_t)st.st_size != right_len)
		wrong("%s: fstat: %s", what, strerror(errno));
	check_all(what, fd);
	if (close(fd) == -1)
		wrong("%s: close: %s", what, strerror(errno));
}

/* The child did as it should. */
static inline void await(const char *what, pid_t pid)
{
	int status;

	if (pid == -1)
		wrong("%s: %s", what, strerror(errno));
	while (waitpid(pid, &status, __WALL) == -1)
		if (errno != EINTR)
			wrong("%s: waitpid: %s", what, strerror(errno));
	if (status != 0)
		wrong("%s: the child ended with status %#x", what, (unsigned)status);
}

static inline void done(void)
{
	if (write(1, "right\n", 6) != 6)
		_exit(3);
	_exit(0);
}

#endif
