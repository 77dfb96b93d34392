/*
 * op_map.c - mappings: made, looked at, written to.
 */
#include "test/refmodel/op_map.h"
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_gone(const struct mappair *m, size_t page)
{
	return (m->gone[page / 8] >> page % 8 & 1) != 0;
}

static void one_page(struct actor *a, struct mappair *m, size_t page)
{
	unsigned char *p = m->p + page * PAGE, *q = m->m + page * PAGE;
	volatile unsigned char byte;
	int x = TOUCH(byte = *(volatile unsigned char *)p);
	int y = TOUCH(byte = *(volatile unsigned char *)q);

	(void)byte;
	if (x == 0 && y == SIGBUS && world.nr_allowed > 0) {
		__atomic_fetch_add(&board->store_errors, 1, __ATOMIC_RELAXED);
		return;
	}
	if (x != y)
		differ(a,
		       "touching page %zu of a mapping: signal %d on the plain file, %d below "
		       "MODEL_DIR",
		       page, x, y);
	if (x == 0)
		same_bytes(a, "mapped memory", p, q, PAGE);
}

/* False: they differ, or something is missing. */
static __attribute__((noinline)) bool same_range(const void *p, const void *m, size_t len)
{
	volatile bool same = false;

	TOUCH(same = memcmp(p, m, len) == 0);
	return same;
}

void map_check(struct actor *a, struct mappair *m, size_t first, size_t pages)
{
	size_t i, end, last = first + pages < m->pages ? first + pages : m->pages;

	for (i = first; i < last; i = end) {
		while (i < last && is_gone(m, i))
			i++;
		for (end = i; end < last && !is_gone(m, end);)
			end++;
		if (!same_range(m->p + i * PAGE, m->m + i * PAGE, (end - i) * PAGE))
			for (; i < end; i++)
				one_page(a, m, i);
	}
}

static void unmap_rest(unsigned char *mem, const struct mappair *m)
{
	size_t i;

	for (i = 0; i < m->pages; i++)
		if (!is_gone(m, i))
			munmap(mem + i * PAGE, PAGE);
}

/* Page by page where something is missing: the gaps may be somebody else's by now. */
void map_close(struct actor *a, struct mappair *m)
{
	size_t i;
	bool whole = true;

	if (m->p == NULL)
		return;
	for (i = 0; i < m->pages; i++)
		whole &= !is_gone(m, i);
	if (whole) {
		judge(a, "munmap", TRY(munmap(m->p, m->pages * PAGE)),
		      TRY(munmap(m->m, m->pages * PAGE)), 0);
	} else {
		unmap_rest(m->p, m);
		unmap_rest(m->m, m);
	}
	*m = (struct mappair){ 0 };
}

/* Nothing is executed: MODEL_DIR may be a file system without. */
static int draw_prot(uint32_t x)
{
	static const int prots[] = {
		PROT_READ, PROT_READ, PROT_READ | PROT_WRITE, PROT_READ, PROT_READ | PROT_WRITE,
		PROT_NONE
	};

	return prots[x % LENGTH(prots)];
}

static size_t draw_pages(const struct fdpair *f, uint32_t x)
{
	size_t whole = f->node != NULL ? ((size_t)f->node->size + PAGE - 1) / PAGE : 3;
	size_t n;

	switch (x % 8) {
	case 0:
		n = whole + x / 8 % 3;
		break;
	case 1:
		n = 1 + x / 8 % (whole + 4);
		break;
	default:
		n = 1 + x / 8 % 20;
		break;
	}
	return n == 0 ? 1 : n > MAP_PAGES ? MAP_PAGES : n;
}

static off_t draw_offset(const struct fdpair *f, uint32_t x)
{
	size_t whole = f->node != NULL ? ((size_t)f->node->size + PAGE - 1) / PAGE : 3;

	if (x % 3 == 0)
		return 0;
	return (off_t)(x / 3 % (whole + 2)) * PAGE + (x / 3 % 64 == 63 ? 100 : 0);
}

/* MAP_FAILED is -1: the same shape as every call's failure. */
static struct outcome map(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	return TRY(mmap(at, len, prot, flags, fd, off));
}

static struct mappair *put(struct actor *a, uint32_t slot, struct outcome p, struct outcome m,
			   size_t pages)
{
	struct mappair *mp = &a->maps[slot % NR_MAPS];

	map_close(a, mp);
	mp->p = (unsigned char *)p.ret;
	mp->m = (unsigned char *)m.ret;
	mp->pages = pages;
	return mp;
}

OP(mmap)
{
	static const int types[] = { MAP_PRIVATE, MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, 0 };
	static const int more[] = { 0, 0, MAP_POPULATE, MAP_NORESERVE,
				    MAP_NONBLOCK | MAP_POPULATE };
	struct fdpair *f = fd_of_file(a, arg[0]);
	int flags = types[arg[1] % LENGTH(types)] | more[arg[1] / 8 % LENGTH(more)];
	int prot = draw_prot(arg[2]);
	struct outcome x, y;
	size_t pages, len;
	off_t off;

	if (f == NULL)
		return false;
	if (arg[1] % LENGTH(types) == 4 && arg[1] / 64 % 8 != 0)
		flags |= MAP_PRIVATE;
	pages = draw_pages(f, arg[3]);
	len = arg[4] % 64 == 0 ? 0 : pages * PAGE - arg[4] / 64 % PAGE;
	off = draw_offset(f, arg[4]);
	x = map(NULL, len, prot, flags, f->p, off);
	y = map(NULL, len, prot, flags, f->m, off);
	switch (judge(a, "mmap", x, y, JUDGE_ANY_RESULT)) {
	case BOTH_DID:
		put(a, arg[5], x, y, pages);
		break;
	case BOTH_FAILED:
		break;
	case STORE_FAILED:
		munmap((void *)x.ret, len);
		break;
	}
	fd_check(a, f);
	return true;
}

