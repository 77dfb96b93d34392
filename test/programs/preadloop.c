/*
 * preadloop.c - many preads of one size from one open file, at scattered or
 * rising offsets; prints a sum of bytes and, with -t, the rate on standard error.
 * Touches every page once first, so that the loop finds everything in memory.
 *
 *	preadloop [-t] FILE COUNT SIZE
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	int timed = argc > 1 && strcmp(argv[1], "-t") == 0, fd;
	unsigned long i, count, size;
	uint64_t sum = 0, blocks;
	double start;
	off_t end;
	char *buf;

	if (argc != 4 + timed) {
		fprintf(stderr, "usage: preadloop [-t] FILE COUNT SIZE\n");
		return 2;
	}
	count = strtoul(argv[2 + timed], NULL, 10);
	size = strtoul(argv[3 + timed], NULL, 10);
	fd = open(argv[1 + timed], O_RDONLY);
	end = fd == -1 ? -1 : lseek(fd, 0, SEEK_END);
	if (size == 0 || end < (off_t)size) {
		fprintf(stderr, "preadloop: no file of %lu bytes\n", size);
		return 1;
	}
	blocks = (uint64_t)end / size;
	buf = malloc(size);
	for (i = 0; i < blocks; i++)
		if (pread(fd, buf, size, (off_t)(i * size)) != (ssize_t)size)
			return 1;
	start = now();
	for (i = 0; i < count; i++) {
		uint64_t block = (size >= 65536 ? i : i * 2654435761u) % blocks;

		if (pread(fd, buf, size, (off_t)(block * size)) != (ssize_t)size)
			return 1;
		sum += (unsigned char)buf[i % size];
	}
	if (timed)
		fprintf(stderr, "%.3f GB/s %.0f/s\n",
			(double)count * (double)size / 1e9 / (now() - start),
			(double)count / (now() - start));
	printf("%llu\n", (unsigned long long)sum);
	free(buf);
	close(fd);
	return 0;
}
