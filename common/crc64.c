#include "common/crc64.h"

#include <stdbool.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <immintrin.h>
#endif

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the tables are read little-endian");

struct crc64_poly {
	uint64_t slice[8][256]; /* slice[k][i]: byte i followed by k zero bytes */
	uint64_t power[64];	/* power[k]: x to the 8 * 2^k, modulo the polynomial */
	uint64_t fold_512[2];	/* what the two halves of 128 bits are worth 512 bits further on */
	uint64_t fold_128[2];
};

/*
 * A CRC is linear: the entry of any byte is the sum of the entries of its bits.
 * So eight numbers give a whole table at compile time.
 */
#define PICK(i, bit, c) (((i) & (bit)) ? (c) : 0)
#define ENTRY(i, a, b, c, d, e, f, g, h)                                                           \
	(PICK(i, 1, a) ^ PICK(i, 2, b) ^ PICK(i, 4, c) ^ PICK(i, 8, d) ^ PICK(i, 16, e) ^          \
	 PICK(i, 32, f) ^ PICK(i, 64, g) ^ PICK(i, 128, h))
#define ENTRY_4(i, ...)                                                                            \
	ENTRY(i, __VA_ARGS__), ENTRY((i) + 1, __VA_ARGS__), ENTRY((i) + 2, __VA_ARGS__),           \
		ENTRY((i) + 3, __VA_ARGS__)
#define ENTRY_16(i, ...)                                                                           \
	ENTRY_4(i, __VA_ARGS__), ENTRY_4((i) + 4, __VA_ARGS__), ENTRY_4((i) + 8, __VA_ARGS__),     \
		ENTRY_4((i) + 12, __VA_ARGS__)
#define ENTRY_64(i, ...)                                                                           \
	ENTRY_16(i, __VA_ARGS__), ENTRY_16((i) + 16, __VA_ARGS__),                                 \
		ENTRY_16((i) + 32, __VA_ARGS__), ENTRY_16((i) + 48, __VA_ARGS__)
#define SLICE(...)                                                                                 \
	{                                                                                          \
		ENTRY_64(0, __VA_ARGS__), ENTRY_64(64, __VA_ARGS__), ENTRY_64(128, __VA_ARGS__),   \
			ENTRY_64(192, __VA_ARGS__)                                                 \
	}

