#include "daemon/net/stream.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"

static int plain_handshake(struct stream *s)
{
	(void)s;
	return 0;
}

static ssize_t receive(struct stream *s, void *buf, size_t len, int flags)
{
	ssize_t n;

	do
		n = recv(s->fd, buf, len, flags);
	while (n == -1 && errno == EINTR);
	s->wants_write = false;
	return n == -1 ? -errno : n;
}

static ssize_t plain_read(struct stream *s, void *buf, size_t len)
{
	return receive(s, buf, len, 0);
}

static ssize_t plain_peek(struct stream *s, void *buf, size_t len)
{
	return receive(s, buf, len, MSG_PEEK);
}

static ssize_t plain_write(struct stream *s, const void *buf, size_t len)
{
	ssize_t n;

	do
		n = send(s->fd, buf, len, MSG_NOSIGNAL);
	while (n == -1 && errno == EINTR);
	s->wants_write = true;
	return n == -1 ? -errno : n;
}

static bool plain_has_pending(const struct stream *s)
{
	(void)s;
	return false;
}

static void plain_free(struct stream *s)
{
	close(s->fd);
	free(s);
}

static const struct stream_ops plain_ops = {
	.handshake = plain_handshake,
	.read = plain_read,
	.peek = plain_peek,
	.write = plain_write,
	.has_pending = plain_has_pending,
	.free = plain_free,
};

struct stream *stream_new_plain(int fd)
{
	struct stream *s = xcalloc(1, sizeof(*s));

	s->ops = &plain_ops;
	s->fd = fd;
	return s;
}

void stream_free(struct stream *s)
{
	if (s != NULL)
		s->ops->free(s);
}

int stream_handshake(struct stream *s)
{
	return s->ops->handshake(s);
}

ssize_t stream_read(struct stream *s, void *buf, size_t len)
{
	return s->ops->read(s, buf, len);
}

ssize_t stream_peek(struct stream *s, void *buf, size_t len)
{
	return s->ops->peek(s, buf, len);
}

ssize_t stream_write(struct stream *s, const void *buf, size_t len)
{
	return s->ops->write(s, buf, len);
}

bool stream_has_pending(const struct stream *s)
{
	return s->ops->has_pending(s);
}

bool stream_wants_write(const struct stream *s)
{
	return s->wants_write;
}

int stream_fd(const struct stream *s)
{
	return s->fd;
}

bool stream_is_plain(const struct stream *s)
{
	return s->ops == &plain_ops;
}

bool stream_is_quiet(struct stream *s)
{
	char byte;

	return stream_peek(s, &byte, 1) == -EAGAIN;
}

const char *stream_why(const struct stream *s, int error)
{
	if (s->why[0] != '\0')
		return s->why;
	return error != 0 ? strerror(-error) : "closed by the peer";
}
