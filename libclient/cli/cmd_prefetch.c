#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LOOK_MS 250

/* The state of our mount's prefetch, and how much of it is cached. */
static int look(const struct target *t, char word[32], uint64_t *ret_cached, uint64_t *ret_bytes)
{
	const char *m;
	char text[1100];
	char *json;
	int r = ossc_status(t->conn, &json);

	if (r != 0)
		return target_fail(t, "status", r);
	word[0] = '\0';
	for (m = json_first(json_find(json, "mounts")); m != NULL; m = json_next(m)) {
		size_t len;

		json_text(json_find(m, "oss_path"), text, sizeof(text));
		len = strlen(text);
		if (len == 0 || strncmp(text, t->oss_path, len - (text[len - 1] == '/')) != 0)
			continue;
		json_text(json_find(m, "prefetch"), word, 32);
		*ret_cached = json_number(json_find(m, "cached_bytes"));
		*ret_bytes = json_number(json_find(m, "bytes"));
		if (strcmp(word, "running") == 0)
			break;
	}
	free(json);
	return EXIT_DONE;
}

static int wait_until_done(const struct target *t)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000l };
	uint64_t cached = 0, bytes = 0;
	char word[32], buf[2][32];

	for (;;) {
		if (look(t, word, &cached, &bytes) != EXIT_DONE)
			return EXIT_FAILED;
		if (strcmp(word, "running") != 0)
			break;
		nanosleep(&pause, NULL);
	}
	if (strcmp(word, "stopped") == 0)
		return fail("prefetch: it stopped at %s of %s: the cache is full or the store "
			    "failed, see the daemon's log",
			    human_bytes(cached, buf[0]), human_bytes(bytes, buf[1]));
	printf("%s in the cache\n", human_bytes(cached, buf[0]));
	return EXIT_DONE;
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
