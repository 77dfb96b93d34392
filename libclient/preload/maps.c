#include "libclient/preload/maps.h"

#include "libclient/core/arena.h"
#include "libclient/core/file.h"
#include "libclient/core/lock.h"

#include <errno.h>

struct hold {
	struct hold *next; /* in a list to be dropped */
	struct file *file;
	struct pin pin;
	uint32_t nr_pieces;
	bool shared; /* with a forked child: the claim is not given up */
};

struct piece {
	struct piece *next;
	uintptr_t start, end;
	struct hold *hold;
};

uintptr_t maps_low = UINTPTR_MAX, maps_high;
static struct piece *pieces; /* in no order */
static struct lock lock;

struct hold *hold_new(struct file *f, const struct pin *pin)
{
	struct hold *h = arena_alloc(sizeof(*h));

	if (h != NULL) {
		h->file = f;
		h->pin = *pin;
	}
	return h;
}

void hold_forget(struct hold *h)
{
	file_put(h->file);
	arena_free(h);
}

void hold_drop_all(struct hold *list)
{
	while (list != NULL) {
		struct hold *h = list;

		list = h->next;
		if (!h->shared)
			pin_drop(h->file, &h->pin);
		file_put(h->file);
		arena_free(h);
	}
}

static void add_locked(struct piece *p)
{
	p->hold->nr_pieces++;
	p->next = pieces;
	pieces = p;
	if (p->start < maps_low)
		__atomic_store_n(&maps_low, p->start, __ATOMIC_RELAXED);
	if (p->end > maps_high)
		__atomic_store_n(&maps_high, p->end, __ATOMIC_RELAXED);
}

int maps_add(uintptr_t start, size_t len, struct hold *hold)
{
	struct piece *p = arena_alloc(sizeof(*p));
	uint64_t signals;

	if (p == NULL)
		return -ENOMEM;
	p->start = start;
	p->end = start + len;
	p->hold = hold;
	signals = lock_enter(&lock);
	add_locked(p);
	lock_leave(&lock, signals);
	return 0;
}

static void measure_locked(void)
{
	uintptr_t low = UINTPTR_MAX, high = 0;
	const struct piece *p;

	for (p = pieces; p != NULL; p = p->next) {
		low = p->start < low ? p->start : low;
		high = p->end > high ? p->end : high;
	}
	__atomic_store_n(&maps_low, low, __ATOMIC_RELAXED);
	__atomic_store_n(&maps_high, high, __ATOMIC_RELAXED);
}

/* Cut [start, end) out of *at.  True: nothing of it is left, and it is out of the list. */
static bool cut_locked(struct piece **at, uintptr_t start, uintptr_t end, struct piece **spare)
{
	struct piece *p = *at;

	if (p->start < start && p->end > end) {
		if (*spare == NULL)
			return false; /* no memory: keep the claim on all of it */
		**spare = (struct piece){ .start = end, .end = p->end, .hold = p->hold };
		p->end = start;
		add_locked(*spare);
		*spare = NULL;
		return false;
	}
	if (p->start < start) {
		p->end = start;
		return false;
	}
	if (p->end > end) {
		p->start = end;
		return false;
	}
	*at = p->next;
	return true;
}

struct hold *maps_cut(uintptr_t start, size_t len)
{
	struct piece **at, *p, *spare, *gone = NULL;
	struct hold *list = NULL;
	uint64_t signals;

	if (!maps_touch(start, len))
		return NULL;
	/* At most one piece can be split in two. */
	spare = arena_alloc(sizeof(*spare));
	signals = lock_enter(&lock);
	for (at = &pieces; (p = *at) != NULL;) {
		if (p->start >= start + len || p->end <= start ||
		    !cut_locked(at, start, start + len, &spare)) {
			at = &p->next;
			continue;
		}
		if (--p->hold->nr_pieces == 0) {
			p->hold->next = list;
			list = p->hold;
		}
		p->next = gone;
		gone = p;
	}
	measure_locked();
	lock_leave(&lock, signals);
	arena_free(spare);
	while (gone != NULL) {
		p = gone;
		gone = p->next;
		arena_free(p);
	}
	return list;
}

bool maps_has(uintptr_t start, size_t len)
{
	const struct piece *p;
	uint64_t signals;

	if (!maps_touch(start, len))
		return false;
	signals = lock_enter(&lock);
	for (p = pieces; p != NULL && (p->start >= start + len || p->end <= start); p = p->next)
		;
	lock_leave(&lock, signals);
	return p != NULL;
}

void maps_before_fork(void)
{
	struct piece *p;
	uint64_t signals;

	if (__atomic_load_n(&maps_high, __ATOMIC_RELAXED) == 0)
		return;
	signals = lock_enter(&lock);
	for (p = pieces; p != NULL; p = p->next)
		p->hold->shared = true;
	lock_leave(&lock, signals);
}
