/*
 * srv_count.h - what the store has done: requests and bytes in all, by key, by source address and
 * by connection.  Any thread may call; the hot calls take no lock.
 */
#ifndef TEST_SERVER_SRV_COUNT_H
#define TEST_SERVER_SRV_COUNT_H

#include "test/server/srv_buf.h"

#include <stdatomic.h>

#define SRV_RANGES_MAX 65536 /* remembered a key */

enum srv_count_class {
	SRV_COUNT_GET = 0,
	SRV_COUNT_HEAD,
	SRV_COUNT_LIST,
	SRV_COUNT_PUT,
	SRV_COUNT_POST,
	SRV_COUNT_DELETE,
	SRV_COUNT_OTHER, /* bucketInfo and the like */
	SRV_COUNT_CLASSES,
};

/* Lives as long as the counts do, so a connection may keep a pointer. */
struct srv_tally {
	struct srv_tally *next;
	char *name;
	size_t name_len;
	_Atomic uint64_t requests;
	_Atomic uint64_t bytes;
	_Atomic uint64_t connections;
	struct srv_range_pair {
		uint64_t first;
		uint64_t last;
	} * ranges;
	size_t nr_ranges;
	size_t cap_ranges;
	size_t lost_ranges; /* not remembered */
};

enum srv_tally_kind {
	SRV_TALLY_KEY = 0,
	SRV_TALLY_SOURCE,
	SRV_TALLY_CONNECTION,
	SRV_TALLY_KINDS,
};

struct srv_counts {
	_Atomic uint64_t requests[SRV_COUNT_CLASSES];
	_Atomic uint64_t bytes;
	_Atomic uint64_t verified;
	_Atomic uint64_t refused;
	_Atomic uint64_t anonymous;
	_Atomic uint64_t faults;
	_Atomic int64_t connections_now;
	_Atomic uint64_t connections_total;
	_Atomic int64_t in_flight;
	_Atomic int64_t peak_in_flight;
	struct srv_tallies *tallies;
};

void srv_counts_init(struct srv_counts *c);
void srv_counts_fini(struct srv_counts *c);
void srv_counts_reset(struct srv_counts *c);

/* Find or make.  Beyond a million names all share one tally called "(others)". */
struct srv_tally *srv_counts_tally(struct srv_counts *c, enum srv_tally_kind kind, const char *name,
				   size_t name_len);
void srv_counts_range(struct srv_counts *c, struct srv_tally *key, uint64_t first, uint64_t last);
void srv_counts_flight(struct srv_counts *c, int change);

static inline void srv_counts_add(_Atomic uint64_t *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

void srv_counts_json(struct srv_counts *c, struct srv_buf *out, bool with_connections);
/* False: no such key was asked for (an object with zeroes is written all the same). */
bool srv_counts_key_json(struct srv_counts *c, struct srv_buf *out, const char *name, size_t len);

#endif
