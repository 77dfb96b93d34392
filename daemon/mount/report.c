#include <inttypes.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "daemon/base/json.h"
#include "daemon/mount/mount.h"
#include "daemon/mount/mount_internal.h"
#include "daemon/net/source.h"

/* The queue is through with a run before its last bytes have come. */
static const char *prefetch_state(const struct mount *m, unsigned in_flight)
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

static void report_mount(const struct mount *m, struct strbuf *out)
{
	const struct snapshot_header *h =
		m->snapshot != NULL ? snapmem_view(m->snapshot)->header : NULL;
	struct objects_sum sum;

	objects_sum(&m->objects, fetch_queue(m->ms->fetch), &sum);
	strbuf_adds(out, "{\"oss_path\":");
	json_cstring(out, m->oss_path);
	strbuf_adds(out, ",\"model_dir\":");
	json_cstring(out, m->model_dir);
	strbuf_addf(out,
		    ",\"uid\":%u,\"files\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"objects\":%zu"
		    ",\"snapshot_age_s\":%" PRIu64 ",\"sessions\":%u,\"keep\":%s"
		    ",\"prefetch\":\"%s\",\"cached_bytes\":%" PRIu64
		    ",\"in_flight\":%u,\"failed\":%u}",
		    (unsigned)m->uid, h != NULL ? h->nr_files : 0, h != NULL ? h->total_bytes : 0,
		    m->objects.nr, h != NULL ? (clock_ms() - m->listed_ms) / 1000 : 0, m->nr_users,
		    m->keep ? "true" : "false", prefetch_state(m, sum.in_flight), sum.present_bytes,
		    sum.in_flight, sum.failed);
}

static void report_sources(const struct source_set *set, struct strbuf *out, bool *is_first)
{
	struct source_stats s;
	unsigned i;

	for (i = 0; i < source_set_count(set); i++) {
		source_stats(set, i, clock_ms(), &s);
		if (!*is_first)
			strbuf_addc(out, ',');
		*is_first = false;
		strbuf_adds(out, "{\"address\":");
		json_cstring(out, s.address);
		strbuf_addf(out,
			    ",\"in_flight\":%u,\"connections\":%" PRIu64 ",\"bytes\":%" PRIu64
			    ",\"errors\":%" PRIu64 ",\"out\":%s}",
			    s.in_flight, s.connections, s.bytes, s.errors,
			    s.is_out ? "true" : "false");
	}
}

static void report_fetch(const struct mounts *ms, struct strbuf *out)
{
	struct fetchq_stats q;
	struct fetch_stats f;

	fetch_stats(ms->fetch, &f);
	fetchq_stats(fetch_queue(ms->fetch), &q);
	strbuf_addf(out,
		    "\"fetch\":{\"bytes\":%" PRIu64 ",\"requests\":%" PRIu64 ",\"retries\":%" PRIu64
		    ",\"throttled\":%" PRIu64 ",\"errors\":%" PRIu64 ",\"cut\":%" PRIu64,
		    f.bytes, f.requests, f.retries, f.throttled, f.errors, f.cut);
	strbuf_addf(out,
		    ",\"queued\":{\"demand\":%" PRIu64 ",\"readahead\":%" PRIu64
		    ",\"prefetch\":%" PRIu64 "},\"in_flight\":%u,\"limit\":%u}",
		    q.queued[FETCH_DEMAND], q.queued[FETCH_READAHEAD], q.queued[FETCH_PREFETCH],
		    q.in_flight, q.limit);
}

void mounts_report(struct mounts *ms, uid_t viewer, struct strbuf *out)
{
	bool is_first = true;
	const struct mount *m;
	unsigned i;

	strbuf_adds(out, "\"mounts\":[");
	TAILQ_FOREACH(m, &ms->list, link)
	{
		if (viewer != 0 && viewer != m->uid)
			continue;
		if (!is_first)
			strbuf_addc(out, ',');
		is_first = false;
		report_mount(m, out);
	}
	is_first = true;
	strbuf_adds(out, "],\"sources\":[");
	for (i = 0; i < ms->nr_sources; i++)
		report_sources(ms->sources[i].set, out, &is_first);
	strbuf_adds(out, "],");
	report_fetch(ms, out);
}
