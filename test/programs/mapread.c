/*
 * mapread.c - maps each file whole and reads every cache line of it, one file after the other, as a
 * loader does that uses the bytes in place.
 *
 *	mapread FILE...
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int read_file(const char *path, uint64_t *sum)
{
	struct stat st;
	uint64_t word;
	char *map;
	int fd;

	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1 || fstat(fd, &st) == -1)
		return -1;
	map = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
	close(fd);
	if (map == MAP_FAILED)
		return -1;
	for (off_t i = 0; i + 8 <= st.st_size; i += 64) {
		memcpy(&word, map + i, sizeof(word));
		*sum += word;
	}
	return munmap(map, (size_t)st.st_size);
}

int main(int argc, char **argv)
{
	uint64_t sum = 0;

	for (int i = 1; i < argc; i++) {
		if (read_file(argv[i], &sum) == -1) {
			perror(argv[i]);
			return 1;
		}
	}
	printf("%llu\n", (unsigned long long)sum);
	return 0;
}
