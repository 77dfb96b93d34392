#include "libclient/cli/download.h"
#include "libclient/cli/cli.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RETRIED_LATELY_MS 3000u
#define STILL_SECONDS	  3.0 /* without a byte */
#define SMOOTH_SECONDS	  2.5
#define SLOWED_SECONDS	  5.0 /* so long it is told of */

/* As the daemon writes it there may be a slash at the end. */
static bool is_path(const char *shown, const char *wanted)
{
	size_t len = strlen(wanted);

	while (len > 0 && wanted[len - 1] == '/')
		len--;
	return strncmp(shown, wanted, len) == 0 && strspn(shown + len, "/") == strlen(shown + len);
}

/* Of several with that name (other keys, other endpoints) the one that is at work. */
static const char *find_mount(const char *json, const char *oss_path)
{
	const char *m, *found = NULL;
	char text[1100];

	for (m = json_first(json_find(json, "mounts")); m != NULL; m = json_next(m)) {
		json_text(json_find(m, "oss_path"), text, sizeof(text));
		if (!is_path(text, oss_path) || json_number(json_find(m, "uid")) != geteuid())
			continue;
		found = m;
		json_text(json_find(m, "download.state"), text, sizeof(text));
		if (strcmp(text, "running") == 0)
			break;
	}
	return found;
}

static void reckon(struct download *d, uint64_t before, double now)
{
	double weight = (now - d->looked) / SMOOTH_SECONDS;

	if (d->rate == 0 && d->ms > 0)
		d->rate = (double)d->bytes * 1000 / (double)d->ms;
	else if (now > d->looked && d->bytes >= before)
		d->rate += (weight < 1 ? weight : 1) *
			   ((double)(d->bytes - before) / (now - d->looked) - d->rate);
	if (d->bytes != before || d->moved == 0)
		d->moved = now;
	d->looked = now;
}

void download_look(struct download *d, const char *json, const char *oss_path, double now)
{
	const char *m = find_mount(json, oss_path), *download = json_find(m, "download");
	uint64_t before = d->bytes, throttled;

	json_text(json_find(download, "state"), d->state, sizeof(d->state));
	if (m == NULL) {
		d->listing = false;
		d->looked = now;
		return;
	}
	d->listing =
		json_is_true(json_find(m, "listing")) && json_number(json_find(m, "files")) == 0;
	d->cache_full = json_is_true(json_find(json, "cache.wants_touch"));
	throttled = json_number(json_find(json, "fetch.throttled"));
	if (throttled > d->throttled && d->looked > 0)
		d->slowed = now;
	d->throttled = throttled;
	d->bytes = json_number(json_find(download, "bytes"));
	d->total = json_number(json_find(download, "total"));
	d->ms = json_number(json_find(download, "ms"));
	d->requests = json_number(json_find(download, "requests"));
	d->retries = json_number(json_find(download, "retries"));
	d->in_flight = json_number(json_find(m, "in_flight"));
	d->failed = json_number(json_find(m, "failed"));
	d->why = (unsigned)json_number(json_find(download, "why"));
	d->retried_ms = d->why != 0 ? json_number(json_find(download, "retried_ms")) : UINT64_MAX;
	reckon(d, before, now);
}

bool download_is_running(const struct download *d)
{
	return strcmp(d->state, "running") == 0;
}

bool download_is_over(const struct download *d)
{
	return strcmp(d->state, "done") == 0 || strcmp(d->state, "stopped") == 0;
}

bool download_is_whole(const struct download *d)
{
	return strcmp(d->state, "done") == 0 && d->failed == 0;
}

/* What it waits for before it begins. */
static const char *say_not_begun(const struct download *d)
{
	if (d->listing)
		return "waits for the store's listing";
	if (d->state[0] == '\0')
		return "waits for a program that reads it";
	if (strcmp(d->state, "off") == 0)
		return "nothing is downloaded ahead: files come as they are read";
	return "waits for the first file to be opened";
}

