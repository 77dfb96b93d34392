/*
 * shadow.h - may there be local files below MODEL_DIR that have a store's name?
 * Then a path is looked up before the kernel sees it, however it is spelt: else a
 * symbolic link from elsewhere would lead to the local file.
 *
 * Judged by MODEL_DIR itself at the first path and by what listings meet: usually there are
 * none, and nothing is asked.  Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_SHADOW_H
#define LIBCLIENT_PRELOAD_SHADOW_H

#include <stdbool.h>
#include <stdint.h>

struct snap;

/* For shadow_possible() alone. */
#define SHADOW_UNKNOWN 2u
extern uint32_t shadow_is;
void shadow_look(const char *dir);
/* dir: MODEL_DIR, which exists. */
static inline bool shadow_possible(const char *dir)
{
	if (__atomic_load_n(&shadow_is, __ATOMIC_RELAXED) == SHADOW_UNKNOWN)
		shadow_look(dir);
	return __atomic_load_n(&shadow_is, __ATOMIC_RELAXED) != 0;
}

/* The tree is known: do they have its names? */
void shadow_judge(const char *dir, const struct snap *snap);
/* One was met. */
void shadow_met(void);

#endif