/* A run of pages of a mapping that are there. */
struct mappair *map_draw_run(struct actor *a, uint32_t slot, uint32_t x, size_t *ret_first,
			     size_t *ret_pages)
{
	struct mappair *m = NULL;
	size_t first, end;
	unsigned i;

	for (i = 0; i < NR_MAPS && (m == NULL || m->p == NULL); i++)
		m = &a->maps[(slot + i) % NR_MAPS];
	if (m->p == NULL)
		return NULL;
	first = x % 4 == 0 ? 0 : x / 4 % m->pages;
	while (first < m->pages && is_gone(m, first))
		first++;
	for (end = first; end < m->pages && !is_gone(m, end) && end - first <= x / 64 % 600;)
		end++;
	*ret_first = first;
	*ret_pages = end - first;
	return end > first ? m : NULL;
}

/* Another file, or memory of nobody's, in the middle of a mapping. */
OP(mmap_fixed)
{
	struct fdpair *f = fd_of_file(a, arg[0]);
	struct outcome x, y;
	struct mappair *m;
	size_t first, pages;
	int prot = draw_prot(arg[3]), flags = MAP_FIXED | MAP_PRIVATE;
	off_t off;

	m = map_draw_run(a, arg[1], arg[2], &first, &pages);
	if (f == NULL || m == NULL)
		return false;
	if (arg[4] % 4 == 0) {
		x = map(m->p + first * PAGE, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);
		y = map(m->m + first * PAGE, pages * PAGE, prot, flags | MAP_ANONYMOUS, -1, 0);
	} else {
		if (arg[4] % 4 == 1 && (prot & PROT_WRITE) == 0)
			flags = MAP_FIXED | MAP_SHARED;
		off = draw_offset(f, arg[5]) & ~(off_t)(PAGE - 1);
		y = map(m->m + first * PAGE, pages * PAGE, prot, flags, f->m, off);
		/* Nothing may have changed if the store has failed. */
		x = y.ret == -1 && store_may(y.err)
			    ? (struct outcome){ 0 }
			    : map(m->p + first * PAGE, pages * PAGE, prot, flags, f->p, off);
	}
	if (judge(a, "mmap MAP_FIXED", x, y, JUDGE_ANY_RESULT) == BOTH_DID &&
	    (m->p + first * PAGE != (unsigned char *)x.ret ||
	     m->m + first * PAGE != (unsigned char *)y.ret))
		differ(a, "mmap MAP_FIXED: another address");
	map_check(a, m, first, pages < 8 ? pages : 8);
	return true;
}

OP(map_check)
{
	size_t first, pages;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages);

	if (m == NULL)
		return false;
	map_check(a, m, first, pages);
	return true;
}

OP(map_write)
{
	size_t first, pages, at, len = 1 + arg[3] % 100;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages);
	int x, y;

	if (m == NULL)
		return false;
	at = first * PAGE + arg[2] % (PAGE - 100);
	x = TOUCH(memset(m->p + at, (int)(arg[4] & 255), len));
	y = TOUCH(memset(m->m + at, (int)(arg[4] & 255), len));
	if (x == 0 && y == SIGBUS && world.nr_allowed > 0) {
		map_close(a, m);
		return true;
	}
	if (x != y)
		differ(a, "writing to a mapping: signal %d on the plain file, %d below MODEL_DIR",
		       x, y);
	map_check(a, m, first, 1);
	return true;
}

/* The kernel reads from a mapping, and writes into one. */
OP(map_io)
{
	size_t first, pages, len;
	struct mappair *m = map_draw_run(a, arg[0], arg[1], &first, &pages);
	struct fdpair *f = fd_of_file(a, arg[4]);
	struct outcome x, y;
	off_t off;
	int p, q;

	if (m == NULL)
		return false;
	len = pages * PAGE < 200000 ? pages * PAGE - arg[2] % PAGE : 200000;
	if (arg[3] % 3 == 0 && f != NULL) {
		/* Where the program may not write, the kernel says EFAULT; a copy in user space dies. */
		if (TOUCH(m->p[first * PAGE] = 0) != 0 || TOUCH(m->m[first * PAGE] = 0) != 0 ||
		    TOUCH(m->p[(first + pages) * PAGE - 1] = 0) != 0 ||
		    TOUCH(m->m[(first + pages) * PAGE - 1] = 0) != 0)
			return false;
		len = len < PAGE ? len : PAGE;
		off = f->node != NULL && f->node->size > 0 ? (off_t)(arg[5] % f->node->size) : 0;
		x = TRY(pread(f->p, m->p + first * PAGE, len, off));
		y = TRY(pread(f->m, m->m + first * PAGE, len, off));
		if (judge(a, "pread into a mapping", x, y, 0) == STORE_FAILED)
			map_close(a, m);
		else
			map_check(a, m, first, pages);
		return true;
	}
	p = memfd_create("refmodel", MFD_CLOEXEC);
	q = memfd_create("refmodel", MFD_CLOEXEC);
	x = TRY(write(p, m->p + first * PAGE, len));
	y = TRY(write(q, m->m + first * PAGE, len));
	if (judge(a, "write of a mapping", x, y, 0) == BOTH_DID && x.ret > 0 &&
	    pread(p, a->buf_p, (size_t)x.ret, 0) == x.ret &&
	    pread(q, a->buf_m, (size_t)x.ret, 0) == x.ret)
		same_bytes(a, "write of a mapping", a->buf_p, a->buf_m, (size_t)x.ret);
	close(p);
	close(q);
	return true;
}
