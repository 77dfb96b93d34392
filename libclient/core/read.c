/* Reading: the sequence lock of chunktab.h, and waiting for what is not there. */
#include "libclient/core/epoch.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/core/viewstate.h"

#define FULL_RING_MS 5u	   /* the daemon takes entries out of a full ring */
#define REPOST_MS    2000u /* a chunk that stays EMPTY is asked for again */
#define AGAIN_MS     3000u /* FAILED all this time after we asked again: it is the answer */
#define WINDOW	     64u   /* chunks asked for ahead of the one that is waited for */

unsigned file_stall_ms = FILE_STALL_MS;

/* One reader's wait for the first `end` bytes of a chunk. */
struct patience {
	uint32_t serial; /* session in which it was asked for; 0: not yet */
	uint64_t asked;	 /* the word then */
	uint64_t last;	 /* the word when something moved last */
	uint64_t moved_ms;
	uint64_t asked_ms;
	uint64_t failed; /* the FAILED word that was asked about again; 0: none */
};

static int fail(struct file *f, int error, const char *what)
{
	char buf[LINK_TEXT];
	struct text t;

	text_init(&t, buf, sizeof(buf));
	text_adds(&t, what);
	text_adds(&t, ": ");
	text_adds(&t, f->path);
	link_set_error_text(f->view->link, buf);
	return error;
}

static int post(struct file *f, const struct file_place *at, uint32_t chunk, uint64_t end,
		unsigned flags, uint64_t token)
{
	struct wire_submission s = {
		.op = WIRE_OP_FETCH,
		.flags = (uint8_t)flags,
		.object = at->object,
		.chunk = chunk,
		.arg = (uint32_t)end,
		.token = token,
	};
	int r;

	r = link_submit(f->view->link, at->serial, &s);
	/*
	 * The daemon holds the chunk for us until it hears of a touch: let there be one more.  Not
	 * before it is asked, or the touch of another thread comes in between and is taken for ours.
	 */
	__atomic_store_n(&f->recent[chunk % FILE_NR_RECENT], 0, __ATOMIC_RELEASE);
	return r;
}

/* Must the daemon be asked (again)?  With which flags? */
static bool must_ask(const struct patience *p, const struct file_place *at, uint64_t word,
		     uint64_t now, unsigned *ret_flags)
{
	*ret_flags = 0;
	if (chunk_word_state(word) == CHUNK_FAILED) {
		if (p->failed != 0)
			return false;
		*ret_flags = WIRE_FETCH_RETRY;
		return true;
	}
	if (p->serial != at->serial)
		return true;
	/* It went again (evicted, or given back), or the entry met a chunk that was going. */
	return chunk_word_state(word) == CHUNK_EMPTY &&
	       (word != p->asked || now - p->asked_ms > REPOST_MS);
}

/* Ask if needed, then sleep until the word changes, a slice at most. */
static int wait_a_slice(struct file *f, const struct file_place *at, uint32_t chunk, uint64_t end,
			struct patience *p)
{
	const uint64_t *word_at = &at->words[chunk];
	uint64_t word = chunk_word_load(word_at), now = sys_now_ms();
	unsigned flags, slice = LINK_SLICE_MS;
	int r;

	if (chunk_word_covers(word, end))
		return 0;
	if (word != p->last) {
		p->last = word;
		p->moved_ms = now;
	}
	if (chunk_word_state(word) == CHUNK_FAILED && p->failed != 0 &&
	    (word != p->failed || now - p->asked_ms > AGAIN_MS))
		return fail(f, -(int)chunk_word_watermark(word),
			    "the bytes could not be downloaded, "
			    "see the daemon's log");
	if (now - p->moved_ms > file_stall_ms)
		return fail(f, -ETIMEDOUT,
			    "nothing has arrived for a minute, see the daemon's log");

	if (link_on_wait != NULL)
		link_on_wait(f->view->link, now);
	if (must_ask(p, at, word, now, &flags)) {
		r = post(f, at, chunk, end, flags, 0);
		if (r == 0) {
			p->serial = at->serial;
			p->asked = word;
			p->asked_ms = now;
			if (flags != 0)
				p->failed = word;
		} else if (r == -EAGAIN) {
			slice = FULL_RING_MS;
		} else {
			return r;
		}
	}
	/* A change between the load and here makes the kernel return at once. */
	if (sys_futex_wait(chunk_word_futex(word_at), (uint32_t)word, slice) == -ETIMEDOUT)
		return link_check(f->view->link, at->serial);
	return 0;
}

