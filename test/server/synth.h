/*
 * synth.h - the bytes of a synthetic object, as a function of its seed and the offset.  Header only,
 * so that a test can check what it received without asking the store.
 *
 * An object is a row of little-endian 64-bit words; word w lies at offset 8 * w, in page w / 512.
 *
 *	page % 256 == 0   tag page: mix(mix(seed) ^ w), so each MiB of each object starts differently
 *	any other page    page r of one pattern of 16381 pages (a prime: no chunk size divides it),
 *	                  where r = (page + mix(seed)) % 16381: mix(r * 512 + w % 512)
 *
 * mix() is the finaliser of splitmix64.  In Python (numpy, dtype uint64, which wraps likewise):
 *
 *	def mix(x):
 *	    x = x + 0x9E3779B97F4A7C15
 *	    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9
 *	    x = (x ^ (x >> 27)) * 0x94D049BB133111EB
 *	    return x ^ (x >> 31)
 */
#ifndef TEST_SERVER_SYNTH_H
#define TEST_SERVER_SYNTH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define SYNTH_PAGE	4096u
#define SYNTH_TAG_PAGES 256u
#define SYNTH_PERIOD	16381u /* pages */

static inline uint64_t synth_mix(uint64_t x)
{
	x += UINT64_C(0x9E3779B97F4A7C15);
	x = (x ^ (x >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94D049BB133111EB);
	return x ^ (x >> 31);
}

static inline uint64_t synth_pattern_page(uint64_t seed, uint64_t page)
{
	return (page % SYNTH_PERIOD + synth_mix(seed) % SYNTH_PERIOD) % SYNTH_PERIOD;
}

static inline uint64_t synth_word(uint64_t seed, uint64_t w)
{
	uint64_t page = w >> 9;

	if (page % SYNTH_TAG_PAGES == 0)
		return synth_mix(synth_mix(seed) ^ w);
	return synth_mix(synth_pattern_page(seed, page) * 512 + (w & 511));
}

/* Write the n bytes at offset into out. */
static inline void synth_fill(uint64_t seed, uint64_t offset, void *out, size_t n)
{
	unsigned char *p = out;

	while (n > 0) {
		uint64_t word = synth_word(seed, offset / 8);
		size_t skip = offset % 8;
		size_t take = 8 - skip < n ? 8 - skip : n;

		memcpy(p, (unsigned char *)&word + skip, take);
		p += take;
		offset += take;
		n -= take;
	}
}

#endif
