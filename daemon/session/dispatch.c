/*
 * Messages from clients: read one, judge its head, hand it to its operation.
 * Every length is checked here; an operation with strings checks those itself.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "daemon/base/xalloc.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

static const struct op {
	op_fn *run;
	const char *name;
	size_t fixed_len; /* exactly, or at least if `has_strings` */
	bool has_strings;
} ops[WIRE_NR_TYPES] = {
	[WIRE_HELLO] = { op_hello, "HELLO", sizeof(struct wire_hello), false },
	[WIRE_MOUNT] = { op_mount, "MOUNT", sizeof(struct wire_mount), true },
	[WIRE_SNAPSHOT] = { op_snapshot, "SNAPSHOT", sizeof(struct wire_snapshot), false },
	[WIRE_OPEN] = { op_open, "OPEN", sizeof(struct wire_open), true },
	[WIRE_CLOSE] = { op_close, "CLOSE", sizeof(struct wire_object), false },
	[WIRE_PIN] = { op_pin, "PIN", sizeof(struct wire_pin), false },
	[WIRE_UNPIN] = { op_unpin, "UNPIN", sizeof(struct wire_pin), false },
	[WIRE_PREFETCH] = { op_prefetch, "PREFETCH", sizeof(struct wire_path), true },
	[WIRE_UMOUNT] = { op_umount, "UMOUNT", sizeof(struct wire_path), true },
	[WIRE_STATUS] = { op_status, "STATUS", sizeof(struct wire_head), false },
	[WIRE_VERIFY] = { op_verify, "VERIFY", sizeof(struct wire_object), false },
	[WIRE_LIST] = { op_list, "LIST", sizeof(struct wire_path), true },
};

/* HELLO says its version twice: the second place is one that all versions agree on. */
static uint32_t version_of(const struct wire_head *req)
{
	uint32_t version = req->version;

	if (req->type == WIRE_HELLO && req->len >= sizeof(*req) + sizeof(version))
		memcpy(&version, (const char *)req + sizeof(*req), sizeof(version));
	return version;
}

/* A newer or older client: it is told which versions met, whatever else its HELLO holds. */
static void refuse_version(struct session *s, const struct wire_head *req)
{
	session_refuse(s, req->type, req->seq, -EPROTO,
		       "osscd " OSSC_VERSION " speaks version %u of its protocol, this client's "
		       "library version %u; install both from the same release and restart osscd",
		       WIRE_VERSION, version_of(req));
	if (!session_is_dead(s))
		s->state = SESSION_ENDED;
}

static void run_message(struct session *s, const struct wire_head *req)
{
	const struct op *op = NULL;

	if (s->state == SESSION_ENDED) {
		session_close(s, "it goes on after a refusal");
		return;
	}
	if (req->version != WIRE_VERSION || version_of(req) != WIRE_VERSION) {
		if (s->state == SESSION_NEW)
			refuse_version(s, req);
		else
			session_close(s, "a message of version %u", req->version);
		return;
	}
	if (req->type < WIRE_NR_TYPES && ops[req->type].run != NULL)
		op = &ops[req->type];
	if (op == NULL) {
		session_refuse(s, req->type, req->seq, -EOPNOTSUPP,
			       "osscd " OSSC_VERSION " knows no request %u", req->type);
		return;
	}
	if ((s->state == SESSION_NEW) != (req->type == WIRE_HELLO)) {
		session_refuse(s, req->type, req->seq, -EPROTO,
			       s->state == SESSION_NEW ? "%s came before HELLO"
						       : "%s came a second time",
			       op->name);
		return;
	}
	if (op->has_strings ? req->len < op->fixed_len : req->len != op->fixed_len) {
		session_refuse(s, req->type, req->seq, -EPROTO,
			       "%s of %u bytes where %zu are the rule", op->name, req->len,
			       op->fixed_len);
		return;
	}
	op->run(s, req);
}

void dispatch_message(struct session *s, size_t n)
{
	struct sessions *ss = s->all;
	const struct wire_head *req = (const struct wire_head *)ss->message;

	s->counts.messages++;
	if (n < sizeof(*req) || n > WIRE_MAX || req->magic != WIRE_MAGIC || req->len != n) {
		ss->nr_broken++;
		session_close(s, "a packet of %zu bytes that is no message of ours", n);
	} else {
		run_message(s, req);
	}
	/* It may have held keys, whatever became of it. */
	wipe(ss->message, n < sizeof(ss->message) ? n : sizeof(ss->message));
}

void dispatch_on_readable(int fd, short what, void *arg)
{
	struct session *s = arg;
	struct sessions *ss = s->all;
	ssize_t n;
	int i;

	(void)what;
	for (i = 0; i < SESSION_MESSAGES_A_WAKE && !session_is_dead(s); i++) {
		/* No room for descriptors: what a client sends along is dropped by the kernel. */
		n = recv(fd, ss->message, sizeof(ss->message), MSG_DONTWAIT | MSG_TRUNC);
		if (n == -1 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n == -1)
			session_close(s, "its socket broke: %s", strerror(errno));
		else if (n == 0)
			session_close(s, "the client is gone");
		else
			dispatch_message(s, (size_t)n);
	}
	if (!session_is_dead(s))
		pulse_wake(ss);
}
