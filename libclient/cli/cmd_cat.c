#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK (4u << 20)

static int write_all(const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = write(STDOUT_FILENO, buf, len);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		buf += n;
		len -= (size_t)n;
	}
	return 0;
}

static int copy(const struct target *t, struct ossc_file *file, char *buf)
{
	uint64_t off = 0;
	ssize_t n;
	int r;

	ossc_advise(file, 0, 0, OSSC_SEQUENTIAL);
	while ((n = ossc_pread(file, buf, BLOCK, off)) > 0) {
		r = write_all(buf, (size_t)n);
		if (r != 0)
			return fail("standard output: %s", strerror(-r));
		off += (uint64_t)n;
	}
	return n == 0 ? EXIT_DONE : target_fail(t, t->path, (int)n);
}

static int print_file(const char *arg, char *buf)
{
	struct ossc_stat st = { .size = sizeof(st) };
	struct ossc_file *file;
	struct target t;
	int r, code = target_open(&t, arg, 0);

	if (code == EXIT_DONE) {
		r = target_stat(&t, &st);
		if (r == 0)
			r = ossc_open(t.mount, t.path, &file);
		code = r == 0 ? copy(&t, file, buf) : target_fail(&t, t.path, r);
		if (r == 0)
			ossc_close(file);
	}
	target_close(&t);
	return code;
}

static int run(int argc, char **argv)
{
	int i, code = EXIT_DONE;
	char *buf;

	if (argc < 2)
		return fail_usage(&cmd_cat, "cat: which PATH?");
	if (argv[1][0] == '-')
		return fail_usage(&cmd_cat, "cat: unknown option %s", argv[1]);
	buf = malloc(BLOCK);
	if (buf == NULL)
		return fail("memory is short");
	for (i = 1; i < argc && code == EXIT_DONE; i++)
		code = print_file(argv[i], buf);
	free(buf);
	return code;
}

const struct cmd cmd_cat = {
	.name = "cat",
	.synopsis = "PATH...",
	.summary = "write files to standard output",
	.run = run,
};
