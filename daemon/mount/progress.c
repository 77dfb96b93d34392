#include "daemon/mount/progress.h"

#include <inttypes.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "daemon/base/json.h"
#include "daemon/mount/mount_internal.h"

/* The queue is through with a run before its last bytes have come. */
const char *progress_state(const struct mount *m, unsigned in_flight)
{
	bool done = false, stopped = false;
	struct run *r;

	for (r = TAILQ_FIRST(&m->runs); r != NULL; r = run_next(r)) {
		switch (run_get_state(r)) {
		case RUN_GOING:
			return "running";
		case RUN_DONE:
			done = true;
			break;
		case RUN_STOPPED:
			stopped = true;
			break;
		}
	}
	if (stopped)
		return "stopped";
	if (done)
		return in_flight > 0 ? "running" : "done";
	return m->prefetch ? "waiting" : "off";
}

void progress_begin(struct mount *m, const char *prefix, uint64_t bytes)
{
	uint64_t present = objects_present_below(&m->objects, prefix);
	struct progress *p = &m->progress;
	struct objects_sum sum;

	objects_sum(&m->objects, fetch_queue(m->ms->fetch), &sum);
	if (p->begun_ms == 0 || progress_state(m, sum.in_flight)[0] != 'r')
		*p = (struct progress){ .begun_ms = clock_ms(), .before = sum.done };
	p->total += bytes > present ? bytes - present : 0;
}

void progress_report(const struct mount *m, const struct objects_sum *sum, struct strbuf *out)
{
	const struct progress *p = &m->progress;
	const struct fetch_done *now = &sum->done;
	const char *state = progress_state(m, sum->in_flight);
	uint64_t bytes = now->bytes - p->before.bytes, end_ms = clock_ms();

	if (state[0] != 'r') /* over: at the last byte */
		end_ms = now->arrived_ms > p->begun_ms ? now->arrived_ms : p->begun_ms;
	strbuf_addf(out,
		    "\"download\":{\"state\":\"%s\",\"bytes\":%" PRIu64 ",\"total\":%" PRIu64
		    ",\"ms\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"retries\":%" PRIu64,
		    state, bytes, p->total, p->begun_ms != 0 ? end_ms - p->begun_ms : 0,
		    now->requests - p->before.requests, now->retries - p->before.retries);
	if (now->retried_ms != 0)
		strbuf_addf(out, ",\"retried_ms\":%" PRIu64 ",\"why\":%u",
			    clock_ms() - now->retried_ms, now->why);
	strbuf_addc(out, '}');
}
