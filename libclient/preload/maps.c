#include "libclient/preload/maps.h"

#include "libclient/core/arena.h"
#include "libclient/core/lock.h"
#include "libclient/core/sys.h"

#include <errno.h>

/*
 * A treap by address whose nodes are never changed once they can be reached: a
 * change builds new ones along its path and then moves the root, in one store.
 * So a look-up needs no lock and a fork finds a sound tree, whenever they come.
 * Nodes are used again, as nodes, after the next change has begun: a look-up
 * that sees `changes` move starts over.
 */
struct node {
	struct piece piece;
	struct node *left, *right;
	struct node *next; /* in a list of nodes that are not in the tree, or soon will not be */
	uint32_t weight;   /* random: never below those of its children */
};

/* More than a change can need: ten paths, of which none is as long as a tenth of this. */
#define NR_RESERVED 1024u
#define NR_STEPS    128u

uintptr_t maps_low = UINTPTR_MAX, maps_high;
static struct node *root;
static uint32_t changes; /* begun */
static struct lock lock;

/* Under the lock.  A fork that freezes a change loses nodes, no more. */
static struct node *spares;
static struct node *superseded; /* by the change under way: a look-up may still be in them */
static struct node *retired;	/* by the last one: free as soon as the next has begun */
static uint32_t nr_spares;
static uint32_t dice = 1;

/* ---- holds -------------------------------------------------------------------------------- */

struct hold *hold_new(struct file *f, const struct pin *pin)
{
	struct hold *h = arena_alloc(sizeof(*h));

	if (h != NULL) {
		h->refs = 1;
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

/* Outside the lock: this talks to the daemon. */
static void give_up(struct hold *h)
{
	/* A child lives on the claim and, for the daemon, on the open object. */
	if (h->is_inherited)
		return;
	pin_drop(h->file, &h->pin);
	hold_forget(h);
}

void hold_put(struct hold *h)
{
	if (__atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) == 0)
		give_up(h);
}

static void ref(struct hold *h)
{
	__atomic_add_fetch(&h->refs, 1, __ATOMIC_RELAXED);
}

/* ---- nodes -------------------------------------------------------------------------------- */

static void spare(struct node *n)
{
	n->next = spares;
	spares = n;
	nr_spares++;
}

static bool reserve(void)
{
	struct node *block;
	uint32_t i;

	if (nr_spares >= NR_RESERVED)
		return true;
	block = sys_mmap(NULL, NR_RESERVED * sizeof(*block), PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(block))
		return false;
	for (i = 0; i < NR_RESERVED; i++)
		spare(&block[i]);
	return true;
}

/* False without memory: then nothing can be changed. */
static bool begin_change(void)
{
	struct node *n;

	superseded = NULL;
	__atomic_store_n(&changes, changes + 1, __ATOMIC_RELAXED);
	/* Pairs with the fence in look(): who reads a node written from here on sees `changes`. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	while ((n = retired) != NULL) {
		retired = n->next;
		spare(n);
	}
	return reserve();
}

static uintptr_t lowest(const struct node *t)
{
	while (t != NULL && t->left != NULL)
		t = t->left;
	return t != NULL ? t->piece.start : UINTPTR_MAX;
}

static uintptr_t highest(const struct node *t)
{
	while (t != NULL && t->right != NULL)
		t = t->right;
	return t != NULL ? t->piece.end : 0;
}

static void end_change(struct node *t)
{
	/* Wider first: a look-up must not miss what is there all the time. */
	if (lowest(t) < maps_low)
		__atomic_store_n(&maps_low, lowest(t), __ATOMIC_RELAXED);
	if (highest(t) > maps_high)
		__atomic_store_n(&maps_high, highest(t), __ATOMIC_RELAXED);
	/* Release pairs with the acquire in look(): its nodes are written. */
	__atomic_store_n(&root, t, __ATOMIC_RELEASE);
	retired = superseded;
	__atomic_store_n(&maps_low, lowest(t), __ATOMIC_RELAXED);
	__atomic_store_n(&maps_high, highest(t), __ATOMIC_RELAXED);
}

static struct node *take_spare(void)
{
	struct node *n = spares;

