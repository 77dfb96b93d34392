#include "daemon/net/dial.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/base/xalloc.h"

struct dial {
	struct event *event;
	dial_cb *on_done;
	void *arg;
	int fd;
	int error; /* known before the loop ran */
};

static void dial_free(struct dial *d)
{
	if (d->event != NULL)
		event_free(d->event);
	if (d->fd != -1)
		close(d->fd);
	free(d);
}

/* The only way out: hand over the result, then die. */
static void dial_finish(struct dial *d, int error)
{
	dial_cb *on_done = d->on_done;
	void *arg = d->arg;
	int result = error != 0 ? error : d->fd;

	if (error == 0)
		d->fd = -1;
	dial_free(d);
	on_done(result, arg);
}

static void dial_on_event(evutil_socket_t fd, short what, void *arg)
{
	struct dial *d = arg;
	socklen_t len = sizeof(int);
	int error = 0;

	if (d->error != 0) {
		dial_finish(d, d->error);
		return;
	}
	if ((what & EV_WRITE) == 0) {
		dial_finish(d, -ETIMEDOUT);
		return;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) == -1)
		error = errno;
	dial_finish(d, -error);
}

/* 0: connected at once.  -EINPROGRESS: wait for EV_WRITE. */
static int open_socket(const struct dial_target *t, int *ret_fd)
{
	static const int on = 1;
	int fd, r;

	fd = socket(t->addr->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;

	/* Neither is worth failing for: the first saves ports, the second latency. */
	setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (t->source != NULL && bind(fd, t->source, t->source_len) == -1) {
		r = -errno;
		goto err_close;
	}

	r = connect(fd, t->addr, t->addr_len) == -1 ? -errno : 0;
	if (r != 0 && r != -EINPROGRESS)
		goto err_close;

	*ret_fd = fd;
	return r;

err_close:
	close(fd);
	return r;
}

int dial_start(struct event_base *base, const struct dial_target *target, dial_cb *on_done,
	       void *arg, struct dial **ret_dial)
{
	struct dial *d = xcalloc(1, sizeof(*d));
	struct timeval timeout = {
		.tv_sec = target->timeout_ms / 1000,
		.tv_usec = target->timeout_ms % 1000 * 1000,
	};
	bool waits;
	int r;

	d->on_done = on_done;
	d->arg = arg;
	d->fd = -1;
	r = open_socket(target, &d->fd);
	waits = r == 0 || r == -EINPROGRESS;
	d->error = waits ? 0 : r;

	d->event = event_new(base, d->fd, waits ? EV_WRITE : 0, dial_on_event, d);
	if (d->event == NULL || event_add(d->event, waits ? &timeout : NULL) == -1) {
		dial_free(d);
		return -ENOMEM;
	}
	/* Failed already: say so from the loop. */
	if (!waits)
		event_active(d->event, EV_TIMEOUT, 0);
	*ret_dial = d;
	return 0;
}

void dial_cancel(struct dial *d)
{
	dial_free(d);
}
