#include "daemon/mount/throttle.h"

void throttle_init(struct throttle *t, unsigned max)
{
	*t = (struct throttle){ .max = max, .limit = max };
}

void throttle_set_max(struct throttle *t, unsigned max)
{
	if (t->limit == t->max || t->limit > max)
		t->limit = max;
	t->max = max;
}

bool throttle_enter(struct throttle *t, unsigned *ret_epoch)
{
	if (t->active >= t->limit)
		return false;
	t->active++;
	*ret_epoch = t->epoch;
	return true;
}

void throttle_leave(struct throttle *t)
{
	t->active--;
}

void throttle_slow(struct throttle *t, unsigned epoch)
{
	/* Half of what was really under way: the limit itself may never have been reached. */
	unsigned base = t->active < t->limit ? t->active : t->limit;

	if (epoch != t->epoch)
		return;
	t->epoch++;
	t->nr_good = 0;
	t->limit = base > 1 ? base / 2 : 1;
}

void throttle_good(struct throttle *t)
{
	if (t->limit >= t->max || ++t->nr_good < t->limit)
		return;
	t->nr_good = 0;
	t->limit++;
}
