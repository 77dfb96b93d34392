#include "libclient/preload/fds.h"

#include "libclient/core/epoch.h"
#include "libclient/core/file.h"
#include "libclient/core/lock.h"
#include "libclient/core/sys.h"
#include "libclient/preload/dirpos.h"
#include "libclient/preload/inherit.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/preload.h"

#include <linux/sched.h>

#define OFDS_PER_BLOCK 256u
#define NR_OFD_BLOCKS  4096u

_Static_assert(sizeof(struct ofd) == 64, "one cache line");

uint32_t fds_end;
bool fds_moved;
struct ofd **fds_pages[FDS_NR_PAGES];

static struct ofd *blocks[NR_OFD_BLOCKS];
static uint32_t nr_ofds;
static uint64_t free_head; /* change count:32 | number + 1:32 */

static struct lock exchanging; /* descriptors are put under numbers that are in use */

/* The process whose table this is: a vfork child has another pid but the same epoch. */
static uint64_t owner;		 /* epoch:32 | pid:32; 0: nobody has used the table yet */
static int first_pid START_DATA; /* where the library started, or a fork of it; 0: off */

void fds_start(void)
{
	first_pid = sys_getpid();
}

void fds_own(void)
{
	__atomic_store_n(&owner, (uint64_t)epoch_now() << 32 | (uint32_t)sys_getpid(),
			 __ATOMIC_RELAXED);
}

/* Has this process its memory for itself?  The kernel refuses what it need not do otherwise. */
static bool shares_no_memory(void)
{
	return sys_call1(__NR_unshare, CLONE_VM) == 0;
}

bool fds_in_vfork_child(void)
{
	uint64_t o = __atomic_load_n(&owner, __ATOMIC_RELAXED);

	/* The table's first use may be a vfork child's. */
	if (o == 0 && sys_getpid() != first_pid && !shares_no_memory())
		return true;
	if ((uint32_t)(o >> 32) != epoch_now()) {
		fds_own(); /* a child by another way than our fork() */
		return false;
	}
	return (uint32_t)o != (uint32_t)sys_getpid();
}

/* ---- descriptions -------------------------------------------------------------------- */

static struct ofd *ofd_at(uint32_t number)
{
	return &__atomic_load_n(&blocks[number / OFDS_PER_BLOCK],
				__ATOMIC_ACQUIRE)[number % OFDS_PER_BLOCK];
}

static void push_free(struct ofd *o)
{
	uint64_t head = __atomic_load_n(&free_head, __ATOMIC_RELAXED), next;

	do {
		o->next_free = (uint32_t)head;
		next = ((head >> 32) + 1) << 32 | (o->number + 1);
		/* Release pairs with the acquire in pop_free(): next_free is written. */
	} while (!__atomic_compare_exchange_n(&free_head, &head, next, false, __ATOMIC_RELEASE,
					      __ATOMIC_RELAXED));
}

static struct ofd *pop_free(void)
{
	uint64_t head = __atomic_load_n(&free_head, __ATOMIC_ACQUIRE), next;
	struct ofd *o;

	do {
		if ((uint32_t)head == 0)
			return NULL;
		o = ofd_at((uint32_t)head - 1);
		/* Stale when somebody else popped it; then the count differs and we start again. */
		next = ((head >> 32) + 1) << 32 | __atomic_load_n(&o->next_free, __ATOMIC_RELAXED);
	} while (!__atomic_compare_exchange_n(&free_head, &head, next, false, __ATOMIC_ACQUIRE,
					      __ATOMIC_ACQUIRE));
	return o;
}

static struct ofd *grow(void)
{
	uint32_t number = __atomic_fetch_add(&nr_ofds, 1, __ATOMIC_RELAXED);
	uint32_t b = number / OFDS_PER_BLOCK;
	struct ofd *block, *none = NULL, *o;