	spares = n->next;
	nr_spares--;
	return n;
}

/* In place of `old`, a node that nobody else can see yet. */
static struct node *renew(struct node *old)
{
	struct node *n = take_spare();

	*n = *old;
	old->next = superseded;
	superseded = old;
	return n;
}

static struct node *node_of(const struct piece *p)
{
	struct node *n = take_spare();

	/* xorshift */
	dice ^= dice << 13;
	dice ^= dice >> 17;
	dice ^= dice << 5;
	*n = (struct node){ .piece = *p, .weight = dice };
	return n;
}

/* ---- the tree, under the lock --------------------------------------------------------------- */

/* Pieces that start below `at`, and the others. */
static void split(struct node *t, uintptr_t at, struct node **low, struct node **high)
{
	struct node *n;

	if (t == NULL) {
		*low = *high = NULL;
		return;
	}
	n = renew(t);
	if (n->piece.start < at) {
		split(t->right, at, &n->right, high);
		*low = n;
	} else {
		split(t->left, at, low, &n->left);
		*high = n;
	}
}

static struct node *merge(struct node *low, struct node *high)
{
	struct node *n;

	if (low == NULL || high == NULL)
		return low != NULL ? low : high;
	if (low->weight > high->weight) {
		n = renew(low);
		n->right = merge(low->right, high);
	} else {
		n = renew(high);
		n->left = merge(low, high->left);
	}
	return n;
}

/* Cut the piece that lies on both sides of `at` in two. */
static struct node *chop(struct node *t, uintptr_t at)
{
	struct node *low, *high, *last;
	struct piece rest;

	split(t, at, &low, &high);
	if (low == NULL || highest(low) <= at)
		return merge(low, high);
	/* split() made the right edge of `low` anew: nobody else sees it yet. */
	for (last = low; last->right != NULL; last = last->right)
		;
	rest = last->piece;
	last->piece.end = at;
	rest.off += at - rest.start;
	rest.start = at;
	ref(rest.hold);
	return merge(low, merge(node_of(&rest), high));
}

static struct node *insert(struct node *t, const struct piece *p)
{
	struct node *low, *high;

