/*
 * The listening socket: who connects, by the kernel's word, and whether there
 * is room for one more.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

#define ACCEPTS_A_WAKE 32
#define REFUSED_MAX    64 /* over the bounds: told so in the answer to HELLO; more are just closed */

/* Is there room for one more of this user? */
static bool has_room(const struct sessions *ss, uid_t uid)
{
	const struct session *s;
	unsigned nr = 0;

	if (ss->nr - ss->nr_refused >= ss->conf.max_sessions)
		return false;
	LIST_FOREACH(s, &ss->list, link)
	nr += s->uid == uid && !s->refused;
	return nr < ss->conf.max_per_user;
}

int sessions_adopt(struct sessions *ss, int fd)
{
	static struct log_limit limit;
	struct ucred peer;
	socklen_t len = sizeof(peer);
	unsigned suppressed;
	bool room;
	int r;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) == -1) {
		r = -errno;
		close(fd);
		return r;
	}
	room = has_room(ss, peer.uid);
	if (!room && log_limit_pass(&limit, &suppressed))
		log_warn("a client (uid %u, pid %d) is refused: %u sessions of at most %u, of one "
			 "user at most %u (maxSessions, maxSessionsPerUser)",
			 (unsigned)peer.uid, (int)peer.pid, ss->nr, ss->conf.max_sessions,
			 ss->conf.max_per_user);
	if (!room && ss->nr_refused >= REFUSED_MAX) {
		close(fd);
		return -EUSERS;
	}
	session_new(ss, fd, peer.uid, peer.pid);
	LIST_FIRST(&ss->list)->refused = !room;
	ss->nr_refused += !room;
	return 0;
}

/* No descriptor is free: take the client with the spare one and let it go, or it knocks for ever. */
static void turn_away(struct sessions *ss, int error)
{
	static struct log_limit limit;
	unsigned suppressed;
	int fd;

	close(ss->spare_fd);
	fd = accept4(ss->listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	if (fd != -1)
		close(fd);
	ss->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (log_limit_pass(&limit, &suppressed))
		log_error("a client was turned away: %s; raise LimitNOFILE or lower "
			  "cache.maxObjects (%u more like this)",
			  strerror(error), suppressed);
}

static void listener_on_connect(evutil_socket_t listen_fd, short what, void *arg)
{
	struct sessions *ss = arg;
	int i, fd;

	(void)what;
	for (i = 0; i < ACCEPTS_A_WAKE; i++) {
		fd = accept4(listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (fd != -1) {
			(void)sessions_adopt(ss, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE)
			turn_away(ss, errno);
		break;
	}
}

int sessions_listen(struct sessions *ss, int listen_fd)
{
	ss->on_connect = event_new(worker_base(ss->control), listen_fd, EV_READ | EV_PERSIST,
				   listener_on_connect, ss);
	if (ss->on_connect == NULL || event_add(ss->on_connect, NULL) == -1)
		return -ENOMEM;
	ss->listen_fd = listen_fd;
	return 0;
}
