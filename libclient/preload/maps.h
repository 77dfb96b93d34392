/*
 * maps.h - which memory of this process shows store files: pieces by address,
 * and behind each a hold: the file, the memory it is shown from, and the claim
 * (pin) on its chunks.  munmap, mremap, mprotect and a fixed mmap cut pieces;
 * when the last piece of a hold is gone, so is its claim.
 *
 * Threads: any; from signal handlers as well.  A look-up takes no lock and makes
 * no system call.  Sound in a forked child, whenever the fork came.
 */
#ifndef LIBCLIENT_PRELOAD_MAPS_H
#define LIBCLIENT_PRELOAD_MAPS_H

#include "libclient/core/file.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct node;

/* What pieces share.  Counted: by the pieces that show it, and by maps_take(). */
struct hold {
	struct hold *next; /* in a list to be given up */
	uint32_t refs;
	bool is_inherited; /* a forked child lives on the claim: it is not given up */
	struct file *file;
	struct pin pin;			 /* serial 0: nothing is claimed */
	uint64_t memory_dev, memory_ino; /* lazy: the memory file that is mapped */
};

enum maps_flags {
	MAPS_SHARED = 1 << 0,	/* the program asked for MAP_SHARED */
	MAPS_WRITABLE = 1 << 1, /* private and once writable: may hold bytes of the program's own */
	MAPS_LAZY = 1 << 2,	/* filled on page faults: lazy.h */
	MAPS_COPY = 1 << 3,	/* shows a private copy */
	MAPS_NO_FORK = 1 << 4,	/* the program said MADV_DONTFORK */
};

struct piece {
	uintptr_t start, end; /* whole pages */
	uint64_t off;	      /* in the file, of `start` */
	struct hold *hold;
	int prot;
	uint32_t flags; /* enum maps_flags */
};

/* One reference, for the caller; takes over that to the file.  NULL without memory. */
struct hold *hold_new(struct file *f, const struct pin *pin);
void hold_put(struct hold *h);
/* It was never shown: free it and the file reference; the claim stays the caller's. */
void hold_forget(struct hold *h);

/* Enter a piece; it takes over one reference to its hold.  -ENOMEM. */
int maps_add(const struct piece *p);

extern uintptr_t maps_low, maps_high; /* for maps_touch() alone */
static inline bool maps_touch(uintptr_t start, size_t len)
{
	return start < __atomic_load_n(&maps_high, __ATOMIC_RELAXED) &&
	       start + len > __atomic_load_n(&maps_low, __ATOMIC_RELAXED);
}

/* The first piece that overlaps [start, end), as a copy; its hold may be gone any moment. */
bool maps_find(uintptr_t start, uintptr_t end, struct piece *ret);
static inline bool maps_has(uintptr_t start, size_t len)
{
	struct piece p;

	return maps_touch(start, len) && maps_find(start, start + len, &p);
}
/* The same with a reference to the hold: hold_put(). */
bool maps_take(uintptr_t start, uintptr_t end, struct piece *ret);

/*
 * The range is about to be unmapped or replaced: take its pieces out.  Then, as
 * the call went, either drop them with their claims, or put them back.
 */
struct node *maps_cut(uintptr_t start, size_t len);
void maps_cut_done(struct node *gone);
void maps_cut_undo(struct node *gone);
/* The memory was moved: what was cut shows up at another address. */
void maps_cut_move(struct node *gone, intptr_t by);
/* The same, and at the old address as well. */
void maps_cut_copy(struct node *gone, intptr_t by);

/* The pieces of the range, cut at its borders, get these; flags are added and taken away. */
struct maps_change {
	int prot; /* -1: as it is */
	uint32_t set, clear;
};
void maps_change(uintptr_t start, size_t len, const struct maps_change *c);

/* No piece comes, goes or changes between these two, which wait for nothing; all signals wait. */
uint64_t maps_enter(void);
void maps_leave(uint64_t signals);
/* Between them: as maps_find(). */
bool maps_find_locked(uintptr_t start, uintptr_t end, struct piece *ret);

/*
 * A child will have all of it too, and lives on the same claims: they stay as
 * long as the session does, whatever this process unmaps.
 */
void maps_before_fork(void);

#endif
