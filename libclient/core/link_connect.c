/* Making a session: the socket's place, the peer's credentials, HELLO. */
#include "libclient/core/epoch.h"
#include "libclient/core/linkstate.h"
#include "libclient/core/mem.h"
#include "libclient/core/spawn.h"
#include "libclient/core/sys.h"

#include <sys/un.h>

#ifndef OSSC_VERSION
#define OSSC_VERSION "unknown"
#endif

#define HELLO_MS     LINK_REQUEST_MS
#define RETRY_MS     20u   /* between two looks for a daemon that is starting */
#define LOSER_MS     3000u /* ours ended: another may have won the race and be about to listen */
#define NR_HELLO_FDS 3u
#define PAGE	     4096u

/* Out of the way of programs that count on low numbers. */
static int move_high(int fd)
{
	static const int floors[] = { 1000, 500, 200, 100, 32 };
	unsigned i;

	for (i = 0; i < sizeof(floors) / sizeof(floors[0]); i++) {
		int high = sys_fcntl(fd, F_DUPFD_CLOEXEC, floors[i]);

		if (high >= 0) {
			sys_close(fd);
			return high;
		}
	}
	return fd;
}

/* Is the daemon root's or our own?  Only then do credentials go over the socket. */
static int check_peer(int fd, const char *path, struct text *why)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);
	int r = sys_getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len);

	if (r < 0)
		return r;
	if (peer.uid == 0 || peer.uid == sys_geteuid())
		return 0;
	text_adds(why, "the daemon at ");
	text_adds(why, path);
	text_adds(why, " runs as user ");
	text_addu(why, peer.uid);
	text_adds(why,
		  ", neither root nor this user: not trusted with credentials; set OSSC_SOCKET "
		  "to a daemon of your own");
	return -EACCES;
}

static int open_socket(const char *path, int *ret_fd)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	uint64_t deadline = sys_now_ms() + 5000;
	int fd, r;

	if (mem_len(path) >= sizeof(addr.sun_path))
		return -ENAMETOOLONG;
	mem_copy(addr.sun_path, path, mem_len(path));
	fd = sys_socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return fd;
	/* -EAGAIN: its queue of connections is full. */
	while ((r = sys_connect(fd, (struct sockaddr *)&addr, sizeof(addr))) == -EAGAIN ||
	       r == -EINTR) {
		if (sys_now_ms() > deadline)
			break;
		sys_sleep_ms(5);
	}
	if (r < 0) {
		sys_close(fd);
		return r == -EAGAIN ? -ETIMEDOUT : r;
	}
	*ret_fd = fd;
	return 0;
}

static int say_hello(int fd, struct packet *ret_answer)
{
	struct wire_hello hello = {
		.head = wire_head(WIRE_HELLO, 0, sizeof(hello)),
		.wire_version = WIRE_VERSION,
		.version = OSSC_VERSION,
	};
	uint64_t deadline = sys_now_ms() + HELLO_MS;
	int r = link_transmit(fd, &hello, sizeof(hello), HELLO_MS);

	while (r == 0) {
		r = link_receive(fd, ret_answer, LINK_SLICE_MS);
		if (r != -EAGAIN)
			return r;
		r = sys_now_ms() > deadline ? -ETIMEDOUT : 0;
	}
	return r;
}

static int refuse_version(uint32_t version, const char *path, struct text *why)
{
	text_adds(why, "the daemon at ");
	text_adds(why, path);
	text_adds(why, " speaks version ");
	text_addu(why, version);
	text_adds(why, " of the protocol and this library version ");
	text_addu(why, WIRE_VERSION);
	text_adds(why, ": install the same release of both and restart the daemon");
	return -EPROTO;
}

/* Is this the answer to our HELLO, of our version, with what a session needs? */
static int judge_hello(const struct packet *p, const char *path, struct text *why)
{
	const struct wire_hello_answer *a = (const void *)p->u.bytes;
	const struct wire_error *e = (const void *)p->u.bytes;

	if (p->len < sizeof(struct wire_head) || p->u.head.magic != WIRE_MAGIC ||
	    p->u.head.type != WIRE_HELLO)
		goto not_ours;
	if (p->u.head.version != WIRE_VERSION)
		return refuse_version(p->u.head.version, path, why);
	if (p->u.head.status < 0 && p->len == sizeof(*e)) {
		text_addn(why, e->text, sizeof(e->text) - 1);
		return p->u.head.status;
	}
	if (p->len < sizeof(*a) || p->u.head.status != 0 || p->nr_fds != NR_HELLO_FDS)
		goto not_ours;
	if (a->wire_version != WIRE_VERSION)
		return refuse_version(a->wire_version, path, why);
	return 0;

not_ours:
	text_adds(why, "what listens at ");
	text_adds(why, path);
	text_adds(why, " is not osscd, or of a very different version: see OSSC_SOCKET");
	return -EPROTO;
}

