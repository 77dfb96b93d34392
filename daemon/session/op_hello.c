/* HELLO: who comes, whether it may, and the memory that both sides share. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

/* False: refused, and told why. */
static bool may_enter(struct session *s, const struct wire_head *req)
{
	const uid_t own = geteuid();

	if (s->refused) {
		session_refuse(s, req->type, req->seq, -EBUSY,
			       "osscd serves as many clients as it may (maxSessions %u, "
			       "maxSessionsPerUser %u); raise these or end some clients",
			       s->all->conf.max_sessions, s->all->conf.max_per_user);
	} else if (own != 0 && s->uid != own && s->uid != 0) {
		session_refuse(s, req->type, req->seq, -EACCES,
			       "this osscd belongs to user %u and serves no other; user %u starts "
			       "its own, or root starts one for all",
			       (unsigned)own, (unsigned)s->uid);
		log_warn("uid %u, pid %d is refused: this daemon serves uid %u only",
			 (unsigned)s->uid, (int)s->pid, (unsigned)own);
	} else {
		return true;
	}
	if (!session_is_dead(s))
		s->state = SESSION_ENDED;
	return false;
}

void op_hello(struct session *s, const struct wire_head *req)
{
	const struct wire_hello *hello = (const struct wire_hello *)req;
	struct wire_hello_answer answer = {
		.wire_version = WIRE_VERSION,
		.session = s->id,
		.daemon_uid = (uint32_t)geteuid(),
		.daemon_pid = (uint32_t)getpid(),
		.version = OSSC_VERSION,
	};
	char version[sizeof(hello->version) + 1] = "";
	int fds[3], r;

	session_read_exe(s);
	if (!may_enter(s, req))
		return;
	memcpy(version, hello->version, sizeof(hello->version));
	r = session_open_memory(s, fds);
	if (r != 0) {
		session_refuse(s, req->type, req->seq, r,
			       "osscd cannot make this session's shared memory: %s", strerror(-r));
		session_close(s, "no shared memory: %s", strerror(-r));
		return;
	}
	s->state = SESSION_OPEN;
	s->all->nr_opened++;
	slog_info(s, "begun, client version %s", version);
	session_answer(s, req->type, req->seq, &answer.head, sizeof(answer), fds, 3);
	/* Ours are the memory, the kick and the other end of the pair. */
	close(fds[2]);
}
