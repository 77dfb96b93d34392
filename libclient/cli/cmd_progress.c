/*
 * `ossc progress`: follows the download of OSS_PATH on standard error until it is
 * done.  The preload library starts it with --of for a primary that waits; it then
 * ends with that program, and says nothing where another already tells of the same.
 */
#include "libclient/cli/cli.h"
#include "libclient/cli/download.h"

#include <errno.h>
#include <libgen.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define LOOK_MS	       500
#define LOOK_SOON_MS   100 /* the end is near, or more lines are wanted */
#define LINE_SECONDS   10  /* between two lines where there is no terminal */
#define IDLE_SECONDS   300 /* nothing is downloaded: so long is waited for it to begin */
#define SILENT_SECONDS 60  /* no daemon answers */

struct teller {
	struct ossc *conn;
	const char *oss_path;
	pid_t of; /* 0: nobody's */
	int pidfd;
	bool is_terminal;
	double every; /* seconds between two lines */

	struct download download;
	bool has_run; /* it was seen to run */
	bool drawn;   /* the live line is on the terminal */
	double begun, ran, said;
};

/* ---- whose standard error it is ---------------------------------------------------------- */

static uint64_t hash_file(uint64_t hash, const char *path)
{
	struct stat st;

	if (stat(path, &st) == -1)
		return hash;
	hash = ossc_crc64(hash, &st.st_dev, sizeof(st.st_dev));
	return ossc_crc64(hash, &st.st_ino, sizeof(st.st_ino));
}

/*
 * Only one process of a user tells of one mount; its end frees the name.  Containers may share the
 * network that the name belongs to: the folder of its socket tells a daemon from others at the same
 * path, the processes' namespace whose standard error it is.
 */
static bool is_first_teller(const char *oss_path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	const char *socket_path = getenv("OSSC_SOCKET");
	uint64_t hash = ossc_crc64(0, oss_path, strlen(oss_path));
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), len;
	char folder[PATH_MAX];

	if (socket_path != NULL) {
		hash = ossc_crc64(hash, socket_path, strlen(socket_path));
		snprintf(folder, sizeof(folder), "%s", socket_path);
		hash = hash_file(hash, dirname(folder));
	}
	hash = hash_file(hash, "/proc/self/ns/pid");
	len = snprintf(a.sun_path + 1, sizeof(a.sun_path) - 1, "ossc-progress/%u/%016llx",
		       (unsigned)geteuid(), (unsigned long long)hash);
	return fd == -1 ||
	       bind(fd, (const struct sockaddr *)&a,
		    (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)len)) == 0 ||
	       errno != EADDRINUSE;
}

