/*
 * sink.h - where the body of a response goes: memory for XML and JSON, a
 * chunk of object memory for data.  HTTP knows nothing else of what it moves.
 *
 * A sink is driven by one exchange at a time, on that exchange's worker.
 * What a sink refuses (a negative errno) ends the exchange with that error.
 */
#ifndef DAEMON_HTTP_SINK_H
#define DAEMON_HTTP_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sink;

struct sink_ops {
	/* Take all of `len` bytes.  0 or a negative errno. */
	int (*write)(struct sink *s, const void *buf, size_t len);

	/*
	 * Take up to `len` bytes that wait in the pipe `pipe_fd` (the socket's
	 * bytes were spliced there).  Returns the bytes taken (> 0) or a
	 * negative errno.  NULL: this sink takes everything through write().
	 */
	ssize_t (*splice)(struct sink *s, int pipe_fd, size_t len);

	/* Is a splice better than a write for the next bytes?  NULL: always. */
	bool (*prefers_splice)(struct sink *s);

	/* May the next bytes wait until everything else had its turn (WORKER_LATER)?  NULL: no. */
	bool (*may_wait)(struct sink *s);
};

/* The first member of every sink's own struct. */
struct sink {
	const struct sink_ops *ops;
};

#endif
