/* Lazy mappings over fork, and made into ordinary ones. */
#include "libclient/core/arena.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/faults.h"
#include "libclient/preload/lazy.h"
#include "libclient/preload/lazystate.h"
#include "libclient/preload/mapping.h"
#include "libclient/preload/memory.h"
#include "libclient/preload/say.h"

#include <linux/memfd.h>

#define PAGE MAPPING_PAGE

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

/* ---- completing ------------------------------------------------------------------------------- */

/* The next lazy piece, clipped to [*at, end); *at moves behind it. */
static bool next_lazy(uintptr_t *at, uintptr_t end, struct piece *ret)
{
	while (*at < end && maps_take(*at, end, ret)) {
		uintptr_t from = *at > ret->start ? *at : ret->start;

		*at = ret->end;
		if ((ret->flags & MAPS_LAZY) != 0) {
			ret->off += from - ret->start;
			ret->start = from;
			ret->end = ret->end < end ? ret->end : end;
			return true;
		}
		hold_put(ret->hold);
	}
	return false;
}

/* Under a claim on all of it: an ordinary mapping. */
static int make_resident(const struct piece *p, const struct pin *pin)
{
	size_t len = p->end - p->start;
	struct piece fresh = *p;
	struct node *gone;
	int r;

	fresh.hold = hold_new(file_ref(p->hold->file), pin);
	if (fresh.hold == NULL) {
		file_put(p->hold->file);
		return -ENOMEM;
	}
	fresh.flags &= ~(uint32_t)MAPS_LAZY;
	/* No fault is served between these two: who waits faults again. */
	gone = maps_cut(p->start, len);
	r = faults_unregister(p->start, len);
	if (r == 0)
		r = maps_add(&fresh);
	if (r != 0) {
		(void)faults_register(p->start, len, false);
		maps_cut_undo(gone);
		hold_forget(fresh.hold);
		return r;
	}
	maps_cut_done(gone);
	if ((p->flags & MAPS_NO_FORK) == 0)
		sys_madvise((void *)p->start, len, MADV_DOFORK);
	return 0;
}

static void say_too_big(const struct piece *p, uint64_t need, uint64_t available)
{
	char a[24], b[24];
	struct text t;

	text_init(&t, a, sizeof(a));
	text_addu(&t, need >> 20);
	text_init(&t, b, sizeof(b));
	text_addu(&t, available >> 20);
	SAY_ONCE("a mapping of ", file_path(p->hold->file), " needs ", a,
		 " MiB of memory besides the cache to be locked or forked, and only ", b,
		 " MiB are available: raise cache.size so that the file fits it");
}

/* Every page becomes the process's own.  It stays registered: MADV_DONTNEED may lose pages. */
static int make_own(const struct piece *p, size_t want)
{
	uint64_t available = memory_available();
	uintptr_t page, end = p->start + mapping_pages(want);
	unsigned char *buf;
	int r = 0;

	if (want > available) {
		say_too_big(p, want, available);
		return -ENOMEM;
	}
	buf = sys_mmap(NULL, LAZY_COPY_LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
		       0);
	if (sys_is_error(buf))
		return -ENOMEM;
	for (page = p->start; page < end && r == 0;
	     page = (page & ~(uintptr_t)(LAZY_COPY_LEN - 1)) + LAZY_COPY_LEN)
		r = lazy_copy_pages(p, page, buf, true);
	if (r == 0)
		r = (int)sys_call3(__NR_mprotect, p->start, end - p->start,
				   p->prot | PROT_READ | PROT_WRITE);
	/* A write that changes nothing makes a page of the file's memory one's own. */
	for (page = p->start; page < end && r == 0; page += PAGE)
		__atomic_fetch_or((unsigned char *)page, 0, __ATOMIC_RELAXED);
	if (p->prot != (PROT_READ | PROT_WRITE))
		sys_call3(__NR_mprotect, p->start, end - p->start, p->prot);
	sys_munmap(buf, LAZY_COPY_LEN);
	return r;
}

static int complete_piece(const struct piece *p)
{
	struct file *f = p->hold->file;
	uint64_t left = p->off < file_size(f) ? file_size(f) - p->off : 0;
	size_t want = p->end - p->start < left ? p->end - p->start : (size_t)left;
	struct pin pin;
	int r;

	if (want == 0)
		return 0;
	r = pin_take(f, p->off, want, &pin);
	if (r == 0 && (pin.memory_ino != p->hold->memory_ino ||
		       pin.memory_dev != p->hold->memory_dev || make_resident(p, &pin) != 0)) {
		pin_drop(f, &pin);
		r = -ESTALE;
	}
	return r != 0 ? make_own(p, want) : 0;
}

int lazy_complete(uintptr_t start, size_t len)
{
	uintptr_t at = start & ~(uintptr_t)(PAGE - 1), end;
	struct piece p;
	int r = 0;

	if (faults_fd() < 0)
		return 0;
	end = len < UINTPTR_MAX - start - PAGE ? (start + len + PAGE - 1) & ~(uintptr_t)(PAGE - 1)
					       : UINTPTR_MAX & ~(uintptr_t)(PAGE - 1);
	while (r == 0 && next_lazy(&at, end, &p)) {
		r = complete_piece(&p);
		hold_put(p.hold);
	}
	return r;
}

