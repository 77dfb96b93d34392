/*
 * progress.h - how far a mount's download is: what its runs have to bring, and
 * what has come since the first of them began.  Reckons from the objects'
 * tallies; downloads nothing.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_MOUNT_PROGRESS_H
#define DAEMON_MOUNT_PROGRESS_H

#include <stdint.h>

#include "daemon/mount/fetch.h"

struct mount;
struct objects_sum;
struct strbuf;

struct progress {
	uint64_t begun_ms; /* 0: nothing has been asked for ahead yet */
	uint64_t total;	   /* bytes that were missing then */
	struct fetch_done before;
};

/*
 * A run over `bytes` begins, of keys that begin with `prefix`.  Where another of the mount is under
 * way it adds to that.
 */
void progress_begin(struct mount *m, const char *prefix, uint64_t bytes);

/* "off", "waiting", "running", "stopped", "done" */
const char *progress_state(const struct mount *m, unsigned in_flight);
/* Member "download" as JSON text. */
void progress_report(const struct mount *m, const struct objects_sum *sum, struct strbuf *out);

#endif