/* In powers of ten, as networks are sold. */
static void say_bytes(uint64_t bytes, const char *per, char buf[32])
{
	static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
	double n = (double)bytes;
	unsigned i = 0;

	while (n >= 1000 && i < sizeof(units) / sizeof(units[0]) - 1) {
		n /= 1000;
		i++;
	}
	snprintf(buf, 32, i == 0 ? "%.0f %s%s" : "%.1f %s%s", n, units[i], per);
}

static bool is_still(const struct download *d, double now)
{
	return d->bytes > 0 && now - d->moved >= STILL_SECONDS;
}

/* What it waits for; "" while all is well.  Behind "nothing for 5 s" in fewer words. */
static void say_wait(const struct download *d, bool still, double now, char text[96])
{
	const char *again = still ? ": " : "; asks again: ";
	const bool lately = d->why != 0 && (d->retried_ms < RETRIED_LATELY_MS || still);

	text[0] = '\0';
	if (d->cache_full && d->in_flight == 0)
		snprintf(text, 96, "; the cache is full: waits for readers");
	else if (lately && d->why >= 300 && d->why < 600)
		snprintf(text, 96, "%sthe store answered %u", again, d->why);
	else if (lately)
		snprintf(text, 96, "%s%.60s", again, strerror((int)d->why));
	else if (d->bytes == 0)
		snprintf(text, 96, "; waits for the first bytes");
	else if (d->slowed > 0 && now - d->slowed < SLOWED_SECONDS)
		snprintf(text, 96, "; the store asks to slow down");
}

void download_say(const struct download *d, double now, char text[DOWNLOAD_TEXT])
{
	const bool still = is_still(d, now);
	char bytes[32], total[32], pace[48], left[48] = "", wait[96], buf[32];

	if (d->listing || !download_is_running(d)) {
		snprintf(text, DOWNLOAD_TEXT, "%s", say_not_begun(d));
		return;
	}
	say_bytes(d->bytes, "", bytes);
	say_bytes(d->total > d->bytes ? d->total : d->bytes, "", total);
	say_wait(d, still, now, wait);
	say_bytes((uint64_t)d->rate, "/s", buf);
	snprintf(pace, sizeof(pace), ", %s", buf);
	/* A terminal has 80 columns: what is amiss matters more than a guess of what is left. */
	if (still)
		snprintf(pace, sizeof(pace), "; nothing for %s",
			 human_seconds((uint64_t)(now - d->moved), buf));
	else if (wait[0] == '\0' && d->rate >= 1 && d->total > d->bytes)
		snprintf(left, sizeof(left), ", %s left",
			 human_seconds((uint64_t)((double)(d->total - d->bytes) / d->rate) + 1,
				       buf));
	snprintf(text, DOWNLOAD_TEXT, "%s of %s%s%s%s", bytes, total, pace, left, wait);
}

void download_say_end(const struct download *d, char text[DOWNLOAD_TEXT])
{
	double seconds = (double)(d->ms > 0 ? d->ms : 1) / 1000;
	char bytes[32], more[80] = "";

	say_bytes(d->bytes, "", bytes);
	if (d->failed > 0)
		snprintf(more, sizeof(more), "; %llu file%s failed, the daemon's log says why",
			 (unsigned long long)d->failed, d->failed == 1 ? "" : "s");
	else if (strcmp(d->state, "stopped") == 0)
		snprintf(more, sizeof(more), "; it stopped there, the daemon's log says why");
	else if (d->state[0] == '\0')
		snprintf(more, sizeof(more), "; the mount is gone");
	snprintf(text, DOWNLOAD_TEXT, "%s in %.1f s, %.2f GB/s, %llu request%s, %llu retr%s%s",
		 bytes, seconds, (double)d->bytes / 1e9 / seconds, (unsigned long long)d->requests,
		 d->requests == 1 ? "" : "s", (unsigned long long)d->retries,
		 d->retries == 1 ? "y" : "ies", more);
}
