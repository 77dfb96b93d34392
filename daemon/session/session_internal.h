/*
 * session_internal.h - what the files of daemon/session share.  Nobody else
 * includes it.
 *
 *	NEW --HELLO--> OPEN --session_close()--> DEAD
 *	  \              \--> LEFT (over, but a process may read what it held) --> DEAD
 *	   \--refused--> ENDED (answered why; waits for the client to go)
 *
 * A dead session is freed in a turn of the loop of its own, so that no function
 * up the stack holds freed memory: who calls something that may close a session
 * looks at session_is_dead() afterwards.
 */
#ifndef DAEMON_SESSION_SESSION_INTERNAL_H
#define DAEMON_SESSION_SESSION_INTERNAL_H

#include <stdint.h>
#include <sys/queue.h>

#include "common/wire.h"
#include "daemon/base/audit.h"
#include "daemon/session/ringsvc.h"
#include "daemon/session/session.h"

struct event;
struct mount;
struct mount_attach;
struct notice;
struct object;

#define SESSION_MOUNTS_MAX	64
#define SESSION_OBJECTS_MAX	65536
#define SESSION_PENDING_MAX	64  /* answers that are waited for */
#define SESSION_OUTBOX_MAX	256 /* messages that the client has not read */
#define SESSION_NOTICES_MAX	WIRE_NR_COMPLETIONS
#define SESSION_MESSAGES_A_WAKE 16
#define SESSION_ENTRIES_A_WAKE	256
#define SESSION_PATH_MAX	4096 /* of a path below a mount */

enum session_state {
	SESSION_NEW = 0, /* HELLO has not come */
	SESSION_OPEN,
	SESSION_ENDED, /* refused; whatever comes now closes it */
	SESSION_LEFT,  /* no socket, no rings; only what its client held, while it may look at it */
	SESSION_DEAD,  /* waits to be freed */
};

/* One open file of the client. */
struct held {
	bool used;
	struct object *object; /* NULL: an empty file */
	uint32_t mount;	       /* its number in this session */
	uint32_t nr_chunks;
	uint8_t *pins; /* one count a chunk; NULL: none */
	uint32_t next_free;
};

/* A request whose answer waits for a mount or for a verdict. */
struct pending {
	TAILQ_ENTRY(pending) link;
	struct session *session;
	uint16_t type;
	uint32_t seq;
	uint32_t mount;		     /* slot that is kept for it, or the one that is refreshed */
	struct mount_attach *attach; /* MOUNT, SNAPSHOT, LIST */
	bool is_secondary;	     /* MOUNT */
	uint32_t object;	     /* VERIFY */
	bool store_only;	     /* VERIFY: what the store says is enough */
	uint64_t present;	     /* VERIFY: bytes seen last */
	uint64_t since_ms;	     /* VERIFY: when there was news last */
	char *what;		     /* for the audit log */
};

/* A message that did not fit the socket's buffer, with descriptors of its own. */
struct parcel {
	TAILQ_ENTRY(parcel) link;
	size_t len;
	int fds[3];
	unsigned nr_fds;
	char bytes[];
};

/* What was seen in a slot of wire_session's idle, and for how many pulses. */
struct idle {
	uint32_t number;
	unsigned age;
};

struct session_counts {
	uint64_t messages, submissions, touches, kicks, bad_entries;
};

struct session {
	LIST_ENTRY(session) link;
	TAILQ_ENTRY(session) active_link; /* in sessions.active, if is_active */
	struct sessions *all;
	enum session_state state;
	uint32_t id;
	uid_t uid;
	pid_t pid;
	char exe[256];
	bool refused; /* over a bound: HELLO is answered so */

	int fd;
	struct event *on_readable;
	struct event *on_writable; /* pending only while the outbox holds something */
	TAILQ_HEAD(, parcel) outbox;
	unsigned nr_parcels;

	struct wire_session *shared; /* NULL before HELLO */
	int mem_fd;		     /* of that: tells whether a process still maps it */
	struct ringsvc ring;
	int kick_fd;   /* eventfd; the client's end is the same */
	int notify_fd; /* our end of a socket pair: a write never blocks, whatever the client does */
	struct event *on_kick;
	struct event *on_again; /* the rest of a ring, after others had their turn */
	bool stalled;		/* submissions wait until completions were taken */
	bool is_active;		/* touches are drained by the pulse */
	unsigned quiet;		/* pulses since something came */
	struct idle idle[WIRE_NR_IDLE];

	struct {
		struct mount *mount; /* NULL: free, or kept for an attach */
		bool taken;
	} mounts[SESSION_MOUNTS_MAX];
	struct held *held;
	uint32_t nr_held, cap_held, first_free;
	uint64_t nr_pins;

	TAILQ_HEAD(, pending) pending;
	unsigned nr_pending;
	LIST_HEAD(, notice) notices;
	unsigned nr_notices;
	struct session_counts counts;
};

struct sessions {
	struct worker *control;
	struct cache *cache;
	struct mounts *mounts;
	struct sessions_conf conf;
	LIST_HEAD(, session) list;
	TAILQ_HEAD(, session) active;
	unsigned nr; /* alive, refused ones not counted */
	unsigned nr_refused;
	uint32_t next_id;
	bool shut;
	LIST_HEAD(, session) dead;
	struct event *bury; /* frees the dead */

