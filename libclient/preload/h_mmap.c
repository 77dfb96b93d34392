/*
 * h_mmap.c - hooks: mapping, unmapping and moving memory that shows store files.
 * How a file is shown: mapping.h.
 */
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/lazy.h"
#include "libclient/preload/mapping.h"
#include "libclient/preload/maps.h"
#include "libclient/preload/preload.h"

#include <stdarg.h>
#include <stdbool.h>

#ifndef MREMAP_DONTUNMAP
#define MREMAP_DONTUNMAP 4
#endif
#ifndef MAP_FIXED_NOREPLACE
#define MAP_FIXED_NOREPLACE 0x100000
#endif

#define PAGE	MAPPING_PAGE

#define MAX_LEN ((size_t)1 << 57) /* no address space has more */

/* In the kernel's order. */
static int judge(const struct ofd *o, const struct wish *w)
{
	int type = w->flags & MAP_TYPE;

	if ((w->off & (PAGE - 1)) != 0)
		return -EINVAL;
	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	if ((w->flags & MAP_HUGETLB) != 0 || w->len == 0)
		return -EINVAL;
	if (w->len > MAX_LEN)
		return -ENOMEM;
	if (w->off < 0 || w->len > (size_t)INT64_MAX - (size_t)w->off - PAGE)
		return -EOVERFLOW;
	if (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE)
		return -EINVAL;
	if (type != MAP_PRIVATE && (w->prot & PROT_WRITE) != 0)
		return -EACCES;
	return 0;
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct wish w = { .addr = addr, .len = len, .prot = prot, .flags = flags, .off = off };
	struct ofd *o = (flags & MAP_ANONYMOUS) != 0 ? NULL : fds_get(fd);
	void *mem;
	int r;

	if (o != NULL && !o->escaped) {
		r = judge(o, &w);
		mem = r == 0 ? mapping_make(o->file, &w) : (void *)(long)r;
	} else {
		mem = mapping_raw(&w, fd);
	}
	if (o != NULL)
		fds_put(o);
	return (void *)answer((long)mem);
}
ALIAS(mmap64, mmap);

EXPORT int munmap(void *addr, size_t len)
{
	struct node *gone = NULL;
	int r;

	if (maps_has((uintptr_t)addr, len) && ((uintptr_t)addr & (PAGE - 1)) == 0)
		gone = maps_cut((uintptr_t)addr, mapping_pages(len));
	r = sys_munmap(addr, len);
	if (r == 0)
		maps_cut_done(gone);
	else
		maps_cut_undo(gone);
	return (int)answer(r);
}

/* ---- mremap ------------------------------------------------------------------------------- */

struct move {
	uintptr_t from, to; /* to: with MREMAP_FIXED, and once it is known */
	size_t old_len, len;
	int flags;
};

/* The end of the mapping goes. */
static long shrink(const struct move *m)
{
	struct node *gone = maps_cut(m->from + m->len, m->old_len - m->len);
	int r = sys_munmap((void *)(m->from + m->len), m->old_len - m->len);

	if (r == 0)
		maps_cut_done(gone);
	else
		maps_cut_undo(gone);
	return r == 0 ? (long)m->from : r;
}

/* What follows the mapping in the file, right behind it in memory. */
static long map_tail(const struct piece *last, uintptr_t at, size_t len, int fixed)
{
	struct wish w = {
		.addr = (void *)at,
		.len = len,
		.prot = last->prot,
		.flags = ((last->flags & MAPS_SHARED) != 0 ? MAP_SHARED : MAP_PRIVATE) | fixed,
		.off = (off_t)(last->off + (last->end - last->start)),
	};
	void *mem = mapping_make(last->hold->file, &w);

	if (!sys_is_error(mem) && (uintptr_t)mem != at) {
		/* A kernel before 4.17 took the address for a wish. */
		maps_cut_done(maps_cut((uintptr_t)mem, mapping_pages(len)));
		sys_munmap(mem, len);
		return -ENOMEM;
	}
	return (long)mem;
}

/* Move old_len bytes to m->to, which is free or may be replaced. */
static long move_to(const struct move *m, int more)
{
	struct node *under = maps_cut(m->to, m->len), *gone = maps_cut(m->from, m->old_len);
	long r = (long)sys_mremap((void *)m->from, m->old_len, m->old_len,
				  MREMAP_MAYMOVE | MREMAP_FIXED | more, (void *)m->to);

	if (r < 0 && r >= -4095) {
		maps_cut_undo(gone);
		maps_cut_undo(under);
		return r;
	}
	maps_cut_done(under);
	if ((more & MREMAP_DONTUNMAP) != 0) /* the old place shows the file anew */
		maps_cut_copy(gone, (intptr_t)(m->to - m->from));
	else
		maps_cut_move(gone, (intptr_t)(m->to - m->from));
	return r;
}

/* Room for all of it; the caller replaces it. */
static long find_room(size_t len)
{
	return (long)sys_mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
			      0);
}

