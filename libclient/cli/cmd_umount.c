#include "libclient/cli/cli.h"

#include <stdlib.h>

static int run(int argc, char **argv)
{
	const char *oss_path = argc > 1 ? argv[1] : getenv("OSS_PATH");
	struct target t;
	int r, code;

	if (argc > 2 || oss_path == NULL || oss_path[0] == '-' || oss_path[0] == '\0')
		return fail_usage(&cmd_umount, "umount: which oss://bucket/prefix/?");
	code = target_mount(&t, oss_path, NULL, 0);
	if (code == EXIT_DONE) {
		r = ossc_unkeep(t.mount);
		if (r != 0)
			code = target_fail(&t, oss_path, r);
	}
	target_close(&t);
	return code;
}

const struct cmd cmd_umount = {
	.name = "umount",
	.synopsis = "[oss://BUCKET/PREFIX/]",
	.summary = "let the daemon forget a mount that it keeps",
	.help = "Programs that use the mount go on; it ends when the last of them does.\n",
	.run = run,
};
