/*
 * epoch.h - which process this is, without a system call: a number that stays
 * while the process lives and differs in every forked child.  A vfork child
 * shares its parent's memory and so its epoch.
 *
 * A page that fork wipes (MADV_WIPEONFORK) tells; where the kernel has no such
 * page, each look costs a getpid().
 *
 * Threads: any; from signal handlers as well.
 */
#ifndef LIBCLIENT_CORE_EPOCH_H
#define LIBCLIENT_CORE_EPOCH_H

#include <stddef.h>
#include <stdint.h>

/* For epoch_now() alone; NULL before the first look. */
extern uint32_t *epoch_page __attribute__((visibility("hidden")));

uint32_t epoch_look(void);

/* Never 0. */
static inline uint32_t epoch_now(void)
{
	/* Acquire pairs with the publication of the page in epoch_look(). */
	const uint32_t *page = __atomic_load_n(&epoch_page, __ATOMIC_ACQUIRE);
	uint32_t epoch = page != NULL ? __atomic_load_n(page, __ATOMIC_RELAXED) : 0;

	return epoch != 0 ? epoch : epoch_look();
}

#endif
