/*
 * srv_limit.h - token buckets: how many bytes may go out now, and if none, when.  A bucket belongs
 * to one connection or, with a lock around it, to the whole store.
 */
#ifndef TEST_SERVER_SRV_LIMIT_H
#define TEST_SERVER_SRV_LIMIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct srv_bucket_level {
	uint64_t at_ns; /* when the level was right; 0: never used */
	double level;	/* bytes */
};

struct srv_limits {
	_Atomic unsigned first_byte_ms;
	_Atomic uint64_t per_connection_bps; /* bytes a second; 0: no limit */
	_Atomic uint64_t total_bps;
	_Atomic uint64_t qps; /* requests a second; 0: no limit */
	pthread_mutex_t lock;
	struct srv_bucket_level total;
	struct srv_bucket_level requests;
	unsigned replies; /* under way */
};

void srv_limits_init(struct srv_limits *l);
/* Negative: leave that one as it is. */
struct srv_limits_wish {
	int64_t first_byte_ms;
	int64_t per_connection_bps;
	int64_t total_bps;
	int64_t qps;
};
void srv_limits_set(struct srv_limits *l, const struct srv_limits_wish *wish);

/* May one more request be served now? */
bool srv_limits_admit(struct srv_limits *l);

/* Around every reply.  What is saved up while there is none is lost. */
void srv_limits_begin(struct srv_limits *l, struct srv_bucket_level *own);
void srv_limits_end(struct srv_limits *l);

/*
 * How much of want may be sent by a connection whose own bucket is `own` and whose drip rate is
 * drip_bps (0: none).  0: nothing before *ret_wake_ns.  Bytes granted but not sent are given back.
 */
uint64_t srv_limits_take(struct srv_limits *l, struct srv_bucket_level *own, uint64_t drip_bps,
			 uint64_t want, uint64_t *ret_wake_ns);
void srv_limits_give_back(struct srv_limits *l, struct srv_bucket_level *own, uint64_t n);

#endif
