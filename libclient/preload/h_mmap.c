/*
 * h_mmap.c - hooks: mapping store files by the rule that is always right: wait
 * until the range is there, claim it, map it.  What is larger than the cache may
 * hold becomes memory of one's own, filled through the cache.
 */
#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/maps.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"

#include <linux/memfd.h>
#include <stdarg.h>

#define PAGE	 4096u
#define NR_TRIES 3

struct wish { /* what the program asked for */
	void *addr;
	size_t len;
	int prot;
	int flags;
	off_t off;
};

static int judge(const struct ofd *o, const struct wish *w)
{
	int type = w->flags & MAP_TYPE;

	if ((o->flags & O_PATH) != 0)
		return -EBADF;
	if (w->len == 0 || w->off < 0 || (w->off & (PAGE - 1)) != 0 ||
	    (type != MAP_SHARED && type != MAP_PRIVATE && type != MAP_SHARED_VALIDATE))
		return -EINVAL;
	if (type != MAP_PRIVATE && (w->prot & PROT_WRITE) != 0)
		return -EACCES;
	if (w->len > (size_t)INT64_MAX - (size_t)w->off)
		return -EOVERFLOW;
	return 0;
}

/* The mapping itself.  What it replaces (MAP_FIXED) is no longer a store file's. */
static void *map_fd(const struct wish *w, int fd)
{
	struct hold *gone = NULL;
	void *mem;

	if ((w->flags & MAP_FIXED) != 0)
		gone = maps_cut((uintptr_t)w->addr, w->len);
	mem = sys_mmap(w->addr, w->len, w->prot, w->flags, fd, w->off);
	hold_drop_all(gone);
	return mem;
}

/* Nothing of the file in range: pages that raise SIGBUS, as the kernel's would be. */
static void *map_nothing(const struct wish *w)
{
	int fd = sys_memfd_create("ossc-empty", MFD_CLOEXEC);
	void *mem;

	if (fd < 0)
		return (void *)(long)fd;
	mem = map_fd(w, fd);
	sys_close(fd);
	return mem;
}

/* Claimed bytes: map the object's own memory. */
static void *map_pinned(struct file *f, const struct pin *pin, const struct wish *w)
{
	struct hold *hold;
	void *mem;
	int fd, r;

	fd = file_memory_fd(f, pin);
	if (fd < 0)
		return (void *)(long)fd;
	hold = hold_new(file_ref(f), pin);
	if (hold == NULL) {
		file_put(f);
		sys_close(fd);
		return (void *)(long)-ENOMEM;
	}
	mem = map_fd(w, fd);
	sys_close(fd);
	r = sys_is_error(mem) ? (int)(long)mem : maps_add((uintptr_t)mem, w->len, hold);
	if (r == 0)
		return mem;
	if (!sys_is_error(mem))
		sys_munmap(mem, w->len);
	/* The caller gives up the claim. */
	hold_forget(hold);
	return (void *)(long)r;
}

/*
 * Memory of this process alone, filled through the cache.  A memory file, not
 * anonymous memory: after MADV_DONTNEED its bytes come back, and not zeros.
 */
static void *map_copy(struct file *f, const struct wish *w, size_t want)
{
	struct wish copy = *w;
	void *mem;
	int fd = escape_copy(f, (uint64_t)w->off, want);

	if (fd < 0)
		return (void *)(long)fd;
	copy.off = 0;
	mem = map_fd(&copy, fd);
	sys_close(fd);
	return mem;
}

static void *map_ours(const struct ofd *o, const struct wish *w)
{
	size_t want = 0;
	void *mem = NULL;
	struct pin pin;
	int i, r;

	r = judge(o, w);
	if (r != 0)
		return (void *)(long)r;
	if ((uint64_t)w->off < o->size)
		want = w->len < o->size - (uint64_t)w->off ? w->len : o->size - (uint64_t)w->off;
	if (want == 0)
		return map_nothing(w);
	for (i = 0; i < NR_TRIES; i++) {
		r = pin_take(o->file, (uint64_t)w->off, want, &pin);
		if (r == -ENOSPC)
			return map_copy(o->file, w, want);
		if (r != 0)
			return (void *)(long)r;
		mem = map_pinned(o->file, &pin, w);
		if (!sys_is_error(mem))
			return mem;
		pin_drop(o->file, &pin);
		if ((long)mem != -ESTALE)
			break; /* else the memory was made anew: claim that */
	}
	return mem;
}

EXPORT void *mmap(void *addr, size_t len, int prot, int flags, int fd, off_t off)
{
	struct wish w = { .addr = addr, .len = len, .prot = prot, .flags = flags, .off = off };
	struct ofd *o = (flags & MAP_ANONYMOUS) != 0 ? NULL : fds_get(fd);
	void *mem;

	if (o != NULL) {
		mem = map_ours(o, &w);
		fds_put(o);
	} else {
		mem = map_fd(&w, fd);
	}
	return (void *)answer((long)mem);
}
ALIAS(mmap64, mmap);

EXPORT int munmap(void *addr, size_t len)
{
	struct hold *gone = NULL;
	int r;

	if (((uintptr_t)addr & (PAGE - 1)) == 0 && len != 0)
		gone = maps_cut((uintptr_t)addr, (len + PAGE - 1) & ~(size_t)(PAGE - 1));
	r = sys_munmap(addr, len);
	hold_drop_all(gone);
	return (int)answer(r);
}

/* Shrinking is a munmap of the end; growing or moving a store file's mapping is not built yet. */
EXPORT void *mremap(void *addr, size_t old_len, size_t len, int flags, ...)
{
	struct hold *gone = NULL;
	void *to = NULL, *mem;
	va_list ap;

	if ((flags & MREMAP_FIXED) != 0) {
		va_start(ap, flags);
		to = va_arg(ap, void *);
		va_end(ap);
	}
	if (maps_has((uintptr_t)addr, old_len)) {
		if (len > old_len || (flags & MREMAP_FIXED) != 0)
			return (void *)answer(REFUSE(ENOTSUP, "growing mremap", "mapped memory"));
		if (((uintptr_t)addr & (PAGE - 1)) == 0 && len != 0)
			gone = maps_cut((uintptr_t)addr + ((len + PAGE - 1) & ~(size_t)(PAGE - 1)),
					old_len - len);
	} else if ((flags & MREMAP_FIXED) != 0) {
		gone = maps_cut((uintptr_t)to, len);
	}
	mem = sys_mremap(addr, old_len, len, flags, to);
	hold_drop_all(gone);
	return (void *)answer((long)mem);
}
