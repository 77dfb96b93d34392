/*
 * link.h - a process's connection with the daemon: finding the socket, HELLO,
 * requests and answers of several threads, the rings of the session, and
 * noticing that the daemon is gone.  It knows messages, not mounts or files.
 *
 * A link survives: after fork, after closefrom() took its descriptors, or after
 * the daemon died, link_connect() makes a new session in place.  link_serial()
 * tells sessions apart: what was opened in one does not exist in the next.
 *
 * Every wait is bounded; at least every LINK_SLICE_MS the socket is looked at.
 * Threads: any.
 */
#ifndef LIBCLIENT_CORE_LINK_H
#define LIBCLIENT_CORE_LINK_H

#include "common/wire.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LINK_SLICE_MS	200u
#define LINK_REQUEST_MS 60000u /* one ordinary request */
#define LINK_START_MS	10000u /* a daemon that was started must answer within this */
#define LINK_MAX_FDS	4u
#define LINK_TEXT	WIRE_ERROR_TEXT

struct link;

struct link_conf {
	/* Read once, in link_new(): OSSC_SOCKET, OSSC_DAEMON, OSSC_CONFIG, XDG_*, HOME, PATH. */
	char *const *envp;
	const char *socket; /* NULL: OSSC_SOCKET, else the usual places are searched */
	bool spawn;	    /* start a daemon when none listens (a primary) */
};

/* Connects nothing yet.  Copies what it needs. */
int link_new(const struct link_conf *conf, struct link **ret_link);
/* The session ends; nobody may be inside another call. */
void link_free(struct link *l);

/*
 * Make sure there is a session of this process: 0 at once if there is one.
 * -ENOENT or -ECONNREFUSED: no daemon listens (and none could be started);
 * -EACCES: the one that does is not to be trusted; -EPROTO: of another version;
 * -ETIMEDOUT.  link_error_text() says what to do.
 */
int link_connect(struct link *l);
/* The session's number, 0 when there is none in this process. */
uint32_t link_serial(const struct link *l);
/* Look at the socket: 0, or -ECONNRESET when the session `serial` is over. */
int link_check(struct link *l, uint32_t serial);
/* The path last connected to, or tried; copied out.  -ENAMETOOLONG. */
int link_socket_path(struct link *l, char *buf, size_t cap);
/* Of the daemon's HELLO: its process, user and version.  -ENOTCONN. */
int link_daemon(struct link *l, struct wire_hello_answer *ret);

/* Why the last call on this link failed: copied out, never NULL-less; "" when nothing did. */
void link_error_text(struct link *l, char *buf, size_t cap);
/* Said by the layers above when the fault is theirs. */
void link_set_error_text(struct link *l, const char *text);

/*
 * Called by a thread that waits for bytes, or has waited for an answer for LINK_SLICE_MS; NULL: no
 * one is.  Set once, at the start.
 */
extern void (*link_on_wait)(struct link *l, uint64_t now_ms);
/* `ossc progress` for this process: see spawn_progress(). */
int link_start_progress(struct link *l, const char *const *more);

/* ---- requests -------------------------------------------------------------------- */

/* One request on its way.  In the caller's memory until link_await() or link_forget(). */
struct link_wait {
	struct link_wait *next;
	uint32_t seq;
	uint32_t serial;
	int result; /* -EINPROGRESS, 0, or a negative errno */
	uint16_t type;
	uint16_t nr_fds;
	int fds[LINK_MAX_FDS]; /* of the answer; whoever takes one writes -1 over it */
	size_t len;
	union {
		struct wire_head head;
		unsigned char bytes[768];
	} answer;
};

/*
 * Send a request (its head is completed here: seq).  0: on its way, `w` belongs
 * to the link until link_await() or link_forget().  -ENOTCONN: no session.
 */
int link_send(struct link *l, struct wire_head *request, struct link_wait *w);
/*
 * Wait for the answer: 0 (w->answer, w->fds), the daemon's negative status
 * (its sentence is the link's error text), -ETIMEDOUT, -ECONNRESET.  On an
 * error no descriptor is left in w.
 */
int link_await(struct link *l, struct link_wait *w, unsigned timeout_ms);
/* Give up waiting, and close the descriptors that came. */
void link_forget(struct link *l, struct link_wait *w);
/* link_send() and link_await().  An answer shorter than answer_len is -EPROTO. */
int link_call(struct link *l, struct wire_head *request, size_t answer_len, unsigned timeout_ms,
	      struct link_wait *w);

/* ---- rings ------------------------------------------------------------------------ */

/* -EAGAIN: the ring is full, wait a little.  -ECONNRESET: session `serial` is over. */
int link_submit(struct link *l, uint32_t serial, const struct wire_submission *s);
/* A reader moved to another chunk.  No lock; wakes the daemon only if it asks for that. */
void link_touch(struct link *l, uint32_t object, uint32_t chunk);
/*
 * Nobody has the object open at the moment: leave it with the session, which closes it when
 * it is not taken out soon.  The slot, or -EAGAIN: close it now.  Signals are blocked.
 * owner: who leaves it, as numbers are given anew once the session has closed it.
 */
int link_idle_put(struct link *l, uint32_t serial, uint32_t object, const void *owner);
/* Take it out again.  False: it is closed, or the session is over.  Signals are blocked. */
bool link_idle_take(struct link *l, uint32_t serial, unsigned slot, uint32_t object,
		    const void *owner);
/* The next completion: 0, -EAGAIN when there is none, -ECONNRESET, -EPROTO. */
int link_complete(struct link *l, uint32_t serial, struct wire_completion *ret);
/*
 * About to sleep on the notify descriptor: 0, or -EAGAIN when completions are
 * there already.
 */
int link_complete_sleep(struct link *l, uint32_t serial);
/* Readable when completions may have come; owned by the link.  -ENOTCONN. */
int link_notify_fd(struct link *l);
/* The control socket, for poll() beside it: its hang-up is the daemon's death. */
int link_socket_fd(struct link *l);

#endif
