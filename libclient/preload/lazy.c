#include "libclient/preload/lazystate.h"

#include "libclient/core/file.h"
#include "libclient/core/link.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/core/view.h"
#include "libclient/preload/faults.h"
#include "libclient/preload/lazy.h"
#include "libclient/preload/mapping.h"
#include "libclient/preload/say.h"

#include "common/wire.h"

#include <linux/memfd.h>

#define PAGE	 MAPPING_PAGE
#define NR_TRIES 3

/* ---- serving a fault -------------------------------------------------------------------------- */

static uint64_t offset_of(const struct piece *p, uintptr_t page)
{
	return p->off + (page - p->start);
}

/*
 * Run under the lock of the pieces, on the part of [start, end) that is still the same
 * mapping: an unmapping waits until it is over, so what is filled is what was looked at.
 */
struct window {
	const struct hold *hold;
	uintptr_t page; /* the one that matters */
	uintptr_t start, end;
	const unsigned char *bytes; /* of `start`; NULL: show the file's memory */
};

static int fill_range(const struct window *w, uintptr_t start, uintptr_t end)
{
	if (w->bytes == NULL)
		return faults_continue(start, end - start);
	return faults_copy(start, w->bytes + (start - w->start), end - start);
}

static int fill_window(const struct window *w)
{
	uint64_t signals = maps_enter();
	struct piece p;
	int r = 0;

	/* Gone or replaced meanwhile: the next touch is another's. */
	if (maps_find_locked(w->page, w->page + PAGE, &p) && p.hold == w->hold &&
	    (p.flags & MAPS_LAZY) != 0) {
		uintptr_t start = w->start > p.start ? w->start : p.start;
		uintptr_t end = w->end < p.end ? w->end : p.end;

		r = fill_range(w, start, end);
		/* The kernel takes one area at a time; mlock(), fork and others cut areas. */
		while (r == -ENOENT && end - start > PAGE) {
			uintptr_t half = (end - start) / 2 & ~(uintptr_t)(PAGE - 1);

			if (w->page < start + half)
				end = start + half;
			else
				start += half;
			r = fill_range(w, start, end);
		}
	}
	faults_wake(w->page, PAGE);
	maps_leave(signals);
	return r;
}

/* The whole chunk, from the file's own memory.  -EXDEV: that is not what is mapped. */
static int show_chunk(const struct piece *p, uintptr_t page)
{
	struct file *f = p->hold->file;
	uint64_t off = offset_of(p, page), first, end;
	struct window w = { .hold = p->hold, .page = page };
	unsigned shift;
	struct pin pin;
	int r;

	if (off >= file_size(f))
		return -EFAULT;
	r = pin_take(f, off, 1, &pin);
	if (r != 0)
		return r;
	/* From here until pin_drop() the chunk is there, whole, and stays. */
	shift = file_chunk_shift(f);
	first = (uint64_t)pin.first_chunk << shift;
	end = first + ((uint64_t)1 << shift);
	end = mapping_pages(file_size(f)) < end ? mapping_pages(file_size(f)) : end;
	if (pin.memory_ino != p->hold->memory_ino || pin.memory_dev != p->hold->memory_dev ||
	    off < first || off >= end) {
		r = -EXDEV;
	} else {
		w.start = off - first < page - p->start ? page - (off - first) : p->start;
		w.end = page + (end - off);
		r = fill_window(&w);
	}
	pin_touch(f, &pin);
	pin_drop(f, &pin);
	return r;
}

int lazy_copy_pages(const struct piece *p, uintptr_t page, unsigned char *buf, bool wait)
{
	uintptr_t start = page & ~(uintptr_t)(LAZY_COPY_LEN - 1);
	struct window w = { .hold = p->hold, .page = page, .bytes = buf };
	struct file *f = p->hold->file;
	uint32_t missing;
	uint64_t off;
	size_t len;
	ssize_t n;

	w.start = start > p->start ? start : p->start;
	off = offset_of(p, w.start);
	len = LAZY_COPY_LEN - (w.start - start);
	n = wait ? file_read(f, buf, len, off) : file_read_try(f, buf, len, off, &missing);
	if (n < 0)
		return (int)n;
	if ((uintptr_t)n <= page - w.start)
		return -EFAULT;
	mem_zero(buf + n, mapping_pages((size_t)n) - (size_t)n);
	w.end = w.start + mapping_pages((size_t)n);
	return fill_window(&w);
}

static void say_lost(const struct piece *p, int error)
{
	char name[32];
	struct text t;

	text_init(&t, name, sizeof(name));
	text_add_errno(&t, error);
	SAY_ONCE("a mapping of ", file_path(p->hold->file), " cannot be filled (", name,
		 "): the program gets SIGBUS; see the daemon's log, or set mmap: resident");
}

/* SIGBUS from now on. */
static void lose_page(const struct piece *p, uintptr_t page)
{
	uint64_t signals = maps_enter();
	struct piece now;
	int fd;

	if (maps_find_locked(page, page + PAGE, &now) && now.hold == p->hold &&
	    faults_poison(page) != 0) {
		fd = sys_memfd_create("ossc-lost", MFD_CLOEXEC);
		sys_mmap((void *)page, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 0);
		if (fd >= 0)
			sys_close(fd);
	}
	faults_wake(page, PAGE);
	maps_leave(signals);
}

static int serve_page(const struct piece *p, uintptr_t page, unsigned char *buf)
{
	struct link *link = view_link(file_view(p->hold->file));
	int r;

	/* The daemon is gone, its memory is not: what had come can be read, and copied. */
	if (link_serial(link) == 0 && lazy_copy_pages(p, page, buf, false) == 0)
		return 0;
	r = show_chunk(p, page);
	/* Too much is pinned, or the daemon's memory is another by now. */
	if (r == -ENOSPC || r == -EXDEV || r == -EFAULT)
		return lazy_copy_pages(p, page, buf, true);
	if (r != 0 && lazy_copy_pages(p, page, buf, false) == 0)
		return 0;
	return r;
}

