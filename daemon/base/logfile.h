/*
 * logfile.h - a file that whole lines are appended to and that can be opened
 * again after rotation while other threads write.  Knows nothing of what the
 * lines mean; the log and the audit log are written through it.
 *
 * Threads: logfile_write() from any; the rest from one thread at a time.
 */
#ifndef DAEMON_BASE_LOGFILE_H
#define DAEMON_BASE_LOGFILE_H

#include <stddef.h>

struct logfile {
	int fd; /* -1: not open.  Once open, the number stays: reopening replaces what it means. */
	char *path;
};
#define LOGFILE_CLOSED                                                                             \
	{                                                                                          \
		.fd = -1                                                                           \
	}

/* 0 or a negative errno; then the old target stays. */
int logfile_open(struct logfile *f, const char *path);
int logfile_reopen(struct logfile *f);
/* No writer may be left. */
void logfile_close(struct logfile *f);
/* One write(2): lines of several threads do not mix.  fallback_fd: where to write when not open. */
void logfile_write(const struct logfile *f, const void *line, size_t len, int fallback_fd);

/* "2026-01-02T03:04:05.678Z", NUL-terminated. */
#define LOGFILE_TIME_LEN 25
void logfile_time(char ret_text[LOGFILE_TIME_LEN]);

#endif
