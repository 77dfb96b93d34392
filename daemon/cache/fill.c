#define LOG_MODULE "cache"
#include "daemon/cache/fill.h"

#include "common/crc64.h"
#include "daemon/base/log.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/lru.h"
#include "daemon/cache/object.h"
#include "daemon/cache/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SHOW_STEP_LEN (256u << 10) /* to who waits for more than that */
#define WRITERS_CPUS  4u	   /* with fewer, the store and the readers need the others */

/* ---- beginning --------------------------------------------------------------------- */

/* The chunk is EMPTY and has room.  Its word shows LOADING from now on. */
static void start(struct fill *f, struct object *o, struct chunk *ch)
{
	f->object = o;
	f->chunk = ch;
	f->start = chunk_offset(o, chunk_index(ch));
	f->len = chunk_len(o, chunk_index(ch));
	f->summed = o->verify != VERIFY_OFF;
	f->quiet = o->verify == VERIFY_STRICT;
	o->refs++;
	o->io++;
	o->cache->coming += f->len;
	o->nr_loading++;
	ch->fill = f;
	ch->state = CHUNK_LOADING;
	ch->touch = 0;
	chunk_show(ch, CHUNK_SAME);
}

/* One attempt.  -EAGAIN: the lock was let go in between, look again. */
static int try_begin(struct fill *f, struct object *o, struct chunk *ch, enum fetch_class class)
{
	struct cache *c = o->cache;
	int r;

	if (o->error != 0)
		return o->error;
	if (o->dropped)
		return -ECANCELED;
	if (ch->state == CHUNK_LOADING || ch->state == CHUNK_READY)
		return -EALREADY;
	if (ch->error != 0)
		return -(int)ch->error;
	if (ch->state == CHUNK_EVICTING) {
		chunk_wait_punched(ch);
		return -EAGAIN;
	}
	r = room_claim(o, chunk_index(ch), class);
	if (r == -ENOSPC)
		room_refused(c, class);
	if (r == -EAGAIN && !object_drain(c, 1))
		chunk_evict(lru_victim(c, class));
	if (r == 0)
		start(f, o, ch);
	return r;
}

int fill_begin(struct object *o, uint32_t chunk, enum fetch_class class, struct fill **ret_fill)
{
	struct cache *c = o->cache;
	struct fill *f;
	int r;

	if (chunk >= o->nr_chunks)
		return -EINVAL;
	if (cache_wants_look(c))
		cache_look_at_memory(c);
	f = calloc(1, sizeof(*f));
	if (f == NULL)
		return -ENOMEM;
	cache_lock(c);
	do
		r = try_begin(f, o, &o->chunks[chunk], class);
	while (r == -EAGAIN);
	cache_unlock(c);
	if (r != 0) {
		free(f);
		return r;
	}
	if (c->pages == MEMFILE_LARGE)
		memfile_lay_large(&o->mem, f->start, f->len);
	*ret_fill = f;
	return 0;
}

struct object *fill_object(const struct fill *f)
{
	return f->object;
}

uint32_t fill_chunk(const struct fill *f)
{
	return chunk_index(f->chunk);
}

/* From the chunk's beginning: what lies in the file, and the rest behind it. */
static uint64_t nr_come(const struct fill *f)
{
	return f->done + f->rest_len;
}

uint64_t fill_offset(const struct fill *f)
{
	return f->start + nr_come(f);
}

uint64_t fill_end(const struct fill *f)
{
	return f->start + f->len;
}

/* ---- bytes ------------------------------------------------------------------------- */

void fill_show(struct fill *f)
{
	/* Acquire pairs with the release in progress(): those bytes lie in the file. */
	uint64_t done = __atomic_load_n(&f->done, __ATOMIC_ACQUIRE);
	uint32_t pages = (uint32_t)(done / CHUNKTAB_PAGE);

	if (f->quiet || pages <= f->shown)
		return;
	__atomic_store_n(&f->shown, pages, __ATOMIC_RELAXED); /* a hint outside of the lock */
	if (round_to_pages(f->chunk->want_end) <= (uint64_t)pages * CHUNKTAB_PAGE)
		__atomic_store_n(&f->chunk->want_end, UINT32_MAX, __ATOMIC_RELAXED);
	chunk_show(f->chunk, CHUNK_SAME);
}

