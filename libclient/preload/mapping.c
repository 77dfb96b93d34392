#include "libclient/preload/mapping.h"

#include "common/wire.h"
#include "libclient/core/sys.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/lazy.h"
#include "libclient/preload/maps.h"
#include "libclient/preload/store.h"

#include <linux/memfd.h>

#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define NR_TRIES 3

/* Below this the download is waited for: it is over before a page fault would pay. */
#define LAZY_MIN ((size_t)64 << 20)

static uint32_t future_is_locked;

void mapping_lock_future(bool locked)
{
	__atomic_store_n(&future_is_locked, locked, __ATOMIC_RELAXED);
}

void *mapping_raw(const struct wish *w, int fd)
{
	bool replaces = (w->flags & (MAP_FIXED | MAP_FIXED_NOREPLACE)) == MAP_FIXED;
	struct node *gone = NULL;
	void *mem;

	if (replaces && maps_has((uintptr_t)w->addr, w->len))
		gone = maps_cut((uintptr_t)w->addr, mapping_pages(w->len));
	mem = sys_mmap(w->addr, w->len, w->prot, w->flags, fd, w->off);
	if (sys_is_error(mem)) {
		maps_cut_undo(gone);
		return mem;
	}
	maps_cut_done(gone);
	/* Unmapped behind our back: what we know of the place is old. */
	if (maps_has((uintptr_t)mem, w->len))
		maps_cut_done(maps_cut((uintptr_t)mem, mapping_pages(w->len)));
	return mem;
}

/* Map `fd`, which has the file's bytes from `fd_off` on, and enter it with the claim. */
static void *show(struct hold *hold, const struct wish *w, int fd, off_t fd_off, uint32_t flags)
{
	bool shared = (w->flags & MAP_TYPE) != MAP_PRIVATE;
	struct wish real = *w;
	struct piece p;
	void *mem;

	real.off = fd_off;
	mem = mapping_raw(&real, fd);
	if (sys_is_error(mem))
		return mem;
	p = (struct piece){
		.start = (uintptr_t)mem,
		.end = (uintptr_t)mem + mapping_pages(w->len),
		.off = (uint64_t)w->off,
		.hold = hold,
		.prot = w->prot,
		.flags = flags | (shared ? MAPS_SHARED : 0u) |
			 (!shared && (w->prot & PROT_WRITE) != 0 ? MAPS_WRITABLE : 0u),
	};
	if (maps_add(&p) == 0)
		return mem;
	sys_munmap(mem, w->len);
	return (void *)(long)-ENOMEM;
}

/* A memory file of this process alone: its bytes are for ever right. */
static void *show_own(struct file *f, const struct wish *w, int fd)
{
	struct pin none = { 0 };
	struct hold *hold = hold_new(file_ref(f), &none);
	void *mem;

	if (hold == NULL) {
		file_put(f);
		return (void *)(long)-ENOMEM;
	}
	mem = show(hold, w, fd, 0, MAPS_COPY);
	if (sys_is_error(mem))
		hold_forget(hold);
	return mem;
}

/* Nothing of the file in range: pages that raise SIGBUS, as the kernel's would be. */
static void *map_nothing(struct file *f, const struct wish *w)
{
	int fd = sys_memfd_create("ossc-empty", MFD_CLOEXEC);
	void *mem;

	if (fd < 0)
		return (void *)(long)fd;
	mem = show_own(f, w, fd);
	sys_close(fd);
	return mem;
}

/*
 * Memory of this process alone, filled through the cache.  A memory file, not
 * anonymous memory: after MADV_DONTNEED its bytes come back, and not zeros.
 */
static void *map_copy(struct file *f, const struct wish *w, size_t want)
{
	void *mem;
	int fd = escape_copy(f, (uint64_t)w->off, want);

	if (fd < 0)
		return (void *)(long)fd;
	mem = show_own(f, w, fd);
	sys_close(fd);
	return mem;
}

/* Claimed bytes: map the object's own memory.  *ret_anew: the claim has to be taken anew. */
static void *map_pinned(struct file *f, const struct pin *pin, const struct wish *w, bool *ret_anew)
{
	struct hold *hold;
	void *mem;
	int fd;

	fd = file_memory_fd(f, pin);
	*ret_anew = fd == -EAGAIN;
	if (fd < 0)
		return (void *)(long)fd;
	hold = hold_new(file_ref(f), pin);
	mem = hold != NULL ? show(hold, w, fd, w->off, 0) : (void *)(long)-ENOMEM;
	sys_close(fd);
	if (hold == NULL)
		file_put(f);
	else if (sys_is_error(mem))
		hold_forget(hold); /* the caller gives up the claim */
	return mem;
}

static void *map_resident(struct file *f, const struct wish *w, size_t want)
{
	struct pin pin;
	bool anew;
	void *mem;
	int i, r;

	for (i = 0; i < NR_TRIES; i++) {
		r = pin_take(f, (uint64_t)w->off, want, &pin);
		if (r != 0) {
			store_say_unread(f, r);
			return (void *)(long)r;
		}
		mem = map_pinned(f, &pin, w, &anew);
		if (!sys_is_error(mem))
			return mem;
		pin_drop(f, &pin);
		if (!anew)
			return mem;
	}
	r = file_failure(f);
	return (void *)(long)(r != 0 ? r : -EIO);
}

/* Would a lazy mapping be right, and a gain? */
static bool want_lazy(struct file *f, const struct wish *w, size_t want)
{
	uint64_t end;
	uint32_t chunk;

	/* Locked memory is there before the call returns. */
	if ((w->flags & MAP_LOCKED) != 0 ||
	    __atomic_load_n(&future_is_locked, __ATOMIC_RELAXED) != 0)
		return false;
	switch (file_mmap_mode(f)) {
	case WIRE_MMAP_LAZY:
		return lazy_can(false);
	case WIRE_MMAP_AUTO:
		return want >= LAZY_MIN &&
		       file_missing(f, (uint64_t)w->off, want, &chunk, &end) != 0 && lazy_can(true);
	}
	return false;
}

/* The cache may not hold it in one piece. */
static bool want_lazy_instead(struct file *f, const struct wish *w)
{
	return file_mmap_mode(f) == WIRE_MMAP_AUTO && (w->flags & MAP_LOCKED) == 0 &&
	       __atomic_load_n(&future_is_locked, __ATOMIC_RELAXED) == 0 && lazy_can(true);
}

void *mapping_make(struct file *f, const struct wish *w)
{
	uint64_t left = (uint64_t)w->off < file_size(f) ? file_size(f) - (uint64_t)w->off : 0;
	/* Whole pages: the kernel shows what comes behind `len` in the last one as well. */
	size_t want = mapping_pages(w->len) < left ? mapping_pages(w->len) : (size_t)left;
	void *mem;

	if (want == 0)
		return map_nothing(f, w);
	if (want_lazy(f, w, want)) {
		mem = lazy_map(f, w);
		if ((long)mem != -EOPNOTSUPP)
			return mem;
	}
	mem = map_resident(f, w, want);
	if ((long)mem == -ENOSPC && want_lazy_instead(f, w)) {
		mem = lazy_map(f, w);
		mem = (long)mem == -EOPNOTSUPP ? (void *)(long)-ENOSPC : mem;
	}
	/* The daemon's memory may lie where nothing may be executed. */
	if ((long)mem == -ENOSPC || ((long)mem == -EPERM && (w->prot & PROT_EXEC) != 0))
		mem = map_copy(f, w, want);
	return mem;
}
