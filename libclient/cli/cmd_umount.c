#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LOOK_MS 500

/* Attach to the mount that is there: nothing is listed, and no daemon started, to be forgotten. */
static int find_mount(struct target *t, const char *oss_path)
{
	const struct ossc_mount_options options = {
		.size = sizeof(options),
		.oss_path = oss_path,
		.flags = OSSC_SECONDARY,
		.timeout_ms = LOOK_MS,
	};
	int r;

	*t = (struct target){ .oss_path = strdup(oss_path), .path = strdup("") };
	if (t->oss_path == NULL || t->path == NULL)
		return fail("memory is short");
	if (target_connect(&t->conn, OSSC_NO_START) != EXIT_DONE)
		return EXIT_FAILED;
	r = ossc_mount(t->conn, &options, &t->mount);
	if (r == -ENOENT)
		return fail("%s is not mounted for this user with these credentials; see `ossc "
			    "status`",
			    oss_path);
	return r == 0 ? EXIT_DONE : target_fail(t, oss_path, r);
}

static int run(int argc, char **argv)
{
	const char *oss_path = argc > 1 ? argv[1] : getenv("OSS_PATH");
	struct target t;
	int r, code;

	if (argc > 2 || oss_path == NULL || oss_path[0] == '-' || oss_path[0] == '\0')
		return fail_usage(&cmd_umount, "umount: which oss://bucket/prefix/?");
	code = find_mount(&t, oss_path);
	if (code == EXIT_DONE) {
		r = ossc_unkeep(t.mount);
		if (r != 0)
			code = target_fail(&t, oss_path, r);
		else
			printf("%s is kept no longer: it goes expireTimeSec after its last "
			       "reader\n",
			       oss_path);
	}
	target_close(&t);
	return code;
}

const struct cmd cmd_umount = {
	.name = "umount",
	.synopsis = "[oss://BUCKET/PREFIX/]",
	.summary = "let the daemon forget a mount that it keeps",
	.help = "Programs that use the mount go on.  It ends, and its download with it, when the\n"
		"last of them has ended and expireTimeSec (120) has passed.\n",
	.run = run,
	.starts_none = true,
};
