/*
 * op_mapchange.c - mappings: parts taken away, moved, protected, advised.
 */
#include "test/refmodel/op_family.h"
#include "test/refmodel/op_map.h"

#include <string.h>
#include <sys/mman.h>

static void mark_gone(struct mappair *m, size_t first, size_t pages)
{
	size_t i, left = 0;

	for (i = first; i < first + pages; i++)
		m->gone[i / 8] |= (unsigned char)(1 << i % 8);
	for (i = 0; i < m->pages; i++)
		left += (m->gone[i / 8] >> i % 8 & 1) == 0;
	if (left == 0)
		*m = (struct mappair){ 0 };
}

OP(munmap)
{
	size_t first, pages;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages);

	if (m == NULL)
		return false;
	if (arg[2] % 4 == 0) {
		map_close(a, m);
		return true;
	}
	if (arg[2] % 64 == 1) {
		judge(a, "munmap", TRY(munmap(m->p + first * PAGE + 1, PAGE)),
		      TRY(munmap(m->m + first * PAGE + 1, PAGE)), 0);
		return true;
	}
	if (judge(a, "munmap", TRY(munmap(m->p + first * PAGE, pages * PAGE)),
		  TRY(munmap(m->m + first * PAGE, pages * PAGE)), 0) == BOTH_DID)
		mark_gone(m, first, pages);
	return true;
}

/* What comes of it is a mapping of its own, wherever it lies. */
static void moved(struct actor *a, struct mappair *from, size_t first, size_t pages, uint32_t slot,
		  struct outcome x, struct outcome y, size_t new_pages)
{
	struct mappair *to = &a->maps[slot % NR_MAPS];

	mark_gone(from, first, pages);
	map_close(a, to);
	*to = (struct mappair){ .p = (unsigned char *)x.ret,
				.m = (unsigned char *)y.ret,
				.pages = new_pages };
	map_check(a, to, 0, new_pages < 600 ? new_pages : 600);
}

/* After the two have done different things: neither is there any more. */
static void drop_pages(struct mappair *m, size_t first, size_t pages)
{
	munmap(m->p + first * PAGE, pages * PAGE);
	munmap(m->m + first * PAGE, pages * PAGE);
	mark_gone(m, first, pages);
}

/* Does the range consist of several pieces, for the kernel? */
static bool in_pieces(const unsigned char *mem, size_t len)
{
	FILE *f = fopen("/proc/self/maps", "re");
	unsigned long from, to, start = (unsigned long)mem;
	char line[8192];
	unsigned nr = 0;

	while (f != NULL && fgets(line, sizeof(line), f) != NULL)
		if (sscanf(line, "%lx-%lx", &from, &to) == 2 && from < start + len && to > start)
			nr++;
	if (f != NULL)
		fclose(f);
	return nr > 1;
}

/*
 * Whether a range of several pieces can be moved differs among kernels, and the two
 * halves need not have the same pieces.
 */
static bool is_about_pieces(struct outcome x, struct outcome y, bool in_pieces_m)
{
	return (x.ret == -1 && x.err == EFAULT && y.ret != -1) ||
	       (y.ret == -1 && y.err == EFAULT && x.ret != -1 && in_pieces_m);
}

static void mremap_onto(struct actor *a, struct mappair *m, size_t first, size_t pages,
			struct mappair *to, size_t at, size_t new_pages)
{
	bool pieces = in_pieces(m->m + first * PAGE, pages * PAGE);
	int flags = MREMAP_MAYMOVE | MREMAP_FIXED;
	struct outcome x, y;

	x = TRY(mremap(m->p + first * PAGE, pages * PAGE, new_pages * PAGE, flags,
		       to->p + at * PAGE));
	y = TRY(mremap(m->m + first * PAGE, pages * PAGE, new_pages * PAGE, flags,
		       to->m + at * PAGE));
	if (is_about_pieces(x, y, pieces)) {
		drop_pages(to, at, new_pages);
		drop_pages(m, first, pages);
	} else if (judge(a, "mremap MREMAP_FIXED", x, y, JUDGE_ANY_RESULT) == BOTH_DID) {
		mark_gone(m, first, pages);
		map_check(a, to, at, new_pages);
	}
}

