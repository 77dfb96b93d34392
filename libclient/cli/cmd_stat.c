#include "libclient/cli/cli.h"

#include <stdio.h>
#include <time.h>

static int print_stat(const char *arg)
{
	struct ossc_stat st = { .size = sizeof(st) };
	struct target t;
	int r, code = target_open(&t, arg, 0);

	if (code == EXIT_DONE) {
		r = target_stat(&t, &st);
		if (r != 0)
			code = target_fail(&t, t.path, r);
	}
	if (code == EXIT_DONE) {
		time_t seconds = (time_t)(st.mtime_ns / 1000000000);
		struct tm tm;
		char date[32];

		gmtime_r(&seconds, &tm);
		strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%SZ", &tm);
		printf("path:     %s\nmount:    %s\nkind:     %s\nsize:     %llu\nmodified: %s\n"
		       "inode:    %llu\n",
		       t.path, t.oss_path, st.is_dir ? "directory" : "file",
		       (unsigned long long)st.file_size, date, (unsigned long long)st.ino);
		if (!st.is_dir)
			printf("etag:     %s\n", st.etag);
	}
	target_close(&t);
	return code;
}

static int run(int argc, char **argv)
{
	int i, code = EXIT_DONE;

	if (argc < 2)
		return fail_usage(&cmd_stat, "stat: which PATH?");
	if (argv[1][0] == '-')
		return fail_usage(&cmd_stat, "stat: unknown option %s", argv[1]);
	for (i = 1; i < argc && code == EXIT_DONE; i++)
		code = print_stat(argv[i]);
	return code;
}

const struct cmd cmd_stat = {
	.name = "stat",
	.synopsis = "PATH...",
	.summary = "size, time, ETag and inode of a file or directory",
	.run = run,
};
