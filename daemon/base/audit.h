/*
 * audit.h - the audit log: one line of JSON an operation, saying who did what
 * to which object and how it ended.  It records; it decides nothing.
 *
 *	{"time":"2026-01-02T03:04:05.678Z","op":"open","uid":1000,"pid":4711,
 *	 "exe":"/usr/bin/cat","what":"oss://bucket/models/w.bin","result":"ok","bytes":42}
 *
 * Never pass a secret, a token or a signed URL.
 *
 * Threads: audit_write() from any; the rest from one thread.
 */
#ifndef DAEMON_BASE_AUDIT_H
#define DAEMON_BASE_AUDIT_H

#include <stdint.h>
#include <sys/types.h>

struct audit_who {
	uid_t uid;
	pid_t pid;
	const char *exe; /* NULL: not known */
};

/* 0 or a negative errno; then the old target stays.  Until opened nothing is written. */
int audit_open(const char *path);
int audit_reopen(void);
void audit_close(void);

/* error: 0 or a negative errno, written by its name. */
void audit_write(const struct audit_who *who, const char *op, const char *what, int error,
		 uint64_t bytes);

/* "ok" for 0, "ENOENT" and the like for a negative errno; "E123" for one without a name here. */
const char *audit_result(int error, char *buf, size_t buf_len);

#endif
