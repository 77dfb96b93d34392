#include "test/server/srv_limit.h"

#include "test/server/srv_text.h"

#include <string.h>

/* What may be saved up while our thread is late, and the least worth waking up for. */
#define SAVE_SECONDS  0.10
#define GRAIN_SECONDS 0.004

void srv_limits_init(struct srv_limits *l)
{
	memset(l, 0, sizeof(*l));
	pthread_mutex_init(&l->lock, NULL);
}

void srv_limits_set(struct srv_limits *l, const struct srv_limits_wish *wish)
{
	if (wish->first_byte_ms >= 0)
		atomic_store(&l->first_byte_ms, (unsigned)wish->first_byte_ms);
	if (wish->per_connection_bps >= 0)
		atomic_store(&l->per_connection_bps, (uint64_t)wish->per_connection_bps);
	pthread_mutex_lock(&l->lock);
	if (wish->total_bps >= 0) {
		l->total.at_ns = 0;
		atomic_store(&l->total_bps, (uint64_t)wish->total_bps);
	}
	if (wish->qps >= 0) {
		l->requests.at_ns = 0;
		atomic_store(&l->qps, (uint64_t)wish->qps);
	}
	pthread_mutex_unlock(&l->lock);
}

/* The least that is worth sending. */
static double grain_of(uint64_t bps)
{
	double grain = (double)bps * GRAIN_SECONDS;

	return grain > 1 ? grain : 1;
}

/* With the bucket's lock held: the time must not be read before. */
static uint64_t take(struct srv_bucket_level *b, uint64_t bps, uint64_t want, uint64_t *wake)
{
	uint64_t now = srv_mono_ns();
	double grain = grain_of(bps), save = (double)bps * SAVE_SECONDS;
	uint64_t wait;

	if (b->at_ns == 0)
		b->level = 0;
	else
		b->level += (double)(now - b->at_ns) * (double)bps / 1e9;
	if (save < grain + 1)
		save = grain + 1;
	if (b->level > save)
		b->level = save;
	b->at_ns = now;
	if (grain > (double)want)
		grain = (double)want;
	if (b->level >= grain) {
		if ((double)want > b->level)
			want = (uint64_t)b->level;
		b->level -= (double)want;
		return want;
	}
	wait = now + (uint64_t)((grain - b->level) * 1e9 / (double)bps) + 1;
	if (wait > *wake)
		*wake = wait;
	return 0;
}

/* Forget what came in since the bucket was last asked, but for one grain. */
static void wake_up(struct srv_bucket_level *b, uint64_t bps)
{
	uint64_t now = srv_mono_ns();

	if (b->at_ns == 0 || bps == 0)
		return;
	b->level += (double)(now - b->at_ns) * (double)bps / 1e9;
	if (b->level > grain_of(bps))
		b->level = grain_of(bps);
	b->at_ns = now;
}

void srv_limits_begin(struct srv_limits *l, struct srv_bucket_level *own)
{
	wake_up(own, atomic_load_explicit(&l->per_connection_bps, memory_order_relaxed));
	pthread_mutex_lock(&l->lock);
	if (l->replies++ == 0)
		wake_up(&l->total, atomic_load_explicit(&l->total_bps, memory_order_relaxed));
	pthread_mutex_unlock(&l->lock);
}

void srv_limits_end(struct srv_limits *l)
{
	pthread_mutex_lock(&l->lock);
	l->replies--;
	pthread_mutex_unlock(&l->lock);
}

uint64_t srv_limits_take(struct srv_limits *l, struct srv_bucket_level *own, uint64_t drip_bps,
			 uint64_t want, uint64_t *ret_wake_ns)
{
	uint64_t bps = atomic_load_explicit(&l->per_connection_bps, memory_order_relaxed);
	uint64_t total = atomic_load_explicit(&l->total_bps, memory_order_relaxed);
	uint64_t ask, got;

	if (drip_bps != 0 && (bps == 0 || drip_bps < bps))
		bps = drip_bps;
	if (bps == 0 && total == 0)
		return want;
	*ret_wake_ns = 0;
	if (bps != 0)
		want = take(own, bps, want, ret_wake_ns);
	if (want == 0 || total == 0)
		return want;
	/* All ask for as little at a time: who had to wait and so wants more would wait for more. */
	ask = bps != 0 && grain_of(bps) < (double)want ? (uint64_t)grain_of(bps) : want;
	pthread_mutex_lock(&l->lock);
	got = take(&l->total, total, ask, ret_wake_ns);
	pthread_mutex_unlock(&l->lock);
	if (bps != 0)
		own->level += (double)(want - got);
	return got;
}

void srv_limits_give_back(struct srv_limits *l, struct srv_bucket_level *own, uint64_t n)
{
	if (n == 0)
		return;
	own->level += (double)n;
	if (atomic_load_explicit(&l->total_bps, memory_order_relaxed) != 0) {
		pthread_mutex_lock(&l->lock);
		l->total.level += (double)n;
		pthread_mutex_unlock(&l->lock);
	}
}

bool srv_limits_admit(struct srv_limits *l)
{
	uint64_t qps = atomic_load_explicit(&l->qps, memory_order_relaxed), now;
	bool r;

	if (qps == 0)
		return true;
	pthread_mutex_lock(&l->lock);
	now = srv_mono_ns();
	/* A second's worth may come at once. */
	if (l->requests.at_ns == 0)
		l->requests.level = (double)qps;
	else
		l->requests.level += (double)(now - l->requests.at_ns) * (double)qps / 1e9;
	if (l->requests.level > (double)qps)
		l->requests.level = (double)qps;
	l->requests.at_ns = now;
	r = l->requests.level >= 1;
	if (r)
		l->requests.level -= 1;
	pthread_mutex_unlock(&l->lock);
	return r;
}