	if (b >= NR_OFD_BLOCKS)
		return NULL;
	block = __atomic_load_n(&blocks[b], __ATOMIC_ACQUIRE);
	if (block == NULL) {
		block = sys_mmap(NULL, OFDS_PER_BLOCK * sizeof(*block), PROT_READ | PROT_WRITE,
				 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sys_is_error(block))
			return NULL;
		if (!__atomic_compare_exchange_n(&blocks[b], &none, block, false, __ATOMIC_ACQ_REL,
						 __ATOMIC_ACQUIRE)) {
			sys_munmap(block, OFDS_PER_BLOCK * sizeof(*block));
			block = none;
		}
	}
	o = &block[number % OFDS_PER_BLOCK];
	o->number = number;
	return o;
}

struct ofd *fds_new(struct file *f, uint32_t flags, uint64_t placeholder)
{
	struct ofd *o = pop_free();

	if (o == NULL)
		o = grow();
	if (o == NULL)
		return NULL;
	/* A cell that came along from a closed file, unless it is a parent's by now. */
	if (o->cell != NULL && o->cell->epoch == epoch_now())
		offset_reset(o->cell);
	else
		o->cell = offset_new();
	if (o->cell == NULL) {
		push_free(o);
		return NULL;
	}
	o->file = f;
	o->flags = flags;
	o->placeholder = placeholder;
	o->escaped = 0;
	o->size = file_size(f);
	/* Release pairs with the acquire in try_ref(): all of it is written. */
	__atomic_store_n(&o->refs, 1, __ATOMIC_RELEASE);
	return o;
}

/* A reference to something that may be dying. */
static bool try_ref(struct ofd *o)
{
	uint32_t refs = __atomic_load_n(&o->refs, __ATOMIC_RELAXED);

	while (refs != 0)
		if (__atomic_compare_exchange_n(&o->refs, &refs, refs + 1, false, __ATOMIC_ACQUIRE,
						__ATOMIC_RELAXED))
			return true;
	return false;
}

void fds_put(struct ofd *o)
{
	struct file *f;

	if (__atomic_sub_fetch(&o->refs, 1, __ATOMIC_ACQ_REL) != 0)
		return;
	f = o->file;
	o->file = NULL;
	if (!offset_put(o->cell))
		o->cell = NULL;
	push_free(o);
	file_put(f);
}

/* ---- the table ------------------------------------------------------------------------ */

static struct ofd **slot_of(int fd)
{
	struct ofd **page;

	if ((unsigned)fd >= __atomic_load_n(&fds_end, __ATOMIC_RELAXED))
		return NULL;
	page = __atomic_load_n(&fds_pages[fd / FDS_PER_PAGE], __ATOMIC_ACQUIRE);
	return page != NULL ? &page[fd % FDS_PER_PAGE] : NULL;
}

static struct ofd **make_slot(int fd)
{
	struct ofd **page, **none = NULL;
	uint32_t end;

