/*
 * flaw.c - a library to preload, which does some call wrongly on files below
 * $FLAW_DIR now and then: a test of the reference model.
 *
 * $FLAW says which flaw.  When it shows depends on the arguments alone, so a
 * sequence that met it meets it again.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define NEXT(name) ((__typeof(&name))dlsym(RTLD_NEXT, #name))

static bool is_flaw(const char *name)
{
	const char *flaw = getenv("FLAW");

	return flaw != NULL && strcmp(flaw, name) == 0;
}

static bool is_below(int fd)
{
	const char *dir = getenv("FLAW_DIR");
	char name[64], path[PATH_MAX];
	int before = errno;
	ssize_t n;

	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, path, sizeof(path) - 1);
	errno = before;
	return dir != NULL && n > 0 && (size_t)n > strlen(dir) &&
	       memcmp(path, dir, strlen(dir)) == 0;
}

/* One call in some hundreds, by its arguments. */
static bool is_turn(uint64_t x, unsigned one_in)
{
	return (x * 0x9e3779b97f4a7c15ull >> 40) % one_in == 0;
}

ssize_t pread(int fd, void *buf, size_t len, off_t off)
{
	ssize_t r = NEXT(pread)(fd, buf, len, off);

	if (r > 1 && is_below(fd) && is_turn((uint64_t)off + len, 300)) {
		if (is_flaw("byte"))
			((char *)buf)[r / 2] ^= 1;
		if (is_flaw("zeros"))
			memset(buf, 0, (size_t)r);
		if (is_flaw("short"))
			return r - 1;
		if (is_flaw("errno")) {
			errno = EIO;
			return -1;
		}
	}
	return r;
}

ssize_t read(int fd, void *buf, size_t len)
{
	off_t before = lseek(fd, 0, SEEK_CUR);
	ssize_t r = NEXT(read)(fd, buf, len);

	if (r > 1 && is_flaw("offset") && is_below(fd) && is_turn((uint64_t)before + len, 100))
		lseek(fd, before, SEEK_SET);
	return r;
}

int dup(int fd)
{
	char path[64];

	/* An offset of its own. */
	if (is_flaw("dup") && is_below(fd)) {
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		return open(path, O_RDONLY);
	}
	return NEXT(dup)(fd);
}

struct dirent *readdir(DIR *d)
{
	struct dirent *e = NEXT(readdir)(d);

	if (e != NULL && is_flaw("readdir") && is_below(dirfd(d)) && strcmp(e->d_name, "f017") == 0)
		return NEXT(readdir)(d);
	return e;
}

void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	void *mem = NEXT(mmap)(addr, len, prot, flags, fd, off);

	/* Its second page is a hole. */
	if (mem != MAP_FAILED && is_flaw("hole") && fd != -1 && len > 8192 && is_below(fd))
		NEXT(mmap)
	((char *)mem + 4096, 4096, PROT_READ | (prot & PROT_WRITE),
	 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	return mem;
}
