/*
 * report.h - what `ossc status` shows: the daemon, its cache, mounts, sessions
 * and counters as one JSON text.  Reads; changes nothing.
 *
 * A client sees the mounts and sessions of its own user and what the node does
 * as a whole; root, and the daemon's own user, see all.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_STATUS_REPORT_H
#define DAEMON_STATUS_REPORT_H

#include <stdint.h>
#include <sys/types.h>

struct cache;
struct mounts;
struct sessions;
struct settings;
struct strbuf;

struct report_sources {
	const struct settings *settings;
	struct cache *cache;
	struct mounts *mounts;
	const struct sessions *sessions;
	const char *socket_path;
	const char *config_path; /* NULL: none was read */
	const char *log_path;	 /* NULL: standard error */
	uint64_t uptime_ms;
};

/* 0, or what strbuf_error() says. */
int report_write(const struct report_sources *from, uid_t viewer, struct strbuf *out);

#endif
