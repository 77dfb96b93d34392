#include "daemon/mount/straggler.h"

#include <stdlib.h>
#include <string.h>

#define PEERS_LEAST 4

static uint64_t rate_of(uint64_t bytes, uint64_t ms)
{
	return bytes * 1000 / (ms != 0 ? ms : 1);
}

void straggler_add(struct straggler_rates *s, uint64_t bytes, uint64_t ms)
{
	s->rates[s->next] = rate_of(bytes, ms);
	s->next = (s->next + 1) % STRAGGLER_PEERS;
	if (s->nr < STRAGGLER_PEERS)
		s->nr++;
}

static int compare_rates(const void *pa, const void *pb)
{
	const uint64_t a = *(const uint64_t *)pa, b = *(const uint64_t *)pb;

	return a < b ? -1 : a > b;
}

uint64_t straggler_median(const struct straggler_rates *s)
{
	uint64_t sorted[STRAGGLER_PEERS];

	if (s->nr < PEERS_LEAST)
		return 0;
	memcpy(sorted, s->rates, s->nr * sizeof(sorted[0]));
	qsort(sorted, s->nr, sizeof(sorted[0]), compare_rates);
	return sorted[s->nr / 2];
}

bool straggler_is(uint64_t median, uint64_t bytes, uint64_t ms)
{
	return ms >= STRAGGLER_AGE_MS && rate_of(bytes, ms) < median / STRAGGLER_MARGIN;
}
