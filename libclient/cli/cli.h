/*
 * cli.h - the `ossc` command: what its subcommands share.  Each lies in a file
 * of its own that ends in one row for the table in main.c.
 *
 * Exit codes: 0 done, 1 failed (one line on stderr says why), 2 wrong usage,
 * 130 interrupted.
 */
#ifndef LIBCLIENT_CLI_CLI_H
#define LIBCLIENT_CLI_CLI_H

#include "libclient/lib/ossc.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	EXIT_DONE = 0,
	EXIT_FAILED = 1,
	EXIT_USAGE = 2,
	EXIT_INTERRUPTED = 130,
};

struct cmd {
	const char *name;
	const char *synopsis;
	const char *summary;
	const char *help; /* the rest of `ossc NAME --help` */
	int (*run)(int argc, char **argv);
	bool starts_none; /* works with the daemon that is there */
};

extern const struct cmd cmd_cat, cmd_doctor, cmd_get, cmd_ls, cmd_mount, cmd_prefetch, cmd_progress,
	cmd_stat, cmd_status, cmd_trace, cmd_umount;

/* "ossc: ...\n" on stderr, in one piece.  Returns EXIT_FAILED. */
int fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same with a hint how the command is called.  Returns EXIT_USAGE. */
int fail_usage(const struct cmd *cmd, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* ---- where a path leads ------------------------------------------------------------- */

/* An open mount, and a path in it. */
struct target {
	struct ossc *conn;
	struct ossc_mount *mount;
	char *oss_path; /* of the mount */
	char *path;	/* relative to it; "" for its top */
};

/* Connect only; says what is wrong.  EXIT_DONE or EXIT_FAILED. */
int target_connect(struct ossc **ret_conn, unsigned connect_flags);
/*
 * arg: oss://bucket/key, s3://bucket/key, or relative to OSS_PATH; NULL: OSS_PATH
 * itself.  flags: enum ossc_mount_flags.  Says what is wrong.
 */
int target_open(struct target *t, const char *arg, unsigned flags);
/* Mount an OSS_PATH as it is written. */
int target_mount(struct target *t, const char *oss_path, const char *dir, unsigned flags);
void target_close(struct target *t);
/* ossc_stat() of its path; what the daemon's listing lacks is looked for in a fresh one. */
int target_stat(const struct target *t, struct ossc_stat *ret_stat);
/* Say why a call about this path failed.  Returns EXIT_FAILED. */
int target_fail(const struct target *t, const char *path, int error);

/* ---- figures -------------------------------------------------------------------------- */

/* "1.5 GiB" */
const char *human_bytes(uint64_t bytes, char buf[32]);
/* "3 h 12 min", "12 s" */
const char *human_seconds(uint64_t seconds, char buf[32]);
double now_seconds(void);

/* ---- JSON of `ossc status` --------------------------------------------------------------- */

/* The value at a dotted path ("cache.size") from a value; NULL when there is none. */
const char *json_find(const char *value, const char *path);
/* Elements of an array: the first, then the next; NULL at the end. */
const char *json_first(const char *array);
const char *json_next(const char *element);
uint64_t json_number(const char *value); /* 0 for NULL or no number */
bool json_is_true(const char *value);
/* A string without its quotes and escapes, cut to cap; "" for anything else. */
const char *json_text(const char *value, char *buf, size_t cap);

/* ---- osscd ------------------------------------------------------------------------------- */

/* The daemon's program, or NULL: OSSC_DAEMON, beside ossc, ../bin, PATH.  The caller frees it. */
char *find_osscd(void);

#endif