OP(mremap)
{
	size_t first, pages, new_pages, at, room;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages), *to;
	int flags = arg[2] % 4 == 0 ? 0 : MREMAP_MAYMOVE;
	struct outcome x, y;
	bool pieces;

	if (m == NULL)
		return false;
	new_pages = arg[3] % 3 == 0 ? pages : 1 + arg[3] / 3 % (pages * 2 + 4);
	if (new_pages > MAP_PAGES)
		new_pages = MAP_PAGES;
	/* Growing without moving depends on who lies behind it. */
	if (flags == 0 && new_pages > pages)
		new_pages = pages;
	to = map_draw_run(a, arg[4], arg[5], &at, &room);
	if (arg[2] % 4 == 1 && to != NULL && to != m && new_pages <= room) {
		mremap_onto(a, m, first, pages, to, at, new_pages);
		return true;
	}
	pieces = in_pieces(m->m + first * PAGE, pages * PAGE);
	x = TRY(mremap(m->p + first * PAGE, pages * PAGE, new_pages * PAGE, flags));
	y = TRY(mremap(m->m + first * PAGE, pages * PAGE, new_pages * PAGE, flags));
	if (is_about_pieces(x, y, pieces)) {
		munmap((void *)(x.ret != -1 ? x.ret : y.ret), new_pages * PAGE);
		munmap(x.ret == -1 ? m->p + first * PAGE : m->m + first * PAGE, pages * PAGE);
		mark_gone(m, first, pages);
		return true;
	}
	switch (judge(a, "mremap", x, y, JUDGE_ANY_RESULT)) {
	case BOTH_DID:
		moved(a, m, first, pages, arg[5], x, y, new_pages);
		break;
	case BOTH_FAILED:
		break;
	case STORE_FAILED:
		munmap((void *)x.ret, new_pages * PAGE);
		munmap(m->m + first * PAGE, pages * PAGE);
		mark_gone(m, first, pages);
		break;
	}
	return true;
}

OP(mprotect)
{
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_NONE, PROT_READ };
	size_t first, pages;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages);
	int prot = prots[arg[2] % LENGTH(prots)];

	if (m == NULL)
		return false;
	/* Which pieces one that fails has changed, nobody promises. */
	if (judge(a, "mprotect", TRY(mprotect(m->p + first * PAGE, pages * PAGE, prot)),
		  TRY(mprotect(m->m + first * PAGE, pages * PAGE, prot)), 0) != BOTH_DID) {
		drop_pages(m, first, pages);
		return true;
	}
	map_check(a, m, first, pages < 4 ? pages : 4);
	return true;
}

OP(madvise)
{
	static const int ways[] = { MADV_DONTNEED, MADV_DONTNEED, MADV_WILLNEED, MADV_SEQUENTIAL,
				    MADV_RANDOM,   MADV_NORMAL,	  MADV_COLD,	 MADV_POPULATE_READ,
				    MADV_DONTNEED, MADV_FREE,	  MADV_PAGEOUT,	 9999 };
	size_t first, pages;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages);
	int way = ways[arg[2] % LENGTH(ways)];
	struct outcome x, y;

	if (m == NULL)
		return false;
	if (arg[3] % 8 == 0 && way < 5) {
		x = TRY_ERROR(posix_madvise(m->p + first * PAGE, pages * PAGE, way));
		y = TRY_ERROR(posix_madvise(m->m + first * PAGE, pages * PAGE, way));
	} else {
		x = TRY(madvise(m->p + first * PAGE, pages * PAGE, way));
		y = TRY(madvise(m->m + first * PAGE, pages * PAGE, way));
	}
	/* MADV_FREE is for memory of nobody's: parts of the range may be, in other pieces. */
	judge(a, "madvise", x, y, 0);
	if (way != MADV_FREE)
		map_check(a, m, first, pages < 64 ? pages : 64);
	return true;
}

OP(mlock)
{
	size_t first, pages;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages);
	struct outcome x, y;

	if (m == NULL)
		return false;
	switch (arg[2] % 3) {
	case 0:
		x = TRY(mlock(m->p + first * PAGE, PAGE));
		y = TRY(mlock(m->m + first * PAGE, PAGE));
		judge(a, "mlock", x, y, 0);
		munlock(m->p + first * PAGE, PAGE);
		munlock(m->m + first * PAGE, PAGE);
		break;
	case 1:
		judge(a, "msync", TRY(msync(m->p + first * PAGE, pages * PAGE, MS_ASYNC)),
		      TRY(msync(m->m + first * PAGE, pages * PAGE, MS_ASYNC)), 0);
		break;
	case 2:
		judge(a, "mincore", TRY(mincore(m->p + first * PAGE, pages * PAGE, a->buf_p)),
		      TRY(mincore(m->m + first * PAGE, pages * PAGE, a->buf_m)), 0);
		break;
	}
	map_check(a, m, first, 1);
	return true;
}