/* ---- fork ----------------------------------------------------------------------------------- */

struct entry {
	struct piece piece;
	int fd;	       /* of the memory; -1: none */
	bool borrowed; /* that is an earlier entry's */
	bool own;      /* all pages are the program's own: the kernel gives them to the child */
	bool kept;     /* in the child: nothing else lies in its place */
};

struct lazy_fork {
	unsigned nr, cap;
	bool in_child;
	struct entry *entries;
};

#define NR_RUNS_MAX 256u /* of one piece: each becomes an area of its own */

/* What /proc says of pages, some at a time. */
struct scan {
	int fd;
	uintptr_t first, end; /* of the pages in `entries` */
	uint64_t entries[512];
};

#define PAGEMAP_PRESENT (3ull << 62) /* or swapped out */
#define PAGEMAP_FILE	(1ull << 61)

/* Is the page one that the program has written?  -EIO: that cannot be found out. */
static int is_own(struct scan *s, uintptr_t page)
{
	uint64_t entry;
	ssize_t n;

	if (page < s->first || page >= s->end) {
		n = sys_pread(s->fd, s->entries, sizeof(s->entries), (int64_t)(page / PAGE * 8));
		if (n < 8)
			return -EIO;
		s->first = page;
		s->end = page + (uintptr_t)(n / 8) * PAGE;
	}
	entry = s->entries[(page - s->first) / PAGE];
	return (entry & PAGEMAP_PRESENT) != 0 && (entry & PAGEMAP_FILE) == 0;
}

static struct entry *add_entry(struct lazy_fork *l, const struct piece *p)
{
	struct entry *more;
	unsigned i;

	if (l->nr == l->cap) {
		more = arena_alloc((l->cap * 2 + 16) * sizeof(*more));
		if (more == NULL)
			return NULL;
		for (i = 0; i < l->nr; i++)
			more[i] = l->entries[i];
		arena_free(l->entries);
		l->entries = more;
		l->cap = l->cap * 2 + 16;
	}
	l->entries[l->nr] = (struct entry){ .piece = *p, .fd = -1 };
	return &l->entries[l->nr++];
}

/* Forget the entries from `first` on; the kernel keeps from children what was theirs to have. */
static void drop_entries(struct lazy_fork *l, unsigned first)
{
	unsigned i;

	for (i = first; i < l->nr; i++) {
		struct entry *e = &l->entries[i];

		if (e->own && !l->in_child)
			sys_madvise((void *)e->piece.start, e->piece.end - e->piece.start,
				    MADV_DONTFORK);
		if (e->fd >= 0 && !e->borrowed)
			sys_close(e->fd);
		hold_put(e->piece.hold);
	}
	l->nr = first;
}

static bool lazy_is(uintptr_t page)
{
	struct piece p;

	return maps_find(page, page + PAGE, &p) && (p.flags & MAPS_LAZY) != 0;
}

/* Ready for the child: its own pages from the kernel, or a descriptor to map the others from. */
static int prepare(struct lazy_fork *l, struct entry *e)
{
	struct pin which;
	struct entry *before;

	if (e->own)
		return sys_madvise((void *)e->piece.start, e->piece.end - e->piece.start,
				   MADV_DOFORK);
	for (before = e; before > l->entries && before[-1].piece.hold == e->piece.hold; before--)
		if (before[-1].fd >= 0) {
			e->fd = before[-1].fd;
			e->borrowed = true;
			return 0;
		}
	/* Without one the child copies what it touches. */
	e->fd = lazy_open_memory(e->piece.hold->file, &which);
	if (e->fd < 0)
		e->fd = -1;
	return 0;
}

static int add_run(struct lazy_fork *l, const struct piece *p, uintptr_t start, uintptr_t end,
		   bool own)
{
	struct piece part = *p;
	struct entry *e;

	part.off += start - part.start;
	part.start = start;
	part.end = end;
	e = add_entry(l, &part);
	if (e == NULL)
		return -ENOMEM;
	__atomic_add_fetch(&p->hold->refs, 1, __ATOMIC_RELAXED);
	e->own = own;
	return prepare(l, e);
}

/* Runs of pages that are the program's own, and of others.  -E2BIG: too many. */
static int add_runs(struct lazy_fork *l, const struct piece *p)
{
	struct scan s = { .fd = sys_openat(AT_FDCWD, "/proc/self/pagemap", O_RDONLY | O_CLOEXEC,
					   0) };
	uintptr_t page, start = p->start;
	unsigned before = l->nr;
	int own = 0, was = -1, r = 0;

	if (s.fd < 0)
		return -EIO;
	for (page = p->start; page < p->end && r == 0 && own >= 0; page += PAGE) {
		own = is_own(&s, page);
		if (was >= 0 && own >= 0 && own != was) {
			r = l->nr - before < NR_RUNS_MAX ? add_run(l, p, start, page, was) : -E2BIG;
			start = page;
		}
		was = own;
	}
	sys_close(s.fd);
	if (own < 0)
		return own;
	return r == 0 ? add_run(l, p, start, p->end, was) : r;
}

