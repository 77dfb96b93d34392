#include "libclient/cli/cli.h"
#include "libclient/cli/tracebook.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define LIBRARY	  "libossc_preload.so"
#define LINE_LEN  4096
#define NOT_FOUND 127 /* as shells */

struct trace {
	const char *out_path; /* NULL: standard error */
	bool only_summary;
	char dir[100];
	struct sockaddr_un address;
	int socket;
	int signals; /* SIGCHLD, SIGTERM and SIGHUP */
	pid_t child;
	int status; /* of the child, once it has ended */
	bool ended;
	struct tracebook *book;
};

/* ---- the environment of the program --------------------------------------------------- */

/* The library: beside this program, or where `make install` puts it.  The caller frees it. */
static char *find_library(void)
{
	static const char *const places[] = { "", "../lib/" };
	char self[4096], path[4200], *slash;
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
	unsigned i;

	if (n <= 0)
		return NULL;
	self[n] = '\0';
	slash = strrchr(self, '/');
	if (slash == NULL)
		return NULL;
	slash[1] = '\0';
	for (i = 0; i < sizeof(places) / sizeof(places[0]); i++) {
		snprintf(path, sizeof(path), "%s%s%s", self, places[i], LIBRARY);
		if (access(path, R_OK) == 0)
			return realpath(path, NULL);
	}
	return NULL;
}

/* The loader warns of a library that is not there, and goes on without. */
static int check_library(const char *preload)
{
	const char *one = preload;
	char path[4096];

	for (; *(one += strspn(one, ": ")) != '\0'; one += strcspn(one, ": ")) {
		snprintf(path, sizeof(path), "%.*s", (int)strcspn(one, ": "), one);
		if (strstr(path, LIBRARY) != NULL && path[0] == '/' && strchr(path, '$') == NULL &&
		    access(path, R_OK) != 0)
			return fail("LD_PRELOAD names %s: %s; correct it, or unset it for the "
				    "library beside ossc",
				    path, strerror(errno));
	}
	return EXIT_DONE;
}

static int set_environment(const struct trace *t)
{
	const char *preload = getenv("LD_PRELOAD");
	char *library, *all = NULL;

	setenv("ENABLE_CONNECTOR", "1", 0);
	setenv("OSSC_TRACE", t->address.sun_path, 1);
	if (preload != NULL && strstr(preload, LIBRARY) != NULL)
		return check_library(preload);
	library = find_library();
	if (library == NULL)
		return fail(LIBRARY " is neither beside ossc nor in ../lib: set LD_PRELOAD to it");
	if (asprintf(&all, "%s%s%s", library, preload != NULL ? ":" : "",
		     preload != NULL ? preload : "") == -1)
		return fail("memory is short");
	setenv("LD_PRELOAD", all, 1);
	free(all);
	free(library);
	return EXIT_DONE;
}

/* Where execvp() will find it, for the summary. */
static void find_command(const char *command, char *path, size_t cap)
{
	const char *list = getenv("PATH"), *end;

	snprintf(path, cap, "%s", command);
	for (; strchr(command, '/') == NULL && list != NULL; list = *end != '\0' ? end + 1 : NULL) {
		end = strchrnul(list, ':');
		snprintf(path, cap, "%.*s/%s", (int)(end - list), list, command);
		if (access(path, X_OK) == 0)
			return;
	}
	snprintf(path, cap, "%s", command);
}

/* ---- listening --------------------------------------------------------------------------- */

