/*
 * srv_synth.h - serving the bytes that synth.h defines: one pattern in a memory file that
 * sendfile can read, tag pages made on the spot, and the CRC-64 of an object without its bytes.
 *
 * Threads: any, after the first srv_synth_start(), which any thread may make.
 */
#ifndef TEST_SERVER_SRV_SYNTH_H
#define TEST_SERVER_SRV_SYNTH_H

#include "test/server/srv_crc.h"
#include "test/server/synth.h"

#include <sys/types.h>

#define SRV_SYNTH_MAX (UINT64_C(5) << 40)

void srv_synth_start(void);

/* Where the bytes at offset lie: in the pattern's file, or (fd -1) only in memory. */
struct srv_synth_run {
	int fd;
	off_t fd_offset;
	const void *p; /* valid for pattern runs only */
	uint64_t len;  /* at most want */
};
void srv_synth_run(uint64_t seed, uint64_t offset, uint64_t want, struct srv_synth_run *ret);

uint64_t srv_synth_crc(enum srv_crc_kind kind, uint64_t seed, uint64_t size);

#endif