/* CRC-64/XZ: 0xc96c5795d7870f42, reflected */
static const struct crc64_poly poly_xz = {
	.slice = {
		SLICE(0xb32e4cbe03a75f6f, 0xf4843657a840a05b, 0x7bd0c384ff8f5e33, 0xf7a18709ff1ebc66,
		      0x7d9ba13851336649, 0xfb374270a266cc92, 0x64b62bcaebc387a1, 0xc96c5795d7870f42),
		SLICE(0x54e979925cd0f10d, 0xa9d2f324b9a1e21a, 0xc17d4962dc4ddab1, 0x10223dee1795abe7,
		      0x20447bdc2f2b57ce, 0x4088f7b85e56af9c, 0x8111ef70bcad5f38, 0x90fb71cad654a0f5),
		SLICE(0x3f0be14a916a6dcb, 0x7e17c29522d4db96, 0xfc2f852a45a9b72c, 0x6a87a57f245d70dd,
		      0xd50f4afe48bae1ba, 0x38c63ad73e7bddf1, 0x718c75ae7cf7bbe2, 0xe318eb5cf9ef77c4),
		SLICE(0x1dee8a5e222ca1dc, 0x3bdd14bc445943b8, 0x77ba297888b28770, 0xef7452f111650ee0,
		      0x4c300ac98dc40345, 0x986015931b88068a, 0xa218840d981e1391, 0xd6e9a7309f3239a7),
		SLICE(0x5c2d776033c4205e, 0xb85aeec0678840bc, 0xe26d72ab601e9ffd, 0x56024a7d6f33217f,
		      0xac0494fade6642fe, 0xcad186de13c29b79, 0x077ba297888b2877, 0x0ef7452f111650ee),
		SLICE(0x6184d55f721267c6, 0xc309aabee424cf8c, 0x14cbfa566747819d, 0x2997f4acce8f033a,
		      0x532fe9599d1e0674, 0xa65fd2b33a3c0ce8, 0xde670a4ddb760755, 0x2e16bbb019e2102f),
		SLICE(0x22ef0d5934f964ec, 0x45de1ab269f2c9d8, 0x8bbc3564d3e593b0, 0x85a0c5e208c539e5,
		      0x999924efbe846d4f, 0xa1eae6f4d206c41b, 0xd10d62c20b0396b3, 0x30c26aafb90933e3),
		SLICE(0xdabe95afc7875f40, 0x27a584742000a005, 0x4f4b08e84001400a, 0x9e9611d080028014,
		      0xaff48c8aaf0b1ead, 0xcd31b63ef11823df, 0x08bbc3564d3e593b, 0x117786ac9a7cb276),
	},
	.power = {
		0x0080000000000000, 0x0000800000000000, 0x0000000080000000, 0xc96c5795d7870f42,
		0x6d5f4ad7e3c3afa0, 0xd49f7e445077d8ea, 0x040fb02a53c216fa, 0x6bec35957b9ef3a0,
		0xb0e3bb0658964afe, 0x218578c7a2dff638, 0x6dbb920f24dd5cf2, 0x7a140cfcdb4d5eb5,
		0x41b3705ecbc4057b, 0xd46ab656accac1ea, 0x329beda6fc34fb73, 0x51a4fcd4350b9797,
		0x314fa85637efae9d, 0xacf27e9a1518d512, 0xffe2a3388a4d8ce7, 0x48b9697e60cc2e4e,
		0xada73cb78dd62460, 0x3ea5454d8ce5c1bb, 0x5e84e3a6c70feaf1, 0x90fd49b66cbd81d1,
		0xe2943e0c1db254e8, 0xecfa6adeca8834a1, 0xf513e212593ee321, 0xf36ae57331040916,
		0x63fbd333b87b6717, 0xbd60f8e152f50b8b, 0xa5ce4a8299c1567d, 0x0bd445f0cbdb55ee,
		0xfdd6824e20134285, 0xcead8b6ebda2227a, 0xe44b17e4f5d4fb5c, 0x9b29c81ad01ca7c5,
		0x1b4366e40fea4055, 0x27bca1551aae167b, 0xaa57bcd1b39a5690, 0xd7fce83fa1234db9,
		0xcce4986efea3ff8e, 0x3602a4d9e65341f1, 0x722b1da2df516145, 0xecfc3ddd3a08da83,
		0x0fb96dcca83507e6, 0x125f2fe78d70f080, 0x842f50b7651aa516, 0x09bc34188cd9836f,
		0xf43666c84196d909, 0xb56feb30c0df6ccb, 0xaa66e04ce7f30958, 0xb7b1187e9af29547,
		0x113255f8476495de, 0x8fb19f783095d77e, 0xaec4aacc7c82b133, 0xf64e6d09218428cf,
		0x036a72ea5ac258a0, 0x5235ef12eb7aaa6a, 0x2fed7b1685657853, 0x8ef8951d46606fb5,
		0x9d58c1090f034d14, 0x36f6c59a9fdaa97b, 0xbe2d517d98682592, 0x7bcd738fef5729f1,
	},
	.fold_512 = { 0x6ae3efbb9dd441f3, 0x081f6054a7842df4 },
	.fold_128 = { 0xe05dd497ca393ae4, 0xdabe95afc7875f40 },
};

