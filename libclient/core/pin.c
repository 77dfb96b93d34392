/* Chunks that stay: PIN, wait, and mappings of their own. */
#include "libclient/core/sys.h"
#include "libclient/core/viewstate.h"

#define NR_TRIES 3u
#define PAGE	 4096u

static int ask(struct file *f, enum wire_type type, const struct pin *pin)
{
	struct wire_pin request = {
		.head = wire_head(type, 0, sizeof(request)),
		.object = pin->object,
		.first_chunk = pin->first_chunk,
		.nr_chunks = pin->nr_chunks,
	};
	struct link_wait w;

	if (link_serial(f->view->link) != pin->serial)
		return -ECONNRESET;
	return link_call(f->view->link, &request.head, sizeof(request.head), LINK_REQUEST_MS, &w);
}

/* The claim alone, in the session that there is. */
static int claim(struct file *f, uint64_t off, uint64_t len, struct pin *ret)
{
	struct file_place at;
	uint32_t seq;
	int r = file_revive(f);

	if (r != 0)
		return r;
	if (!file_look(f, &at, &seq))
		return -ECONNRESET;
	*ret = (struct pin){
		.serial = at.serial,
		.object = at.object,
		.first_chunk = (uint32_t)(off >> at.shift),
	};
	ret->nr_chunks = (uint32_t)((off + len - 1) >> at.shift) - ret->first_chunk + 1;
	return ask(f, WIRE_PIN, ret);
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
	if (pin->serial != 0 && pin->serial == link_serial(f->view->link))
		ask(f, WIRE_UNPIN, pin);
	*pin = (struct pin){ 0 };
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
		r = -ESTALE;
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
