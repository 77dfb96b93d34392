#include "daemon/http/transit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"
#include "daemon/http/sink.h"
#include "daemon/net/stream.h"

#define HOT_LEN	 (256 * 1024) /* small enough to stay in the second-level cache */
#define PIPE_LEN (1024 * 1024)

struct transit {
	char *hot;	 /* NULL until needed */
	int pipe_fds[2]; /* -1 until needed */
	bool cannot_splice;
};

struct transit *transit_new(void)
{
	struct transit *t = xcalloc(1, sizeof(*t));

	t->pipe_fds[0] = -1;
	t->pipe_fds[1] = -1;
	return t;
}

static void close_pipe(struct transit *t)
{
	if (t->pipe_fds[0] == -1)
		return;
	close(t->pipe_fds[0]);
	close(t->pipe_fds[1]);
	t->pipe_fds[0] = -1;
	t->pipe_fds[1] = -1;
}

void transit_free(struct transit *t)
{
	if (t == NULL)
		return;
	close_pipe(t);
	free(t->hot);
	free(t);
}

static int open_pipe(struct transit *t)
{
	if (pipe2(t->pipe_fds, O_NONBLOCK | O_CLOEXEC) == -1)
		return -errno;
	/* A user's pipes are bounded: with less it is slower, not wrong. */
	if (fcntl(t->pipe_fds[1], F_SETPIPE_SZ, PIPE_LEN) == -1)
		fcntl(t->pipe_fds[1], F_SETPIPE_SZ, PIPE_LEN / 4);
	return 0;
}

ssize_t transit_receive(struct transit *t, struct stream *s, size_t max, const char **ret_bytes)
{
	size_t len = 0;
	ssize_t n;

	if (t->hot == NULL) {
		t->hot = malloc(HOT_LEN);
		if (t->hot == NULL)
			return -ENOMEM;
	}
	if (max > HOT_LEN)
		max = HOT_LEN;
	*ret_bytes = t->hot;
	n = stream_read(s, t->hot, max);
	/* TLS gives a record at a time; what stops it now will stop it again. */
	while (n > 0 && !stream_is_plain(s)) {
		len += (size_t)n;
		if (len == max)
			break;
		n = stream_read(s, t->hot + len, max - len);
	}
	return len > 0 ? (ssize_t)len : n;
}

static int copy_through(struct transit *t, struct stream *s, struct sink *sink, size_t max,
			struct transit_step *ret)
{
	const char *bytes;
	ssize_t n = transit_receive(t, s, max, &bytes);
	int r;

	if (n <= 0)
		return (int)n;
	r = sink->ops->write(sink, bytes, (size_t)n);
	if (r != 0) {
		ret->refused = true;
		return r;
	}
	ret->taken = (size_t)n;
	return 1;
}

/* The sink takes all that waits in the pipe. */
static int drain_pipe(struct transit *t, struct sink *sink, size_t len, struct transit_step *ret)
{
	ssize_t n;

	while (ret->taken < len) {
		n = sink->ops->splice(sink, t->pipe_fds[0], len - ret->taken);
		BUG_ON(n > 0 && (size_t)n > len - ret->taken);
		if (n <= 0) {
			ret->refused = true;
			/* What is left in it belongs to nobody. */
			close_pipe(t);
			return n < 0 ? (int)n : -EIO;
		}
		ret->taken += (size_t)n;
	}
	return 1;
}

static bool may_splice(const struct transit *t, const struct stream *s, struct sink *sink)
{
	if (sink->ops->splice == NULL || !stream_is_plain(s) || t->cannot_splice)
		return false;
	return sink->ops->prefers_splice == NULL || sink->ops->prefers_splice(sink);
}

int transit_move(struct transit *t, struct stream *s, struct sink *sink, size_t max,
		 struct transit_step *ret)
{
	ssize_t n;
	int r;

	*ret = (struct transit_step){ .taken = 0 };
	if (!may_splice(t, s, sink))
		return copy_through(t, s, sink, max, ret);
	if (t->pipe_fds[0] == -1) {
		r = open_pipe(t);
		if (r != 0)
			return copy_through(t, s, sink, max, ret);
	}
	do
		n = splice(stream_fd(s), NULL, t->pipe_fds[1], NULL,
			   max < PIPE_LEN ? max : PIPE_LEN, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
	while (n == -1 && errno == EINTR);
	if (n == -1 && errno == EINVAL) {
		t->cannot_splice = true;
		return copy_through(t, s, sink, max, ret);
	}
	if (n == -1)
		return -errno;
	return n > 0 ? drain_pipe(t, sink, (size_t)n, ret) : 0;
}
