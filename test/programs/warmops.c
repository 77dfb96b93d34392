/*
 * warmops.c - how long one everyday operation takes on a file or a directory that is at hand, as
 * one line of JSON.  Knows nothing of stores.
 *
 *	warmops seq|random|first|touch|map|load|stat|open|reopen|readdir PATH COUNT
 *
 * seq: reads of 1 MiB; random: of 4 KiB, after every page was read once; first: of 4 KiB, the pages
 * never read by this process; touch: one byte of each page of a mapping of its own; map, load: as a
 * loader of tensors, from a private writable mapping and by read, into memory of its own; open: open
 * and close while it is open elsewhere in the process; reopen: while it is not.  COUNT: how often
 * (touch, map, load, readdir: the whole of it).
 */
#include <dirent.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *path;
static unsigned long count;
static volatile unsigned sum;

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void must(int good, const char *what)
{
	if (good)
		return;
	perror(what);
	exit(1);
}

static int open_it(off_t *ret_size)
{
	int fd = open(path, O_RDONLY);

	must(fd != -1, path);
	*ret_size = lseek(fd, 0, SEEK_END);
	return fd;
}

static double reads(size_t block, int scattered, int once_before)
{
	char *buf = malloc(block);
	uint64_t blocks, state = 88172645463325252ull, i, at;
	double start;
	off_t size;
	int fd = open_it(&size);

	blocks = (uint64_t)size / block;
	must(blocks > 0, "a file of one block");
	for (i = 0; once_before && i < blocks; i++)
		must(pread(fd, buf, block, (off_t)(i * block)) == (ssize_t)block, "pread");
	start = now();
	for (i = 0; i < count; i++) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		at = (scattered ? state : i) % blocks;
		must(pread(fd, buf, block, (off_t)(at * block)) == (ssize_t)block, "pread");
		sum += (unsigned char)buf[i % block];
	}
	start = now() - start;
	close(fd);
	free(buf);
	return start;
}

static double touch(void)
{
	double took = 0, start;
	unsigned long i;
	off_t size, at;
	int fd = open_it(&size);
	char *m;

	for (i = 0; i < count; i++) {
		m = mmap(NULL, (size_t)size, PROT_READ, MAP_PRIVATE, fd, 0);
		must(m != MAP_FAILED, "mmap");
		start = now();
		for (at = 0; at < size; at += 4096)
			sum += (unsigned char)m[at];
		took += now() - start;
		munmap(m, (size_t)size);
	}
	close(fd);
	return took;
}

/* Piece by piece into memory that is fresh the first time, as a tensor's is. */
static double loads(int mapped)
{
	const size_t piece = 16 << 20;
	double start = now();
	unsigned long i;
	size_t at, n, len;
	char *m = NULL, *own;
	off_t size;
	int fd;

	for (i = 0; i < count; i++) {
		fd = open_it(&size);
		len = (size_t)size;
		own = malloc(len);
		must(own != NULL, "malloc");
		if (mapped)
			m = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
		must(m != MAP_FAILED, "mmap");
		for (at = 0; at < len; at += n) {
			n = len - at < piece ? len - at : piece;
			if (mapped)
				memcpy(own + at, m + at, n);
			else
				must(pread(fd, own + at, n, (off_t)at) == (ssize_t)n, "pread");
			sum += (unsigned char)own[at];
		}
		if (mapped)
			munmap(m, len);
		close(fd);
		free(own);
	}
	return now() - start;
}

static double stats(void)
{
	double start = now();
	struct stat st;
	unsigned long i;

	for (i = 0; i < count; i++)
		must(stat(path, &st) == 0, "stat");
	return now() - start;
}

static double opens(int held)
{
	unsigned long i;
	double start;
	int fd = open(path, O_RDONLY), again;

	must(fd != -1, path);
	if (!held)
		close(fd);
	start = now();
	for (i = 0; i < count; i++) {
		again = open(path, O_RDONLY);
		must(again != -1, path);
		close(again);
	}
	return now() - start;
}

static double lists(void)
{
	double start = now();
	unsigned long i;
	DIR *d;

	for (i = 0; i < count; i++) {
		d = opendir(path);
		must(d != NULL, path);
		while (readdir(d) != NULL)
			sum++;
		closedir(d);
	}
	return now() - start;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	double took;

	if (argc != 4) {
		fprintf(stderr, "usage: warmops seq|random|first|touch|map|load|stat|open|reopen|"
				"readdir PATH COUNT\n");
		return 2;
	}
	path = argv[2];
	count = strtoul(argv[3], NULL, 10);
	if (strcmp(what, "seq") == 0)
		took = reads(1 << 20, 0, 1);
	else if (strcmp(what, "random") == 0 || strcmp(what, "first") == 0)
		took = reads(4096, 1, what[0] == 'r');
	else if (strcmp(what, "touch") == 0)
		took = touch();
	else if (strcmp(what, "map") == 0 || strcmp(what, "load") == 0)
		took = loads(what[0] == 'm');
	else if (strcmp(what, "stat") == 0)
		took = stats();
	else if (strcmp(what, "open") == 0 || strcmp(what, "reopen") == 0)
		took = opens(what[0] == 'o');
	else if (strcmp(what, "readdir") == 0)
		took = lists();
	else
		return 2;
	printf("{\"seconds\": %.6f, \"us\": %.3f}\n", took, took * 1e6 / (double)count);
	return 0;
}
