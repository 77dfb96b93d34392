/*
 * h_madvise.c - hooks: what is said about memory that shows store files:
 * protection, advice, locks.  What the kernel does by itself as on a read-only
 * file, it does; memory that is filled on page faults needs a hand.
 */
#include "libclient/core/sys.h"
#include "libclient/preload/lazy.h"
#include "libclient/preload/mapping.h"
#include "libclient/preload/maps.h"
#include "libclient/preload/preload.h"

#include "common/wire.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MCL_ONFAULT
#define MCL_ONFAULT 4
#endif

#define PAGE MAPPING_PAGE

/* ---- protection --------------------------------------------------------------------------- */

static bool is_shared(uintptr_t start, uintptr_t end)
{
	struct piece p;

	while (start < end && maps_find(start, end, &p)) {
		if ((p.flags & MAPS_SHARED) != 0)
			return true;
		start = p.end;
	}
	return false;
}

static long protect(void *addr, size_t len, int prot, long key)
{
	bool ours = maps_has((uintptr_t)addr, len) && ((uintptr_t)addr & (PAGE - 1)) == 0;
	struct maps_change c = { .prot = -1 };
	long r;

	len = mapping_pages(len);
	if (ours && (prot & PROT_WRITE) != 0) {
		/* A lazy one is private for the kernel, and a copy could be written. */
		if (is_shared((uintptr_t)addr, (uintptr_t)addr + len))
			return -EACCES;
		/* Before the first write can come. */
		c.set = MAPS_WRITABLE;
		maps_change((uintptr_t)addr, len, &c);
	}
	r = key == -1 ? sys_call3(__NR_mprotect, addr, len, prot)
		      : sys_call4(__NR_pkey_mprotect, addr, len, prot, key);
	if (ours && r == 0) {
		c.prot = prot & (PROT_READ | PROT_WRITE | PROT_EXEC);
		maps_change((uintptr_t)addr, len, &c);
	}
	return r;
}

EXPORT int mprotect(void *addr, size_t len, int prot)
{
	return (int)answer(protect(addr, len, prot, -1));
}

EXPORT int pkey_mprotect(void *addr, size_t len, int prot, int key)
{
	return (int)answer(key == -1 ? protect(addr, len, prot, -1)
				     : protect(addr, len, prot, key));
}

/* ---- advice ------------------------------------------------------------------------------- */

static void tell_daemon(uintptr_t start, uintptr_t end, unsigned advice)
{
	struct piece p;

	while (start < end && maps_take(start, end, &p)) {
		uintptr_t from = p.start > start ? p.start : start;
		uintptr_t to = p.end < end ? p.end : end;

		file_advise(p.hold->file, p.off + (from - p.start), to - from, advice);
		hold_put(p.hold);
		start = p.end;
	}
}

/* What the library keeps from children it gives them itself: see lazy_before_fork(). */
static long allow_fork(uintptr_t start, uintptr_t end)
{
	struct maps_change c = { .prot = -1, .clear = MAPS_NO_FORK };
	struct piece p;
	long r = 0;

	maps_change(start, end - start, &c);
	while (start < end && r == 0) {
		bool found = maps_find(start, end, &p);
		uintptr_t to = !found || p.end > end ? end : p.end;

		if (found && p.start > start)
			to = p.start; /* what lies before it */
		else if (found && (p.flags & MAPS_LAZY) != 0)
			goto next;
		r = sys_madvise((void *)start, to - start, MADV_DOFORK);
next:
		start = to;
	}
	return r;
}

static long advise_ours(uintptr_t start, size_t len, int advice)
{
	static const struct maps_change no_fork = { .prot = -1, .set = MAPS_NO_FORK };

	switch (advice) {
	case MADV_WILLNEED:
		tell_daemon(start, start + len, WIRE_ADVISE_WILLNEED);
		break;
	case MADV_SEQUENTIAL:
		tell_daemon(start, start + len, WIRE_ADVISE_SEQUENTIAL);
		break;
	case MADV_RANDOM:
		tell_daemon(start, start + len, WIRE_ADVISE_RANDOM);
		break;
	case MADV_REMOVE:
		return -EACCES; /* as on a file that is open for reading */
	case MADV_DONTFORK:
		maps_change(start, len, &no_fork);
		break;
	case MADV_DOFORK:
		return allow_fork(start, start + len);
	case MADV_POPULATE_READ:
	case MADV_POPULATE_WRITE:
		tell_daemon(start, start + len, WIRE_ADVISE_WILLNEED);
		if (lazy_blocks_kernel())
			lazy_complete(start, len);
		break;
	}
	return sys_madvise((void *)start, len, advice);
}

static long advise(void *addr, size_t len, int advice)
{
	if (maps_has((uintptr_t)addr, len) && ((uintptr_t)addr & (PAGE - 1)) == 0)
		return advise_ours((uintptr_t)addr, mapping_pages(len), advice);
	return sys_madvise(addr, len, advice);
}

EXPORT int madvise(void *addr, size_t len, int advice)
{
	return (int)answer(advise(addr, len, advice));
}

/* Returns the error; its DONTNEED loses nothing, in any libc. */
EXPORT int posix_madvise(void *addr, size_t len, int advice)
{
	if (advice == 4 /* POSIX_MADV_DONTNEED, and MADV_DONTNEED */)
		return 0;
	return (int)-advise(addr, len, advice);
}

/* ---- locks -------------------------------------------------------------------------------- */

EXPORT int mlock(const void *addr, size_t len)
{
	long r = lazy_complete((uintptr_t)addr, len);

	return (int)answer(r != 0 ? r : sys_call2(__NR_mlock, addr, len));
}

EXPORT int mlock2(const void *addr, size_t len, unsigned flags)
{
	/* MLOCK_ONFAULT: nothing is brought in, but what is, stays. */
	long r = lazy_complete((uintptr_t)addr, len);

	return (int)answer(r != 0 ? r : sys_call3(__NR_mlock2, addr, len, flags));
}

EXPORT int mlockall(int flags)
{
	long r = 0;

	/* From now on mmap() itself brings pages in. */
	if ((flags & MCL_FUTURE) != 0)
		mapping_lock_future(true);
	if ((flags & MCL_CURRENT) != 0)
		r = lazy_complete(0, UINTPTR_MAX);
	return (int)answer(r != 0 ? r : sys_call1(__NR_mlockall, flags));
}

EXPORT int munlockall(void)
{
	mapping_lock_future(false);
	return (int)answer(sys_call0(__NR_munlockall));
}
