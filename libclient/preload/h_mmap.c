/*
 * h_mmap.c - hooks: mapping store files by the rule that is always right: wait
 * until the range is there, claim it, map it.  What is larger than the cache may
 * hold becomes memory of one's own, filled through the cache.
 */
#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/maps.h"
#include "libclient/preload/memory.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"

#include <linux/memfd.h>
#include <stdarg.h>

#define PAGE	 4096u
#define NR_TRIES 3
#define STEP	 (8u << 20) /* filled at a time */

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

static void say_too_big(const struct file *f, uint64_t need, uint64_t available)
{
	char a[24], b[24];
	struct text t;

	text_init(&t, a, sizeof(a));
	text_addu(&t, need >> 20);
	text_init(&t, b, sizeof(b));
	text_addu(&t, available >> 20);
	SAY_ONCE("mmap of ", file_path(f), " needs ", a,
		 " MiB of memory besides the cache, and only ", b,
		 " MiB are available: raise cache.size so that the file fits it, or use reads");
}

/* Fill a memory file with bytes of the object. */
static int fill(struct file *f, int fd, uint64_t off, size_t want)
{
	size_t done = 0;
	ssize_t r = 0;
	char *mem;

	r = sys_ftruncate(fd, (int64_t)want);
	if (r != 0)
		return (int)r;
	mem = sys_mmap(NULL, want, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sys_is_error(mem))
		return (int)(long)mem;
	while (done < want) {
		r = file_read(f, mem + done, want - done < STEP ? want - done : STEP, off + done);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	sys_munmap(mem, want);
	if (done < want)
		return r < 0 ? (int)r : -EIO;
	return 0;
}

/*
 * Memory of this process alone, filled through the cache.  A memory file, not
 * anonymous memory: after MADV_DONTNEED its bytes come back, and not zeros.
 */
static void *map_copy(struct file *f, const struct wish *w, size_t want)
{
	uint64_t available = memory_available();
	struct wish copy = *w;
	void *mem;
	int fd, r;

	if (want > available) {
		say_too_big(f, want, available);
		return (void *)(long)-ENOMEM;
	}
	fd = sys_memfd_create("ossc-copy", MFD_CLOEXEC);
	if (fd < 0)
		return (void *)(long)fd;
	r = fill(f, fd, (uint64_t)w->off, want);
	copy.off = 0;
	mem = r == 0 ? map_fd(&copy, fd) : (void *)(long)r;
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
