/*
 * maps.h - which memory of this process shows store files, and the claim (pin)
 * on the chunks behind each piece of it.  munmap, mremap and a fixed mmap cut
 * pieces out; when the last piece of a mapping is gone, so is its claim.
 *
 * Threads: any; from signal handlers as well.  While nothing is mapped, a
 * look-up is two loads.
 */
#ifndef LIBCLIENT_PRELOAD_MAPS_H
#define LIBCLIENT_PRELOAD_MAPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct file;
struct hold;
struct pin;

/* A claim that mappings share: takes over the file reference and the pin; NULL without memory. */
struct hold *hold_new(struct file *f, const struct pin *pin);
/* It was never shown: free it and the file reference; the claim stays the caller's. */
void hold_forget(struct hold *h);
/* Give up the claims of a list (from maps_cut()). */
void hold_drop_all(struct hold *list);

/* [start, start + len) shows what `hold` keeps; one piece to begin with.  -ENOMEM. */
int maps_add(uintptr_t start, size_t len, struct hold *hold);

extern uintptr_t maps_low, maps_high; /* for maps_touch() alone */
static inline bool maps_touch(uintptr_t start, size_t len)
{
	return start < __atomic_load_n(&maps_high, __ATOMIC_RELAXED) &&
	       start + len > __atomic_load_n(&maps_low, __ATOMIC_RELAXED);
}

/*
 * The range is about to be unmapped or replaced: forget it.  The claims that
 * nothing shows any more; drop them once the memory is gone.
 */
struct hold *maps_cut(uintptr_t start, size_t len);
/* Is any of the range a store file's? */
bool maps_has(uintptr_t start, size_t len);

/*
 * A child will have all of it too, and lives on the same claims: they stay as
 * long as the session does, whatever this process unmaps.
 */
void maps_before_fork(void);

#endif