static int map_session(struct link *l, int fd)
{
	size_t len = sizeof(struct wire_session);
	struct stat st;
	void *mem;

	if (sys_fstat(fd, &st) < 0 || st.st_size < (off_t)len)
		return -EPROTO;
	/*
	 * The daemon keeps the objects and pins of a session while that session's memory is mapped,
	 * even when its socket is gone.  Readers may be at those objects' words, so it stays mapped
	 * somewhere else, for good; in a forked child only what was pinned counts.
	 */
	if (l->memory != NULL &&
	    (l->epoch == epoch_now() || __atomic_load_n(&l->has_claims, __ATOMIC_SEQ_CST))) {
		mem = sys_mremap(l->memory, 0, PAGE, MREMAP_MAYMOVE, NULL);
		if (sys_is_error(mem))
			return (int)(long)mem;
	}
	/* Over the old one, if there is one: who still writes there writes into the new. */
	mem = sys_mmap(l->memory, len, PROT_READ | PROT_WRITE,
		       MAP_SHARED | (l->memory != NULL ? MAP_FIXED : 0), fd, 0);
	if (sys_is_error(mem))
		return (int)(long)mem;
	l->memory = mem;
	return 0;
}

/* Keep a new descriptor under the number of the old one, or at a high number. */
static void keep_fd(struct own_fd *own, bool reuse, int fd)
{
	struct stat st;

	if (reuse && own_fd_is_ours(own) && sys_dup3(fd, own->fd, O_CLOEXEC) >= 0) {
		sys_close(fd);
		fd = own->fd;
	} else {
		fd = move_high(fd);
	}
	own->fd = fd;
	if (sys_fstat(fd, &st) == 0) {
		own->dev = st.st_dev;
		own->ino = st.st_ino;
	}
}

static int install(struct link *l, int fd, struct packet *p, const char *path)
{
	/* In a forked child the numbers are inherited: they stay open, for what the parent pinned. */
	bool reuse = l->epoch == epoch_now();
	uint64_t submit_signals, complete_signals, signals;
	struct text t;
	int r;

	submit_signals = lock_enter(&l->submit_lock);
	complete_signals = lock_enter(&l->complete_lock);
	signals = lock_enter(&l->lock);
	r = map_session(l, p->fds[0]);
	if (r == 0) {
		keep_fd(&l->socket, reuse, fd);
		keep_fd(&l->kick, reuse, p->fds[1]);
		keep_fd(&l->notify, reuse, p->fds[2]);
		p->fds[1] = p->fds[2] = -1;
		ring_init(&l->submit, &l->memory->submit, WIRE_NR_SUBMISSIONS);
		ring_init(&l->complete, &l->memory->complete, WIRE_NR_COMPLETIONS);
		l->waits = NULL; /* in a child: those of the parent's threads */
		mem_copy(&l->hello, p->u.bytes, sizeof(l->hello));
		text_init(&t, l->path, sizeof(l->path));
		text_adds(&t, path);
		l->epoch = epoch_now();
		if (++l->last_serial == 0)
			l->last_serial = 1;
		/* Release pairs with link_serial(). */
		__atomic_store_n(&l->session, (uint64_t)l->epoch << 32 | l->last_serial,
				 __ATOMIC_RELEASE);
	}
	lock_leave(&l->lock, signals);
	lock_leave(&l->complete_lock, complete_signals);
	lock_leave(&l->submit_lock, submit_signals);
	return r;
}

