/*
 * srv_crc.h - CRC-64/XZ (OSS) and CRC-64/NVME (S3), by carry-less multiply where the processor
 * has it.  The store's own: what it tells a client must not come from the code under test.
 *
 * All values are final ones (init and xorout applied); the CRC of nothing is 0.
 */
#ifndef TEST_SERVER_SRV_CRC_H
#define TEST_SERVER_SRV_CRC_H

#include <stddef.h>
#include <stdint.h>

enum srv_crc_kind {
	SRV_CRC_XZ = 0,
	SRV_CRC_NVME,
	SRV_CRC_KINDS,
};

/* Call once before threads start. */
void srv_crc_init(void);

uint64_t srv_crc_update(enum srv_crc_kind kind, uint64_t crc, const void *p, size_t n);

/* crc(A || B) from crc(A), crc(B) and the length of B. */
uint64_t srv_crc_combine(enum srv_crc_kind kind, uint64_t a, uint64_t b, uint64_t len_b);

/* "Append n bytes" for one n, prepared, for many combines. */
struct srv_crc_shift {
	uint64_t table[8][256];
};
void srv_crc_shift_init(enum srv_crc_kind kind, struct srv_crc_shift *s, uint64_t n);
uint64_t srv_crc_shift(const struct srv_crc_shift *s, uint64_t crc);

/* The plain table form of srv_crc_update(), for tests and processors without the instruction. */
uint64_t srv_crc_update_table(enum srv_crc_kind kind, uint64_t crc, const void *p, size_t n);

#endif
