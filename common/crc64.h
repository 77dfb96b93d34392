/*
 * crc64.h - CRC-64 of the object store's checksums, by carry-less multiply
 * where the processor has it, and the joining of two CRCs without the bytes.
 * Stands without libc: no call, no constructor, no allocation.
 *
 * Threads: any.
 */
#ifndef COMMON_CRC64_H
#define COMMON_CRC64_H

#include <stddef.h>
#include <stdint.h>

/* CRC-64/XZ (x-oss-hash-crc64ecma).  Start from 0; the value so far goes in, the new one comes out. */
uint64_t crc64_update(uint64_t crc, const void *buf, size_t len);
/* The CRC of A followed by B, from both CRCs and the length of B. */
uint64_t crc64_combine(uint64_t a, uint64_t b, uint64_t len_b);

/* The same for CRC-64/NVME (x-amz-checksum-crc64nvme). */
uint64_t crc64_nvme_update(uint64_t crc, const void *buf, size_t len);
uint64_t crc64_nvme_combine(uint64_t a, uint64_t b, uint64_t len_b);

/* As crc64_update(), by tables only: what runs where there is no carry-less multiply. */
uint64_t crc64_update_tables(uint64_t crc, const void *buf, size_t len);

#endif
