#include "libclient/cli/report.h"
#include "libclient/cli/cli.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define TEXT_LEN	 1100
#define NAME_WIDTH	 44 /* of the first column, where there is room */
#define NAME_WIDTH_LEAST 14
#define FILES_MAX	 64 /* of a mount, sorted; the daemon tells of fewer */

/* Columns that a table takes behind its first one. */
enum {
	OF_MOUNTS = 72,
	OF_FILES = 50,
	OF_SOURCES = 70,
	OF_CLIENTS = 44,
};

static uint64_t number(const char *value, const char *path)
{
	return json_number(json_find(value, path));
}

static const char *bytes(const char *value, const char *path, char buf[32])
{
	return human_bytes(number(value, path), buf);
}

/* "1.5 GiB/s" of a counter that rises; "-" where that is not known. */
static const char *rate(const struct report *r, const char *now, const char *before,
			const char *path, char buf[32])
{
	uint64_t a = number(before, path), b = number(now, path);
	char text[32];

	if (before == NULL || r->seconds <= 0 || b < a)
		return "-";
	snprintf(buf, 32, "%s/s", human_bytes((uint64_t)((double)(b - a) / r->seconds), text));
	return buf;
}

static bool is_same(const char *a, const char *b, const char *path)
{
	char text[2][TEXT_LEN];
	const char *va = json_find(a, path), *vb = json_find(b, path);

	return strcmp(json_text(va, text[0], TEXT_LEN), json_text(vb, text[1], TEXT_LEN)) == 0 &&
	       json_number(va) == json_number(vb);
}

/* The element of the earlier array that tells of the same; keys: up to a NULL. */
static const char *earlier(const char *array, const char *element, const char *const *keys)
{
	const char *e = json_first(array);
	unsigned i;

	for (; e != NULL; e = json_next(e)) {
		for (i = 0; keys[i] != NULL && is_same(e, element, keys[i]); i++)
			;
		if (keys[i] == NULL)
			return e;
	}
	return NULL;
}

/* The first column; of a path that is too long the end says more. */
static void print_name(const struct report *r, int others, const char *name)
{
	int len = (int)strlen(name), width = NAME_WIDTH;

	if (r->columns > 0 && r->columns < NAME_WIDTH + others)
		width = r->columns - others;
	if (width < NAME_WIDTH_LEAST)
		width = NAME_WIDTH_LEAST;
	if (r->columns > 0 && len > width) {
		name += len - (width - 2);
		while (((unsigned char)*name & 0xc0) == 0x80) /* not into the middle of a letter */
			name++;
		fprintf(r->out, "..%s", name);
	} else {
		fprintf(r->out, "%-*s", width, name);
	}
}

static void print_head(const struct report *r)
{
	const char *json = r->json;
	char text[256], buf[3][32];

	fprintf(r->out, "daemon    osscd %s, pid %" PRIu64 ", up %s\n",
		json_text(json_find(json, "daemon.version"), text, 64), number(json, "daemon.pid"),
		human_seconds(number(json, "daemon.uptime_ms") / 1000, buf[0]));
	fprintf(r->out, "socket    %s\n",
		json_text(json_find(json, "daemon.socket"), text, sizeof(text)));
	json_text(json_find(json, "daemon.log"), text, sizeof(text));
	fprintf(r->out, "log       %s\n", text[0] != '\0' ? text : "its standard error");
	fprintf(r->out, "cache     %s of %s used, %s pinned, %" PRIu64 " objects%s\n",
		bytes(json, "cache.used", buf[0]), bytes(json, "cache.size", buf[1]),
		bytes(json, "cache.pinned", buf[2]), number(json, "cache.objects"),
		json_is_true(json_find(json, "cache.wants_touch")) ? "; full: waits for readers"
								   : "");
	fprintf(r->out, "verified  %" PRIu64 " objects, %" PRIu64 " mismatches\n",
		number(json, "cache.verified"), number(json, "cache.mismatches"));
	fprintf(r->out, "fetched   %s, ", bytes(json, "fetch.bytes", buf[0]));
	if (r->before != NULL)
		fprintf(r->out, "%s, ", rate(r, json, r->before, "fetch.bytes", buf[1]));
	fprintf(r->out,
		"%" PRIu64 " requests, %" PRIu64 " retries, %" PRIu64 " errors, %" PRIu64
		" in flight",
		number(json, "fetch.requests"), number(json, "fetch.retries"),
		number(json, "fetch.errors"), number(json, "fetch.in_flight"));
	if (number(json, "fetch.throttled") > 0)
		fprintf(r->out, ", asked to slow down %" PRIu64 " times",
			number(json, "fetch.throttled"));
	fputc('\n', r->out);
}

static void print_mount(const struct report *r, const char *m)
{
	static const char *const keys[] = { "oss_path", "model_dir", "uid", NULL };
	const char *before = earlier(json_find(r->before, "mounts"), m, keys);
	uint64_t total = number(m, "download.total"), done = number(m, "download.bytes");
	char text[TEXT_LEN], buf[3][32];

	print_name(r, OF_MOUNTS, json_text(json_find(m, "oss_path"), text, sizeof(text)));
	json_text(json_find(m, "prefetch"), text, sizeof(text));
	if (strcmp(text, "waiting") == 0)
		snprintf(text, sizeof(text), "waits for an open");
	fprintf(r->out, " %8" PRIu64 " %10s %10s %12s %7" PRIu64 "  %s", number(m, "files"),
		bytes(m, "bytes", buf[0]), bytes(m, "cached_bytes", buf[1]),
		rate(r, m, before, "received", buf[2]), number(m, "sessions"),
		json_is_true(json_find(m, "listing")) && number(m, "files") == 0 ? "listing"
										 : text);
	if (strcmp(text, "running") == 0 && total > 0)
		fprintf(r->out, " %.0f %%",
			100.0 * (double)(done < total ? done : total) / (double)total);
	fprintf(r->out, "%s\n", json_is_true(json_find(m, "keep")) ? ", kept" : "");
}

