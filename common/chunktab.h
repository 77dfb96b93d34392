/*
 * chunktab.h - the chunk table: one 64-bit word for each chunk of each open
 * object, written by the daemon alone, mapped read-only by the clients.
 * It knows nothing of where bytes come from.
 *
 *	 63            32 31            8 7      0
 *	+----------------+---------------+--------+
 *	|   generation   |   watermark   | state  |
 *	+----------------+---------------+--------+
 *
 * The watermark counts valid 4 KiB pages from the chunk's start while it is
 * LOADING; in FAILED it is the errno.  The low half is what FUTEX_WAIT compares.
 *
 * A reader loads the word (acquire), copies, fences, loads the word again:
 * same generation and not EVICTING means that the copy is good.  The daemon
 * raises the generation and sets EVICTING *before* it punches the hole.
 */
#ifndef COMMON_CHUNKTAB_H
#define COMMON_CHUNKTAB_H

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNKTAB_MAGIC	  0x62617443u /* "Ctab" */
#define CHUNKTAB_VERSION  1u
#define CHUNKTAB_NR_WORDS (1u << 21) /* of one mount: 16 TiB open at once in chunks of 8 MiB */
#define CHUNKTAB_PAGE	  4096u
#define CHUNK_SHIFT_MIN	  20u
#define CHUNK_SHIFT_MAX	  26u

enum chunk_state {
	CHUNK_EMPTY = 0,
	CHUNK_LOADING,
	CHUNK_READY,
	CHUNK_FAILED,
	CHUNK_EVICTING,
};

struct chunktab {
	uint32_t magic;
	uint32_t version;
	uint32_t chunk_shift;
	uint32_t reserved;
	/* Serial of the mount's newest snapshot: a client that sees another asks for it. */
	_Alignas(64) uint64_t snapshot_serial;
	_Alignas(4096) uint64_t words[CHUNKTAB_NR_WORDS];
};
static_assert(offsetof(struct chunktab, words) == 4096, "shared layout");

static inline uint64_t chunk_word(uint32_t generation, uint32_t watermark, enum chunk_state state)
{
	return (uint64_t)generation << 32 | (uint64_t)(watermark & 0xffffffu) << 8 | state;
}

static inline enum chunk_state chunk_word_state(uint64_t word)
{
	return (enum chunk_state)(word & 0xff);
}

static inline uint32_t chunk_word_watermark(uint64_t word)
{
	return (uint32_t)(word >> 8) & 0xffffffu;
}

static inline uint32_t chunk_word_generation(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

/* Are the first `end` bytes of the chunk valid? */
static inline bool chunk_word_covers(uint64_t word, uint64_t end)
{
	switch (chunk_word_state(word)) {
	case CHUNK_READY:
		return true;
	case CHUNK_LOADING:
		return end <= (uint64_t)chunk_word_watermark(word) * CHUNKTAB_PAGE;
	case CHUNK_EMPTY:
	case CHUNK_FAILED:
	case CHUNK_EVICTING:
		break;
	}
	return false;
}

/* After the copy: was the word that covered it still in force? */
static inline bool chunk_word_still(uint64_t before, uint64_t after)
{
	return chunk_word_generation(before) == chunk_word_generation(after) &&
	       chunk_word_state(after) != CHUNK_EVICTING;
}

static inline uint64_t chunk_word_load(const uint64_t *word)
{
	/* Pairs with the daemon's release store after the bytes were written. */
	return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* The half that futexes look at (little-endian hosts: x86-64, arm64). */
static inline const uint32_t *chunk_word_futex(const uint64_t *word)
{
	static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex is the low half");
	return (const uint32_t *)word;
}

static inline uint32_t chunk_count(uint64_t size, unsigned chunk_shift)
{
	return (uint32_t)((size + ((1ull << chunk_shift) - 1)) >> chunk_shift);
}

#endif