/* A larger mapping: where it is if there is room behind it, else all of it elsewhere. */
static long grow(struct move *m, const struct piece *last)
{
	bool fixed = (m->flags & MREMAP_FIXED) != 0;
	long r = -ENOMEM;

	if (!fixed && (m->flags & MREMAP_DONTUNMAP) == 0)
		r = map_tail(last, m->from + m->old_len, m->len - m->old_len, MAP_FIXED_NOREPLACE);
	if (r >= 0 || r < -4095)
		return (long)m->from;
	if ((r != -EEXIST && r != -ENOMEM) || (m->flags & MREMAP_MAYMOVE) == 0)
		return r == -EEXIST ? -ENOMEM : r;
	r = fixed ? (long)m->to : find_room(m->len);
	if (r < 0 && r >= -4095)
		return r;
	m->to = (uintptr_t)r;
	/* First what can fail for want of memory: the tail; the old mapping stays until then. */
	r = map_tail(last, m->to + m->old_len, m->len - m->old_len, MAP_FIXED);
	if (r >= 0 || r < -4095)
		r = move_to(&(struct move){ .from = m->from,
					    .to = m->to,
					    .old_len = m->old_len,
					    .len = m->old_len },
			    m->flags & MREMAP_DONTUNMAP);
	if (r < 0 && r >= -4095 && !fixed) {
		maps_cut_done(maps_cut(m->to, m->len));
		sys_munmap((void *)m->to, m->len);
	}
	return r;
}

/* No old length: a second mapping of the same memory, if that is shared. */
static long map_second(const struct move *m, const struct piece *p)
{
	struct wish w = {
		.addr = (void *)m->to,
		.len = m->len,
		.prot = p->prot,
		.flags = MAP_SHARED | ((m->flags & MREMAP_FIXED) != 0 ? MAP_FIXED : 0),
		.off = (off_t)(p->off + (m->from - p->start)),
	};

	if ((p->flags & MAPS_SHARED) == 0)
		return -EINVAL;
	return (long)mapping_make(p->hold->file, &w);
}

/* To the same or a smaller length, somewhere else. */
static long relocate(struct move *m)
{
	long r = 0;

	if (m->old_len > m->len)
		r = shrink(m);
	if (r < 0 && r >= -4095)
		return r;
	m->old_len = m->len;
	if ((m->flags & MREMAP_FIXED) == 0) {
		r = find_room(m->len);
		if (r < 0 && r >= -4095)
			return r;
		m->to = (uintptr_t)r;
	}
	return move_to(m, m->flags & MREMAP_DONTUNMAP);
}

static bool makes_sense(const struct move *m)
{
	bool fixed = (m->flags & MREMAP_FIXED) != 0, keeps = (m->flags & MREMAP_DONTUNMAP) != 0;

	if ((m->from & (PAGE - 1)) != 0 || m->len == 0 ||
	    (m->flags & ~(MREMAP_MAYMOVE | MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0 ||
	    ((fixed || keeps) && (m->flags & MREMAP_MAYMOVE) == 0) ||
	    (keeps && m->old_len != m->len) || (fixed && (m->to & (PAGE - 1)) != 0))
		return false;
	return !fixed || m->to >= m->from + m->old_len || m->from >= m->to + m->len;
}

/* The memory at m->from is a store file's. */
static long remap_ours(struct move *m)
{
	struct piece last;
	uintptr_t end = m->from + (m->old_len != 0 ? m->old_len : PAGE);
	long r;

	if (!makes_sense(m))
		return -EINVAL;
	if ((m->flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) == 0 && m->old_len != 0 &&
	    m->old_len >= m->len)
		return m->old_len > m->len ? shrink(m) : (long)m->from;
	/* Memory that has moved is no longer filled on page faults. */
	r = lazy_complete(m->from, end - m->from);
	if (r != 0)
		return r;
	if (!maps_take(end - PAGE, end, &last))
		return -EFAULT;
	if (m->old_len == 0) {
		r = map_second(m, &last);
	} else if (m->len > m->old_len) {
		last.end = end;
		r = grow(m, &last);
	} else {
		r = relocate(m);
	}
	hold_put(last.hold);
	return r;
}

static long remap_others(const struct move *m)
{
	struct node *gone = NULL;
	long r;

	if ((m->flags & MREMAP_FIXED) != 0)
		gone = maps_cut(m->to, m->len);
	r = (long)sys_mremap((void *)m->from, m->old_len, m->len, m->flags, (void *)m->to);
	if (r < 0 && r >= -4095)
		maps_cut_undo(gone);
	else
		maps_cut_done(gone);
	return r;
}

EXPORT void *mremap(void *addr, size_t old_len, size_t len, int flags, ...)
{
	struct move m = { .from = (uintptr_t)addr, .flags = flags };
	va_list ap;

	if ((flags & (MREMAP_FIXED | MREMAP_DONTUNMAP)) != 0) {
		va_start(ap, flags);
		m.to = (uintptr_t)va_arg(ap, void *);
		va_end(ap);
	}
	m.old_len = mapping_pages(old_len);
	m.len = mapping_pages(len);
	if (maps_has(m.from, m.old_len != 0 ? m.old_len : PAGE))
		return (void *)answer(remap_ours(&m));
	return (void *)answer(remap_others(&m));
}

/* As on any file that is open for reading. */
EXPORT int remap_file_pages(void *addr, size_t len, int prot, size_t pgoff, int flags)
{
	if (maps_has((uintptr_t)addr, len))
		return (int)answer(-EINVAL);
	return (int)answer(sys_call5(__NR_remap_file_pages, addr, len, prot, pgoff, flags));
}
