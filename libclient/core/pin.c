/* Chunks that stay: PIN, wait, and mappings of their own. */
#include "libclient/core/arena.h"
#include "libclient/core/sys.h"
#include "libclient/core/viewstate.h"

#define NR_TRIES 3u
#define PAGE	 4096u

static int ask(struct file *f, enum wire_type type, const struct pin *pin, uint32_t first,
	       uint32_t nr)
{
	struct wire_pin request = {
		.head = wire_head(type, 0, sizeof(request)),
		.object = pin->object,
		.first_chunk = first,
		.nr_chunks = nr,
	};
	struct link_wait w;

	if (link_serial(f->view->link) != pin->serial)
		return -ECONNRESET;
	return link_call(f->view->link, &request.head, sizeof(request.head), LINK_REQUEST_MS, &w);
}

/* Which memory, in which session: -ECONNRESET when that is changing right now. */
static int look(struct file *f, struct pin *ret, unsigned *ret_shift)
{
	struct file_place at;
	uint32_t seq;

	if (!file_look(f, &at, &seq))
		return -ECONNRESET;
	*ret = (struct pin){
		.serial = at.serial,
		.object = at.object,
		.memory_dev = f->memory_dev,
		.memory_ino = f->memory_ino,
	};
	*ret_shift = at.shift;
	return file_moved(f, seq) ? -ECONNRESET : 0;
}

/* What was counted in another session is gone with it. */
static int count_anew(struct file *f, const struct pin *pin, unsigned shift)
{
	uint32_t *counts;

	if (f->pin_serial == pin->serial)
		return 0;
	counts = arena_alloc(chunk_count(f->size, shift) * sizeof(*counts));
	if (counts == NULL)
		return -ENOMEM;
	f->pin_serial = 0;
	arena_free(f->pin_counts);
	f->pin_counts = counts;
	f->pin_serial = pin->serial;
	return 0;
}

/* From `at` on, the chunks in a row that nobody here has claimed.  0: that one is. */
static uint32_t unclaimed(const struct file *f, uint32_t at, uint32_t end)
{
	uint32_t nr = 0;

	while (at + nr < end && f->pin_counts[at + nr] == 0)
		nr++;
	return nr;
}

/* Give up claims on [first, end); the daemon hears of those that were the last. */
static void release(struct file *f, const struct pin *pin, uint32_t first, uint32_t end)
{
	uint32_t at, nr;

	for (at = first; at < end; at++)
		f->pin_counts[at]--;
	for (at = first; at < end; at += nr) {
		nr = unclaimed(f, at, end);
		if (nr > 0)
			ask(f, WIRE_UNPIN, pin, at, nr);
		else
			nr = 1;
	}
}

static int acquire(struct file *f, const struct pin *pin)
{
	uint32_t first = pin->first_chunk, end = first + pin->nr_chunks, at = first;

	while (at < end) {
		uint32_t nr = unclaimed(f, at, end), i;
		int r = nr > 0 ? ask(f, WIRE_PIN, pin, at, nr) : 0;

		if (r != 0) {
			release(f, pin, first, at);
			return r;
		}
		nr = nr > 0 ? nr : 1;
		for (i = 0; i < nr; i++)
			f->pin_counts[at + i]++;
		at += nr;
	}
	return 0;
}

/* The claim alone, in the session that there is. */
static int claim(struct file *f, uint64_t off, uint64_t len, struct pin *ret)
{
	unsigned shift;
	int r = file_revive(f);

	if (r != 0)
		return r;
	if (gate_enter(&f->pinning, LINK_REQUEST_MS) != 0)
		return -EIO;
	r = look(f, ret, &shift);
	if (r == 0)
		r = count_anew(f, ret, shift);
	if (r == 0) {
		ret->first_chunk = (uint32_t)(off >> shift);
		ret->nr_chunks = (uint32_t)((off + len - 1) >> shift) - ret->first_chunk + 1;
		r = acquire(f, ret);
	}
	gate_leave(&f->pinning);
	return r;
}

int pin_take(struct file *f, uint64_t off, uint64_t len, struct pin *ret_pin)
{
	struct pin pin;
	unsigned i;
	int r = 0;

	*ret_pin = (struct pin){ 0 };
	if (off >= f->size || len == 0)
		return 0;
	if (len > f->size - off)
		len = f->size - off;
	for (i = 0; i < NR_TRIES; i++) {
		r = claim(f, off, len, &pin);
		if (view_is_lost(r))
			continue;
		if (r != 0)
			return r;
		r = file_wait(f, off, len);
		if (r == 0 && __atomic_load_n(&f->place.serial, __ATOMIC_RELAXED) == pin.serial) {
			*ret_pin = pin;
			return 0;
		}
		/* The session ended while we waited: the claim went with it. */
		pin_drop(f, &pin);
		if (r != 0 && r != -EAGAIN)
			return r;
	}
	return -EIO;
}

void pin_drop(struct file *f, struct pin *pin)
{
	if (pin->serial != 0 && gate_enter(&f->pinning, LINK_REQUEST_MS) == 0) {
		if (pin->serial == f->pin_serial)
			release(f, pin, pin->first_chunk, pin->first_chunk + pin->nr_chunks);
		gate_leave(&f->pinning);
	}
	*pin = (struct pin){ 0 };
}

void pin_touch(struct file *f, const struct pin *pin)
{
	uint32_t i;

	for (i = 0; i < pin->nr_chunks; i++)
		link_touch(f->view->link, pin->object, pin->first_chunk + i);
}

int pin_none(struct file *f, struct pin *ret_pin)
{
	unsigned i, shift;
	int r = -ECONNRESET;

	for (i = 0; i < NR_TRIES && view_is_lost(r); i++) {
		r = file_revive(f);
		if (r == 0)
			r = look(f, ret_pin, &shift);
	}
	return view_is_lost(r) ? -EIO : r;
}

int pin_map(struct file *f, const struct pin *pin, uint64_t off, uint64_t len,
	    struct pin_range *ret)
{
	uint64_t start = off & ~(uint64_t)(PAGE - 1);
	void *mem = NULL;
	int r;

	if (off >= f->size || len == 0 || len > f->size - off)
		return -EINVAL;
	r = gate_enter(&f->gate, LINK_REQUEST_MS);
	if (r != 0)
		return r;
	if (pin->serial == 0 || f->place.serial != pin->serial) {
		r = -EAGAIN;
	} else {
		/* A length of 0 asks for a second mapping of the same shared memory. */
		mem = sys_mremap((void *)(uintptr_t)(f->base + start), 0, off + len - start,
				 MREMAP_MAYMOVE, NULL);
		r = sys_is_error(mem) ? (int)(long)mem : 0;
	}
	gate_leave(&f->gate);
	if (r != 0)
		return r;
	ret->base = mem;
	ret->base_len = (size_t)(off + len - start);
	ret->bytes = (const unsigned char *)mem + (off - start);
	return 0;
}