static void serve(uintptr_t page, unsigned char *buf)
{
	struct piece p;
	int r;

	if (!maps_take(page, page + PAGE, &p)) {
		/* Being unmapped, or mapped anew: it faults again, or no more. */
		sys_call0(__NR_sched_yield);
		faults_wake(page, PAGE);
		return;
	}
	r = (p.flags & MAPS_LAZY) != 0 ? serve_page(&p, page, buf) : -EAGAIN;
	if (r == -EAGAIN || r == -ENOENT) {
		sys_call0(__NR_sched_yield);
		faults_wake(page, PAGE);
	} else if (r != 0) {
		say_lost(&p, r);
		lose_page(&p, page);
	}
	hold_put(p.hold);
}

/* On the thread of faults.h. */
static void on_faults(const uintptr_t *pages, unsigned nr)
{
	static unsigned char buf[LAZY_COPY_LEN];
	struct piece p;
	unsigned i;

	/* All are asked for before the first is waited for. */
	for (i = 1; i < nr; i++)
		if (maps_take(pages[i], pages[i] + PAGE, &p)) {
			file_advise(p.hold->file, offset_of(&p, pages[i]), 1, WIRE_ADVISE_WILLNEED);
			hold_put(p.hold);
		}
	for (i = 0; i < nr; i++)
		serve(pages[i], buf);
}

/* ---- making one ------------------------------------------------------------------------------- */

int lazy_start(bool safe)
{
	return faults_start(on_faults, safe);
}

bool lazy_can(bool safe)
{
	int r = lazy_start(safe);

	if (r == 0 && !safe && faults_are_user_only())
		SAY_ONCE("mmap: lazy: the kernel lets this process fill mappings on its own "
			 "accesses only: calls that read from or write to a mapped file's memory "
			 "may fail with EFAULT; see userfaultfd in the README, or set mmap: auto");
	if (r != 0 && !safe)
		SAY_ONCE("mmap: lazy: the kernel does not let this process fill mappings on page "
			 "faults: files are mapped when all of them is there");
	return r == 0;
}

bool lazy_blocks_kernel(void)
{
	return faults_fd() >= 0 && faults_are_user_only();
}

int lazy_open_memory(struct file *f, struct pin *ret_which)
{
	int i, r;

	for (i = 0; i < NR_TRIES; i++) {
		r = pin_none(f, ret_which);
		if (r != 0)
			return r;
		r = file_memory_fd(f, ret_which);
		if (r != -EAGAIN)
			return r;
	}
	/* A failed object is made anew at every open, until it is listed again. */
	r = file_failure(f);
	return r != 0 ? r : -EIO;
}

int lazy_arm(uintptr_t start, size_t len, int prot, bool own)
{
	int r = sys_madvise((void *)start, len, MADV_DONTFORK);

	if (r == 0)
		r = faults_register(start, len, own);
	if (r == 0 && prot != PROT_NONE)
		r = (int)sys_call3(__NR_mprotect, start, len, prot);
	return r;
}

static void *map_armed(struct hold *hold, const struct wish *w, int fd)
{
	bool shared = (w->flags & MAP_TYPE) != MAP_PRIVATE;
	struct wish bare = *w;
	struct piece p;
	void *mem;
	int r;

	bare.prot = PROT_NONE;
	bare.flags = (w->flags & ~(MAP_TYPE | MAP_POPULATE | MAP_LOCKED)) | MAP_PRIVATE;
	mem = mapping_raw(&bare, fd);
	if (sys_is_error(mem))
		return mem;
	p = (struct piece){
		.start = (uintptr_t)mem,
		.end = (uintptr_t)mem + mapping_pages(w->len),
		.off = (uint64_t)w->off,
		.hold = hold,
		.prot = w->prot,
		.flags = MAPS_LAZY | (shared ? MAPS_SHARED : 0u) |
			 (!shared && (w->prot & PROT_WRITE) != 0 ? MAPS_WRITABLE : 0u),
	};
	r = maps_add(&p);
	if (r != 0) {
		sys_munmap(mem, w->len);
		return (void *)(long)r;
	}
	r = lazy_arm(p.start, p.end - p.start, w->prot, false);
	if (r == 0)
		return mem;
	/* Its place, if it was given one, stays without access for what is tried next. */
	hold->refs++;
	maps_cut_done(maps_cut(p.start, p.end - p.start));
	if ((w->flags & MAP_FIXED) == 0)
		sys_munmap(mem, w->len);
	return (void *)(long)(r == -ENOMEM ? r : -EOPNOTSUPP);
}

void *lazy_map(struct file *f, const struct wish *w)
{
	struct pin none = { 0 }, which;
	struct hold *hold;
	void *mem;
	int fd = lazy_open_memory(f, &which);

	if (fd < 0)
		return (void *)(long)fd;
	hold = hold_new(file_ref(f), &none);
	if (hold == NULL) {
		file_put(f);
		sys_close(fd);
		return (void *)(long)-ENOMEM;
	}
	hold->memory_dev = which.memory_dev;
	hold->memory_ino = which.memory_ino;
	mem = map_armed(hold, w, fd);
	sys_close(fd);
	if (sys_is_error(mem))
		hold_forget(hold);
	else if ((w->flags & MAP_POPULATE) != 0)
		file_advise(f, (uint64_t)w->off, w->len, WIRE_ADVISE_WILLNEED);
	return mem;
}