/* Until the first `end` bytes of the chunk are valid, somewhere.  look: NULL, or file_read_looking()'s. */
static int wait_for(struct file *f, uint32_t chunk, uint64_t end, void (*look)(void))
{
	struct patience p = { .moved_ms = sys_now_ms() };
	struct file_place at;
	uint32_t seq;
	int r;

	for (;;) {
		if (!file_look(f, &at, &seq)) {
			r = file_revive(f);
			if (r != 0)
				return r;
			continue;
		}
		if (chunk_word_covers(chunk_word_load(&at.words[chunk]), end))
			return 0;
		r = wait_a_slice(f, &at, chunk, end, &p);
		if (view_is_lost(r))
			r = file_revive(f);
		if (r != 0)
			return r;
		if (look != NULL)
			look();
	}
}

static inline void touch(struct file *f, const struct file_place *at, uint32_t chunk, uint64_t word)
{
	uint64_t *recent = &f->recent[chunk % FILE_NR_RECENT];
	uint64_t now = (uint64_t)(chunk + 1) << 32 | chunk_word_generation(word);

	if (__atomic_load_n(recent, __ATOMIC_RELAXED) == now)
		return;
	__atomic_store_n(recent, now, __ATOMIC_RELAXED);
	/* Without a session nobody reads the log; the memory is there all the same. */
	link_touch(f->view->link, at->object, chunk);
}

/* Copy bytes of one chunk if they are there: false when they are not. */
static inline bool copy_chunk(struct file *f, uint64_t off, unsigned char *buf, size_t len,
			      uint32_t *ret_chunk, size_t *ret_len)
{
	struct file_place at;
	uint64_t before, in;
	uint32_t seq, chunk;

	while (file_look(f, &at, &seq)) {
		chunk = (uint32_t)(off >> at.shift);
		in = off & ((1ull << at.shift) - 1);
		if (len > (1ull << at.shift) - in)
			len = (size_t)((1ull << at.shift) - in);
		*ret_chunk = chunk;
		*ret_len = len;
		before = chunk_word_load(&at.words[chunk]);
		if (!chunk_word_covers(before, in + len))
			return false;
		mem_copy(buf, f->base + off, len);
		/* The copy is done before the word is looked at again. */
		__atomic_thread_fence(__ATOMIC_ACQUIRE);
		if (chunk_word_still(before, chunk_word_load(&at.words[chunk])) &&
		    !file_moved(f, seq)) {
			touch(f, &at, chunk, before);
			return true;
		}
	}
	*ret_chunk = UINT32_MAX;
	return false;
}

/* What a long read will want next: asked for at once, so that it arrives together. */
static void look_ahead(struct file *f, uint64_t off, uint64_t len)
{
	uint64_t chunk_len = 1ull << file_chunk_shift(f);

	if ((off & (chunk_len - 1)) + len > chunk_len)
		file_advise(f, off, len, WIRE_ADVISE_WILLNEED);
}

static ssize_t clip(const struct file *f, size_t len, uint64_t off)
{
	if (off >= f->size)
		return 0;
	if (len > f->size - off)
		len = (size_t)(f->size - off);
	return len > (size_t)PTRDIFF_MAX ? PTRDIFF_MAX : (ssize_t)len;
}

static ssize_t read_range(struct file *f, unsigned char *buf, size_t len, uint64_t off,
			  void (*look)(void))
{
	size_t done = 0, n = 0;
	bool asked = false;
	uint32_t chunk;

	while (done < len) {
		uint64_t at = off + done;
		int r;

		if (copy_chunk(f, at, buf + done, len - done, &chunk, &n)) {
			done += n;
			continue;
		}
		if (chunk == UINT32_MAX) {
			r = file_revive(f);
		} else {
			if (!asked)
				look_ahead(f, at, len - done);
			asked = true;
			r = wait_for(f, chunk, (at & ((1ull << file_chunk_shift(f)) - 1)) + n,
				     look);
		}
		if (r != 0)
			return r;
	}
	return (ssize_t)done;
}

ssize_t file_read(struct file *f, void *buf, size_t len, uint64_t off)
{
	ssize_t n = clip(f, len, off);

	return n == 0 ? 0 : read_range(f, buf, (size_t)n, off, NULL);
}

ssize_t file_read_looking(struct file *f, void *buf, size_t len, uint64_t off, void (*look)(void))
{
	ssize_t n = clip(f, len, off);

	return n == 0 ? 0 : read_range(f, buf, (size_t)n, off, look);
}

ssize_t file_read_try(struct file *f, void *buf, size_t len, uint64_t off, uint32_t *ret_chunk)
{
	ssize_t whole = clip(f, len, off);
	size_t done = 0, n = 0;

	while (done < (size_t)whole) {
		if (!copy_chunk(f, off + done, (unsigned char *)buf + done, (size_t)whole - done,
				ret_chunk, &n))
			return -EAGAIN;
		done += n;
	}
	return whole;
}

