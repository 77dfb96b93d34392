/*
 * transit.h - what body bytes pass through between socket and sink: one pipe
 * for splicing and one hot buffer, for all exchanges of a client.  Knows no
 * HTTP; nothing stays in it between two calls.
 *
 * Threads: one.
 */
#ifndef DAEMON_HTTP_TRANSIT_H
#define DAEMON_HTTP_TRANSIT_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct sink;
struct stream;
struct transit;

struct transit_step {
	size_t taken; /* bytes that the sink took */
	bool refused; /* the error is the sink's */
};

struct transit *transit_new(void);
void transit_free(struct transit *t);

/*
 * Read up to `max` bytes into the hot buffer; they are good until the next
 * call.  As stream_read().
 */
ssize_t transit_receive(struct transit *t, struct stream *s, size_t max, const char **ret_bytes);
/*
 * Move up to `max` bytes from the stream into the sink, without a copy where
 * both can.  1: some moved; 0: the stream ended; -EAGAIN: wait; or another
 * negative errno.  *ret is always set.
 */
int transit_move(struct transit *t, struct stream *s, struct sink *sink, size_t max,
		 struct transit_step *ret);

#endif
