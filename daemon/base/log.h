/*
 * log.h - the daemon's log: one line a message, level, module, text.
 * It writes to a file that log_reopen() opens again, or to stderr.
 *
 * Threads: any.  A module defines LOG_MODULE before including this header.
 * Never pass a secret, a token or a signed URL.
 */
#ifndef DAEMON_BASE_LOG_H
#define DAEMON_BASE_LOG_H

enum log_level {
	LOG_LEVEL_DEBUG = 0, /* off in production */
	LOG_LEVEL_INFO,	     /* one line per mount, session, reload */
	LOG_LEVEL_WARN,	     /* degraded */
	LOG_LEVEL_ERROR,     /* an operator must act */
};

/* path NULL: stderr.  0 or a negative errno; then the old target stays. */
int log_open(const char *path, enum log_level level);
/* Open the same path again, after rotation. */
int log_reopen(void);
void log_set_level(enum log_level level);
enum log_level log_get_level(void);
void log_close(void);

void log_write(enum log_level level, const char *module, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/*
 * At most one line a second and call site: what happens in storms is logged
 * once with the number of lines left out.
 */
struct log_limit {
	long long last_ms;
	unsigned suppressed;
};
/* True when the caller may log now; *ret_suppressed says how many were left out before. */
int log_limit_pass(struct log_limit *l, unsigned *ret_suppressed);

#define log_debug(...)                                                                             \
	do {                                                                                       \
		if (log_get_level() <= LOG_LEVEL_DEBUG)                                            \
			log_write(LOG_LEVEL_DEBUG, LOG_MODULE, __VA_ARGS__);                       \
	} while (0)
#define log_info(...)  log_write(LOG_LEVEL_INFO, LOG_MODULE, __VA_ARGS__)
#define log_warn(...)  log_write(LOG_LEVEL_WARN, LOG_MODULE, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, LOG_MODULE, __VA_ARGS__)

#endif