int file_missing(const struct file *f, uint64_t off, size_t len, uint32_t *ret_chunk,
		 uint64_t *ret_end)
{
	uint64_t at = off, end = off + (uint64_t)clip(f, len, off);
	struct file_place place;
	uint32_t seq;

	if (end == at)
		return 0;
	if (!file_look(f, &place, &seq))
		return -ECONNRESET;
	while (at < end) {
		uint32_t chunk = (uint32_t)(at >> place.shift);
		uint64_t start = (uint64_t)chunk << place.shift;
		uint64_t stop = start + (1ull << place.shift);

		stop = stop < end ? stop : end;
		if (!chunk_word_covers(chunk_word_load(&place.words[chunk]), stop - start)) {
			*ret_chunk = chunk;
			*ret_end = stop - start;
			return -EAGAIN;
		}
		at = stop;
	}
	return 0;
}

int file_failure(const struct file *f)
{
	struct file_place place;
	uint64_t i, nr, word;
	uint32_t seq;

	if (f->size == 0 || !file_look(f, &place, &seq))
		return 0;
	nr = ((f->size - 1) >> place.shift) + 1;
	for (i = 0; i < nr; i++) {
		word = chunk_word_load(&place.words[i]);
		if (chunk_word_state(word) == CHUNK_FAILED && !file_moved(f, seq))
			return -(int)chunk_word_watermark(word);
	}
	return 0;
}

void file_advise(struct file *f, uint64_t off, uint64_t len, unsigned advice)
{
	struct wire_submission s = { .op = WIRE_OP_ADVISE, .flags = (uint8_t)advice };
	struct file_place at;
	uint32_t seq;

	if (off >= f->size || !file_look(f, &at, &seq))
		return;
	if (len == 0 || len > f->size - off)
		len = f->size - off;
	s.object = at.object;
	s.chunk = (uint32_t)(off >> at.shift);
	s.arg = (uint32_t)((off + len - 1) >> at.shift) - s.chunk + 1;
	link_submit(f->view->link, at.serial, &s);
}

/* The length of one chunk; the last is shorter. */
static uint64_t chunk_len(const struct file *f, unsigned shift, uint32_t chunk)
{
	uint64_t start = (uint64_t)chunk << shift, left = f->size - start;

	return left < 1ull << shift ? left : 1ull << shift;
}

int file_fetch_now(struct file *f, uint32_t chunk, uint64_t end_in_chunk, uint64_t token)
{
	struct file_place at;
	uint32_t seq;

	if (!file_look(f, &at, &seq))
		return -ECONNRESET;
	if (chunk >= chunk_count(f->size, at.shift))
		return -EINVAL;
	if (end_in_chunk > chunk_len(f, at.shift, chunk))
		end_in_chunk = chunk_len(f, at.shift, chunk);
	return post(f, &at, chunk, end_in_chunk, token != 0 ? WIRE_FETCH_NOTIFY : 0, token);
}

int file_fetch(struct file *f, uint32_t chunk, uint64_t end_in_chunk, uint64_t token)
{
	int r = file_fetch_now(f, chunk, end_in_chunk, token);

	if (r != -ECONNRESET)
		return r;
	r = file_revive(f);
	return r != 0 ? r : file_fetch_now(f, chunk, end_in_chunk, token);
}

static bool is_there(const struct file *f, uint32_t chunk)
{
	struct file_place at;
	uint32_t seq;

	return file_look(f, &at, &seq) &&
	       chunk_word_covers(chunk_word_load(&at.words[chunk]), chunk_len(f, at.shift, chunk));
}

int file_wait(struct file *f, uint64_t off, uint64_t len)
{
	uint32_t chunk, last, asked;
	unsigned shift;
	int r;

	if (len == 0 || off >= f->size)
		return 0;
	r = file_revive(f);
	if (r != 0)
		return r;
	shift = file_chunk_shift(f);
	if (len > f->size - off)
		len = f->size - off;
	chunk = asked = (uint32_t)(off >> shift);
	last = (uint32_t)((off + len - 1) >> shift);
	for (; chunk <= last; chunk++) {
		/* A window of requests, so that many chunks arrive together. */
		for (; asked <= last && asked - chunk < WINDOW; asked++) {
			/* What nobody waits for any more would be held for us all the same. */
			if (is_there(f, asked))
				continue;
			r = file_fetch(f, asked, chunk_len(f, shift, asked), 0);
			if (r == -EAGAIN)
				break; /* a full ring: the wait below asks by itself */
			if (r != 0 && !view_is_lost(r))
				return r;
		}
		r = wait_for(f, chunk, chunk_len(f, shift, chunk), NULL);
		if (r != 0)
			return r;
		if (file_chunk_shift(f) != shift)
			return -EAGAIN; /* another daemon, with other chunks */
	}
	return 0;
}
