#include "libclient/preload/offset.h"

#include "libclient/core/epoch.h"
#include "libclient/core/sys.h"

#define REGION_LEN   4096u
#define REGION_CELLS (REGION_LEN / sizeof(struct cell))

/* Cell 0 of a region counts how many were given out. */
static struct cell *region;

static int64_t kernel_seek(int fd, int64_t offset, int whence)
{
	return sys_call3(__NR_lseek, fd, offset, whence);
}

/* The first region, or one more; a forked child starts its own. */
static struct cell *add_region(struct cell *full)
{
	struct cell *fresh;

	fresh = sys_mmap(NULL, REGION_LEN, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
			 0);
	if (sys_is_error(fresh))
		return NULL;
	fresh->epoch = epoch_now();
	fresh->offset = 1;
	/* Release pairs with the acquire in offset_new(): its epoch is there first. */
	if (__atomic_compare_exchange_n(&region, &full, fresh, false, __ATOMIC_RELEASE,
					__ATOMIC_ACQUIRE))
		return fresh;
	sys_munmap(fresh, REGION_LEN);
	return full;
}

struct cell *offset_new(void)
{
	struct cell *r = __atomic_load_n(&region, __ATOMIC_ACQUIRE);
	uint64_t i;

	for (;;) {
		if (r != NULL && r->epoch == epoch_now()) {
			i = __atomic_fetch_add(&r->offset, 1, __ATOMIC_RELAXED);
			if (i < REGION_CELLS)
				break;
		}
		r = add_region(r);
		if (r == NULL)
			return NULL;
	}
	r[i].epoch = r->epoch;
	offset_reset(&r[i]);
	return &r[i];
}

void offset_reset(struct cell *c)
{
	__atomic_store_n(&c->offset, 0, __ATOMIC_RELAXED);
	__atomic_store_n(&c->refs, 1, __ATOMIC_RELAXED);
}

bool offset_put(struct cell *c)
{
	return __atomic_sub_fetch(&c->refs, 1, __ATOMIC_RELAXED) == 0 && c->epoch == epoch_now();
}

int64_t offset_get(struct cell *c, int fd)
{
	uint64_t at = __atomic_load_n(&c->offset, __ATOMIC_RELAXED);

	return at == OFFSET_IN_KERNEL ? kernel_seek(fd, 0, SEEK_CUR) : (int64_t)at;
}

void offset_set(struct cell *c, int fd, int64_t offset)
{
	uint64_t at = __atomic_load_n(&c->offset, __ATOMIC_RELAXED);

	while (at != OFFSET_IN_KERNEL)
		if (__atomic_compare_exchange_n(&c->offset, &at, (uint64_t)offset, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return;
	kernel_seek(fd, offset, SEEK_SET);
}

static uint64_t clip(int64_t at, uint64_t len, uint64_t size)
{
	if ((uint64_t)at >= size)
		return 0;
	return len < size - (uint64_t)at ? len : size - (uint64_t)at;
}

int64_t offset_take(struct cell *c, int fd, uint64_t len, uint64_t size, uint64_t *ret_len)
{
	uint64_t at = __atomic_load_n(&c->offset, __ATOMIC_RELAXED);
	int64_t kernel_at;

	while (at != OFFSET_IN_KERNEL) {
		*ret_len = clip((int64_t)at, len, size);
		if (*ret_len == 0 ||
		    __atomic_compare_exchange_n(&c->offset, &at, at + *ret_len, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return (int64_t)at;
	}
	kernel_at = kernel_seek(fd, 0, SEEK_CUR);
	if (kernel_at < 0) {
		*ret_len = 0;
		return kernel_at;
	}
	*ret_len = clip(kernel_at, len, size);
	if (*ret_len != 0)
		kernel_seek(fd, kernel_at + (int64_t)*ret_len, SEEK_SET);
	return kernel_at;
}

void offset_untake(struct cell *c, int fd, int64_t offset, uint64_t len)
{
	uint64_t after = (uint64_t)offset + len;

	if (__atomic_load_n(&c->offset, __ATOMIC_RELAXED) == OFFSET_IN_KERNEL)
		kernel_seek(fd, offset, SEEK_SET);
	else
		__atomic_compare_exchange_n(&c->offset, &after, (uint64_t)offset, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void offset_to_kernel(struct cell *c, int fd)
{
	uint64_t at = __atomic_load_n(&c->offset, __ATOMIC_RELAXED);

	while (at != OFFSET_IN_KERNEL) {
		kernel_seek(fd, (int64_t)at, SEEK_SET);
		if (__atomic_compare_exchange_n(&c->offset, &at, OFFSET_IN_KERNEL, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return;
	}
}
