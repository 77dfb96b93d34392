/*
 * linkstate.h - what a link is made of: for link.c, link_connect.c and
 * link_call.c alone.
 *
 * Numbers of descriptors stay for a link's life: a new session's are moved onto
 * the old ones (if they are still ours), so that a thread that still looks at a
 * number never meets a descriptor of the program's.  The same holds for the
 * session's memory: its address stays.
 *
 * Order of locks: connecting, then submit_lock or complete_lock, then lock.
 */
#ifndef LIBCLIENT_CORE_LINKSTATE_H
#define LIBCLIENT_CORE_LINKSTATE_H

#include "common/ring.h"
#include "libclient/core/link.h"
#include "libclient/core/locate.h"
#include "libclient/core/lock.h"
#include "libclient/core/text.h"

struct own_fd { /* a descriptor, and how to know that it is still the one */
	int fd;
	uint64_t dev, ino;
};

struct link {
	struct locations locations;
	bool spawn;

	struct gate connecting; /* one thread makes a session */
	struct gate receiving;	/* one thread reads the socket for all */
	struct lock lock;	/* waits, seq, text, path, hello */
	struct lock submit_lock;
	struct lock complete_lock;

	/* epoch:32 | serial:32 of the session that is up; 0: none */
	uint64_t session;
	uint32_t last_serial;
	uint32_t epoch; /* of the process that made the descriptors below */
	struct own_fd socket, kick, notify;
	struct wire_session *memory; /* constant once mapped */
	bool has_claims; /* chunks were pinned, here or before a fork: see map_session() */
	struct ring submit, complete;
	const void *idle_owners[WIRE_NR_IDLE]; /* who left what lies in memory->idle, last */

	struct link_wait *waits;
	uint32_t seq;
	uint32_t turn; /* futex: an answer came, or the socket is free to be read */
	struct wire_hello_answer hello;
	char path[LOCATE_PATH_MAX];
	char text[LINK_TEXT];
};

struct packet { /* one received message */
	union {
		struct wire_head head;
		unsigned char bytes[768];
	} u;
	size_t len;
	int fds[LINK_MAX_FDS];
	unsigned nr_fds;
};

bool own_fd_is_ours(const struct own_fd *f);

/* The session `serial` is over: every wait ends. */
void link_down(struct link *l, uint32_t serial);
/* Receive one packet from the socket within wait_ms: 0, -EAGAIN, -ECONNRESET, -EPROTO. */
int link_receive(int fd, struct packet *ret, unsigned wait_ms);
/* Send one packet, waiting for room at most wait_ms. */
int link_transmit(int fd, const void *msg, size_t len, unsigned wait_ms);
void packet_close_fds(struct packet *p);

#endif
