#include "libclient/cli/cli.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int run(int argc, char **argv)
{
	const char *oss_path = argc > 1 ? argv[1] : getenv("OSS_PATH");
	struct target t;
	int code;

	if (argc > 3 || oss_path == NULL || oss_path[0] == '-' || oss_path[0] == '\0')
		return fail_usage(&cmd_mount, "mount: which oss://bucket/prefix/?");
	code = target_mount(&t, oss_path, argc > 2 ? argv[2] : NULL, OSSC_KEEP | OSSC_PREFETCH);
	if (code == EXIT_DONE)
		printf("%s is mounted until `ossc umount %s`\n", oss_path, oss_path);
	target_close(&t);
	return code;
}

const struct cmd cmd_mount = {
	.name = "mount",
	.synopsis = "[oss://BUCKET/PREFIX/ [DIR]]",
	.summary = "let the daemon keep a mount, ready for programs to come",
	.help = "The daemon lists the prefix and keeps the mount, with these credentials, until\n"
		"umount.  Programs started with ENABLE_CONNECTOR=1 or 2 and the same OSS_PATH\n"
		"attach to it.  DIR is the MODEL_DIR it is meant for; nothing is made there.\n",
	.run = run,
};