static void print_mounts(const struct report *r)
{
	const char *m = json_first(json_find(r->json, "mounts"));

	if (m == NULL)
		return;
	fputc('\n', r->out);
	print_name(r, OF_MOUNTS, "MOUNT");
	fprintf(r->out, " %8s %10s %10s %12s %7s  %s\n", "FILES", "SIZE", "CACHED", "RATE",
		"CLIENTS", "PREFETCH");
	for (; m != NULL; m = json_next(m))
		print_mount(r, m);
}

static int by_path(const void *a, const void *b)
{
	const char *const *one = a, *const *other = b;
	char text[2][TEXT_LEN];

	return strcmp(json_text(json_find(*one, "path"), text[0], TEXT_LEN),
		      json_text(json_find(*other, "path"), text[1], TEXT_LEN));
}

static void print_file(const struct report *r, const char *f, const char *before)
{
	char text[TEXT_LEN], buf[3][32];

	print_name(r, OF_FILES, json_text(json_find(f, "path"), text, sizeof(text)));
	fprintf(r->out, " %8" PRIu64 " %10s %10s %12s%s\n", number(f, "in_flight"),
		bytes(f, "bytes", buf[0]), bytes(f, "cached_bytes", buf[1]),
		rate(r, f, before, "received", buf[2]),
		json_is_true(json_find(f, "opened")) ? "  open" : "");
}

/* By name, so that a line stays where it is from look to look. */
static void print_files_of(const struct report *r, const char *m, bool *is_first)
{
	static const char *const of_mount[] = { "oss_path", "model_dir", "uid", NULL };
	static const char *const of_file[] = { "path", NULL };
	const char *old = earlier(json_find(r->before, "mounts"), m, of_mount);
	const char *f = json_first(json_find(m, "active")), *files[FILES_MAX];
	unsigned nr = 0, i;

	for (; f != NULL && nr < FILES_MAX; f = json_next(f))
		files[nr++] = f;
	qsort(files, nr, sizeof(files[0]), by_path);
	if (nr > 0 && *is_first) {
		fputc('\n', r->out);
		print_name(r, OF_FILES, "FILE");
		fprintf(r->out, " %8s %10s %10s %12s\n", "REQUESTS", "SIZE", "CACHED", "RATE");
		*is_first = false;
	}
	for (i = 0; i < nr; i++)
		print_file(r, files[i], earlier(json_find(old, "active"), files[i], of_file));
}

static void print_sources(const struct report *r)
{
	static const char *const keys[] = { "address", NULL };
	const char *s = json_first(json_find(r->json, "sources")), *before;
	char text[96], buf[2][32];

	if (s == NULL)
		return;
	fputc('\n', r->out);
	print_name(r, OF_SOURCES, "SOURCE ADDRESS");
	fprintf(r->out, " %8s %10s %10s %12s %7s  %s\n", "IN USE", "CONNECTED", "RECEIVED", "RATE",
		"ERRORS", "STATE");
	for (; s != NULL; s = json_next(s)) {
		before = earlier(json_find(r->before, "sources"), s, keys);
		print_name(r, OF_SOURCES, json_text(json_find(s, "address"), text, sizeof(text)));
		fprintf(r->out, " %8" PRIu64 " %10" PRIu64 " %10s %12s %7" PRIu64 "  ",
			number(s, "in_flight"), number(s, "connections"), bytes(s, "bytes", buf[0]),
			rate(r, s, before, "bytes", buf[1]), number(s, "errors"));
		if (!json_is_true(json_find(s, "out")))
			fputs("in use\n", r->out);
		else if (number(s, "out_ms") > 0)
			fprintf(r->out, "left out for %s\n",
				human_seconds((number(s, "out_ms") + 999) / 1000, buf[0]));
		else
			fputs("left out, to be tried\n", r->out);
	}
}

static void print_clients(const struct report *r)
{
	const char *s = json_first(json_find(r->json, "sessions"));
	char text[512];

	if (s == NULL)
		return;
	fputc('\n', r->out);
	print_name(r, OF_CLIENTS, "CLIENT");
	fprintf(r->out, " %8s %10s %10s %12s\n", "PID", "UID", "OPEN", "PINNED");
	for (; s != NULL; s = json_next(s)) {
		print_name(r, OF_CLIENTS, json_text(json_find(s, "exe"), text, sizeof(text)));
		fprintf(r->out, " %8" PRIu64 " %10" PRIu64 " %10" PRIu64 " %12" PRIu64 "\n",
			number(s, "pid"), number(s, "uid"), number(s, "objects"),
			number(s, "pins"));
	}
}

void report_print(const struct report *r)
{
	const char *m;
	bool is_first = true;

	print_head(r);
	print_mounts(r);
	for (m = json_first(json_find(r->json, "mounts")); m != NULL; m = json_next(m))
		print_files_of(r, m, &is_first);
	print_sources(r);
	print_clients(r);
}
