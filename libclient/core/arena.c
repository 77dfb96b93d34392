#include "libclient/core/arena.h"
#include "libclient/core/lock.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"

#include <stdint.h>

#define CLASS_MIN 6u  /* 64 bytes, the head included */
#define CLASS_MAX 16u /* 64 KiB; more is a mapping of its own */
#define SLAB_LEN  (256u << 10)
#define PAGE	  4096u

struct block {
	union {
		struct block *next; /* free */
		size_t mapped_len;  /* a mapping of its own */
	};
	uint32_t class; /* 0: a mapping of its own */
	uint32_t reserved;
	unsigned char bytes[];
};
_Static_assert(sizeof(struct block) == 16, "what follows stays aligned to 16");

static struct {
	struct lock lock;
	struct block *free[CLASS_MAX + 1];
	unsigned char *slab; /* not yet cut */
	size_t slab_left;
} arena;

static void *map(size_t len)
{
	void *mem = sys_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return sys_is_error(mem) ? NULL : mem;
}

static void *alloc_mapping(size_t len)
{
	size_t whole = (len + sizeof(struct block) + PAGE - 1) & ~(size_t)(PAGE - 1);
	struct block *b;

	if (whole < len)
		return NULL;
	b = map(whole);
	if (b == NULL)
		return NULL;
	b->mapped_len = whole;
	return b->bytes;
}

static struct block *cut_locked(unsigned class)
{
	size_t len = (size_t)1 << class;
	struct block *b;

	if (arena.slab_left < len) {
		/* The rest of the old slab is lost: at most one block of the largest class. */
		unsigned char *slab = map(SLAB_LEN);

		if (slab == NULL)
			return NULL;
		arena.slab_left = 0;
		arena.slab = slab;
		arena.slab_left = SLAB_LEN;
	}
	b = (struct block *)arena.slab;
	arena.slab += len;
	arena.slab_left -= len;
	return b;
}

void *arena_alloc(size_t len)
{
	unsigned class = CLASS_MIN;
	struct block *b;
	uint64_t signals;

	if (len > ((size_t)1 << CLASS_MAX) - sizeof(struct block))
		return alloc_mapping(len);
	while (((size_t)1 << class) < len + sizeof(struct block))
		class ++;

	signals = lock_enter(&arena.lock);
	b = arena.free[class];
	if (b != NULL)
		arena.free[class] = b->next;
	else
		b = cut_locked(class);
	lock_leave(&arena.lock, signals);
	if (b == NULL)
		return NULL;

	b->next = NULL;
	b->class = class;
	mem_zero(b->bytes, ((size_t)1 << class) - sizeof(struct block));
	return b->bytes;
}

void arena_free(void *mem)
{
	struct block *b;
	uint64_t signals;

	if (mem == NULL)
		return;
	b = (struct block *)((unsigned char *)mem - sizeof(struct block));
	if (b->class == 0) {
		sys_munmap(b, b->mapped_len);
		return;
	}
	signals = lock_enter(&arena.lock);
	b->next = arena.free[b->class];
	arena.free[b->class] = b;
	lock_leave(&arena.lock, signals);
}

char *arena_copy(const char *str, size_t len)
{
	char *copy = arena_alloc(len + 1);

	if (copy != NULL)
		mem_copy(copy, str, len);
	return copy;
}