/* CRC-64/NVME: 0x9a6c9329ac4bc9b5, reflected */
static const struct crc64_poly poly_nvme = {
	.slice = {
		SLICE(0x7f6ef0c830358979, 0xfedde190606b12f2, 0xc962e5739841b68f, 0xa61cecb46814fe75,
		      0x78e0ff3b88be6f81, 0xf1c1fe77117cdf02, 0xd75adabd7a6e2d6f, 0x9a6c9329ac4bc9b5),
		SLICE(0x8776a97d73bddf69, 0x3a3474a9bfec2db9, 0x7468e9537fd85b72, 0xe8d1d2a6ffb0b6e4,
		      0xe57a831ea7f6fea3, 0xfe2c206e177a6e2d, 0xc881668f76634f31, 0xa5dbeb4db4510d09),
		SLICE(0xff6e4e1f4e4038be, 0xca05ba6dc417e217, 0xa0d25288d0b85745, 0x757d8342f9e73de1,
		      0xeafb0685f3ce7bc2, 0xe12f2b58bf0b64ef, 0xf68770e226815ab5, 0xd9d7c79715952601),
		SLICE(0x8211147cbaf96306, 0x30fb0eaa2d655567, 0x61f61d545acaaace, 0xc3ec3aa8b595559c,
		      0xb301530233bd3853, 0x52db80573fede3cd, 0xa5b700ae7fdbc79a, 0x7fb7270fa7201c5f),
		SLICE(0x373d15f784905d1e, 0x6e7a2bef0920ba3c, 0xdcf457de12417478, 0x8d3189ef7c157b9b,
		      0x2eba358da0bd645d, 0x5d746b1b417ac8ba, 0xbae8d63682f59174, 0x41088a3e5d7cb183),
		SLICE(0xe9742a79ef04a5d4, 0xe63172a0869ed8c3, 0xf8bbc31255aa22ed, 0xc5aea077f3c3d6b1,
		      0xbf8466bcbf103e09, 0x4bd1eb2a26b7ef79, 0x97a3d6544d6fdef2, 0x1b9e8afbc2482e8f),
		SLICE(0xfc5d27f6bf353971, 0xcc6369be26fde189, 0xac1ff52f156c5079, 0x6ce6cc0d724f3399,
		      0xd9cd981ae49e6732, 0x8742166691ab5d0f, 0x3a5d0a9e7bc12975, 0x74ba153cf78252ea),
		SLICE(0x21e9761e252621ac, 0x43d2ec3c4a4c4358, 0x87a5d878949886b0, 0x3b9296a271a69e0b,
		      0x77252d44e34d3c16, 0xee4a5a89c69a782c, 0xe84d9340d5a36333, 0xe44200d2f3d1550d),
	},
	.power = {
		0x0080000000000000, 0x0000800000000000, 0x0000000080000000, 0x9a6c9329ac4bc9b5,
		0x10f4bb0f129310d6, 0x70f05dcea2ebd226, 0x311211205672822d, 0x2fc297db0f46c96e,
		0xca4d536fabf7da84, 0xfb4cdc3b379ee6ed, 0xea261148df25140a, 0x59ccb2c07aa6c9b4,
		0x20b3674a839af27a, 0x2d8e1986da94d583, 0x42cdf4c20337635d, 0x1d78724bf0f26839,
		0xb96c84e0afb34bd5, 0x5d2e1fcd2df0a3ea, 0xcd9506572332be42, 0x23bda2427f7d690f,
		0x347a953232374f07, 0x1c2a807ac2a8ceea, 0x9b92ad0e14fe1460, 0x2574114889f670b2,
		0x4a84a6c45e3bf520, 0x915bbac21cd1c7ff, 0xb0290ec579f291f5, 0xcf2548505c624e6e,
		0xb154f27bf08a8207, 0xce4e92344baf7d35, 0x51da8d7e057c5eb3, 0x9fb10823f5be15df,
		0x73b825b3ff1f71cf, 0x5db436c5406ebb74, 0xfa7ed8f3ec3f2bca, 0xc4d58efdc61b9ef6,
		0xa7e39e61e855bd45, 0x97ad46f9dd1bf2f1, 0x1a0abb01f853ee6b, 0x3f0827c3348f8215,
		0x4eb68c4506134607, 0x4a46f6de5df34e0a, 0x2d855d6a1c57a8dd, 0x8688da58e1115812,
		0x5232f417fc7c7300, 0xa4080fb2e767d8da, 0xd515a7e17693e562, 0x1181f7c862e94226,
		0x9e23cd058204ca91, 0x9b8992c57a0aed82, 0xb2c0afb84609b6ff, 0x2f7160553a5ea018,
		0x3cd378b5c99f2722, 0x814054ad61a3b058, 0xbf766189fce806d8, 0x85a5e898ac49f86f,
		0x34830d11bc84f346, 0x9644d95b173c8c1c, 0x150401ac9ac759b1, 0xebe1f7f46fb00eba,
		0x8ee4ce0c2e2bd662, 0x4000000000000000, 0x2000000000000000, 0x0800000000000000,
	},
	.fold_512 = { 0x0c32cdb31e18a84a, 0x62242240ace5045a },
	.fold_128 = { 0xeadc41fd2ba3d420, 0x21e9761e252621ac },
};

