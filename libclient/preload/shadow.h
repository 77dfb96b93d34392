/*
 * shadow.h - may there be local files below MODEL_DIR that have a store's name?
 * Then a path is looked up before the kernel sees it, however it is spelt: else a
 * symbolic link from elsewhere would lead to the local file.
 *
 * Judged by MODEL_DIR itself at start and by what listings meet: usually there are
 * none, and nothing is asked.  Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_SHADOW_H
#define LIBCLIENT_PRELOAD_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

struct snap;

extern uint32_t shadow_is; /* through shadow_possible() */
static inline bool shadow_possible(void)
{
	return __atomic_load_n(&shadow_is, __ATOMIC_RELAXED) != 0;
}

/* MODEL_DIR exists: are there files in it? */
void shadow_start(const char *dir);
/* The tree is known: do they have its names? */
void shadow_judge(const char *dir, const struct snap *snap);
/* One was met. */
void shadow_met(void);

#endif
