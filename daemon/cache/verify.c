#define LOG_MODULE "cache"
#include "daemon/cache/verify.h"

#include "common/crc64.h"
#include "daemon/base/log.h"
#include "daemon/cache/chunk.h"
#include "daemon/cache/lru.h"
#include "daemon/cache/object.h"

#include <errno.h>
#include <inttypes.h>

/* The object's CRC from its chunks'.  All are known, so none changes any more. */
static uint64_t combine(const struct object *o)
{
	uint64_t crc = o->chunks[0].crc;
	uint32_t i;

	for (i = 1; i < o->nr_chunks; i++)
		crc = crc64_combine(crc, o->chunks[i].crc, chunk_len(o, i));
	return crc;
}

/* Strict, and the verdict is good: what is present appears, the rest can be asked for. */
static void unveil(struct object *o)
{
	uint32_t i;

	if (!o->veiled)
		return;
	o->veiled = false;
	for (i = 0; i < o->nr_chunks; i++) {
		struct chunk *ch = &o->chunks[i];

		ch->error = 0;
		chunk_show(ch, CHUNK_SAME);
		if (ch->state == CHUNK_READY && ch->list == LRU_UNTOUCHED)
			lru_settle(ch);
	}
}

static enum object_verdict judge_locked(struct object *o)
{
	struct cache *c = o->cache;

	if (!o->crc_given) {
		o->verdict = VERDICT_UNKNOWN;
		if (o->verify == VERIFY_STRICT)
			object_fail_locked(o, -EIO, true);
	} else if (o->crc_own == o->crc_store) {
		o->verdict = VERDICT_GOOD;
		c->stats.verified++;
		unveil(o);
	} else {
		o->verdict = VERDICT_BAD;
		c->stats.mismatches++;
		object_fail_locked(o, -EIO, true);
	}
	return o->verdict;
}

static void report(const struct object *o, enum object_verdict verdict)
{
	if (verdict == VERDICT_BAD)
		log_error("%s: the bytes that came have CRC-64 %" PRIu64 ", the store says %" PRIu64
			  ": damaged on the way or in the store; readers get EIO. Load it again; "
			  "if that does not help, upload it again",
			  o->key, o->crc_own, o->crc_store);
	else if (verdict == VERDICT_UNKNOWN && o->verify == VERIFY_STRICT)
		log_error("%s: the store gave no CRC-64, so the object cannot be verified; readers "
			  "get EIO. Upload it again, or set verify to on",
			  o->key);
}

/* Once all CRCs are known, and again when the store's comes later. */
static int judge(struct object *o)
{
	struct cache *c = o->cache;
	enum object_verdict verdict;
	uint64_t crc = combine(o);
	bool news;

	cache_lock(c);
	news = o->verdict == VERDICT_PENDING ||
	       (o->verdict == VERDICT_UNKNOWN && o->crc_given && o->error == 0);
	o->crc_own = crc;
	verdict = news ? judge_locked(o) : o->verdict;
	cache_unlock(c);
	if (news)
		report(o, verdict);
	return verdict == VERDICT_BAD ? -EIO : 0;
}

int verify_chunk(struct object *o, uint32_t chunk, uint64_t crc)
{
	struct chunk *ch = &o->chunks[chunk];
	struct cache *c = o->cache;
	bool is_last = false, differs;

	cache_lock(c);
	differs = ch->crc_known && ch->crc != crc;
	if (differs) {
		c->stats.mismatches++;
	} else if (!ch->crc_known) {
		ch->crc = crc;
		ch->crc_known = true;
		is_last = ++o->nr_crcs == o->nr_chunks;
	}
	cache_unlock(c);
	if (differs) {
		log_error("%s: bytes %" PRIu64 " to %" PRIu64 " came with CRC-64 %" PRIu64
			  " and before with %" PRIu64
			  ": damaged on the way; readers of them get EIO",
			  o->key, chunk_offset(o, chunk),
			  chunk_offset(o, chunk) + chunk_len(o, chunk) - 1, crc, ch->crc);
		return -EIO;
	}
	return is_last ? judge(o) : 0;
}

void object_set_crc(struct object *o, uint64_t crc)
{
	struct cache *c = o->cache;
	bool complete;

	/* With verify off no chunk's CRC is known, so nothing is ever complete here. */
	cache_lock(c);
	complete = !o->crc_given && o->nr_crcs == o->nr_chunks;
	if (!o->crc_given) {
		o->crc_given = true;
		o->crc_store = crc;
	}
	cache_unlock(c);
	if (complete)
		judge(o);
}

enum object_verdict object_verdict(const struct object *o, uint64_t *ret_crc)
{
	enum object_verdict verdict;

	cache_lock(o->cache);
	verdict = o->verdict;
	if (ret_crc != NULL)
		*ret_crc = o->nr_crcs == o->nr_chunks && verdict != VERDICT_PENDING ? o->crc_own
										    : o->crc_store;
	cache_unlock(o->cache);
	return verdict;
}

bool object_stored_crc(const struct object *o, uint64_t *ret_crc)
{
	bool given;

	cache_lock(o->cache);
	given = o->crc_given;
	if (given)
		*ret_crc = o->crc_store;
	cache_unlock(o->cache);
	return given;
}

bool object_is_loading(const struct object *o)
{
	bool loading;

	cache_lock(o->cache);
	loading = o->nr_loading != 0;
	cache_unlock(o->cache);
	return loading;
}

int64_t object_next_unseen(const struct object *o, uint32_t from)
{
	int64_t found = -1;
	uint32_t i;

	cache_lock(o->cache);
	for (i = from; o->veiled && o->error == 0 && found < 0 && i < o->nr_chunks; i++) {
		const struct chunk *ch = &o->chunks[i];

		if (!ch->crc_known && ch->state != CHUNK_LOADING && ch->error == 0)
			found = i;
	}
	cache_unlock(o->cache);
	return found;
}
