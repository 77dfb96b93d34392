#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LOOK_MS	    100
#define STILL_LOOKS 20 /* so many without a byte or a request: nothing more comes by itself */

/* The same directory, with or without a slash at its end. */
static bool same_path(const char *a, const char *b)
{
	size_t len_a = strlen(a), len_b = strlen(b);

	while (len_a > 0 && a[len_a - 1] == '/')
		len_a--;
	while (len_b > 0 && b[len_b - 1] == '/')
		len_b--;
	return len_a == len_b && strncmp(a, b, len_a) == 0;
}

/* Our mount's prefetch, as the daemon says it. */
struct progress {
	char word[32];
	uint64_t cached, bytes, in_flight, failed;
};

static int look(const struct target *t, struct progress *ret)
{
	const char *m;
	char text[1100];
	char *json;
	int r = ossc_status(t->conn, &json);

	if (r != 0)
		return target_fail(t, "status", r);
	*ret = (struct progress){ 0 };
	for (m = json_first(json_find(json, "mounts")); m != NULL; m = json_next(m)) {
		json_text(json_find(m, "oss_path"), text, sizeof(text));
		if (!same_path(text, t->oss_path) ||
		    json_number(json_find(m, "uid")) != (uint64_t)geteuid())
			continue;
		json_text(json_find(m, "prefetch"), ret->word, sizeof(ret->word));
		ret->cached = json_number(json_find(m, "cached_bytes"));
		ret->bytes = json_number(json_find(m, "bytes"));
		ret->in_flight = json_number(json_find(m, "in_flight"));
		ret->failed = json_number(json_find(m, "failed"));
		if (strcmp(ret->word, "running") == 0)
			break;
	}
	free(json);
	return EXIT_DONE;
}

static int say_end(const struct progress *p)
{
	char buf[2][32];

	human_bytes(p->cached, buf[0]);
	human_bytes(p->bytes, buf[1]);
	if (p->word[0] == '\0')
		return fail("prefetch: the daemon does not tell how far it is; see its log");
	if (strcmp(p->word, "running") == 0)
		return fail("prefetch: the cache is full with %s of %s in it: the rest comes as "
			    "files are read; a larger cache.size holds more",
			    buf[0], buf[1]);
	if (p->failed > 0)
		return fail("prefetch: %llu file%s could not be downloaded, %s are in the cache; "
			    "the daemon's log says why",
			    (unsigned long long)p->failed, p->failed == 1 ? "" : "s", buf[0]);
	if (strcmp(p->word, "stopped") == 0)
		return fail("prefetch: it stopped at %s of %s: the daemon's log says why", buf[0],
			    buf[1]);
	printf("%s in the cache\n", buf[0]);
	return EXIT_DONE;
}

static int wait_until_done(const struct target *t)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000l };
	struct progress p;
	uint64_t cached = 0;
	unsigned still = 0;

	for (;;) {
		if (look(t, &p) != EXIT_DONE)
			return EXIT_FAILED;
		if (strcmp(p.word, "running") != 0)
			break;
		/* A cache that is full fetches no more until somebody reads. */
		still = p.in_flight == 0 && p.cached == cached ? still + 1 : 0;
		if (still == STILL_LOOKS)
			break;
		cached = p.cached;
		nanosleep(&pause, NULL);
	}
	return say_end(&p);
}

static int run(int argc, char **argv)
{
	const char *arg = NULL;
	bool wait = false;
	struct target t;
	int i, r, code;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--wait") == 0)
			wait = true;
		else if (argv[i][0] == '-' || arg != NULL)
			return fail_usage(&cmd_prefetch, "prefetch: unexpected %s", argv[i]);
		else
			arg = argv[i];
	}
	code = target_open(&t, arg, OSSC_KEEP | OSSC_REFRESH);
	if (code == EXIT_DONE) {
		r = ossc_prefetch(t.mount, t.path);
		if (r != 0)
			code = target_fail(&t, t.path, r);
		else if (wait)
			code = wait_until_done(&t);
		else
			printf("the daemon downloads %s%s; `ossc status` shows how far it is\n",
			       t.oss_path, t.path);
	}
	target_close(&t);
	return code;
}

const struct cmd cmd_prefetch = {
	.name = "prefetch",
	.synopsis = "[--wait] [PATH]",
	.summary = "download a file or directory into the cache ahead of its readers",
	.help = "The mount is kept until `ossc umount`.  --wait returns when the download is "
		"done.\n",
	.run = run,
};