	if (fd < 0 || fd >= FDS_PER_PAGE * FDS_NR_PAGES)
		return NULL;
	page = __atomic_load_n(&fds_pages[fd / FDS_PER_PAGE], __ATOMIC_ACQUIRE);
	if (page == NULL) {
		page = sys_mmap(NULL, FDS_PER_PAGE * sizeof(*page), PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
		if (sys_is_error(page))
			return NULL;
		if (!__atomic_compare_exchange_n(&fds_pages[fd / FDS_PER_PAGE], &none, page, false,
						 __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
			sys_munmap(page, FDS_PER_PAGE * sizeof(*page));
			page = none;
		}
	}
	end = __atomic_load_n(&fds_end, __ATOMIC_RELAXED);
	while (end <= (uint32_t)fd &&
	       !__atomic_compare_exchange_n(&fds_end, &end, (uint32_t)fd + 1, false,
					    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		;
	return &page[fd % FDS_PER_PAGE];
}

static bool is_ofd(const struct ofd *o)
{
	return o > FDS_INHERITED;
}

/*
 * Numbers that a vfork child closed and then filled anew, where the table says what they are in
 * its parent.  Such children do little: a few places are enough.
 */
#define NR_REFILLED 16
static uint64_t refilled[NR_REFILLED]; /* pid:32 | number:32 */
static uint32_t nr_refilled;

static uint64_t number_here(int fd)
{
	return (uint64_t)sys_getpid() << 32 | (uint32_t)fd;
}

static void note_refilled(int fd)
{
	struct ofd **slot = slot_of(fd);
	uint32_t at;

	if (slot == NULL || !is_ofd(__atomic_load_n(slot, __ATOMIC_RELAXED)))
		return;
	at = __atomic_fetch_add(&nr_refilled, 1, __ATOMIC_RELAXED) % NR_REFILLED;
	__atomic_store_n(&refilled[at], number_here(fd), __ATOMIC_RELAXED);
}

static bool is_refilled(int fd)
{
	uint64_t here = number_here(fd);
	unsigned i;

	for (i = 0; i < NR_REFILLED; i++)
		if (__atomic_load_n(&refilled[i], __ATOMIC_RELAXED) == here)
			return true;
	return false;
}

struct ofd *fds_get_known(int fd)
{
	struct ofd **slot = slot_of(fd), *o;

	for (;;) {
		o = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
		if (o == FDS_INHERITED) {
			inherit_open(fd);
			if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) == FDS_INHERITED)
				return NULL; /* it said why; the kernel refuses the placeholder */
			continue;
		}
		if (!is_ofd(o))
			return NULL;
		if (!try_ref(o))
			continue; /* closed meanwhile: the slot says what it is now */
		if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) == o) {
			trace_file(o->file);
			return o;
		}
		fds_put(o);
	}
}

bool fds_is_dir(int fd)
{
	struct ofd **slot = slot_of(fd);

	return slot != NULL && __atomic_load_n(slot, __ATOMIC_RELAXED) == FDS_DIRECTORY;
}

bool fds_is_ours(int fd)
{
	struct ofd **slot = slot_of(fd);

	return slot != NULL && __atomic_load_n(slot, __ATOMIC_RELAXED) != NULL;
}

static void replace(struct ofd **slot, struct ofd *o)
{
	struct ofd *old = __atomic_exchange_n(slot, o, __ATOMIC_SEQ_CST);

	if (is_ofd(old))
		fds_put(old);
}

int fds_enter(int fd, struct ofd *o)
{
	struct ofd **slot;

	if (fds_in_vfork_child()) {
		/* Its parent has no such descriptor; the program that it starts will know it. */
		note_refilled(fd);
		if (is_ofd(o))
			fds_put(o);
		return 0;
	}
	slot = make_slot(fd);
	if (slot == NULL)
		return fd >= FDS_PER_PAGE * FDS_NR_PAGES ? -EMFILE : -ENOMEM;
	dirpos_forget(fd);
	if (fd == 0)
		fds_moved = true;
	replace(slot, o);
	return 0;
}

int fds_enter_dir(int fd)
{
	return fds_enter(fd, FDS_DIRECTORY);
}

void fds_enter_inherited(int fd)
{
	/* Without a slot the placeholder refuses every read. */
	(void)fds_enter(fd, FDS_INHERITED);
}

void fds_forget(int fd)
{
	struct ofd **slot = slot_of(fd);

	if (slot == NULL || __atomic_load_n(slot, __ATOMIC_RELAXED) == NULL)
		return;
	if (fds_in_vfork_child())
		return; /* its parent still has it */
	dirpos_forget(fd);
	replace(slot, NULL);
	/* Pairs with the fence in fds_exchange_begin(): it sees the slot empty, or we see it. */
	if (__atomic_load_n(&exchanging.word, __ATOMIC_SEQ_CST) != 0)
		lock_leave(&exchanging, lock_enter(&exchanging));
}

