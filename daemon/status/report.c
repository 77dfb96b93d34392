#include "daemon/status/report.h"

#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "common/strbuf.h"
#include "daemon/base/json.h"
#include "daemon/cache/cache.h"
#include "daemon/config/settings.h"
#include "daemon/mount/mount.h"
#include "daemon/session/session.h"

static void add_number(struct strbuf *out, const char *name, uint64_t value)
{
	strbuf_addf(out, ",\"%s\":%llu", name, (unsigned long long)value);
}

static void add_daemon(const struct report_sources *from, struct strbuf *out)
{
	strbuf_adds(out, "\"daemon\":{\"version\":");
	json_cstring(out, OSSC_VERSION);
	add_number(out, "pid", (uint64_t)getpid());
	add_number(out, "uid", geteuid());
	add_number(out, "uptime_ms", from->uptime_ms);
	strbuf_adds(out, ",\"socket\":");
	json_cstring(out, from->socket_path);
	strbuf_adds(out, ",\"config_file\":");
	json_cstring(out, from->config_path);
	strbuf_adds(out, ",\"log\":");
	json_cstring(out, from->log_path);
	strbuf_adds(out, "}");
}

/* The keys as they were written.  There is no secret among them: keys of stores have a file. */
static void add_config(const struct settings *settings, struct strbuf *out)
{
	unsigned i;

	strbuf_adds(out, ",\"config\":{");
	for (i = 0; i < conf_nr_keys(settings->conf); i++) {
		const struct conf_key *key = conf_key_at(settings->conf, i);

		if (i > 0)
			strbuf_addc(out, ',');
		json_cstring(out, key->name);
		strbuf_addc(out, ':');
		if (key->type == CONF_COUNT)
			strbuf_adds(out, conf_text_at(settings->conf, i));
		else
			json_cstring(out, conf_text_at(settings->conf, i));
	}
	strbuf_adds(out, "}");
}

static void add_cache(struct cache *cache, struct strbuf *out)
{
	struct cache_stats st;

	cache_stats(cache, &st);
	strbuf_addf(out, ",\"cache\":{\"chunk_size\":%llu", 1ull << cache_chunk_shift(cache));
	add_number(out, "size", st.size);
	add_number(out, "used", st.used);
	add_number(out, "pinned", st.pinned);
	add_number(out, "objects", st.objects);
	add_number(out, "chunks_ready", st.chunks_ready);
	add_number(out, "chunks_loading", st.chunks_loading);
	add_number(out, "evictions", st.evictions);
	add_number(out, "evicted_bytes", st.evicted_bytes);
	add_number(out, "verified", st.verified);
	add_number(out, "mismatches", st.mismatches);
	add_number(out, "refills", st.refills);
	strbuf_addf(out, ",\"wants_touch\":%s}", cache_wants_touch(cache) ? "true" : "false");
}

int report_write(const struct report_sources *from, uid_t viewer, struct strbuf *out)
{
	/* A daemon of one user has nothing to hide from it; root's daemon serves several. */
	const bool sees_all = viewer == 0 || viewer == geteuid();

	strbuf_addc(out, '{');
	add_daemon(from, out);
	if (sees_all)
		add_config(from->settings, out);
	add_cache(from->cache, out);
	strbuf_addc(out, ',');
	mounts_report(from->mounts, sees_all ? 0 : viewer, out);
	strbuf_addc(out, ',');
	sessions_report(from->sessions, sees_all ? 0 : viewer, out);
	strbuf_adds(out, "}\n");
	return strbuf_error(out);
}
