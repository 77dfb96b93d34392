#include "libclient/preload/offset.h"

#include "libclient/core/epoch.h"
#include "libclient/core/sys.h"

#include <time.h>

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

/* Forks that have begun and that have ended: the same while none is under way. */
static uint32_t forks_begun, forks_ended;

void offset_fork_begins(void)
{
	__atomic_add_fetch(&forks_begun, 1, __ATOMIC_SEQ_CST);
}

void offset_fork_ended(void)
{
	__atomic_add_fetch(&forks_ended, 1, __ATOMIC_SEQ_CST);
}

void offset_in_child(void)
{
	forks_ended = forks_begun;
}

/* A cell that gets its file while a fork is under way may be the child's too: no count is its own. */
void offset_reset(struct cell *c)
{
	uint32_t begun = __atomic_load_n(&forks_begun, __ATOMIC_SEQ_CST);

	__atomic_store_n(&c->offset, 0, __ATOMIC_RELAXED);
	c->forks = __atomic_load_n(&forks_ended, __ATOMIC_SEQ_CST) == begun ? begun : begun - 1;
}

/*
 * The caller has taken it out of the table.  A fork that begins after we looked
 * copies a table without it; one that began before we looked is seen.
 */
bool offset_put(struct cell *c)
{
	uint32_t begun;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	begun = __atomic_load_n(&forks_begun, __ATOMIC_SEQ_CST);
	return c->epoch == epoch_now() && c->forks == begun &&
	       __atomic_load_n(&forks_ended, __ATOMIC_SEQ_CST) == begun;
}

/* ---- the kernel's turn, and the way there ---------------------------------------------- */

/*
 * While somebody moves an offset, the cell says so and keeps its value: everybody
 * else waits, in other processes too.  Two threads that hand it to the kernel at
 * once would otherwise seek one after the other, and undo what a reader did between.
 */
#define PATIENCE_YIELDS 100u
#define PATIENCE_NAPS	10000u /* of 100 us: then who moved it has died */

static bool is_moving(uint64_t at)
{
	return at > OFFSET_IN_KERNEL;
}

static uint64_t moving(int64_t at)
{
	return OFFSET_IN_KERNEL + 1 + (uint64_t)at;
}

static int64_t moved_from(uint64_t at)
{
	return (int64_t)(at - OFFSET_IN_KERNEL - 1);
}

static void wait_a_little(unsigned tries)
{
	const struct timespec nap = { .tv_nsec = 100000 };

	if (tries < PATIENCE_YIELDS)
		sys_call0(__NR_sched_yield);
	else
		sys_call2(__NR_nanosleep, &nap, NULL);
}

/* An offset, or OFFSET_IN_KERNEL: never on its way. */
static uint64_t settled(struct cell *c, int fd)
{
	uint64_t at = __atomic_load_n(&c->offset, __ATOMIC_ACQUIRE);
	unsigned tries;

	for (tries = 0; is_moving(at) && tries < PATIENCE_YIELDS + PATIENCE_NAPS; tries++) {
		wait_a_little(tries);
		at = __atomic_load_n(&c->offset, __ATOMIC_ACQUIRE);
	}
	while (is_moving(at)) {
		kernel_seek(fd, moved_from(at), SEEK_SET);
		if (__atomic_compare_exchange_n(&c->offset, &at, OFFSET_IN_KERNEL, false,
						__ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE))
			at = OFFSET_IN_KERNEL;
	}
	return at;
}

int64_t offset_hold(struct cell *c, int fd, uint64_t *ret_signals)
{
	uint64_t at;
	int64_t here;

	*ret_signals = sys_block_signals();
	do {
		at = settled(c, fd);
		here = at == OFFSET_IN_KERNEL ? kernel_seek(fd, 0, SEEK_CUR) : (int64_t)at;
		if (here < 0 ||
		    here == OFFSET_MAX) { /* no descriptor; no number left to say it with */
			sys_restore_signals(*ret_signals);
			return here < 0 ? here : -EOVERFLOW;
		}
	} while (!__atomic_compare_exchange_n(&c->offset, &at, moving(here), false,
					      __ATOMIC_ACQ_REL, __ATOMIC_RELAXED));
	return here;
}

/* Release pairs with the acquire in settled(): the kernel has it when the cell says so. */
void offset_release(struct cell *c, uint64_t signals)
{
	__atomic_store_n(&c->offset, OFFSET_IN_KERNEL, __ATOMIC_RELEASE);
	sys_restore_signals(signals);
}

int64_t offset_get(struct cell *c, int fd)
{
	uint64_t at = settled(c, fd);

	return at == OFFSET_IN_KERNEL ? kernel_seek(fd, 0, SEEK_CUR) : (int64_t)at;
}

void offset_set(struct cell *c, int fd, int64_t offset)
{
	uint64_t at;

	while ((at = settled(c, fd)) != OFFSET_IN_KERNEL)
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

/* The kernel has it: look and move while nobody else does. */
static int64_t take_from_kernel(struct cell *c, int fd, uint64_t len, uint64_t size,
				uint64_t *ret_len)
{
	uint64_t signals;
	int64_t at = offset_hold(c, fd, &signals);

	*ret_len = 0;
	if (at < 0)
		return at == -EOVERFLOW ? OFFSET_MAX : at;
	*ret_len = clip(at, len, size);
	if (*ret_len != 0)
		kernel_seek(fd, at + (int64_t)*ret_len, SEEK_SET);
	offset_release(c, signals);
	return at;
}

int64_t offset_take(struct cell *c, int fd, uint64_t len, uint64_t size, uint64_t *ret_len)
{
	uint64_t at = __atomic_load_n(&c->offset, __ATOMIC_RELAXED);

	while (at != OFFSET_IN_KERNEL) {
		if (is_moving(at)) {
			at = settled(c, fd);
			continue;
		}
		*ret_len = clip((int64_t)at, len, size);
		if (*ret_len == 0 ||
		    __atomic_compare_exchange_n(&c->offset, &at, at + *ret_len, false,
						__ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return (int64_t)at;
	}
	return take_from_kernel(c, fd, len, size, ret_len);
}

void offset_untake(struct cell *c, int fd, int64_t offset, uint64_t len)
{
	uint64_t after = (uint64_t)offset + len;

	if (settled(c, fd) == OFFSET_IN_KERNEL)
		kernel_seek(fd, offset, SEEK_SET);
	else
		__atomic_compare_exchange_n(&c->offset, &after, (uint64_t)offset, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
}

void offset_to_kernel(struct cell *c, int fd)
{
	uint64_t signals;
	int64_t at;

	if (settled(c, fd) == OFFSET_IN_KERNEL)
		return;
	at = offset_hold(c, fd, &signals);
	if (at == -EOVERFLOW) {
		kernel_seek(fd, OFFSET_MAX, SEEK_SET);
		offset_is_in_kernel(c);
	}
	if (at < 0)
		return;
	kernel_seek(fd, at, SEEK_SET);
	offset_release(c, signals);
}