void fds_forget_range(unsigned first, unsigned last)
{
	uint32_t end = __atomic_load_n(&fds_end, __ATOMIC_RELAXED);
	unsigned fd;

	for (fd = first; fd < end && fd <= last; fd++)
		fds_forget((int)fd);
}

void fds_before_duplicate(int from, int to)
{
	if (fds_in_vfork_child())
		fds_hand_over(to, true); /* while the number is still the one in the table */
	else if (!fds_is_ours(from))
		fds_forget(to);
}

void fds_duplicate(int from, int to)
{
	struct ofd **slot = slot_of(from), **other = slot_of(to), *o;
	bool ours = slot != NULL && __atomic_load_n(slot, __ATOMIC_RELAXED) != NULL;

	if (from == to || (!ours && (other == NULL || *other == NULL)))
		return;
	o = ours ? fds_get(from) : NULL;
	if (fds_in_vfork_child()) {
		/* The table is the parent's; what comes after exec looks at the kernel's offset. */
		if (o == NULL)
			return;
		fds_put(o);
		fds_hand_over(from, true);
		note_refilled(to);
	} else if (o != NULL) {
		fds_moved = true;
		if (fds_enter(to, o) != 0)
			fds_put(o); /* the duplicate refuses reads, as every placeholder */
	} else if (ours) {
		/* A directory, or a file that cannot be opened: the duplicate will say so as well. */
		o = __atomic_load_n(slot, __ATOMIC_RELAXED);
		(void)fds_enter(to, is_ofd(o) ? FDS_INHERITED : o);
		dirpos_duplicate(from, to);
	} else {
		fds_forget(to);
	}
}

int fds_next_of(const struct ofd *o, int from)
{
	uint32_t end = __atomic_load_n(&fds_end, __ATOMIC_RELAXED), fd;

	for (fd = (uint32_t)from; fd < end; fd++) {
		struct ofd **slot = slot_of((int)fd), *there;

		if (slot == NULL) {
			fd |= FDS_PER_PAGE - 1;
			continue;
		}
		there = __atomic_load_n(slot, __ATOMIC_RELAXED);
		if (o != NULL ? there == o : there > FDS_DIRECTORY)
			return (int)fd;
	}
	return -1;
}

uint64_t fds_exchange_begin(void)
{
	uint64_t signals = lock_enter(&exchanging);

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	return signals;
}

void fds_exchange_end(uint64_t signals)
{
	lock_leave(&exchanging, signals);
}

void fds_exchange(int fd, struct ofd *old, struct ofd *fresh)
{
	struct ofd **slot = slot_of(fd), *there = old;

	__atomic_fetch_add(&fresh->refs, 1, __ATOMIC_RELAXED);
	/* Release pairs with the acquire in fds_get_known(). */
	if (__atomic_compare_exchange_n(slot, &there, fresh, false, __ATOMIC_ACQ_REL,
					__ATOMIC_RELAXED))
		fds_put(old);
	else
		fds_put(fresh);
}

/* ---- fork and exec --------------------------------------------------------------------- */

/*
 * Does the number still show what the table says?  fork copies the kernel's table
 * first and memory later, page by page: what other threads opened and closed
 * meanwhile may stand in one and not in the other.
 */
static bool is_still(int fd, const struct ofd *o, struct stat *st)
{
	if (sys_fstat(fd, st) != 0)
		return false;
	if (o == FDS_DIRECTORY)
		return S_ISDIR(st->st_mode);
	if (!S_ISREG(st->st_mode) || st->st_nlink != 0)
		return false;
	if (o->escaped != 0)
		return (uint64_t)st->st_size == o->size;
	return (uint64_t)st->st_ino == o->placeholder;
}