/* One candidate: connect, check, HELLO. */
static int try_socket(struct link *l, const char *path, struct text *why)
{
	struct packet answer = { .nr_fds = 0 };
	int fd, r;

	r = open_socket(path, &fd);
	if (r == -EACCES && l->locations.socket == NULL)
		return -ECONNREFUSED; /* a daemon that is not for this user: there may be another */
	if (r == -ETIMEDOUT) {
		text_adds(why, "the daemon at ");
		text_adds(why, path);
		text_adds(why, " takes no more connections: it has stopped, or is overloaded");
	}
	if (r == -EACCES) {
		text_adds(why, path);
		text_adds(why,
			  " may not be used by this user: see its permissions, or set OSSC_SOCKET");
	}
	if (r != 0)
		return r;
	r = check_peer(fd, path, why);
	if (r == 0)
		r = say_hello(fd, &answer);
	if (r == 0)
		r = judge_hello(&answer, path, why);
	if (r == 0)
		r = install(l, fd, &answer, path);
	if (r != 0) {
		sys_close(fd);
		if (why->len == 0) {
			text_adds(why, "the daemon at ");
			text_adds(why, path);
			text_adds(why, " did not answer as it should: ");
			text_add_errno(why, r);
		}
	}
	packet_close_fds(&answer);
	return r;
}

static bool nobody_listens(int error)
{
	return error == -ENOENT || error == -ECONNREFUSED || error == -ENOTDIR;
}

/* All candidates in order; the first that listens decides. */
static int try_sockets(struct link *l, struct text *why)
{
	char path[LOCATE_PATH_MAX];
	unsigned i;
	int r;

	for (i = 0; locate_socket(&l->locations, i, path) == 0; i++) {
		if (!locate_is_private(path)) {
			struct stat st;

			if (sys_fstatat(AT_FDCWD, path, &st, 0) < 0)
				continue;
			text_adds(why, "the directory of ");
			text_adds(why, path);
			text_adds(why, " belongs to somebody else, or others may write in it: "
				       "not trusted; remove it or set OSSC_SOCKET");
			return -EACCES;
		}
		r = try_socket(l, path, why);
		if (!nobody_listens(r))
			return r;
	}
	return -ENOENT;
}

static void say_nobody(struct link *l, struct text *why)
{
	char path[LOCATE_PATH_MAX];
	unsigned i;

	text_adds(why, "no daemon listens at ");
	for (i = 0; locate_socket(&l->locations, i, path) == 0; i++) {
		if (i > 0)
			text_adds(why, ", ");
		text_adds(why, path);
	}
	text_adds(why, ": start osscd or a program with ENABLE_CONNECTOR=1 first, or set "
		       "OSSC_SOCKET to the daemon's socket");
}

/* Start one and wait, bounded, until it or a quicker one answers. */
static int start_daemon(struct link *l, struct text *why)
{
	char path[LOCATE_PATH_MAX];
	struct spawned s;
	uint64_t deadline = sys_now_ms() + LINK_START_MS;
	bool ended = false;
	int r;

	r = locate_own_socket(&l->locations, path);
	if (r != 0) {
		text_adds(why, "no private directory for the daemon's socket: ");
		text_adds(why, path);
		text_adds(why, " is in a directory that belongs to somebody else, or that others "
			       "may write in; set OSSC_SOCKET");
		return r;
	}
	r = spawn_start(&l->locations, path, &s, why);
	if (r != 0)
		return r;
	do {
		r = try_socket(l, path, why);
		if (!nobody_listens(r))
			break;
		if (!ended && spawn_has_ended(&s)) {
			uint64_t soon = sys_now_ms() + (spawn_lost_race(&s) ? LOSER_MS : 0);

			ended = true;
			deadline = soon < deadline ? soon : deadline;
		}
		sys_sleep_ms(RETRY_MS);
	} while (sys_now_ms() < deadline);

	if (nobody_listens(r)) {
		r = ended ? -ECONNREFUSED : -ETIMEDOUT;
		if (ended)
			spawn_reason(&s, why);
		else
			text_adds(why,
				  "a daemon was started but did not answer in time: see its log");
	}
	spawn_release(&s);
	return r;
}

int link_start_progress(struct link *l, const char *const *more)
{
	char socket[LOCATE_PATH_MAX];
	int r = link_socket_path(l, socket, sizeof(socket));

	return r == 0 ? spawn_progress(&l->locations, socket, more) : r;
}

int link_connect(struct link *l)
{
	char buf[LINK_TEXT];
	struct text why;
	int r;

	if (link_serial(l) != 0)
		return 0;
	r = gate_enter(&l->connecting, LINK_START_MS + HELLO_MS);
	if (r != 0)
		return r;
	if (link_serial(l) == 0) {
		text_init(&why, buf, sizeof(buf));
		r = try_sockets(l, &why);
		if (r == -ENOENT && l->spawn)
			r = start_daemon(l, &why);
		else if (r == -ENOENT)
			say_nobody(l, &why);
		if (r != 0)
			link_set_error_text(l, buf);
	}
	gate_leave(&l->connecting);
	return r;
}