/* memcpy() would be a call where builtins are off. */
struct unaligned_u64 {
	uint64_t v;
} __attribute__((packed, may_alias));

/* `crc` here and below is the bare register: neither inverted before nor after. */
static uint64_t update_bytes(const struct crc64_poly *p, uint64_t crc, const uint8_t *buf,
			     size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		crc = p->slice[0][(crc ^ buf[i]) & 0xff] ^ (crc >> 8);
	return crc;
}

static uint64_t update_slices(const struct crc64_poly *p, uint64_t crc, const uint8_t *buf,
			      size_t len)
{
	uint64_t v;

	for (; len >= 8; buf += 8, len -= 8) {
		v = crc ^ ((const struct unaligned_u64 *)buf)->v;
		crc = p->slice[7][v & 0xff] ^ p->slice[6][(v >> 8) & 0xff] ^
		      p->slice[5][(v >> 16) & 0xff] ^ p->slice[4][(v >> 24) & 0xff] ^
		      p->slice[3][(v >> 32) & 0xff] ^ p->slice[2][(v >> 40) & 0xff] ^
		      p->slice[1][(v >> 48) & 0xff] ^ p->slice[0][v >> 56];
	}
	return update_bytes(p, crc, buf, len);
}

#if defined(__x86_64__)

#define CLMUL	   __attribute__((target("pclmul,sse2")))
#define CLMUL_WIDE __attribute__((target("vpclmulqdq,avx2,pclmul,sse2")))
#define WIDE_LEAST 1024 /* below, the wide registers do not pay */

struct lanes {
	__m128i a, b, c, d;
};

static CLMUL inline __m128i load(const uint8_t *buf)
{
	return _mm_loadu_si128((const __m128i *)buf);
}

static CLMUL inline __m128i load_k(const uint64_t k[2])
{
	return _mm_set_epi64x((long long)k[1], (long long)k[0]);
}

/* x, moved on by as many bits as k stands for, plus what is there. */
static CLMUL inline __m128i fold(__m128i x, __m128i k, __m128i there)
{
	return _mm_xor_si128(there, _mm_xor_si128(_mm_clmulepi64_si128(x, k, 0x00),
						  _mm_clmulepi64_si128(x, k, 0x11)));
}

/* The same for two lanes side by side. */
static CLMUL_WIDE inline __m256i fold_pair(__m256i x, __m256i k, const uint8_t *there)
{
	return _mm256_xor_si256(_mm256_loadu_si256((const __m256i *)there),
				_mm256_xor_si256(_mm256_clmulepi64_epi128(x, k, 0x00),
						 _mm256_clmulepi64_epi128(x, k, 0x11)));
}

static CLMUL struct lanes begin_lanes(uint64_t crc, const uint8_t *buf)
{
	return (struct lanes){
		.a = _mm_xor_si128(load(buf), _mm_set_epi64x(0, (long long)crc)),
		.b = load(buf + 16),
		.c = load(buf + 32),
		.d = load(buf + 48),
	};
}

/* The lanes are joined, then the tables finish. */
static CLMUL uint64_t end_lanes(const struct crc64_poly *p, const struct lanes *l,
				const uint8_t *buf, size_t len)
{
	__m128i k = load_k(p->fold_128), d;
	uint8_t rest[16];
	uint64_t crc;

	d = fold(fold(fold(l->a, k, l->b), k, l->c), k, l->d);
	for (; len >= 16; buf += 16, len -= 16)
		d = fold(d, k, load(buf));
	_mm_storeu_si128((__m128i *)rest, d);
	crc = update_slices(p, 0, rest, sizeof(rest));
	return update_bytes(p, crc, buf, len);
}

/* Four lanes of 128 bits are carried along.  len >= 64. */
static CLMUL uint64_t update_clmul(const struct crc64_poly *p, uint64_t crc, const uint8_t *buf,
				   size_t len)
{
	struct lanes l = begin_lanes(crc, buf);
	__m128i k = load_k(p->fold_512);

	for (buf += 64, len -= 64; len >= 64; buf += 64, len -= 64) {
		l.a = fold(l.a, k, load(buf));
		l.b = fold(l.b, k, load(buf + 16));
		l.c = fold(l.c, k, load(buf + 32));
		l.d = fold(l.d, k, load(buf + 48));
	}
	return end_lanes(p, &l, buf, len);
}

