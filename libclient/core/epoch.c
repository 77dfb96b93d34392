#include "libclient/core/epoch.h"
#include "libclient/core/sys.h"

#include <stdbool.h>

#ifndef MADV_WIPEONFORK
#define MADV_WIPEONFORK 18
#endif

#define EPOCH_PAGE 4096u

uint32_t *epoch_page;

static uint32_t last;	     /* highest number given out; fork copies it */
static uint32_t no_wipe;     /* the kernel has no such page */
static uint64_t last_of_pid; /* then: pid:32 | epoch:32 */

static uint32_t look_by_pid(void)
{
	uint32_t pid = (uint32_t)sys_getpid();
	uint64_t now = __atomic_load_n(&last_of_pid, __ATOMIC_RELAXED);

	while ((uint32_t)(now >> 32) != pid) {
		uint64_t next = (uint64_t)pid << 32 | (uint32_t)((uint32_t)now + 1);

		if (__atomic_compare_exchange_n(&last_of_pid, &now, next, false, __ATOMIC_RELAXED,
						__ATOMIC_RELAXED))
			now = next;
	}
	return (uint32_t)now;
}

static uint32_t *make_page(void)
{
	uint32_t *none = NULL, *page;

	page = sys_mmap(NULL, EPOCH_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1,
			0);
	if (sys_is_error(page))
		return NULL;
	if (sys_madvise(page, EPOCH_PAGE, MADV_WIPEONFORK) < 0) {
		sys_munmap(page, EPOCH_PAGE);
		__atomic_store_n(&no_wipe, 1, __ATOMIC_RELAXED);
		return NULL;
	}
	/* Release pairs with the acquire in epoch_now(). */
	if (__atomic_compare_exchange_n(&epoch_page, &none, page, false, __ATOMIC_ACQ_REL,
					__ATOMIC_ACQUIRE))
		return page;
	sys_munmap(page, EPOCH_PAGE);
	return none;
}

uint32_t epoch_look(void)
{
	uint32_t *page = __atomic_load_n(&epoch_page, __ATOMIC_ACQUIRE);
	uint32_t epoch, next;

	if (page == NULL && __atomic_load_n(&no_wipe, __ATOMIC_RELAXED) == 0)
		page = make_page();
	if (page == NULL)
		return look_by_pid();

	epoch = __atomic_load_n(page, __ATOMIC_RELAXED);
	if (epoch != 0)
		return epoch;
	next = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	if (next == 0)
		next = __atomic_add_fetch(&last, 1, __ATOMIC_RELAXED);
	/* Another thread may be quicker: then its number is the one. */
	if (__atomic_compare_exchange_n(page, &epoch, next, false, __ATOMIC_RELAXED,
					__ATOMIC_RELAXED))
		return next;
	return epoch;
}
