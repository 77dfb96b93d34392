/*
 * stream.h - connected bytes, plain or TLS, without blocking.  Waits for
 * nothing itself: it says what to wait for.
 *
 * Threads: one at a time.
 */
#ifndef DAEMON_NET_STREAM_H
#define DAEMON_NET_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct stream;

/*
 * Calls that move bytes return how many (> 0), -EAGAIN (wait, see
 * stream_wants_write()), or another negative errno.  read and peek return 0 at
 * the end, once the peer has closed in good order.
 */
struct stream_ops {
	int (*handshake)(struct stream *s); /* 0: ready for bytes */
	ssize_t (*read)(struct stream *s, void *buf, size_t len);
	ssize_t (*peek)(struct stream *s, void *buf, size_t len);
	ssize_t (*write)(struct stream *s, const void *buf, size_t len);
	bool (*has_pending)(const struct stream *s); /* bytes that no wait would report */
	void (*free)(struct stream *s);
};

#define STREAM_WHY_LEN 400

/* The first member of every stream's own struct. */
struct stream {
	const struct stream_ops *ops;
	int fd;
	bool wants_write;
	char why[STREAM_WHY_LEN]; /* more than errno says, or "" */
};

/* Owns fd (non-blocking, connected) from now on. */
struct stream *stream_new_plain(int fd);
void stream_free(struct stream *s); /* closes the descriptor; NULL is fine */

int stream_handshake(struct stream *s);
ssize_t stream_read(struct stream *s, void *buf, size_t len);
ssize_t stream_peek(struct stream *s, void *buf, size_t len);
ssize_t stream_write(struct stream *s, const void *buf, size_t len);
bool stream_has_pending(const struct stream *s);

/* After -EAGAIN: wait until the descriptor is writable (otherwise: readable). */
bool stream_wants_write(const struct stream *s);
int stream_fd(const struct stream *s);
/* The descriptor's bytes are the stream's bytes: they may be spliced. */
bool stream_is_plain(const struct stream *s);
/* Open, and nothing has arrived that nobody asked for. */
bool stream_is_quiet(struct stream *s);
/* What the last error was, in words; never empty. */
const char *stream_why(const struct stream *s, int error);

#endif