static int listen_to_lines(struct trace *t)
{
	const char *top = getenv("TMPDIR");
	int room = 4 << 20;

	if (top == NULL || strlen(top) > sizeof(t->dir) - 20)
		top = "/tmp";
	snprintf(t->dir, sizeof(t->dir), "%s/ossc-trace-XXXXXX", top);
	if (mkdtemp(t->dir) == NULL) {
		t->dir[0] = '\0';
		return fail("%s: %s", top, strerror(errno));
	}
	t->address.sun_family = AF_UNIX;
	snprintf(t->address.sun_path, sizeof(t->address.sun_path), "%s/lines", t->dir);
	t->socket = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (t->socket == -1 ||
	    bind(t->socket, (struct sockaddr *)&t->address, sizeof(t->address)) == -1)
		return fail("%s: %s", t->address.sun_path, strerror(errno));
	setsockopt(t->socket, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	return EXIT_DONE;
}

static void take_lines(struct trace *t)
{
	char line[LINE_LEN];
	ssize_t n;

	while ((n = recv(t->socket, line, sizeof(line) - 1, 0)) > 0) {
		line[n] = '\0';
		tracebook_add(t->book, line);
	}
}

static void take_signals(struct trace *t)
{
	struct signalfd_siginfo s;

	while (read(t->signals, &s, sizeof(s)) == (ssize_t)sizeof(s)) {
		if (s.ssi_signo != SIGCHLD)
			kill(t->child, (int)s.ssi_signo);
		else if (waitpid(t->child, &t->status, WNOHANG) == t->child)
			t->ended = true;
	}
}

static void listen_to_the_end(struct trace *t)
{
	struct pollfd p[2] = { { .fd = t->socket, .events = POLLIN },
			       { .fd = t->signals, .events = POLLIN } };

	while (!t->ended) {
		poll(p, 2, -1);
		take_lines(t);
		take_signals(t);
	}
	/* What was sent before the command ended is there. */
	take_lines(t);
}

/* ---- the command -------------------------------------------------------------------------- */

static int start_command(struct trace *t, char **argv)
{
	sigset_t ours, before;
	char path[4096];
	int error;

	sigemptyset(&ours);
	sigaddset(&ours, SIGCHLD);
	sigaddset(&ours, SIGTERM);
	sigaddset(&ours, SIGHUP);
	sigprocmask(SIG_BLOCK, &ours, &before);
	t->signals = signalfd(-1, &ours, SFD_CLOEXEC | SFD_NONBLOCK);
	t->child = t->signals == -1 ? -1 : fork();
	if (t->child == -1)
		return fail("%s cannot be started: %s", argv[0], strerror(errno));
	if (t->child == 0) {
		sigprocmask(SIG_SETMASK, &before, NULL);
		execvp(argv[0], argv);
		error = errno;
		fail("%s: %s", argv[0], strerror(error));
		_exit(error == ENOENT ? NOT_FOUND : NOT_FOUND - 1);
	}
	/* A terminal sends these to both: the command decides what they mean. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	find_command(argv[0], path, sizeof(path));
	tracebook_started(t->book, t->child, path);
	return EXIT_DONE;
}

static int trace_command(struct trace *t, char **argv)
{
	FILE *out = t->out_path != NULL ? fopen(t->out_path, "we") : stderr;
	int code;

	if (out == NULL)
		return fail("%s: %s", t->out_path, strerror(errno));
	setvbuf(out, NULL, _IOLBF, BUFSIZ);
	t->book = tracebook_new(out, !t->only_summary);
	code = listen_to_lines(t);
	if (code == EXIT_DONE)
		code = set_environment(t);
	if (code == EXIT_DONE)
		code = start_command(t, argv);
	if (code == EXIT_DONE) {
		listen_to_the_end(t);
		tracebook_summary(t->book);
		code = WIFEXITED(t->status) ? WEXITSTATUS(t->status) : 128 + WTERMSIG(t->status);
	}
	if (t->address.sun_path[0] != '\0')
		unlink(t->address.sun_path);
	if (t->dir[0] != '\0')
		rmdir(t->dir);
	tracebook_free(t->book);
	if (out != stderr && fclose(out) != 0)
		return fail("%s: %s", t->out_path, strerror(errno));
	return code;
}

static int run(int argc, char **argv)
{
	struct trace t = { .socket = -1, .signals = -1 };
	int i;

	for (i = 1; i < argc && argv[i][0] == '-'; i++) {
		if (strcmp(argv[i], "--") == 0) {
			i++;
			break;
		}
		if (strcmp(argv[i], "-c") == 0)
			t.only_summary = true;
		else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
			t.out_path = argv[++i];
		else
			return fail_usage(&cmd_trace, "trace: unknown option %s", argv[i]);
	}
	if (i >= argc)
		return fail_usage(&cmd_trace, "trace: which COMMAND?");
	return trace_command(&t, argv + i);
}

const struct cmd cmd_trace = {
	.name = "trace",
	.synopsis = "[-c] [-o FILE] [--] COMMAND [ARGUMENT...]",
	.summary = "run a program with the library and show what it asked of MODEL_DIR",
	.help = "Each line is PROCESS DECISION CALL PATH = RESULT, for calls that concern "
		"MODEL_DIR:\n"
		"  store      answered from the store\n"
		"  local      a name that the store does not have: left to MODEL_DIR's disk\n"
		"  forwarded  a directory of the mount: left to the kernel\n"
		"  refused    it would change a name of the store, or cannot be made right\n"
		"At the end: their numbers, what was refused and what failed, what the library\n"
		"said, and programs that ran without it (static, setuid, ...).  Children are\n"
		"followed.  The exit code is the command's.\n"
		"\n"
		"  -c       only the summary\n"
		"  -o FILE  to FILE instead of standard error\n"
		"\n"
		"What goes past the library is not seen: system calls made without libc (Go, "
		"static\n"
		"programs, io_uring), and processes that changed their user or root directory.\n"
		"`strace -f -e trace=%file` shows those: in it, what a store file is asked by such "
		"a\n"
		"program ends in ENOENT or EBADF.  ENABLE_CONNECTOR is set to 1 if it is not "
		"set.\n",
	.run = run,
};
