/*
 * Objects that a client leaves open though nobody has them: wire_session's
 * `idle`.  Opening them again costs no request; what is not taken out within a
 * second is closed here, as CLOSE would.
 */
#include "daemon/cache/cache.h"
#include "daemon/session/session_internal.h"

#define AGE_PULSES 50 /* of 20 ms */

void idle_begin(struct session *s)
{
	/* Where objects go at once when they are closed, closing is not put off. */
	__atomic_store_n(&s->shared->takes_idle, cache_keeps_unused(s->all->cache),
			 __ATOMIC_RELAXED);
}

void idle_watch(struct session *s, bool on)
{
	__atomic_store_n(&s->shared->is_watching, on, __ATOMIC_SEQ_CST);
}

bool idle_is_empty(const struct session *s)
{
	unsigned i;

	for (i = 0; i < WIRE_NR_IDLE; i++)
		/* Against the client's put: it sees that we watch no more, or we see its object. */
		if (__atomic_load_n(&s->shared->idle[i], __ATOMIC_SEQ_CST) != 0)
			return false;
	return true;
}

bool idle_pulse(struct session *s)
{
	bool any = false;
	unsigned i;

	for (i = 0; i < WIRE_NR_IDLE; i++) {
		uint32_t number = __atomic_load_n(&s->shared->idle[i], __ATOMIC_RELAXED);

		if (number != s->idle[i].number)
			s->idle[i] = (struct idle){ .number = number };
		if (number == 0)
			continue;
		any = true;
		if (++s->idle[i].age < AGE_PULSES ||
		    !__atomic_compare_exchange_n(&s->shared->idle[i], &number, 0, false,
						 __ATOMIC_SEQ_CST, __ATOMIC_RELAXED))
			continue;
		s->idle[i] = (struct idle){ .number = 0 };
		/* Whatever a client writes there: its own objects are all that it can close. */
		if (session_held(s, number) == NULL)
			continue;
		op_close_number(s, number);
		if (session_is_dead(s))
			return false;
	}
	return any;
}
