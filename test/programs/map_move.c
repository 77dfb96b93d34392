/*
 * map_move.c - moves, shrinks and grows mappings of a file, and prints what it sees.
 *
 *	map_move FILE [OTHER-FILE]
 */
#include "test/programs/map_ops.h"

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif

static const int types[] = { MAP_PRIVATE, MAP_SHARED };

/* A place of `pages` with room behind it. */
static char *roomy(size_t off, size_t pages, size_t room, int prot, int type)
{
	char *at = mmap(NULL, (pages + room) * PAGE, PROT_NONE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	char *m = mmap(at, pages * PAGE, prot, type | MAP_FIXED, fd, (off_t)(off * PAGE));

	munmap(at + pages * PAGE, room * PAGE);
	if (m != at)
		exit(1);
	return m;
}

static void show(const char *what, char *m, size_t len)
{
	if (m == MAP_FAILED) {
		printf("%s: %s\n", what, strerrorname_np(errno));
		return;
	}
	printf("%s: %lx", what, (long)sum(m, len));
	stir();
	printf(" %lx\n", (long)sum(m, len));
}

static void show_sizes(int type)
{
	char *m = roomy(3, 300, 700, PROT_READ, type), *n;

	n = mremap(m, 300 * PAGE, 200 * PAGE, 0);
	printf("shrunk in place %d, behind it %d\n", n == m, byte_at(m + 250 * PAGE));
	show("shrunk", n, 200 * PAGE);
	n = mremap(m, 200 * PAGE, 900 * PAGE, 0);
	printf("grown in place %d\n", n == m);
	show("grown", n, 900 * PAGE);
	n = mremap(m, 900 * PAGE - 5, 901 * PAGE - 7, MREMAP_MAYMOVE);
	show("grown by a page", n, 901 * PAGE);
	munmap(n, 901 * PAGE);
	/* No room behind it. */
	m = roomy(5, 100, 10, PROT_READ, type);
	n = mmap(m + 100 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
	show("no room", mremap(m, 100 * PAGE, 500 * PAGE, 0), 500 * PAGE);
	show("still there", m, 101 * PAGE);
	n = mremap(m, 100 * PAGE, 500 * PAGE, MREMAP_MAYMOVE);
	printf("moved %d, the old place %d\n", n != m, byte_at(m));
	show("moved", n, 500 * PAGE);
	munmap(m + 100 * PAGE, PAGE);
	munmap(n, 500 * PAGE);
}

static void show_past_the_end(int type)
{
	size_t pages = (size + PAGE - 1) / PAGE;
	char *m = roomy(pages - 10, 8, 30, PROT_READ, type), *n;

	n = mremap(m, 8 * PAGE, 20 * PAGE, MREMAP_MAYMOVE);
	printf("past the end %d %d %d %d\n", n == m, byte_at(n + 8 * PAGE), byte_at(n + 9 * PAGE),
	       byte_at(n + 10 * PAGE));
	show("to the end", n, 10 * PAGE);
	munmap(n, 20 * PAGE);
}

static void show_places(int type)
{
	char *m = map(0, 200 * PAGE, PROT_READ, type), *n, *at;

	at = mmap(NULL, 400 * PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	n = mremap(m, 200 * PAGE, 200 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 10 * PAGE);
	printf("to a place %d, the old %d, before it %d\n", n == at + 10 * PAGE, byte_at(m),
	       byte_at(at));
	show("there", n, 200 * PAGE);
	m = mremap(n, 200 * PAGE, 300 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 20 * PAGE);
	printf("onto itself %s\n", m == MAP_FAILED ? strerrorname_np(errno) : "?");
	m = map(40 * PAGE, 50 * PAGE, PROT_READ, type);
	n = mremap(m, 50 * PAGE, 80 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED, at + 220 * PAGE);
	show("larger, to a place", n, 80 * PAGE);
	m = mremap(at + 10 * PAGE, 200 * PAGE, 60 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
		   at + 310 * PAGE);
	show("smaller, to a place", m, 60 * PAGE);
	show("the first", at, 10 * PAGE);
	printf("bad flags %s", word((long)mremap(n, PAGE, PAGE, 64)));
	printf(" %s", word((long)mremap(n, PAGE, PAGE, MREMAP_FIXED, at)));
	printf(" %s", word((long)mremap(n + 1, PAGE, PAGE, 0)));
	printf(" %s\n", word((long)mremap(n, PAGE, 0, 0)));
	munmap(at, 400 * PAGE);
}

static void show_second(int type)
{
	char *m = map(0, 200 * PAGE, PROT_READ, type), *n;

	n = mremap(m, 200 * PAGE, 200 * PAGE, MREMAP_MAYMOVE | MREMAP_DONTUNMAP, NULL);
	show("kept and moved", n, 200 * PAGE);
	if (n != MAP_FAILED) {
		show("kept", m, 200 * PAGE);
		munmap(n, 200 * PAGE);
	}
	n = mremap(m + 20 * PAGE, 0, 500 * PAGE, MREMAP_MAYMOVE);
	if (type == MAP_SHARED) /* newer kernels refuse it for private ones */
		show("second", n, 500 * PAGE);
	munmap(m, 200 * PAGE);
}

/* Pages of one's own go along. */
static void show_own(void)
{
	char *m = map(0, 300 * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE), *n;
	size_t i;

	for (i = 0; i < 300; i += 7)
		m[i * PAGE + i] ^= 0x33;
	stir();
	n = mremap(m, 300 * PAGE, 800 * PAGE, MREMAP_MAYMOVE);
	for (i = 300; i < 800; i += 7)
		n[i * PAGE + i] ^= 0x33;
	show("own and grown", n, 800 * PAGE);
	m = mremap(n, 800 * PAGE, 100 * PAGE, 0);
	show("own and shrunk", m, 100 * PAGE);
	mprotect(m, 50 * PAGE, PROT_READ);
	show("partly protected", m, 100 * PAGE);
	munmap(m, 100 * PAGE);
}

static void show_rearranged(void)
{
	char *m = map(0, 100 * PAGE, PROT_READ, MAP_SHARED);
	char *p = map(0, 10 * PAGE, PROT_READ, MAP_PRIVATE);

	printf("rearranged %s\n", word(remap_file_pages(m + 10 * PAGE, 20 * PAGE, 0, 700, 0)));
	show("rearranged", m, 100 * PAGE);
	printf("private %s", word(remap_file_pages(p, PAGE, 0, 3, 0)));
	printf(" with protection %s\n", word(remap_file_pages(m, PAGE, PROT_READ, 3, 0)));
	munmap(m, 100 * PAGE);
	munmap(p, 10 * PAGE);
}

int main(int argc, char **argv)
{
	unsigned t;

	start(argc, argv);
	for (t = 0; t < 2; t++) {
		printf("type %d\n", types[t]);
		show_sizes(types[t]);
		show_past_the_end(types[t]);
		show_places(types[t]);
		show_second(types[t]);
	}
	show_own();
	show_rearranged();
	return 0;
}
