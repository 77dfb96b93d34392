/*
 * sdnotify.h - tell the service manager what state the daemon is in, by one
 * datagram to $NOTIFY_SOCKET.  Without that variable nothing happens.
 *
 * Threads: any.
 */
#ifndef DAEMON_BASE_SDNOTIFY_H
#define DAEMON_BASE_SDNOTIFY_H

/* state: "READY=1", "STOPPING=1", ..., several by newlines.  0 or a negative errno. */
int sdnotify(const char *state);
/* "RELOADING=1" with the time that Type=notify-reload asks for. */
int sdnotify_reloading(void);

#endif