static int add_piece(struct lazy_fork *l, const struct piece *p)
{
	unsigned before = l->nr;
	int r;

	if ((p->flags & MAPS_WRITABLE) == 0)
		return add_run(l, p, p->start, p->end, false);
	r = add_runs(l, p);
	if (r != -E2BIG && r != -EIO)
		return r;
	/* Written here and there: in one piece, then. */
	drop_entries(l, before);
	r = complete_piece(p);
	if (r != 0)
		return r;
	return lazy_is(p->start) ? add_run(l, p, p->start, p->end, true) : 0;
}

int lazy_before_fork(struct lazy_fork **ret)
{
	struct lazy_fork *l;
	uintptr_t at = 0;
	struct piece p;
	int r = 0;

	*ret = NULL;
	if (faults_fd() < 0)
		return 0;
	l = arena_alloc(sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	while (r == 0 && next_lazy(&at, UINTPTR_MAX & ~(uintptr_t)(PAGE - 1), &p)) {
		if ((p.flags & MAPS_NO_FORK) == 0)
			r = add_piece(l, &p);
		hold_put(p.hold);
	}
	if (r != 0) {
		lazy_in_parent(l);
		return r;
	}
	*ret = l;
	return 0;
}

void lazy_in_parent(struct lazy_fork *l)
{
	if (l == NULL)
		return;
	drop_entries(l, 0);
	arena_free(l->entries);
	arena_free(l);
}

/* From the memory's descriptor; else as memory of one's own, as far as the file goes. */
static int map_again(const struct entry *e)
{
	const struct piece *p = &e->piece;
	size_t len = p->end - p->start, file_len = len;
	int flags = MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, empty;
	struct stat st = { 0 };
	void *mem;

	if (e->fd >= 0) {
		mem = sys_mmap((void *)p->start, len, PROT_NONE, flags, e->fd, (int64_t)p->off);
		sys_fstat(e->fd, &st);
	} else {
		uint64_t left =
			p->off < file_size(p->hold->file) ? file_size(p->hold->file) - p->off : 0;

		file_len = left < len ? mapping_pages((size_t)left) : len;
		empty = sys_memfd_create("ossc-empty", MFD_CLOEXEC);
		mem = sys_mmap((void *)p->start, len, p->prot, flags, empty, 0);
		if (empty >= 0)
			sys_close(empty);
		if (!sys_is_error(mem) && file_len > 0)
			mem = sys_mmap((void *)p->start, file_len, PROT_NONE,
				       MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE | MAP_ANONYMOUS, -1,
				       0);
	}
	if (sys_is_error(mem))
		return (int)(long)mem;
	/* Another memory than the parent's, or none: its pages are copied. */
	if (e->fd < 0 || st.st_dev != p->hold->memory_dev || st.st_ino != p->hold->memory_ino)
		p->hold->memory_dev = p->hold->memory_ino = 0;
	return file_len > 0 ? lazy_arm(p->start, file_len, p->prot, e->fd < 0) : 0;
}

/* No fault is served here: all of it, now. */
static int map_whole(const struct entry *e)
{
	const struct piece *p = &e->piece;
	struct wish w = {
		.addr = (void *)p->start,
		.len = p->end - p->start,
		.prot = p->prot,
		.flags = MAP_FIXED | ((p->flags & MAPS_SHARED) != 0 ? MAP_SHARED : MAP_PRIVATE),
		.off = (off_t)p->off,
	};
	void *mem;

	if (e->own)
		return -EPERM;
	mem = mapping_make(p->hold->file, &w);
	return sys_is_error(mem) ? (int)(long)mem : 0;
}

void lazy_keep_places(struct lazy_fork *l)
{
	unsigned i;

	for (i = 0; l != NULL && i < l->nr; i++) {
		struct entry *e = &l->entries[i];

		e->kept = !e->own &&
			  !sys_is_error(sys_mmap(
				  (void *)e->piece.start, e->piece.end - e->piece.start, PROT_NONE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE,
				  -1, 0));
	}
}

void lazy_in_child(struct lazy_fork *l)
{
	unsigned i;
	int served, r;

	faults_after_fork();
	if (l == NULL)
		return;
	l->in_child = true;
	served = l->nr > 0 ? lazy_start(false) : 0;
	for (i = 0; i < l->nr; i++) {
		const struct entry *e = &l->entries[i];
		size_t len = e->piece.end - e->piece.start;

		if (!e->own && !e->kept)
			r = -EEXIST;
		else if (served != 0)
			r = map_whole(e);
		else if (e->own)
			r = lazy_arm(e->piece.start, len, e->piece.prot, false);
		else
			r = map_again(e);
		if (r == 0)
			continue;
		/* Rather no memory than memory that would show zeros. */
		SAY_ONCE("a forked process cannot have its parent's mapping of ",
			 file_path(e->piece.hold->file), ": set mmap: resident");
		if (e->own || e->kept)
			sys_munmap((void *)e->piece.start, len);
	}
	lazy_in_parent(l);
}
