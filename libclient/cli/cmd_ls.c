#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define OUT_LEN (64u << 10)

struct listing {
	bool is_long;
	uint64_t nr_files, bytes;
};

static void print_name(const char *path)
{
	/* A name is printed so that it cannot move the terminal's cursor. */
	while (*path != '\0') {
		size_t len = 0;

		while ((unsigned char)path[len] >= 0x20 && path[len] != 0x7f)
			len++;
		fwrite_unlocked(path, 1, len, stdout);
		path += len;
		if (*path != '\0')
			printf("\\x%02x", (unsigned char)*path++);
	}
}

static int print_entry(const char *path, const struct ossc_stat *st, void *arg)
{
	struct listing *l = arg;

	if (l->is_long) {
		time_t seconds = (time_t)(st->mtime_ns / 1000000000);
		struct tm tm;
		char date[32];

		gmtime_r(&seconds, &tm);
		strftime(date, sizeof(date), "%Y-%m-%d %H:%M:%S", &tm);
		printf("%s %15llu %s ", st->is_dir ? "dr-xr-xr-x" : "-r--r--r--",
		       (unsigned long long)st->file_size, date);
	}
	print_name(path);
	fputs_unlocked(st->is_dir ? "/\n" : "\n", stdout);
	if (!st->is_dir) {
		l->nr_files++;
		l->bytes += st->file_size;
	}
	return ferror(stdout) ? -EIO : 0;
}

static int list(const char *arg, unsigned flags, struct listing *l)
{
	struct ossc_stat st = { .size = sizeof(st) };
	struct target t;
	int r, code;

	code = target_open(&t, arg, OSSC_REFRESH);
	if (code == EXIT_DONE) {
		r = ossc_stat(t.mount, t.path, &st);
		if (r == 0 && st.is_dir)
			r = ossc_list(t.mount, t.path, flags, print_entry, l);
		else if (r == 0)
			r = print_entry(t.path, &st, l);
		if (r != 0)
			code = target_fail(&t, t.path, r);
	}
	target_close(&t);
	return code;
}

static int run(int argc, char **argv)
{
	struct listing l = { 0 };
	unsigned flags = 0;
	char buf[32];
	int opt, code = EXIT_DONE;

	opterr = 0;
	while ((opt = getopt(argc, argv, "+lR")) != -1) {
		if (opt == 'l')
			l.is_long = true;
		else if (opt == 'R')
			flags |= OSSC_LIST_RECURSIVE;
		else if (optopt == '-')
			return fail_usage(&cmd_ls, "ls: unknown option %s", argv[optind]);
		else
			return fail_usage(&cmd_ls, "ls: unknown option -%c", optopt);
	}
	/* A million names in few writes: whoever reads them is woken for each. */
	if (!isatty(STDOUT_FILENO))
		setvbuf(stdout, NULL, _IOFBF, OUT_LEN);
	if (optind == argc)
		code = list(NULL, flags, &l);
	for (; optind < argc && code == EXIT_DONE; optind++)
		code = list(argv[optind], flags, &l);
	if (code == EXIT_DONE && l.is_long)
		printf("%llu files, %s\n", (unsigned long long)l.nr_files,
		       human_bytes(l.bytes, buf));
	return code;
}

const struct cmd cmd_ls = {
	.name = "ls",
	.synopsis = "[-lR] [PATH...]",
	.summary = "list names; without PATH all of OSS_PATH",
	.help = "  -l  with size and time (UTC), and a sum at the end\n"
		"  -R  with everything below\n",
	.run = run,
};
