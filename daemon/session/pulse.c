/*
 * Periodic work of the control loop, which stops when there is none: an idle
 * daemon has no timer.
 *
 * The pulse beats every 20 ms while a session reads (its touches are drained,
 * completions that found no room are moved on), every 100 ms while something is
 * being downloaded or waited for.  Upkeep is the cache's own clock.
 */
#include <event2/event.h>

#include "common/clock.h"
#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/session/session_internal.h"

#define FAST_MS	     20
#define SLOW_MS	     100
#define QUIET_PULSES 25 /* a session without touches for so long is let be */
#define CALM_PULSES  2	/* one more look after the last reason has gone */
#define SWEEP_MS     500

static void arm(struct event *timer, uint64_t ms)
{
	struct timeval tv = { .tv_sec = (time_t)(ms / 1000),
			      .tv_usec = (suseconds_t)(ms % 1000 * 1000) };

	event_add(timer, &tv);
}

/* Tell every client whether a full cache wants to know what is read. */
static void publish_want_touch(struct sessions *ss)
{
	bool want = cache_wants_touch(ss->cache);
	struct session *s;

	if (want == ss->want_touch)
		return;
	ss->want_touch = want;
	LIST_FOREACH(s, &ss->list, link)
	{
		if (s->shared != NULL)
			ringsvc_set_want_touch(&s->ring, want);
	}
}

static void run_upkeep(struct sessions *ss)
{
	long next = cache_tick(ss->cache, clock_ms());

	if (next >= 0)
		arm(ss->upkeep, next > 0 ? (uint64_t)next : 1);
	else
		event_del(ss->upkeep);
}

static void upkeep_now(void *arg)
{
	struct sessions *ss = arg;

	run_upkeep(ss);
	publish_want_touch(ss);
}

/* From any thread: the cache wants its tick sooner than it had said. */
static void on_due(void *arg)
{
	struct sessions *ss = arg;

	/* Without memory for a letter the cache waits for its next tick. */
	(void)worker_post(ss->control, upkeep_now, ss);
}

static void on_upkeep(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	upkeep_now(arg);
}

/* VERIFY requests that wait for a verdict.  True while there are any. */
static bool poll_verdicts(struct sessions *ss)
{
	struct session *s, *next_session;
	struct pending *p, *next;
	bool any = false;

	for (s = LIST_FIRST(&ss->list); s != NULL; s = next_session) {
		next_session = LIST_NEXT(s, link);
		for (p = TAILQ_FIRST(&s->pending); p != NULL && !session_is_dead(s); p = next) {
			next = TAILQ_NEXT(p, link);
			if (p->type == WIRE_VERIFY && !op_verify_poll(p, clock_ms()))
				any = true;
		}
	}
	return any;
}

static void drain_active(struct sessions *ss)
{
	struct session *s, *next;

	for (s = TAILQ_FIRST(&ss->active); s != NULL; s = next) {
		bool any;

		next = TAILQ_NEXT(s, active_link);
		any = ringops_pulse(s);
		if (session_is_dead(s))
			continue;
		any |= idle_pulse(s);
		if (session_is_dead(s))
			continue;
		if (any || s->nr_notices > 0 || ringsvc_backlog(&s->ring) > 0)
			s->quiet = 0;
		else if (++s->quiet >= QUIET_PULSES)
			pulse_forget(s);
	}
}

static void on_pulse(evutil_socket_t fd, short what, void *arg)
{
	struct sessions *ss = arg;
	struct cache_stats stats;
	bool waiting;

	(void)fd;
	(void)what;
	drain_active(ss);
	waiting = poll_verdicts(ss);
	publish_want_touch(ss);
	if (!TAILQ_EMPTY(&ss->active)) {
		ss->calm = 0;
		arm(ss->pulse, FAST_MS);
		return;
	}
	cache_stats(ss->cache, &stats);
	ss->calm = waiting || stats.chunks_loading > 0 ? 0 : ss->calm + 1;
	if (ss->calm < CALM_PULSES)
		arm(ss->pulse, SLOW_MS);
}

static void on_sweep(evutil_socket_t fd, short what, void *arg)
{
	struct sessions *ss = arg;
	struct session *s, *next;
	bool any = false;

	(void)fd;
	(void)what;
	for (s = LIST_FIRST(&ss->list); s != NULL; s = next) {
		next = LIST_NEXT(s, link);
		any |= session_is_left(s);
	}
	if (any)
		arm(ss->sweep, SWEEP_MS);
}

void pulse_sweep(struct sessions *ss)
{
	if (!event_pending(ss->sweep, EV_TIMEOUT, NULL))
		arm(ss->sweep, SWEEP_MS);
}

int pulse_init(struct sessions *ss)
{
	struct event_base *base = worker_base(ss->control);

	ss->pulse = event_new(base, -1, 0, on_pulse, ss);
	ss->upkeep = event_new(base, -1, 0, on_upkeep, ss);
	ss->sweep = event_new(base, -1, 0, on_sweep, ss);
	BUG_ON(ss->pulse == NULL || ss->upkeep == NULL || ss->sweep == NULL);
	cache_on_due(ss->cache, on_due, ss);
	upkeep_now(ss);
	return 0;
}

void pulse_fini(struct sessions *ss)
{
	cache_on_due(ss->cache, NULL, NULL);
	event_free(ss->pulse);
	event_free(ss->upkeep);
	event_free(ss->sweep);
}

void pulse_wake(struct sessions *ss)
{
	ss->calm = 0;
	if (!event_pending(ss->pulse, EV_TIMEOUT, NULL))
		arm(ss->pulse, FAST_MS);
}

void pulse_activate(struct session *s)
{
	struct sessions *ss = s->all;

	s->quiet = 0;
	if (s->is_active)
		return;
	s->is_active = true;
	idle_watch(s, true);
	TAILQ_INSERT_TAIL(&ss->active, s, active_link);
	ss->calm = 0;
	arm(ss->pulse, FAST_MS);
}

void pulse_forget(struct session *s)
{
	if (!s->is_active)
		return;
	if (s->shared != NULL) {
		idle_watch(s, false);
		/* The client may have looked a moment ago. */
		if (!session_is_dead(s) && !idle_is_empty(s)) {
			idle_watch(s, true);
			return;
		}
	}
	s->is_active = false;
	TAILQ_REMOVE(&s->all->active, s, active_link);
}