	split(t, p->start, &low, &high);
	return merge(merge(low, node_of(p)), high);
}

int maps_add(const struct piece *p)
{
	uint64_t signals = lock_enter(&lock);
	bool room = begin_change();

	if (room)
		end_change(insert(root, p));
	lock_leave(&lock, signals);
	return room ? 0 : -ENOMEM;
}

/* ---- look-ups ------------------------------------------------------------------------------- */

/*
 * The first piece that overlaps [start, end).  False too when the path makes no sense: nodes may
 * be written under a look-up, which then starts over; the thread sanitizer cannot know that.
 */
__attribute__((no_sanitize("thread"))) static bool search(const struct node *t, uintptr_t start,
							  uintptr_t end, struct piece *ret)
{
	bool found = false;
	unsigned i;

	for (i = 0; t != NULL && i < NR_STEPS; i++) {
		if (t->piece.end <= start) {
			t = *(struct node *const volatile *)&t->right;
			continue;
		}
		if (t->piece.start < end) {
			ret->start = t->piece.start;
			ret->end = t->piece.end;
			ret->off = t->piece.off;
			ret->hold = t->piece.hold;
			ret->prot = t->piece.prot;
			ret->flags = t->piece.flags;
			found = true;
		}
		t = *(struct node *const volatile *)&t->left;
	}
	return found;
}

bool maps_find_locked(uintptr_t start, uintptr_t end, struct piece *ret)
{
	return search(root, start, end, ret);
}

bool maps_find(uintptr_t start, uintptr_t end, struct piece *ret)
{
	uint32_t before;
	bool found;

	do {
		before = __atomic_load_n(&changes, __ATOMIC_ACQUIRE);
		/* Acquire pairs with the release in end_change(). */
		found = search(__atomic_load_n(&root, __ATOMIC_ACQUIRE), start, end, ret);
		/* What was read is judged after it was read. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
	} while (__atomic_load_n(&changes, __ATOMIC_RELAXED) != before);
	return found;
}

bool maps_take(uintptr_t start, uintptr_t end, struct piece *ret)
{
	uint64_t signals;
	bool found;

	if (!maps_touch(start, end - start))
		return false;
	signals = lock_enter(&lock);
	found = search(root, start, end, ret);
	if (found)
		ref(ret->hold);
	lock_leave(&lock, signals);
	return found;
}

uint64_t maps_enter(void)
{
	return lock_enter(&lock);
}

void maps_leave(uint64_t signals)
{
	lock_leave(&lock, signals);
}

/* ---- cutting -------------------------------------------------------------------------------- */

struct node *maps_cut(uintptr_t start, size_t len)
{
	struct node *low, *gone, *high;
	uint64_t signals;

	if (!maps_has(start, len))
		return NULL;
	signals = lock_enter(&lock);
	/* Without memory the claims stay, for good: no byte is wrong by that. */
	gone = NULL;
	if (begin_change()) {
		split(chop(chop(root, start), start + len), start, &low, &high);
		split(high, start + len, &gone, &high);
		end_change(merge(low, high));
	}
	lock_leave(&lock, signals);
	return gone;
}

/* Free the nodes of a tree of one's own; the holds that were shown by nothing else. */
static struct hold *fell(struct node *t, struct hold *list)
{
	while (t != NULL) {
		struct node *left = t->left;
		struct hold *h = t->piece.hold;

		list = fell(t->right, list);
		if (__atomic_sub_fetch(&h->refs, 1, __ATOMIC_ACQ_REL) == 0) {
			h->next = list;
			list = h;
		}
		spare(t);
		t = left;
	}
	return list;
}

void maps_cut_done(struct node *gone)
{
	struct hold *list, *h;
	uint64_t signals;

	if (gone == NULL)
		return;
	signals = lock_enter(&lock);
	(void)begin_change(); /* look-ups that are still in these nodes start over */
	list = fell(gone, NULL);
	lock_leave(&lock, signals);
	while ((h = list) != NULL) {
		list = h->next;
		give_up(h);
	}
}

/* Each piece on its own, as each needs nodes of its own. */
static void put_back(struct node *t, intptr_t by)
{
	struct piece p;

	if (t == NULL)
		return;
	put_back(t->left, by);
	p = t->piece;
	p.start += (uintptr_t)by;
	p.end += (uintptr_t)by;
	ref(p.hold);
	/* Without memory nobody knows of the piece any more; its claim stays. */
	(void)maps_add(&p);
	put_back(t->right, by);
}

void maps_cut_move(struct node *gone, intptr_t by)
{
	put_back(gone, by);
	maps_cut_done(gone);
}

void maps_cut_copy(struct node *gone, intptr_t by)
{
	put_back(gone, by);
	maps_cut_move(gone, 0);
}

void maps_cut_undo(struct node *gone)
{
	maps_cut_move(gone, 0);
}

void maps_change(uintptr_t start, size_t len, const struct maps_change *c)
{
	uintptr_t at = start, end = start + len;
	struct piece p;
	uint64_t signals;

	while (at < end && maps_find(at, end, &p)) {
		struct node *low, *one, *high;

		signals = lock_enter(&lock);
		at = p.end;
		if (begin_change()) {
			uintptr_t from = p.start > start ? p.start : start;
			uintptr_t to = p.end < end ? p.end : end;

			split(chop(chop(root, from), to), from, &low, &high);
			split(high, to, &one, &high);
			if (one != NULL) { /* made anew by split() */
				one->piece.prot = c->prot >= 0 ? c->prot : one->piece.prot;
				one->piece.flags = (one->piece.flags | c->set) & ~c->clear;
			}
			end_change(merge(merge(low, one), high));
		}
		lock_leave(&lock, signals);
	}
}

/* ---- fork ----------------------------------------------------------------------------------- */

static void set_inherited(struct node *t, bool inherited)
{
	if (t == NULL)
		return;
	t->piece.hold->is_inherited = inherited;
	set_inherited(t->left, inherited);
	set_inherited(t->right, inherited);
}

void maps_before_fork(void)
{
	uint64_t signals;

	if (__atomic_load_n(&root, __ATOMIC_RELAXED) == NULL)
		return;
	signals = lock_enter(&lock);
	set_inherited(root, true);
	lock_leave(&lock, signals);
}
