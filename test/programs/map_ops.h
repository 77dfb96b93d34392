/*
 * map_ops.h - what the map_* programs share: sums of memory, bytes that may not be
 * there, and words for results.  A run prints what it saw: on a plain file and on a
 * store file the same.
 */
#ifndef TEST_PROGRAMS_MAP_OPS_H
#define TEST_PROGRAMS_MAP_OPS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE 4096ul

static const char *path;
static const char *stir_path; /* another large file: reading it evicts ours, or NULL */
static int fd;
static size_t size;

static inline uint64_t sum(const volatile void *mem, size_t len)
{
	const volatile unsigned char *p = mem;
	uint64_t h = 14695981039346656037ull;

	/* A word at a time: every byte counts. */
	for (; len >= 8; p += 8, len -= 8)
		h = (h ^ *(const volatile uint64_t *)p) * 1099511628211ull;
	for (; len > 0; p++, len--)
		h = (h ^ *p) * 1099511628211ull;
	return h;
}

static sigjmp_buf no_memory;

static inline void on_signal(int nr)
{
	siglongjmp(no_memory, nr);
}

/* The byte, or minus the signal that came instead. */
static inline int byte_at(const volatile void *mem)
{
	int nr = sigsetjmp(no_memory, 1);

	return nr != 0 ? -nr : *(const volatile unsigned char *)mem;
}

static inline const char *word(long result)
{
	return result >= 0 ? "ok" : strerrorname_np(errno);
}

/* Evict what was read before, if the cache is small. */
static inline void stir(void)
{
	static char buf[1 << 20];
	int other;

	if (stir_path == NULL)
		return;
	other = open(stir_path, O_RDONLY);
	if (other == -1) {
		perror(stir_path);
		exit(1);
	}
	while (read(other, buf, sizeof(buf)) > 0)
		;
	close(other);
}

static inline char *map(size_t off, size_t len, int prot, int flags)
{
	char *mem = mmap(NULL, len, prot, flags, fd, (off_t)off);

	if (mem == MAP_FAILED) {
		printf("mmap %zu %zu: %s\n", off, len, strerrorname_np(errno));
		fflush(stdout);
		exit(1);
	}
	return mem;
}

static inline void start(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = on_signal };
	struct stat st;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FILE [OTHER-FILE]\n", argv[0]);
		exit(2);
	}
	path = argv[1];
	stir_path = argc > 2 ? argv[2] : NULL;
	fd = open(path, O_RDONLY);
	if (fd == -1 || fstat(fd, &st) != 0) {
		perror(path);
		exit(1);
	}
	size = (size_t)st.st_size;
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
}

#endif
