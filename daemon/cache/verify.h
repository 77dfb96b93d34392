/*
 * verify.h - CRCs of chunks as they arrive, and the object's verdict once all
 * have.  The store tells one CRC for the whole object.
 *
 * Threads: any, without the cache's lock unless said otherwise.
 */
#ifndef DAEMON_CACHE_VERIFY_H
#define DAEMON_CACHE_VERIFY_H

#include "daemon/cache/state.h"

/*
 * A whole chunk has this CRC: compared with the one it had before, or kept; the
 * last chunk of all brings the verdict.  0, or -EIO: the bytes are not the
 * object's; logged, and an object with a bad verdict has failed.
 */
int verify_chunk(struct object *o, uint32_t chunk, uint64_t crc);

#endif
