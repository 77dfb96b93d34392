/*
 * logplace.h - where the log and the audit log are written: what the
 * configuration says, or, where a daemon may not write the default place, a
 * directory of its own user.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_STATUS_LOGPLACE_H
#define DAEMON_STATUS_LOGPLACE_H

#include <stddef.h>

#define LOGPLACE_PATH_MAX 512

struct log_settings;

struct logplace {
	char log_path[LOGPLACE_PATH_MAX];   /* "": standard error */
	char audit_path[LOGPLACE_PATH_MAX]; /* "": none */
};

/*
 * 0, or a negative errno with one sentence in err: a path that was written in
 * the configuration and cannot be opened.  The default places fall back to
 * $XDG_STATE_HOME/oss-connector, ~/.local/state/oss-connector, the socket's
 * directory, standard error; where to is said once on standard error.
 */
int logplace_open(struct logplace *p, const struct log_settings *wanted, const char *socket_path,
		  char *err, size_t err_len);
/* After rotation. */
void logplace_reopen(struct logplace *p);
void logplace_close(struct logplace *p);

#endif