/* More bytes lie in the file.  Shown only if somebody waits, and then not each time. */
static void progress(struct fill *f, uint64_t len)
{
	uint64_t done = f->done + len, pages_len = done & ~(uint64_t)(CHUNKTAB_PAGE - 1);
	uint64_t shown_len, want;

	/* Release pairs with the acquire in fill_show(), which may run in a reader's call. */
	__atomic_store_n(&f->done, done, __ATOMIC_RELEASE);
	/* Only an estimate of the memory available hangs on it: nothing to pair with. */
	__atomic_fetch_add(&f->object->cache->came, len, __ATOMIC_RELAXED);
	/* Against chunk_interest(): either we see its flag, or it sees our bytes. */
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (f->quiet || !__atomic_load_n(&f->chunk->interest, __ATOMIC_RELAXED))
		return;
	shown_len = (uint64_t)__atomic_load_n(&f->shown, __ATOMIC_RELAXED) * CHUNKTAB_PAGE;
	want = round_to_pages(__atomic_load_n(&f->chunk->want_end, __ATOMIC_RELAXED));
	if (pages_len - shown_len < SHOW_STEP_LEN && (want > pages_len || pages_len <= shown_len))
		return;
	cache_lock(f->object->cache);
	fill_show(f);
	cache_unlock(f->object->cache);
}

/* May more bytes come?  0, or why not. */
static int check(const struct fill *f)
{
	/* A late look is enough: fill_finish() judges under the lock. */
	return __atomic_load_n(&f->object->stop, __ATOMIC_RELAXED);
}

/* Behind what lies in the file already.  The bytes written, or a negative errno. */
static ssize_t write_some(struct fill *f, const char *bytes, size_t len)
{
	struct object *o = f->object;
	ssize_t n;

	pthread_mutex_lock(&o->fill_lock);
	do
		n = pwrite(o->mem.fd, bytes, len, (off_t)(f->start + f->done));
	while (n == -1 && errno == EINTR);
	n = n > 0 ? n : n == 0 ? -EIO : -errno;
	pthread_mutex_unlock(&o->fill_lock);
	return n;
}

static size_t left_in_page(uint64_t offset)
{
	return UFFILL_PAGE - offset % UFFILL_PAGE;
}

/* The same; whole pages that the file does not have go past the lock. */
static ssize_t place_some(struct fill *f, const char *bytes, size_t len)
{
	size_t whole = len & ~(size_t)(UFFILL_PAGE - 1), left = left_in_page(f->done);
	struct object *o = f->object;
	ssize_t n;

	if (!o->covered || left != UFFILL_PAGE || whole == 0)
		return write_some(f, bytes, o->covered && len > left ? left : len);
	n = uffill_copy(o->cache->uffd, (char *)o->map + f->start + f->done, bytes, whole);
	if (n > 0 || n == -ENOMEM)
		return n;
	/* -EEXIST: a reader that looked into the hole made a page of zeros there. */
	return write_some(f, bytes, n == -EEXIST ? UFFILL_PAGE : len);
}

static int place(struct fill *f, const char *bytes, size_t len)
{
	ssize_t n;

	for (; len > 0; bytes += n, len -= (size_t)n) {
		n = place_some(f, bytes, len);
		if (n < 0)
			return (int)n;
		if (f->summed)
			f->crc = crc64_update(f->crc, bytes, (size_t)n);
		progress(f, (uint64_t)n);
	}
	return 0;
}

static int place_all_rest(struct fill *f)
{
	size_t len = f->rest_len;

	/* progress() counts these bytes: not twice. */
	f->rest_len = 0;
	return place(f, f->rest, len);
}

/* Takes bytes off the beginning, and keeps them until they fill a page. */
static int keep_rest(struct fill *f, const char **bytes, size_t *len)
{
	size_t take = left_in_page(nr_come(f));

	if (take > *len)
		take = *len;
	memcpy(f->rest + f->rest_len, *bytes, take);
	f->rest_len += (uint32_t)take;
	*bytes += take;
	*len -= take;
	if (nr_come(f) % UFFILL_PAGE == 0 || nr_come(f) == f->len)
		return place_all_rest(f);
	return 0;
}

int fill_write(struct fill *f, const void *buf, size_t len)
{
	const char *bytes = buf;
	size_t whole;
	int r = check(f);

	if (r != 0)
		return r;
	if (len > f->len - nr_come(f))
		return -EMSGSIZE;
	if (!f->object->covered)
		return place(f, bytes, len);
	if (nr_come(f) % UFFILL_PAGE != 0)
		r = keep_rest(f, &bytes, &len);
	if (r != 0 || len == 0)
		return r;
	whole = nr_come(f) + len == f->len ? len : len & ~(size_t)(UFFILL_PAGE - 1);
	r = place(f, bytes, whole);
	bytes += whole;
	len -= whole;
	return r == 0 && len > 0 ? keep_rest(f, &bytes, &len) : r;
}

bool object_takes_writers(const struct object *o)
{
	return (o->covered || o->cache->pages != MEMFILE_SMALL) &&
	       o->cache->nr_cpus >= WRITERS_CPUS;
}

