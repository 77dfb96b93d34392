/*
 * map_many.c - maps a file many times at once, compares all with a plain copy, and
 * prints how long the second half took in relation to the first (hundredths).
 *
 *	map_many FILE PLAIN-FILE COUNT
 */
#include "test/programs/map_ops.h"

#include <time.h>

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	size_t nr = argc > 3 ? strtoul(argv[3], NULL, 10) : 1000, i, pages;
	double begin, middle, end;
	char **maps, *plain;
	int other;

	start(argc > 2 ? 2 : 0, argv);
	other = open(argv[2], O_RDONLY);
	plain = mmap(NULL, size, PROT_READ, MAP_SHARED, other, 0);
	maps = calloc(nr, sizeof(*maps));
	if (plain == MAP_FAILED || maps == NULL)
		return 1;
	pages = size / PAGE - 1;
	begin = now();
	middle = begin;
	for (i = 0; i < nr; i++) {
		if (i == nr / 2)
			middle = now();
		/* Two pages, unlike those of neighbours: the kernel does not join them. */
		maps[i] = map(i * 7919 % pages * PAGE, 2 * PAGE, PROT_READ,
			      i % 2 != 0 ? MAP_PRIVATE : MAP_SHARED);
	}
	end = now();
	for (i = 0; i < nr; i++)
		if (memcmp(maps[i], plain + i * 7919 % pages * PAGE, 2 * PAGE) != 0) {
			printf("wrong %zu\n", i);
			return 1;
		}
	for (i = 0; i < nr; i++)
		munmap(maps[i * 7 % nr], 2 * PAGE);
	printf("right %.0f\n", 100 * (end - middle) / (middle - begin));
	free(maps);
	return 0;
}