/* Has the program closed its standard error, or put another file there? */
static bool has_moved_on(const struct teller *t)
{
	struct stat ours, theirs;
	char path[48];

	if (t->of == 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/fd/2", (int)t->of);
	if (stat(path, &theirs) == -1)
		return errno == ENOENT;
	return fstat(STDERR_FILENO, &ours) == 0 &&
	       (ours.st_dev != theirs.st_dev || ours.st_ino != theirs.st_ino);
}

static bool is_in_background(void)
{
	pid_t front = tcgetpgrp(STDERR_FILENO);

	/* -1: it is not our terminal, so nobody's job is in front of it. */
	return front != -1 && front != getpgrp();
}

/* ---- telling --------------------------------------------------------------------------- */

/* In one piece, and never waiting for a reader of standard error. */
static void put(const char *text)
{
	struct pollfd p = { .fd = STDERR_FILENO, .events = POLLOUT };

	if (poll(&p, 1, 0) == 1 && (p.revents & POLLOUT) != 0 &&
	    write(STDERR_FILENO, text, strlen(text)) == -1)
		return;
}

/* Not once the shell has written its prompt there. */
static void clear(struct teller *t)
{
	if (t->drawn && !is_in_background())
		put("\r\033[K");
	t->drawn = false;
}

static void draw(struct teller *t, const char *text)
{
	char line[DOWNLOAD_TEXT + 24], whole[sizeof(line) + 8];
	struct winsize size;
	int columns = 80;

	if (is_in_background())
		return;
	if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
		columns = size.ws_col;
	snprintf(line, sizeof(line), "oss-connector: %s", text);
	if ((size_t)columns <= strlen(line))
		line[columns - 1] = '\0'; /* a line that is full would be two */
	/* The cursor goes back: what the program writes comes over it, from the line's beginning. */
	snprintf(whole, sizeof(whole), "\r\033[K%s\r", line);
	put(whole);
	t->drawn = true;
}

static void say(const char *text)
{
	char line[DOWNLOAD_TEXT + 24];

	snprintf(line, sizeof(line), "oss-connector: %s\n", text);
	put(line);
}

static void tell(struct teller *t, double now)
{
	char text[DOWNLOAD_TEXT];

	download_say(&t->download, now, text);
	if (t->is_terminal) {
		draw(t, text);
	} else if (now - t->said >= t->every) {
		say(text);
		t->said = now;
	}
}

static void tell_end(struct teller *t)
{
	char text[DOWNLOAD_TEXT];

	clear(t);
	if (t->is_terminal && is_in_background())
		return;
	download_say_end(&t->download, text);
	say(text);
}

/* ---- following ------------------------------------------------------------------------- */

/* One look.  False: there is nothing more to tell. */
static bool look(struct teller *t, bool is_over)
{
	double now = now_seconds();
	struct download *d = &t->download;
	bool is_gone;
	char *json;

	if (ossc_status(t->conn, &json) != 0) {
		clear(t);
		return now - (d->looked > 0 ? d->looked : t->begun) < SILENT_SECONDS;
	}
	download_look(d, json, t->oss_path, now);
	free(json);
	if (download_is_running(d)) {
		t->has_run = true;
		t->ran = now;
	}
	/* A mount that a program has goes with its daemon, and comes again with another. */
	is_gone = t->has_run && d->state[0] == '\0' && t->of == 0;
	if (is_gone || (download_is_over(d) && (t->has_run || t->of == 0))) {
		tell_end(t);
		return false;
	}
	/* Who asks by hand sees what it waits for; a program's user only what is under way. */
	if (download_is_running(d) || d->listing || t->of == 0) {
		if (!is_over)
			tell(t, now);
		return true;
	}
	clear(t);
	/* What a primary asks for begins with the first file that it opens. */
	return now - t->ran < IDLE_SECONDS && !download_is_over(d);
}

/* True: the program has ended. */
static bool rest(const struct teller *t, int ms)
{
	struct pollfd p = { .fd = t->pidfd, .events = POLLIN };

	return poll(&p, 1, ms) == 1;
}

static int pause_ms(const struct teller *t)
{
	const struct download *d = &t->download;
	double left = d->rate > 0 ? (double)(d->total - d->bytes) / d->rate : 1e9;

	if (t->every * 1000 < LOOK_MS || (d->total > d->bytes && left < 1.0))
		return LOOK_SOON_MS;
	return LOOK_MS;
}

static void follow(struct teller *t)
{
	bool is_over = false;

	t->begun = t->ran = t->said = now_seconds();
	/* When the program has ended one look more: its last bytes may have been the last of all. */
	while (look(t, is_over) && !is_over) {
		is_over = rest(t, pause_ms(t));
		if (is_over || !has_moved_on(t))
			continue;
		is_over = rest(t, 0); /* or that was its end */
		if (!is_over)
			break;
	}
	clear(t);
}

/*
 * The orphan of a program that is its container's first process is that program's own child: it
 * must not meet one that has ended.
 */
static void end_unseen(const struct teller *t)
{
	if (getppid() != t->of)
		return;
	close(STDERR_FILENO);
	rest(t, -1);
}

static bool read_every(double *ret)
{
	const char *text = getenv("OSSC_PROGRESS");
	char *end;
	double n;

	*ret = LINE_SECONDS;
	if (text == NULL || text[0] == '\0')
		return true;
	if (strcmp(text, "off") == 0)
		return false; /* said by hand it is wanted all the same */
	n = strtod(text, &end);
	if (*end == '\0' && n > 0)
		*ret = n;
	return *end != '\0' || n != 0;
}

static int start(struct teller *t)
{
	struct stat st;
	int r;

	t->oss_path = getenv("OSS_PATH");
	t->is_terminal = isatty(STDERR_FILENO) == 1;
	if (t->oss_path == NULL || t->oss_path[0] == '\0')
		return fail("progress: OSS_PATH is not set: write oss://bucket/prefix/");
	if (t->of == 0)
		return target_connect(&t->conn, OSSC_NO_START);
	/* For a program: whatever is wrong, it is not told of it. */
	signal(SIGINT, SIG_IGN); /* that is meant for the program, which may go on */
	signal(SIGPIPE, SIG_IGN);
	t->pidfd = (int)syscall(SYS_pidfd_open, t->of, 0);
	if (t->pidfd == -1 || fstat(STDERR_FILENO, &st) == -1 ||
	    (S_ISCHR(st.st_mode) && !t->is_terminal) || !is_first_teller(t->oss_path))
		return EXIT_FAILED;
	r = ossc_connect(&(const struct ossc_options){ .size = sizeof(struct ossc_options),
						       .flags = OSSC_NO_START },
			 &t->conn);
	return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

static int run(int argc, char **argv)
{
	struct teller t = { .pidfd = -1 };
	char *end = NULL;
	long of;
	int code;

	if (argc == 3 && strcmp(argv[1], "--of") == 0) {
		of = strtol(argv[2], &end, 10);
		if (*end != '\0' || end == argv[2] || of <= 0 || of > INT_MAX)
			return fail_usage(&cmd_progress, "progress: %s is no process", argv[2]);
		t.of = (pid_t)of;
	} else if (argc > 1) {
		return fail_usage(&cmd_progress, "progress: unexpected %s", argv[1]);
	}
	if (!read_every(&t.every) && t.of != 0)
		return EXIT_DONE;
	code = start(&t);
	if (code == EXIT_DONE) {
		follow(&t);
		code = download_is_whole(&t.download) ? EXIT_DONE : EXIT_FAILED;
	}
	ossc_disconnect(t.conn);
	if (t.of != 0)
		end_unseen(&t);
	return t.of != 0 ? EXIT_DONE : code;
}

const struct cmd cmd_progress = {
	.name = "progress",
	.synopsis = "[--of PID]",
	.summary = "follow the download of OSS_PATH until it is done",
	.help = "A line on standard error: redrawn on a terminal, else every ten seconds, or as\n"
		"many as OSSC_PROGRESS says; one line at the end.\n"
		"  --of PID  end with that process; silent where another tells of the same\n",
	.run = run,
	.starts_none = true,
};
