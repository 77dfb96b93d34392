#include "libclient/cli/cli.h"
#include "libclient/cli/report.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#define WATCH_SECONDS 2
#define WATCH_LEAST   0.1
#define WATCH_MOST    86400

struct screen {
	bool is_terminal;
	int rows, columns;
};

static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
	if (number == SIGINT)
		interrupted = 1;
}

/* A signal ends the pause between two looks and nothing else. */
static void catch_signals(void)
{
	struct sigaction action = { .sa_handler = on_signal };

	sigaction(SIGWINCH, &action, NULL);
	/* The second time it ends at once: the daemon may not answer for long. */
	action.sa_flags = SA_RESETHAND;
	sigaction(SIGINT, &action, NULL);
}

/* Its size may have changed since the last time. */
static struct screen look_at_screen(void)
{
	struct screen s = { .is_terminal = isatty(STDOUT_FILENO) == 1 };
	struct winsize size;

	if (s.is_terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0) {
		s.rows = size.ws_row;
		s.columns = size.ws_col;
	}
	return s;
}

/* Bytes of the line that so many columns hold; 0 columns: all. */
static int fitting(const char *line, int len, int columns)
{
	int i;

	if (columns <= 0)
		return len;
	for (i = 0; i < len; i++)
		if (((unsigned char)line[i] & 0xc0) != 0x80 && columns-- == 0)
			break;
	return i;
}

/* Over what is there: each line cut to the width, the rest of it and of the screen cleared. */
static void draw(const struct screen *s, const char *text)
{
	int row = 1;

	fputs("\033[H", stdout);
	for (; *text != '\0'; row++) {
		int len = (int)strcspn(text, "\n");
		int shown = fitting(text, len, s->columns);

		if (row > 1)
			fputs("\r\n", stdout);
		/* The last line stays without an end, or the screen would roll. */
		if (s->rows > 0 && row == s->rows && text[len] == '\n' && text[len + 1] != '\0') {
			fputs("\033[2K...", stdout);
			break;
		}
		/* Cleared first: behind the last column the cursor stands on the last character. */
		printf("\033[2K%.*s", shown, text);
		text += len + (text[len] == '\n');
	}
	fputs("\033[J", stdout);
}

static int show(struct report *r, bool as_json, const struct screen *screen)
{
	char *text = NULL;
	size_t len;

	if (as_json) {
		fputs(r->json, stdout);
		if (r->json[0] != '\0' && r->json[strlen(r->json) - 1] != '\n')
			putchar('\n');
	} else {
		r->columns = screen->columns;
		r->out = open_memstream(&text, &len);
		if (r->out == NULL)
			return fail("%s", strerror(errno));
		report_print(r);
		fclose(r->out);
		if (screen->rows != 0)
			draw(screen, text);
		else
			fputs(text, stdout);
		free(text);
	}
	return fflush(stdout) == 0 ? EXIT_DONE : fail("standard output: %s", strerror(errno));
}

static int print_once(struct ossc *conn, bool as_json)
{
	const struct target t = { .conn = conn };
	struct screen screen = look_at_screen();
	struct report r = { 0 };
	char *json;
	int error = ossc_status(conn, &json);

	if (error != 0)
		return target_fail(&t, "status", error);
	screen.rows = 0; /* nothing is drawn over */
	r.json = json;
	error = show(&r, as_json, &screen);
	free(json);
	return error;
}

/* The daemon went: say so once, and go on when there is one again. */
static void say_gone(struct ossc *conn, bool as_json, const struct screen *screen)
{
	char why[600];

	ossc_error_text(conn, why, sizeof(why));
	if (as_json)
		return;
	if (screen->rows != 0)
		fputs("\033[H\033[J", stdout);
	printf("no daemon answers; waiting for one\n%s%s", why, why[0] != '\0' ? "\n" : "");
	fflush(stdout);
}

static int watch(struct ossc *conn, bool as_json, double seconds)
{
	const struct timespec pause = {
		.tv_sec = (time_t)seconds,
		.tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9),
	};
	char *json, *before = NULL;
	struct screen screen;
	int code = EXIT_DONE;
	bool gone = false;
	double then = 0;

	catch_signals();
	while (code == EXIT_DONE && !interrupted) {
		double now = now_seconds();

		screen = look_at_screen();
		if (ossc_status(conn, &json) == 0) {
			struct report r = { .json = json, .before = before, .seconds = now - then };

			if (!screen.is_terminal && !as_json && (before != NULL || gone))
				putchar('\n');
			code = show(&r, as_json, &screen);
			free(before);
			before = json;
			then = now;
			gone = false;
		} else if (!interrupted && !gone) {
			say_gone(conn, as_json, &screen);
			free(before);
			before = NULL;
			gone = true;
		}
		if (code == EXIT_DONE && !interrupted)
			nanosleep(&pause, NULL);
	}
	free(before);
	if (interrupted && screen.is_terminal)
		putchar('\n');
	return interrupted ? EXIT_INTERRUPTED : code;
}

static int run(int argc, char **argv)
{
	double seconds = 0; /* between two looks; 0: one look */
	bool as_json = false;
	char *end;
	struct ossc *conn;
	int i, code;

	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			as_json = true;
		} else if (strcmp(argv[i], "--watch") == 0) {
			seconds = WATCH_SECONDS;
		} else if (strncmp(argv[i], "--watch=", 8) == 0) {
			seconds = strtod(argv[i] + 8, &end);
			if (*end != '\0' || !(seconds >= WATCH_LEAST && seconds <= WATCH_MOST))
				return fail_usage(&cmd_status,
						  "status: %s: seconds are wanted, at least 0.1",
						  argv[i]);
		} else {
			return fail_usage(&cmd_status, "status: unknown argument %s", argv[i]);
		}
	}
	/* Asking how a daemon is starts none. */
	code = target_connect(&conn, OSSC_NO_START);
	if (code != EXIT_DONE)
		return code;
	code = seconds > 0 ? watch(conn, as_json, seconds) : print_once(conn, as_json);
	ossc_disconnect(conn);
	return code;
}

const struct cmd cmd_status = {
	.name = "status",
	.synopsis = "[--json] [--watch[=SECONDS]]",
	.summary = "what the daemon does: cache, mounts, files, source addresses, clients",
	.help = "  --json   as JSON\n"
		"  --watch  again every two seconds, or as many as are given, with rates, until\n"
		"           interrupted\n",
	.run = run,
	.starts_none = true,
};
