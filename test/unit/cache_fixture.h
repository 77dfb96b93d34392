/*
 * cache_fixture.h - a small cache with one table, objects whose bytes follow
 * from their offset (and are never zero), and a memory that tests can shrink.
 */
#ifndef TEST_UNIT_CACHE_FIXTURE_H
#define TEST_UNIT_CACHE_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/chunktab.h"
#include "common/crc64.h"
#include "daemon/cache/cache.h"
#include "daemon/cache/state.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define MIB   ((uint64_t)1 << 20)
#define CHUNK MIB
#define SHIFT CHUNK_SHIFT_MIN
#define START 1000000u /* the clock when a test begins */

struct fixture {
	struct cache_conf conf;
	struct cache *cache;
	struct table *table;
	const struct chunktab *view; /* as a client maps it */
	uint64_t memory;	     /* available, beyond what the cache holds */
	uint64_t now;
	int nr_room; /* calls of on_room and on_due */
	int nr_due;
};

static inline uint64_t fixture_memory(void *arg)
{
	const struct fixture *f = arg;

	return f->memory;
}

static inline void fixture_on_room(void *arg)
{
	struct fixture *f = arg;

	__atomic_fetch_add(&f->nr_room, 1, __ATOMIC_RELAXED);
}

static inline void fixture_on_due(void *arg)
{
	struct fixture *f = arg;

	__atomic_fetch_add(&f->nr_due, 1, __ATOMIC_RELAXED);
}

/* conf: what is not as usual. */
static inline void fixture_start_conf(struct fixture *f, const struct cache_conf *conf)
{
	void *map;

	*f = (struct fixture){
		.conf = *conf,
		.memory = (uint64_t)1 << 40,
		.now = START,
	};
	f->conf.chunk_shift = SHIFT;
	f->conf.expire_ms = 120000;
	f->conf.max_objects = 16;
	assert_int_equal(cache_new(&f->conf, &f->cache), 0);
	f->cache->ask_memory = fixture_memory;
	f->cache->ask_memory_arg = f;
	f->cache->bound = f->cache->goal = conf->size;
	cache_on_room(f->cache, fixture_on_room, f);
	cache_on_due(f->cache, fixture_on_due, f);
	assert_int_equal(table_new(f->cache, &f->table), 0);
	map = mmap(NULL, table_len(f->table), PROT_READ, MAP_SHARED, table_client_fd(f->table), 0);
	assert_true(map != MAP_FAILED);
	f->view = map;
	cache_tick(f->cache, f->now);
}

static inline void fixture_start(struct fixture *f, uint64_t size, enum verify_mode verify)
{
	fixture_start_conf(f, &(struct cache_conf){ .size = size, .verify = verify });
}

static inline void fixture_end(struct fixture *f)
{
	munmap((void *)f->view, table_len(f->table));
	table_unref(f->table);
	cache_free(f->cache);
}

static inline long fixture_tick(struct fixture *f, unsigned later_ms)
{
	f->now += later_ms;
	return cache_tick(f->cache, f->now);
}

static inline struct object *fixture_object(struct fixture *f, uint64_t size)
{
	struct object_spec spec = { .key = "models/weights.bin", .etag = "\"1\"", .size = size };
	struct object *o;

	assert_int_equal(object_new(f->cache, f->table, &spec, &o), 0);
	return o;
}

/* A byte of every object; never zero, and unlike its neighbours in other chunks and pages. */
static inline unsigned char pattern(uint64_t offset)
{
	uint64_t x = (offset / 8 + 1) * 0x9e3779b97f4a7c15u;

	return (unsigned char)((x >> (8 * (offset % 7))) % 255 + 1);
}

static inline void pattern_fill(unsigned char *buf, uint64_t offset, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		buf[i] = pattern(offset + i);
}

static inline uint64_t pattern_crc(uint64_t size)
{
	unsigned char *buf = malloc(size);
	uint64_t crc;

	assert_non_null(buf);
	pattern_fill(buf, 0, size);
	crc = crc64_update(0, buf, size);
	free(buf);
	return crc;
}

static inline uint64_t word_of(const struct fixture *f, const struct object *o, uint32_t chunk)
{
	return chunk_word_load(&f->view->words[object_first_word(o) + chunk]);
}

static inline enum chunk_state state_of(const struct fixture *f, const struct object *o,
					uint32_t chunk)
{
	return chunk_word_state(word_of(f, o, chunk));
}

static inline struct fill *begin(struct object *o, uint32_t chunk, enum fetch_class class)
{
	struct fill *fill = NULL;

	assert_int_equal(fill_begin(o, chunk, class, &fill), 0);
	return fill;
}

/* All the bytes that the chunk still lacks; `flip` spoils one of them. */
static inline void write_rest(struct fill *fill, bool flip)
{
	uint64_t offset = fill_offset(fill), len = fill_end(fill) - offset;
	unsigned char *buf = malloc(len);

	assert_non_null(buf);
	pattern_fill(buf, offset, len);
	if (flip)
		buf[len / 2] ^= 1;
	assert_int_equal(fill_write(fill, buf, len), 0);
	free(buf);
}

/* Bring a chunk in whole.  What fill_begin() or fill_finish() said. */
static inline int load(struct object *o, uint32_t chunk, enum fetch_class class)
{
	struct fill *fill;
	int r = fill_begin(o, chunk, class, &fill);

	if (r != 0)
		return r;
	write_rest(fill, false);
	return fill_finish(fill, 0);
}

/* The bytes as a client sees them. */
static inline void assert_bytes(const struct object *o, uint64_t offset, size_t len)
{
	unsigned char *buf = malloc(len), *expected = malloc(len);

	assert_non_null(buf);
	assert_non_null(expected);
	assert_int_equal(pread(object_client_fd(o), buf, len, (off_t)offset), len);
	pattern_fill(expected, offset, len);
	assert_memory_equal(buf, expected, len);
	free(buf);
	free(expected);
}

#endif
