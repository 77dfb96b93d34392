#include <inttypes.h>
#include <string.h>

#include "common/clock.h"
#include "common/strbuf.h"
#include "daemon/base/json.h"
#include "daemon/mount/mount.h"
#include "daemon/mount/mount_internal.h"
#include "daemon/net/source.h"

#define FILES_MOST 32 /* of one mount */

/* Only those that something is going on with; the others are a number. */
static void report_file(const struct mount *m, const struct mount_object *mo, unsigned in_flight,
			struct strbuf *out)
{
	const struct object *o = mo->fetch.entry.object;
	const char *path = object_key(o) + strlen(m->location.prefix);

	strbuf_adds(out, "{\"path\":");
	json_cstring(out, path);
	strbuf_addf(out,
		    ",\"bytes\":%" PRIu64 ",\"cached_bytes\":%" PRIu64 ",\"received\":%" PRIu64
		    ",\"in_flight\":%u,\"opened\":%s}",
		    object_size(o), object_present_bytes(o),
		    (uint64_t)atomic_load(&mo->fetch.tally.bytes), in_flight,
		    mo->fetch.entry.opened ? "true" : "false");
}

/* Member "active": files on their way. */
static void report_files(const struct mount *m, struct strbuf *out)
{
	const struct mount_object *mo;
	unsigned nr = 0, in_flight;
	size_t i;

	strbuf_adds(out, ",\"active\":[");
	for (i = 0; i < m->objects.nr_slots; i++)
		for (mo = m->objects.slots[i]; mo != NULL && nr < FILES_MOST; mo = mo->next) {
			in_flight = fetchq_in_flight(fetch_queue(m->ms->fetch), &mo->fetch.entry);
			if (in_flight == 0)
				continue;
			if (nr++ > 0)
				strbuf_addc(out, ',');
			report_file(m, mo, in_flight, out);
		}
	strbuf_addc(out, ']');
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
		    ",\"prefetch\":\"%s\",\"cached_bytes\":%" PRIu64 ",\"received\":%" PRIu64
		    ",\"in_flight\":%u,\"failed\":%u,\"listing\":%s,",
		    (unsigned)m->uid, h != NULL ? h->nr_files : 0, h != NULL ? h->total_bytes : 0,
		    m->objects.nr, h != NULL ? (clock_ms() - m->listed_ms) / 1000 : 0, m->nr_users,
		    m->keep ? "true" : "false", progress_state(m, sum.in_flight), sum.present_bytes,
		    sum.done.bytes, sum.in_flight, sum.failed,
		    m->lister != NULL ? "true" : "false");
	progress_report(m, &sum, out);
	report_files(m, out);
	strbuf_addc(out, '}');
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
			    ",\"errors\":%" PRIu64 ",\"out\":%s,\"out_ms\":%" PRIu64 "}",
			    s.in_flight, s.connections, s.bytes, s.errors,
			    s.is_out ? "true" : "false", s.out_ms);
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
		    ",\"prefetch\":%" PRIu64 "},\"in_flight\":%u,\"limit\":%u,\"slots\":%u}",
		    q.queued[FETCH_DEMAND], q.queued[FETCH_READAHEAD], q.queued[FETCH_PREFETCH],
		    q.in_flight, q.limit, q.nr_slots);
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