	int listen_fd;
	int spare_fd; /* given up for a moment to turn clients away when descriptors run out */
	struct event *on_connect;

	struct event *pulse; /* see pulse.c */
	struct event *upkeep;
	struct event *sweep; /* looks after the LEFT, while there are any */
	bool want_touch;
	unsigned calm;		      /* pulses without any reason for another */
	struct session_counts counts; /* of sessions that are gone, and of all messages */
	uint64_t nr_opened, nr_broken;
	/* One message at a time is read, judged and wiped. */
	_Alignas(8) char message[WIRE_MAX + 8];
};

/* ---- session.c ------------------------------------------------------------------ */

void session_close(struct session *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static inline bool session_is_dead(const struct session *s)
{
	return s->state >= SESSION_LEFT;
}
/* A LEFT session whose memory nobody maps any more is closed.  True when it still waits for that. */
bool session_is_left(struct session *s);
void session_new(struct sessions *ss, int fd, uid_t uid, pid_t pid);
struct audit_who session_who(const struct session *s);
void session_read_exe(struct session *s);
/* HELLO was good: the shared memory and its descriptors. */
int session_open_memory(struct session *s, int ret_fds[3]);

/* -ENOSPC when all are taken.  Numbers that clients see begin with 1. */
int session_take_mount(struct session *s, uint32_t *ret_number);
void session_drop_mount(struct session *s, uint32_t number);
struct mount *session_mount(const struct session *s, uint32_t number); /* NULL: no such one */
int session_hold(struct session *s, uint32_t mount, struct object *o, uint32_t *ret_number);
struct held *session_held(struct session *s, uint32_t number); /* NULL: no such one */
void session_release(struct session *s, uint32_t number);

/* NULL when too many wait: already answered so. */
struct pending *pending_new(struct session *s, const struct wire_head *req, const char *what);
void pending_free(struct pending *p);

/* ---- outbox.c ------------------------------------------------------------------- */

/* Answers.  msg->head is filled in from the request's type and seq; fds stay the caller's. */
void session_answer(struct session *s, uint16_t type, uint32_t seq, struct wire_head *msg,
		    size_t len, const int *fds, unsigned nr_fds);
/* A refusal with a sentence for the user. */
void session_refuse(struct session *s, uint16_t type, uint32_t seq, int error, const char *fmt, ...)
	__attribute__((format(printf, 5, 6)));
void outbox_on_writable(int fd, short what, void *arg);
void outbox_clear(struct session *s);

/* ---- dispatch.c ----------------------------------------------------------------- */

void dispatch_on_readable(int fd, short what, void *arg);
/* One message of n bytes in all->message. */
void dispatch_message(struct session *s, size_t n);

/* ---- ringops.c ------------------------------------------------------------------ */

void ringops_on_kick(int fd, short what, void *arg);
void ringops_on_again(int fd, short what, void *arg);
/* Touches and what waits in the backlog.  True when there was anything. */
bool ringops_pulse(struct session *s);
/* All notices of one object, or (NULL) of the session. */
void notices_cancel(struct session *s, const struct object *o);

/* ---- idle.c --------------------------------------------------------------------- */

/* The session's memory is there. */
void idle_begin(struct session *s);
/* Tell the client whether it must kick when it leaves an object. */
void idle_watch(struct session *s, bool on);
bool idle_is_empty(const struct session *s);
/* Close what has lain there for long.  True while something does. */
bool idle_pulse(struct session *s);

/* ---- pulse.c -------------------------------------------------------------------- */

int pulse_init(struct sessions *ss);
void pulse_fini(struct sessions *ss);
/* Something happened: look at the cache, and again shortly. */
void pulse_wake(struct sessions *ss);
/* A session is LEFT: look after it now and then. */
void pulse_sweep(struct sessions *ss);
/* And drain this session's touches while it is busy. */
void pulse_activate(struct session *s);
void pulse_forget(struct session *s);

/* ---- the operations ------------------------------------------------------------- */

typedef void op_fn(struct session *s, const struct wire_head *req);
op_fn op_hello, op_mount, op_snapshot, op_open, op_close, op_pin, op_unpin, op_prefetch, op_umount,
	op_status, op_verify, op_list;
/* op_object.c: an object of the session is closed. */
void op_close_number(struct session *s, uint32_t number);
/* op_verify.c: look at a waiting VERIFY again.  True when it was answered and freed. */
bool op_verify_poll(struct pending *p, uint64_t now_ms);

#define slog(level, s, fmt, ...)                                                                   \
	log_write(level, LOG_MODULE, "session %u (uid %u, pid %d, %s): " fmt, (s)->id,             \
		  (unsigned)(s)->uid, (int)(s)->pid, (s)->exe, ##__VA_ARGS__)
#define slog_info(s, ...) slog(LOG_LEVEL_INFO, s, __VA_ARGS__)
#define slog_warn(s, ...) slog(LOG_LEVEL_WARN, s, __VA_ARGS__)

#endif
