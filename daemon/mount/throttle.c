#include "daemon/mount/throttle.h"

#define REQUEST_WORTH  65536 /* bytes: what a small file counts beside its own */
#define PAUSE_MS       100   /* this long without requests: another load begins */
#define ROUND_MOST_MS  1000  /* and longer ones need not be */
#define ROUND_LEAST_MS 10    /* shorter ones say nothing with a clock of milliseconds */

static unsigned min_of(unsigned a, unsigned b)
{
	return a < b ? a : b;
}

void throttle_init(struct throttle *t, unsigned max)
{
	*t = (struct throttle){ .max = max, .limit = min_of(max, THROTTLE_FIRST) };
}

static void begin_round(struct throttle *t, uint64_t bytes, uint64_t now_ms)
{
	t->nr_good = 0;
	t->bytes = bytes;
	t->began_ms = now_ms;
	t->is_full = false;
	t->is_settling = false;
}

void throttle_set_max(struct throttle *t, unsigned max)
{
	t->max = max;
	t->limit = min_of(t->limit, max);
	t->target = min_of(t->target, max);
	t->half = 0;
	t->rate = 0;
}

unsigned throttle_free(const struct throttle *t, bool for_demand)
{
	unsigned limit = t->limit + (for_demand ? 1 + t->limit / 4 : 0);

	return t->active < limit ? limit - t->active : 0;
}

bool throttle_enter(struct throttle *t, bool for_demand, uint64_t now_ms, unsigned *ret_epoch)
{
	if (throttle_free(t, for_demand) == 0)
		return false;
	/* The time without requests does not count, nor that until they come evenly. */
	if (t->active++ == 0 && now_ms - t->last_good_ms > PAUSE_MS) {
		begin_round(t, t->bytes, now_ms);
		t->is_settling = true;
	}
	*ret_epoch = t->epoch;
	return true;
}

void throttle_leave(struct throttle *t)
{
	t->active--;
}

void throttle_lack(struct throttle *t)
{
	t->is_full = true;
}

void throttle_slow(struct throttle *t, unsigned epoch, uint64_t now_ms)
{
	/* Half of what was really under way: the limit itself may never have been reached. */
	unsigned base = min_of(t->active, t->limit);

	if (epoch != t->epoch)
		return;
	t->epoch++;
	/* What was only a trial is not where to come back to. */
	t->target = t->half != 0 ? t->half : t->limit > t->target ? t->limit : t->target;
	t->half = 0;
	t->limit = base > 1 ? base / 2 : 1;
	begin_round(t, t->bytes, now_ms);
}

/* With as many requests again, or these are all there may be. */
static void try_more(struct throttle *t)
{
	if (t->limit == t->max)
		return;
	t->half = t->limit;
	t->first_rate = 0;
	t->limit = min_of(t->limit * 2, t->max);
	t->is_settling = true;
}

/* What the trial brought: twice the requests are worth it for a twentieth more. */
static void judge(struct throttle *t, uint64_t rate, uint64_t now_ms)
{
	const bool much = rate * 10 >= t->rate * 15;

	/* What is little may be chance: twice, then. */
	if (!much && t->first_rate == 0) {
		t->first_rate = rate;
		return;
	}
	if (!much)
		rate = (rate + t->first_rate) / 2;
	if (rate * 20 < t->rate * 21)
		t->limit = t->half;
	else
		t->rate = rate;
	t->half = 0;
	if (much)
		try_more(t);
	else
		t->rest_until_ms = now_ms + THROTTLE_REST_MS;
}

static void come_back(struct throttle *t, uint64_t now_ms)
{
	t->limit = min_of(t->limit + 1 + t->limit / 8, t->target);
	if (t->limit < t->target)
		return;
	t->target = 0;
	t->rate = 0;
	t->rest_until_ms = now_ms + THROTTLE_REST_MS;
}

static void end_round(struct throttle *t, uint64_t bytes, uint64_t now_ms)
{
	uint64_t work = bytes - t->bytes + (uint64_t)t->nr_good * REQUEST_WORTH;
	uint64_t rate = work * 1000 / (now_ms - t->began_ms);
	bool is_full = t->is_full;

	begin_round(t, bytes, now_ms);
	if (t->half != 0) {
		judge(t, rate, now_ms);
		return;
	}
	t->rate = t->rate != 0 ? (3 * t->rate + rate) / 4 : rate;
	if (is_full && now_ms >= t->rest_until_ms)
		try_more(t);
}

void throttle_look(struct throttle *t, uint64_t bytes, uint64_t now_ms)
{
	const uint64_t ms = now_ms - t->began_ms;

	/* Nothing at all came: a store that does not answer, or all wait to try again. */
	if ((t->nr_good < t->limit && ms < ROUND_MOST_MS) || bytes == t->bytes)
		return;
	if (t->target != 0) {
		come_back(t, now_ms);
		begin_round(t, bytes, now_ms);
	} else if (t->is_settling) {
		begin_round(t, bytes, now_ms);
	} else if (ms >= ROUND_LEAST_MS) {
		end_round(t, bytes, now_ms);
	}
}

void throttle_good(struct throttle *t, uint64_t bytes, uint64_t now_ms)
{
	t->last_good_ms = now_ms;
	t->nr_good++;
	throttle_look(t, bytes, now_ms);
}