bool fill_splices(struct fill *f)
{
	struct object *o = f->object;

	if (!object_takes_writers(o))
		return true;
	if (f->rest_len != 0 || pthread_mutex_trylock(&o->fill_lock) != 0)
		return false;
	pthread_mutex_unlock(&o->fill_lock);
	return true;
}

bool fill_is_wanted(const struct fill *f)
{
	return __atomic_load_n(&f->chunk->interest, __ATOMIC_RELAXED) != 0;
}

ssize_t fill_splice(struct fill *f, int pipe_fd, size_t len)
{
	struct object *o = f->object;
	uint64_t old;
	loff_t offset;
	ssize_t n;
	int r = check(f);

	if (r == 0)
		r = place_all_rest(f); /* an attempt before this one was not spliced */
	if (r != 0)
		return r;
	old = f->done;
	offset = (loff_t)(f->start + old);
	if (len > f->len - old)
		len = f->len - old;
	if (len == 0)
		return -EMSGSIZE;
	pthread_mutex_lock(&o->fill_lock);
	do
		n = splice(pipe_fd, NULL, o->mem.fd, &offset, len, SPLICE_F_NONBLOCK);
	while (n == -1 && errno == EINTR);
	r = n == -1 ? -errno : 0;
	pthread_mutex_unlock(&o->fill_lock);
	if (n <= 0)
		return n == 0 ? -EPIPE : r;
	/* While the bytes are in the processor's cache; the mapping's pages are those just written. */
	if (f->summed)
		f->crc = crc64_update(f->crc, o->map + f->start + old, (size_t)n);
	progress(f, (uint64_t)n);
	return n;
}

/* ---- the end ----------------------------------------------------------------------- */

static bool gives_back(int error)
{
	return error == -EAGAIN || error == -ENOSPC || error == -ENOMEM;
}

/* No memory where there should have been some: the bound is not more than what fitted. */
static void learn_bound(struct cache *c)
{
	uint64_t least = c->pinned + ((uint64_t)MIN_BOUND_CHUNKS << c->chunk_shift);

	if (c->bound > c->used && c->used > least)
		c->bound = c->used;
	c->stray_due = true;
	cache_need_tick_locked(c, true);
}

/*
 * Veiled readers wait for the whole object: one chunk's failure is everybody's,
 * or they would wait for a chunk that nobody brings.  See chunk_forgive().
 */
static void fail_veiled(struct object *o, int error)
{
	uint32_t i;

	for (i = 0; i < o->nr_chunks; i++)
		if (o->chunks[i].error == 0) {
			o->chunks[i].error = (uint16_t)-error;
			chunk_show(&o->chunks[i], CHUNK_RAISE);
		}
}

static void end_ready(struct object *o, struct chunk *ch)
{
	ch->fill = NULL;
	ch->state = CHUNK_READY;
	o->nr_loading--;
	o->nr_ready++;
	o->present += chunk_len(o, chunk_index(ch));
	if (ch->filled_before)
		o->cache->stats.refills++;
	ch->filled_before = true;
	ch->want_end = UINT32_MAX;
	chunk_show(ch, CHUNK_SAME);
	lru_settle(ch);
}

/*
 * A claimed chunk whose last byte has come may be mapped by now: like those that were READY
 * before, it keeps its pages, which are not what they should be, but no zeros; reads fail.
 */
static void end_claimed(struct object *o, struct chunk *ch, int error)
{
	end_ready(o, ch);
	ch->error = (uint16_t)(gives_back(error) ? EIO : -error);
	chunk_show(ch, CHUNK_RAISE);
	if (o->veiled)
		fail_veiled(o, -(int)ch->error);
}

static void end_undone(struct object *o, struct chunk *ch, int error)
{
	chunk_undo(ch, gives_back(error) ? 0 : error);
	if (error == -ENOSPC || error == -ENOMEM)
		learn_bound(o->cache);
	else if (o->veiled && !gives_back(error))
		fail_veiled(o, error);
}

int fill_finish(struct fill *f, int error)
{
	struct object *o = f->object;
	struct cache *c = o->cache;
	struct chunk *ch = f->chunk;

	if (error == 0 && f->done != f->len)
		error = -EIO;
	if (error == 0 && f->summed)
		error = verify_chunk(o, chunk_index(ch), f->crc);
	cache_lock(c);
	c->coming -= f->len;
	__atomic_fetch_sub(&c->came, f->done, __ATOMIC_RELAXED); /* as in progress() */
	if (o->error != 0)
		error = o->error;
	else if (o->dropped)
		error = -ECANCELED;
	if (error == 0)
		end_ready(o, ch);
	else if (ch->pins != 0 && f->done == f->len)
		end_claimed(o, ch, error);
	else
		end_undone(o, ch, error);
	o->io--;
	o->refs--;
	object_settle(o);
	cache_unlock(c);
	free(f);
	return error;
}
