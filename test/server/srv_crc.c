#include "test/server/srv_crc.h"

#include <stdbool.h>
#include <string.h>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#define LANES	   8
#define LANE_BYTES 16
#define FOLD_BYTES (LANES * LANE_BYTES)

static const uint64_t polys[SRV_CRC_KINDS] = { UINT64_C(0xC96C5795D7870F42),
					       UINT64_C(0x9A6C9329AC4BC9B5) };

struct crc_tables {
	uint64_t slice[8][256];
	uint64_t power[64];	/* x^(8 * 2^k) */
	uint64_t fold_one[2];	/* x^(128+63), x^127: move 16 bytes ahead */
	uint64_t fold_lanes[2]; /* the same for FOLD_BYTES */
};

static struct crc_tables tables[SRV_CRC_KINDS];
static bool have_clmul;

/* Polynomials are bit-reversed here: bit 63 is x^0. */
#define ONE (UINT64_C(1) << 63)

static uint64_t times_x(uint64_t a, uint64_t poly)
{
	return (a >> 1) ^ ((a & 1) != 0 ? poly : 0);
}

static uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t poly)
{
	uint64_t r = 0;

	while (a != 0) {
		if ((a & ONE) != 0)
			r ^= b;
		a <<= 1;
		b = times_x(b, poly);
	}
	return r;
}

static uint64_t x_to_the(unsigned n, uint64_t poly)
{
	uint64_t v = ONE;

	while (n-- > 0)
		v = times_x(v, poly);
	return v;
}

static void init_kind(enum srv_crc_kind kind)
{
	struct crc_tables *t = &tables[kind];
	uint64_t poly = polys[kind];
	unsigned i, k;

	for (i = 0; i < 256; i++) {
		uint64_t v = i;

		for (k = 0; k < 8; k++)
			v = times_x(v, poly);
		t->slice[0][i] = v;
	}
	for (k = 1; k < 8; k++) {
		for (i = 0; i < 256; i++) {
			uint64_t v = t->slice[k - 1][i];

			t->slice[k][i] = (v >> 8) ^ t->slice[0][v & 255];
		}
	}
	t->power[0] = x_to_the(8, poly);
	for (k = 1; k < 64; k++)
		t->power[k] = mul_mod(t->power[k - 1], t->power[k - 1], poly);
	/* A reversed product comes out one bit low: hence the minus one. */
	t->fold_one[0] = x_to_the(128 + 64 - 1, poly);
	t->fold_one[1] = x_to_the(128 - 1, poly);
	t->fold_lanes[0] = x_to_the(FOLD_BYTES * 8 + 64 - 1, poly);
	t->fold_lanes[1] = x_to_the(FOLD_BYTES * 8 - 1, poly);
}

void srv_crc_init(void)
{
	init_kind(SRV_CRC_XZ);
	init_kind(SRV_CRC_NVME);
#if defined(__x86_64__)
	have_clmul = __builtin_cpu_supports("pclmul") && __builtin_cpu_supports("sse4.1");
#endif
}

static uint64_t run_table(const struct crc_tables *t, uint64_t c, const unsigned char *p, size_t n)
{
	while (n >= 8) {
		uint64_t w;

		memcpy(&w, p, 8);
		c ^= w; /* little-endian hosts only, as x86-64 and arm64 are */
		c = t->slice[7][c & 255] ^ t->slice[6][(c >> 8) & 255] ^
		    t->slice[5][(c >> 16) & 255] ^ t->slice[4][(c >> 24) & 255] ^
		    t->slice[3][(c >> 32) & 255] ^ t->slice[2][(c >> 40) & 255] ^
		    t->slice[1][(c >> 48) & 255] ^ t->slice[0][c >> 56];
		p += 8;
		n -= 8;
	}
	while (n-- > 0)
		c = (c >> 8) ^ t->slice[0][(c ^ *p++) & 255];
	return c;
}

#if defined(__x86_64__)
__attribute__((target("pclmul,sse4.1"))) static inline __m128i fold(__m128i v, __m128i k,
								    __m128i next)
{
	__m128i first = _mm_clmulepi64_si128(v, k, 0x00);
	__m128i second = _mm_clmulepi64_si128(v, k, 0x11);

	return _mm_xor_si128(next, _mm_xor_si128(first, second));
}

/* n >= FOLD_BYTES; returns how many bytes were taken in. */
__attribute__((target("pclmul,sse4.1"))) static size_t
run_clmul(const struct crc_tables *t, uint64_t *c, const unsigned char *p, size_t n)
{
	const __m128i k_lanes =
		_mm_set_epi64x((long long)t->fold_lanes[1], (long long)t->fold_lanes[0]);
	const __m128i k_one = _mm_set_epi64x((long long)t->fold_one[1], (long long)t->fold_one[0]);
	__m128i v[LANES];
	unsigned char last[LANE_BYTES];
	size_t done = FOLD_BYTES;
	int i;

	for (i = 0; i < LANES; i++)
		v[i] = _mm_loadu_si128((const __m128i *)(p + i * LANE_BYTES));
	v[0] = _mm_xor_si128(v[0], _mm_set_epi64x(0, (long long)*c));
	for (; n - done >= FOLD_BYTES; done += FOLD_BYTES) {
		for (i = 0; i < LANES; i++)
			v[i] = fold(v[i], k_lanes,
				    _mm_loadu_si128((const __m128i *)(p + done + i * LANE_BYTES)));
	}
	for (i = 1; i < LANES; i++)
		v[i] = fold(v[i - 1], k_one, v[i]);
	_mm_storeu_si128((__m128i *)last, v[LANES - 1]);
	*c = run_table(t, 0, last, sizeof(last));
	return done;
}
#endif

uint64_t srv_crc_update_table(enum srv_crc_kind kind, uint64_t crc, const void *p, size_t n)
{
	return ~run_table(&tables[kind], ~crc, p, n);
}

uint64_t srv_crc_update(enum srv_crc_kind kind, uint64_t crc, const void *p, size_t n)
{
	const unsigned char *u = p;
	uint64_t c = ~crc;

#if defined(__x86_64__)
	if (have_clmul && n >= FOLD_BYTES) {
		size_t done = run_clmul(&tables[kind], &c, u, n);

		u += done;
		n -= done;
	}
#endif
	return ~run_table(&tables[kind], c, u, n);
}

/* x^(8 * n) */
static uint64_t shift_operator(enum srv_crc_kind kind, uint64_t n)
{
	uint64_t v = ONE;
	unsigned k;

	for (k = 0; n != 0; k++, n >>= 1) {
		if ((n & 1) != 0)
			v = mul_mod(v, tables[kind].power[k], polys[kind]);
	}
	return v;
}

uint64_t srv_crc_combine(enum srv_crc_kind kind, uint64_t a, uint64_t b, uint64_t len_b)
{
	return mul_mod(a, shift_operator(kind, len_b), polys[kind]) ^ b;
}

void srv_crc_shift_init(enum srv_crc_kind kind, struct srv_crc_shift *s, uint64_t n)
{
	uint64_t op = shift_operator(kind, n);
	unsigned byte, v;

	for (byte = 0; byte < 8; byte++) {
		for (v = 0; v < 256; v++)
			s->table[byte][v] = mul_mod((uint64_t)v << (8 * byte), op, polys[kind]);
	}
}

uint64_t srv_crc_shift(const struct srv_crc_shift *s, uint64_t crc)
{
	uint64_t r = 0;
	unsigned byte;

	for (byte = 0; byte < 8; byte++)
		r ^= s->table[byte][(crc >> (8 * byte)) & 255];
	return r;
}
