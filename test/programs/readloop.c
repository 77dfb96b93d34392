/*
 * readloop.c - reads a file once over with pread(), in order or at random, and
 * prints the rate as one line of JSON.  Knows nothing of stores.
 *
 *	readloop FILE BLOCK seq|rand BYTES
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	uint64_t block, bytes, blocks, state = 88172645463325252ull;
	double start, secs;
	char *buf;
	int fd;

	if (argc != 5) {
		fprintf(stderr, "usage: readloop FILE BLOCK seq|rand BYTES\n");
		return 2;
	}
	block = strtoull(argv[2], NULL, 0);
	bytes = strtoull(argv[4], NULL, 0);
	blocks = block > 0 ? bytes / block : 0;
	buf = malloc(block);
	fd = open(argv[1], O_RDONLY);
	if (fd == -1 || buf == NULL || blocks == 0) {
		fprintf(stderr, "readloop: %s: %s\n", argv[1], strerror(errno));
		return 1;
	}
	/* Random reads: as many as move a quarter of the bytes, at most a million. */
	if (strcmp(argv[3], "rand") == 0 && blocks / 4 > 0)
		blocks = blocks / 4 < 1000000 ? blocks / 4 : 1000000;
	memset(buf, 1, block);
	start = now();
	for (uint64_t i = 0; i < blocks; i++) {
		uint64_t at = i;

		if (strcmp(argv[3], "rand") == 0) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			at = state % (bytes / block);
		}
		if (pread(fd, buf, block, (off_t)(at * block)) != (ssize_t)block) {
			fprintf(stderr, "readloop: short read at %llu: %s\n",
				(unsigned long long)(at * block), strerror(errno));
			return 1;
		}
	}
	secs = now() - start;
	printf("{\"seconds\": %.6f, \"gb_per_s\": %.3f}\n", secs,
	       (double)(blocks * block) / 1e9 / secs);
	free(buf);
	close(fd);
	return 0;
}