/* The same four, two to a register. */
static CLMUL_WIDE uint64_t update_wide(const struct crc64_poly *p, uint64_t crc, const uint8_t *buf,
				       size_t len)
{
	struct lanes l = begin_lanes(crc, buf);
	__m256i k = _mm256_broadcastsi128_si256(load_k(p->fold_512));
	__m256i ab = _mm256_set_m128i(l.b, l.a), cd = _mm256_set_m128i(l.d, l.c);

	for (buf += 64, len -= 64; len >= 64; buf += 64, len -= 64) {
		ab = fold_pair(ab, k, buf);
		cd = fold_pair(cd, k, buf + 32);
	}
	l.a = _mm256_castsi256_si128(ab);
	l.b = _mm256_extracti128_si256(ab, 1);
	l.c = _mm256_castsi256_si128(cd);
	l.d = _mm256_extracti128_si256(cd, 1);
	return end_lanes(p, &l, buf, len);
}

enum clmul {
	CLMUL_UNKNOWN = 0,
	CLMUL_NONE,
	CLMUL_128,
	CLMUL_256,
};

/* Does the kernel keep the wide registers of its threads apart? */
static bool has_wide_state(void)
{
	uint32_t low, high;

	__asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	return (low & 6) == 6;
}

static enum clmul ask_processor(void)
{
	unsigned a, b, c, d, b7, c7;

	if (!__get_cpuid(1, &a, &b, &c, &d) || !(c & bit_PCLMUL))
		return CLMUL_NONE;
	if (!(c & bit_OSXSAVE) || !has_wide_state() || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d))
		return CLMUL_128;
	return (b7 & bit_AVX2) && (c7 & bit_VPCLMULQDQ) ? CLMUL_256 : CLMUL_128;
}

static enum clmul which_clmul(void)
{
	static int known; /* every thread would find the same */
	int which = __atomic_load_n(&known, __ATOMIC_RELAXED);

	if (which == CLMUL_UNKNOWN) {
		which = ask_processor();
		__atomic_store_n(&known, which, __ATOMIC_RELAXED);
	}
	return (enum clmul)which;
}

static uint64_t update(const struct crc64_poly *p, uint64_t crc, const void *buf, size_t len)
{
	enum clmul which = len >= 64 ? which_clmul() : CLMUL_NONE;

	if (which == CLMUL_256 && len >= WIDE_LEAST)
		return ~update_wide(p, ~crc, buf, len);
	if (which >= CLMUL_128)
		return ~update_clmul(p, ~crc, buf, len);
	return ~update_slices(p, ~crc, buf, len);
}

#else

static uint64_t update(const struct crc64_poly *p, uint64_t crc, const void *buf, size_t len)
{
	return ~update_slices(p, ~crc, buf, len);
}

#endif

/* a * b modulo the polynomial; the highest bit is the coefficient of 1. */
static uint64_t multiply(const struct crc64_poly *p, uint64_t a, uint64_t b)
{
	uint64_t poly = p->slice[0][128], product = 0;
	int i;

	for (i = 63; i >= 0; i--) {
		product ^= a & (0 - ((b >> i) & 1));
		a = (a >> 1) ^ (poly & (0 - (a & 1)));
	}
	return product;
}

static uint64_t combine(const struct crc64_poly *p, uint64_t a, uint64_t b, uint64_t len_b)
{
	int k;

	for (k = 0; len_b != 0; k++, len_b >>= 1) {
		if (len_b & 1)
			a = multiply(p, a, p->power[k]);
	}
	return a ^ b;
}

uint64_t crc64_update(uint64_t crc, const void *buf, size_t len)
{
	return update(&poly_xz, crc, buf, len);
}

uint64_t crc64_update_tables(uint64_t crc, const void *buf, size_t len)
{
	return ~update_slices(&poly_xz, ~crc, buf, len);
}

uint64_t crc64_combine(uint64_t a, uint64_t b, uint64_t len_b)
{
	return combine(&poly_xz, a, b, len_b);
}

uint64_t crc64_nvme_update(uint64_t crc, const void *buf, size_t len)
{
	return update(&poly_nvme, crc, buf, len);
}

uint64_t crc64_nvme_combine(uint64_t a, uint64_t b, uint64_t len_b)
{
	return combine(&poly_nvme, a, b, len_b);
}
