#include "libclient/cli/cli.h"
#include "libclient/cli/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

void finding(struct doctor *d, enum verdict verdict, const char *what, const char *fmt, ...)
{
	static const char *const words[] = { "ok  ", "warn", "fail" };
	va_list ap;

	printf("%s  %-14s ", words[verdict], what);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	putchar('\n');
	if (verdict == FAIL)
		d->nr_fails++;
}

static const char *env(const char *name)
{
	const char *value = getenv(name);

	return value != NULL && value[0] != '\0' ? value : NULL;
}

/* ---- configuration ------------------------------------------------------------------------- */

/* Run `osscd --check-config`; its words go into buf, its exit code is returned. */
static int run_check(const char *osscd, char *buf, size_t cap)
{
	int out[2], status = -1;
	size_t len = 0;
	pid_t pid;

	if (pipe(out) == -1)
		return -errno;
	pid = fork();
	if (pid == 0) {
		dup2(out[1], STDOUT_FILENO);
		dup2(out[1], STDERR_FILENO);
		close(out[0]);
		close(out[1]);
		unsetenv("LD_PRELOAD"); /* what the loader says of it is not of the configuration */
		execl(osscd, osscd, "--check-config", (char *)NULL);
		_exit(127);
	}
	close(out[1]);
	while (pid > 0 && len + 1 < cap) {
		ssize_t n = read(out[0], buf + len, cap - 1 - len);

		if (n <= 0)
			break;
		len += (size_t)n;
	}
	buf[len] = '\0';
	close(out[0]);
	if (pid < 0)
		return -EAGAIN;
	while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static void check_configuration(struct doctor *d)
{
	char text[4096], *line, *save = NULL;
	char *osscd = find_osscd();
	int r;

	if (osscd == NULL) {
		finding(d, env("OSSC_DAEMON") != NULL ? FAIL : WARN, "daemon",
			"the program osscd was not found: install it, or set OSSC_DAEMON to it");
		return;
	}
	r = run_check(osscd, text, sizeof(text));
	free(osscd);
	line = strtok_r(text, "\n", &save);
	if (r == 0) {
		finding(d, OK, "configuration", "%s", line != NULL ? line : "no errors");
		return;
	}
	if (line == NULL)
		finding(d, FAIL, "configuration", "osscd --check-config ended with %d", r);
	for (; line != NULL; line = strtok_r(NULL, "\n", &save))
		finding(d, FAIL, "configuration", "%s", line);
}

static void check_environment(struct doctor *d)
{
	const char *path = env("OSS_PATH"), *role = env("ENABLE_CONNECTOR");
	const char *key = env("OSS_ACCESS_KEY_ID"), *secret = env("OSS_ACCESS_KEY_SECRET");

	if (path == NULL)
		finding(d, FAIL, "OSS_PATH", "not set: write oss://bucket/prefix/");
	else if (strncmp(path, "oss://", 6) != 0 && strncmp(path, "s3://", 5) != 0)
		finding(d, FAIL, "OSS_PATH", "it begins neither with oss:// nor with s3://");
	else
		finding(d, OK, "OSS_PATH", "%s",
			/* Reports are shown around, and somebody may have written keys into it. */
			strpbrk(path, "@?") != NULL ? "(not shown: keys may be in it)" : path);

	if (key != NULL && secret != NULL)
		finding(d, OK, "credentials", "an access key%s",
			env("OSS_SESSION_TOKEN") != NULL ? " with a session token" : "");
	else if (key != NULL || secret != NULL)
		finding(d, FAIL, "credentials",
			"%s is set without %s: set both, or neither for anonymous access",
			key != NULL ? "OSS_ACCESS_KEY_ID" : "OSS_ACCESS_KEY_SECRET",
			key != NULL ? "OSS_ACCESS_KEY_SECRET" : "OSS_ACCESS_KEY_ID");
	else
		finding(d, WARN, "credentials",
			"none in the environment: the daemon's own, or anonymous access");

	if (role == NULL)
		finding(d, WARN, "role", "ENABLE_CONNECTOR is not set: programs read past us");
	else if (strcmp(role, "1") != 0 && strcmp(role, "2") != 0)
		finding(d, FAIL, "role", "ENABLE_CONNECTOR=%s: write 1 (primary) or 2 (secondary)",
			role);
	else
		finding(d, OK, "role", "%s", role[0] == '1' ? "primary" : "secondary");
}

/* May this user make it?  What is missing is made in the deepest directory that is there. */
static bool can_be_made(const char *dir)
{
	char top[4096], *slash;

	snprintf(top, sizeof(top), "%s", dir);
	while ((slash = strrchr(top, '/')) != NULL && slash != top) {
		*slash = '\0';
		if (access(top, F_OK) == 0)
			return access(top, W_OK | X_OK) == 0;
	}
	return access("/", W_OK | X_OK) == 0;
}

static void check_model_dir(struct doctor *d)
{
	const char *dir = env("MODEL_DIR");
	struct stat st;

	if (dir == NULL)
		finding(d, WARN, "MODEL_DIR", "not set: programs under preload need it");
	else if (dir[0] != '/')
		finding(d, FAIL, "MODEL_DIR", "%s: write an absolute path", dir);
	else if (stat(dir, &st) == -1 && errno == ENOENT && !can_be_made(dir))
		finding(d, FAIL, "MODEL_DIR",
			"%s does not exist, and this user may not make it: make it beforehand, or "
			"name another",
			dir);
	else if (stat(dir, &st) == -1 && errno == ENOENT)
		finding(d, OK, "MODEL_DIR", "%s does not exist yet and will be made", dir);
	else if (stat(dir, &st) == -1)
		finding(d, FAIL, "MODEL_DIR", "%s: %s", dir, strerror(errno));
	else if (!S_ISDIR(st.st_mode))
		finding(d, FAIL, "MODEL_DIR", "%s is no directory: name another", dir);
	else if (access(dir, W_OK | X_OK) == -1)
		finding(d, FAIL, "MODEL_DIR",
			"%s is not writable for this user: directories are made in it", dir);
	else
		finding(d, OK, "MODEL_DIR", "%s", dir);
}

static void check_preload(struct doctor *d)
{
	const char *list = env("LD_PRELOAD"), *at, *start;
	char *file;

	at = list != NULL ? strstr(list, "libossc_preload.so") : NULL;
	if (at == NULL) {
		finding(d, WARN, "LD_PRELOAD",
			"does not name libossc_preload.so: unmodified programs read past us");
		return;
	}
	for (start = at; start > list && strchr(": ", start[-1]) == NULL; start--)
		;
	file = strndup(start, (size_t)(at - start) + strcspn(at, ": "));
	if (file != NULL && file[0] == '/' && access(file, R_OK) == -1)
		finding(d, FAIL, "LD_PRELOAD", "%s: %s", file, strerror(errno));
	else
		finding(d, OK, "LD_PRELOAD", "%s", file != NULL ? file : "");
	free(file);
}

/* ---- daemon and store --------------------------------------------------------------------------- */

static void check_daemon(struct doctor *d, struct ossc *conn)
{
	char version[64], socket[128];
	char *json;

	if (ossc_status(conn, &json) != 0) {
		finding(d, FAIL, "daemon", "it does not tell its state: see its log");
		return;
	}
	json_text(json_find(json, "daemon.version"), version, sizeof(version));
	json_text(json_find(json, "daemon.socket"), socket, sizeof(socket));
	d->cache_size = json_number(json_find(json, "cache.size"));
	if (strcmp(version, ossc_version()) != 0)
		finding(d, WARN, "daemon", "osscd %s at %s, this is %s: install the same release",
			version, socket, ossc_version());
	else
		finding(d, OK, "daemon", "osscd %s at %s", version, socket);
	free(json);
}

static int count_entry(const char *path, const struct ossc_stat *st, void *arg)
{
	unsigned long long *nr = arg;

	(void)path;
	*nr += !st->is_dir;
	return 0;
}

static void check_store(struct doctor *d, struct ossc *conn)
{
	const struct ossc_mount_options options = { .size = sizeof(options) };
	unsigned long long nr = 0;
	struct ossc_mount *mount;
	char text[600] = "";
	int r;

	if (env("OSS_PATH") == NULL)
		return;
	r = ossc_mount(conn, &options, &mount);
	if (r != 0) {
		ossc_error_text(conn, text, sizeof(text));
		finding(d, FAIL, "store", "%s", text[0] != '\0' ? text : ossc_strerror(r));
		if (strstr(text, "clock") != NULL || strstr(text, "TimeTooSkewed") != NULL)
			finding(d, FAIL, "clock",
				"set this node's clock: signatures carry the time");
		return;
	}
	ossc_list(mount, "", OSSC_LIST_RECURSIVE | OSSC_LIST_FAST, count_entry, &nr);
	finding(d, nr > 0 ? OK : WARN, "store", "%llu files%s", nr,
		nr > 0 ? "" : ": is the prefix right?");
	if (env("OSS_ACCESS_KEY_ID") != NULL)
		finding(d, OK, "clock", "the store accepts this node's time");
	ossc_unmount(mount);
}

static void check_connected(struct doctor *d)
{
	char text[600] = "";
	struct ossc_options options = {
		.size = sizeof(options),
		.error = text,
		.error_len = sizeof(text),
	};
	struct ossc *conn;
	int r = ossc_connect(&options, &conn);

	if (r != 0) {
		finding(d, FAIL, "daemon", "%s", text[0] != '\0' ? text : ossc_strerror(r));
		return;
	}
	check_daemon(d, conn);
	check_store(d, conn);
	ossc_disconnect(conn);
}

static int run(int argc, char **argv)
{
	struct doctor d = { 0 };

	if (argc > 1)
		return fail_usage(&cmd_doctor, "doctor: unexpected %s", argv[1]);
	check_configuration(&d);
	check_environment(&d);
	check_model_dir(&d);
	check_preload(&d);
	doctor_check_sources(&d);
	doctor_check_limits(&d);
	doctor_check_userfaultfd(&d);
	check_connected(&d);
	doctor_check_memory(&d);
	return d.nr_fails == 0 ? EXIT_DONE : EXIT_FAILED;
}

const struct cmd cmd_doctor = {
	.name = "doctor",
	.synopsis = "",
	.summary = "look at all that a mount needs, and say what to do about it",
	.help = "Looks at configuration, environment, credentials, source addresses, limits,\n"
		"userfaultfd, daemon, store, clock and memory.  Exit code 1 if anything failed.\n",
	.run = run,
};
