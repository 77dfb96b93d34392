/*
 * dial.h - open one TCP connection, from a chosen source address, with a
 * deadline.  Knows nothing of TLS, HTTP or pooling.
 *
 * The callback runs exactly once, always from the event loop, never from
 * inside dial_start(); after dial_cancel() it does not run at all.
 *
 * Threads: call only on the worker that owns the event_base.
 */
#ifndef DAEMON_NET_DIAL_H
#define DAEMON_NET_DIAL_H

#include <sys/socket.h>

struct dial;
struct event_base;

struct dial_target {
	const struct sockaddr *addr;
	socklen_t addr_len;
	const struct sockaddr *source; /* NULL: let the kernel choose */
	socklen_t source_len;
	unsigned timeout_ms;
};

/* fd >= 0: connected, now owned by the callee.  fd < 0: a negative errno. */
typedef void dial_cb(int fd, void *arg);

/* The addresses are used inside the call only.  -ENOMEM; all else goes to the callback. */
int dial_start(struct event_base *base, const struct dial_target *target, dial_cb *on_done,
	       void *arg, struct dial **ret_dial);
void dial_cancel(struct dial *d);

#endif
