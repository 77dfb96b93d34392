#include "libclient/cli/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static const struct cmd *const commands[] = {
	&cmd_ls,     &cmd_stat,	 &cmd_cat,    &cmd_get,	   &cmd_prefetch, &cmd_progress,
	&cmd_status, &cmd_mount, &cmd_umount, &cmd_doctor, &cmd_trace,
};

#define NR_COMMANDS (sizeof(commands) / sizeof(commands[0]))

static const char path_help[] =
	"\nPATH is oss://bucket/key, s3://bucket/key, or relative to OSS_PATH.\n";

static const char environment_help[] =
	"\n"
	"Environment: OSS_PATH, OSS_ENDPOINT, OSS_REGION, OSS_ACCESS_KEY_ID,\n"
	"OSS_ACCESS_KEY_SECRET, OSS_SESSION_TOKEN, HTTP_SOURCE_IP, MODEL_DIR;\n"
	"OSSC_SOCKET, OSSC_DAEMON and OSSC_CONFIG name the daemon's socket, program\n"
	"and configuration.\n";

static const char start_help[] = "Where no daemon listens, one is started for this user.\n";
static const char no_start_help[] = "It starts no daemon.\n";

static void say(FILE *out, const char *prefix, const char *fmt, va_list ap, const char *suffix)
{
	char line[1024];

	vsnprintf(line, sizeof(line), fmt, ap);
	fprintf(out, "ossc: %s%s%s\n", prefix, line, suffix);
}

int fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say(stderr, "", fmt, ap, "");
	va_end(ap);
	return EXIT_FAILED;
}

int fail_usage(const struct cmd *cmd, const char *fmt, ...)
{
	char suffix[128];
	va_list ap;

	snprintf(suffix, sizeof(suffix), "; see ossc %s --help", cmd->name);
	va_start(ap, fmt);
	say(stderr, "", fmt, ap, suffix);
	va_end(ap);
	return EXIT_USAGE;
}

const char *human_bytes(uint64_t bytes, char buf[32])
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	double n = (double)bytes;
	unsigned i = 0;

	while (n >= 1024 && i < sizeof(units) / sizeof(units[0]) - 1) {
		n /= 1024;
		i++;
	}
	snprintf(buf, 32, i == 0 ? "%.0f %s" : "%.1f %s", n, units[i]);
	return buf;
}

const char *human_seconds(uint64_t seconds, char buf[32])
{
	unsigned long long s = seconds;

	if (s < 60)
		snprintf(buf, 32, "%llu s", s);
	else if (s < 3600)
		snprintf(buf, 32, "%llu min %llu s", s / 60, s % 60);
	else
		snprintf(buf, 32, "%llu h %llu min", s / 3600, s / 60 % 60);
	return buf;
}

double now_seconds(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int print_help(FILE *out)
{
	unsigned i;

	fputs("usage: ossc COMMAND [ARGUMENTS]\n\n", out);
	for (i = 0; i < NR_COMMANDS; i++)
		fprintf(out, "  %-10s %s\n", commands[i]->name, commands[i]->summary);
	fputs("\n  ossc COMMAND --help says more; ossc --version\n", out);
	fputs(path_help, out);
	fputs(environment_help, out);
	fputs(start_help, out);
	return out == stdout ? EXIT_DONE : EXIT_USAGE;
}

static int print_command_help(const struct cmd *cmd)
{
	printf("usage: ossc %s%s%s\n\n%s\n", cmd->name, cmd->synopsis[0] != '\0' ? " " : "",
	       cmd->synopsis, cmd->summary);
	if (cmd->help != NULL)
		printf("\n%s", cmd->help);
	if (strstr(cmd->synopsis, "PATH") != NULL || strstr(cmd->synopsis, "SRC") != NULL)
		fputs(path_help, stdout);
	fputs(environment_help, stdout);
	fputs(cmd->starts_none ? no_start_help : start_help, stdout);
	return EXIT_DONE;
}

/* What was printed and did not arrive (a full disk, a closed pipe) was not done. */
static int flush(int code)
{
	if ((fflush(stdout) != 0 || ferror(stdout)) && code == EXIT_DONE)
		return fail("standard output: %s", strerror(errno));
	return code;
}

int main(int argc, char **argv)
{
	unsigned i;

	if (argc < 2)
		return print_help(stderr);
	if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
	    strcmp(argv[1], "help") == 0)
		return flush(print_help(stdout));
	if (strcmp(argv[1], "--version") == 0) {
		printf("ossc %s\n", ossc_version());
		return flush(EXIT_DONE);
	}
	for (i = 0; i < NR_COMMANDS; i++) {
		if (strcmp(argv[1], commands[i]->name) != 0)
			continue;
		if (argc > 2 && (strcmp(argv[2], "--help") == 0 || strcmp(argv[2], "-h") == 0))
			return flush(print_command_help(commands[i]));
		return flush(commands[i]->run(argc - 1, argv + 1));
	}
	fail("there is no command %s; see ossc --help", argv[1]);
	return EXIT_USAGE;
}
