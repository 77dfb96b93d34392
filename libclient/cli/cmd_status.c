#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define WATCH_SECONDS 2

static void print_head(const char *json)
{
	char text[256], buf[3][32];
	uint64_t size = json_number(json_find(json, "cache.size"));
	uint64_t used = json_number(json_find(json, "cache.used"));

	printf("daemon    osscd %s, pid %llu, up %s\n",
	       json_text(json_find(json, "daemon.version"), text, 64),
	       (unsigned long long)json_number(json_find(json, "daemon.pid")),
	       human_seconds(json_number(json_find(json, "daemon.uptime_ms")) / 1000, buf[0]));
	printf("socket    %s\n", json_text(json_find(json, "daemon.socket"), text, sizeof(text)));
	printf("cache     %s of %s used, %s pinned, %llu objects\n", human_bytes(used, buf[0]),
	       human_bytes(size, buf[1]),
	       human_bytes(json_number(json_find(json, "cache.pinned")), buf[2]),
	       (unsigned long long)json_number(json_find(json, "cache.objects")));
	printf("verified  %llu objects, %llu mismatches\n",
	       (unsigned long long)json_number(json_find(json, "cache.verified")),
	       (unsigned long long)json_number(json_find(json, "cache.mismatches")));
}

static void print_fetch(const char *json, double seconds, uint64_t *last_bytes)
{
	const char *fetch = json_find(json, "fetch");
	uint64_t bytes = json_number(json_find(fetch, "bytes"));
	char buf[2][32];

	if (fetch == NULL)
		return;
	printf("fetched   %s in %llu requests, %llu retries, %llu errors; %llu in flight",
	       human_bytes(bytes, buf[0]),
	       (unsigned long long)json_number(json_find(fetch, "requests")),
	       (unsigned long long)json_number(json_find(fetch, "retries")),
	       (unsigned long long)json_number(json_find(fetch, "errors")),
	       (unsigned long long)json_number(json_find(fetch, "in_flight")));
	if (seconds > 0 && bytes >= *last_bytes)
		printf("; %s/s",
		       human_bytes((uint64_t)((double)(bytes - *last_bytes) / seconds), buf[1]));
	putchar('\n');
	*last_bytes = bytes;
}

static void print_mounts(const char *json)
{
	const char *m = json_first(json_find(json, "mounts"));
	char text[1100], word[32], buf[2][32];

	if (m != NULL)
		printf("\n%-44s %9s %10s %10s %8s %s\n", "MOUNT", "FILES", "SIZE", "CACHED",
		       "SESSIONS", "PREFETCH");
	for (; m != NULL; m = json_next(m))
		printf("%-44s %9llu %10s %10s %8llu %s%s\n",
		       json_text(json_find(m, "oss_path"), text, sizeof(text)),
		       (unsigned long long)json_number(json_find(m, "files")),
		       human_bytes(json_number(json_find(m, "bytes")), buf[0]),
		       human_bytes(json_number(json_find(m, "cached_bytes")), buf[1]),
		       (unsigned long long)json_number(json_find(m, "sessions")),
		       json_text(json_find(m, "prefetch"), word, sizeof(word)),
		       json_is_true(json_find(m, "keep")) ? ", kept" : "");
}

static void print_sources(const char *json)
{
	const char *s = json_first(json_find(json, "sources"));
	char text[64], buf[32];

	if (s != NULL)
		printf("\n%-44s %9s %10s %10s %8s\n", "SOURCE ADDRESS", "CONNECTED", "RECEIVED",
		       "ERRORS", "STATE");
	for (; s != NULL; s = json_next(s))
		printf("%-44s %9llu %10s %10llu %8s\n",
		       json_text(json_find(s, "address"), text, sizeof(text)),
		       (unsigned long long)json_number(json_find(s, "connections")),
		       human_bytes(json_number(json_find(s, "bytes")), buf),
		       (unsigned long long)json_number(json_find(s, "errors")),
		       json_is_true(json_find(s, "out")) ? "left out" : "in use");
}

static int print_once(struct ossc *conn, bool as_json, double seconds, uint64_t *last_bytes)
{
	const struct target t = { .conn = conn };
	char *json;
	int r = ossc_status(conn, &json);

	if (r != 0)
		return target_fail(&t, "status", r);
	if (as_json) {
		fputs(json, stdout);
		if (json[0] != '\0' && json[strlen(json) - 1] != '\n')
			putchar('\n');
	} else {
		print_head(json);
		print_fetch(json, seconds, last_bytes);
		print_mounts(json);
		print_sources(json);
	}
	free(json);
	return fflush(stdout) == 0 ? EXIT_DONE : fail("standard output: %s", strerror(errno));
}

static int run(int argc, char **argv)
{
	bool as_json = false, watch = false, terminal = isatty(STDOUT_FILENO) == 1;
	uint64_t last_bytes = 0;
	double last = 0;
	struct ossc *conn;
	int i, code;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0)
			as_json = true;
		else if (strcmp(argv[i], "--watch") == 0)
			watch = true;
		else
			return fail_usage(&cmd_status, "status: unknown argument %s", argv[i]);
	}
	/* Asking how a daemon is starts none. */
	code = target_connect(&conn, OSSC_NO_START);
	if (code != EXIT_DONE)
		return code;
	do {
		double now = now_seconds();

		if (watch && terminal && !as_json)
			fputs("\033[H\033[2J", stdout);
		code = print_once(conn, as_json, last > 0 ? now - last : 0, &last_bytes);
		last = now;
		if (watch && code == EXIT_DONE)
			sleep(WATCH_SECONDS);
	} while (watch && code == EXIT_DONE);
	ossc_disconnect(conn);
	return code;
}

const struct cmd cmd_status = {
	.name = "status",
	.synopsis = "[--json] [--watch]",
	.summary = "what the daemon does: cache, mounts, downloads, source addresses",
	.help = "  --json   as JSON\n"
		"  --watch  again every two seconds, until interrupted\n",
	.run = run,
};