static void check_slot(int fd, struct ofd **slot)
{
	struct stat st = { 0 };
	struct ofd *o = *slot;

	if (o == NULL || o == FDS_INHERITED)
		return;
	if (is_ofd(o) && o->refs == 0) {
		*slot = NULL; /* closed, but for the page with the slot */
		return;
	}
	if (is_still(fd, o, &st))
		return;
	dirpos_forget(fd);
	replace(slot, NULL);
	if (S_ISREG(st.st_mode) && st.st_nlink == 0)
		inherit_received(fd);
}

void fds_in_idle_child(void)
{
	if (first_pid != 0)
		first_pid = sys_getpid();
}

void fds_in_child(void)
{
	uint32_t i, fd;

	fds_own();
	/* The list of free descriptions may be of another instant than they are. */
	free_head = 0;
	for (i = 0; i < nr_ofds && i < NR_OFD_BLOCKS * OFDS_PER_BLOCK; i++) {
		if (blocks[i / OFDS_PER_BLOCK] == NULL)
			continue;
		ofd_at(i)->number = i;
		if (ofd_at(i)->refs == 0)
			push_free(ofd_at(i));
	}
	for (fd = 0; fd < fds_end; fd++) {
		struct ofd **slot = slot_of((int)fd);

		if (slot == NULL)
			fd |= FDS_PER_PAGE - 1;
		else
			check_slot((int)fd, slot);
	}
}

/*
 * In a vfork child the table says what a number was in its parent: the cell goes
 * with the placeholder only.
 */
static bool shows(const struct ofd *o, int fd, bool in_vfork_child)
{
	struct stat st;

	return !in_vfork_child || (sys_fstat(fd, &st) == 0 &&
				   (uint64_t)st.st_ino == o->placeholder && !is_refilled(fd));
}

/*
 * Another thread may close the number and open another file under it at any time:
 * only a descriptor of our own may be sought with.
 */
static void hand_over_held(struct ofd *o, int fd)
{
	int held = sys_fcntl(fd, F_DUPFD_CLOEXEC, 3);
	struct stat st;

	if (held < 0)
		return;
	if (sys_fstat(held, &st) == 0 && (uint64_t)st.st_ino == o->placeholder)
		offset_to_kernel(o->cell, held);
	sys_close(held);
}

void fds_hand_over(int fd, bool in_vfork_child)
{
	struct ofd **slot = slot_of(fd), *o;

	o = slot != NULL ? __atomic_load_n(slot, __ATOMIC_ACQUIRE) : NULL;
	if (!is_ofd(o) || !try_ref(o))
		return;
	if (__atomic_load_n(slot, __ATOMIC_ACQUIRE) == o &&
	    __atomic_load_n(&o->cell->offset, __ATOMIC_RELAXED) != OFFSET_IN_KERNEL &&
	    shows(o, fd, in_vfork_child)) {
		if (in_vfork_child)
			offset_to_kernel(o->cell, fd);
		else
			hand_over_held(o, fd);
	}
	fds_put(o);
}

bool fds_is_named(int fd)
{
	struct ofd **slot = slot_of(fd), *o = slot != NULL ? *slot : NULL;
	char name[PLACEHOLDER_NAME];
	bool is;

	if (!is_ofd(o) || !try_ref(o))
		return true;
	is = placeholder_name(file_etag(o->file), file_path(o->file), name);
	fds_put(o);
	return is;
}

struct ofd *fds_get_placeholder(uint64_t ino)
{
	uint32_t nr = __atomic_load_n(&nr_ofds, __ATOMIC_ACQUIRE), i;
	struct ofd *o;

	for (i = 0; i < nr && i < NR_OFD_BLOCKS * OFDS_PER_BLOCK; i++) {
		if (__atomic_load_n(&blocks[i / OFDS_PER_BLOCK], __ATOMIC_ACQUIRE) == NULL)
			continue;
		o = ofd_at(i);
		if (__atomic_load_n(&o->placeholder, __ATOMIC_RELAXED) != ino || !try_ref(o))
			continue;
		if (o->placeholder == ino)
			return o;
		fds_put(o);
	}
	return NULL;
}
