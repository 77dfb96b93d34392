/*
 * VERIFY: does the object have the CRC that the store gave?  While chunks are
 * missing the request waits; when nothing more arrives for a while it is
 * answered so, and the client reads what is missing or gives up.  A client that
 * has reckoned the CRC itself asks only for the store's: it comes with the first
 * answer to a GET, whatever is missing, so it is waited for while one is under way.
 */
#include <errno.h>
#include <string.h>

#include "common/clock.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

#define STANDSTILL_MS 30000 /* no new byte for so long: nobody reads this object */

static void audit_verdict(const struct session *s, const char *what, int error, uint64_t size)
{
	const struct audit_who who = session_who(s);

	audit_write(&who, "verify", what, error, size);
}

static void answer_crc(struct session *s, const struct pending *p, const struct object *o,
		       const uint64_t *crc)
{
	struct wire_verify_answer answer = {
		.crc64 = crc != NULL ? *crc : 0,
		.known = crc != NULL,
	};

	audit_verdict(s, p->what, 0, o != NULL ? object_size(o) : 0);
	session_answer(s, p->type, p->seq, &answer.head, sizeof(answer), NULL, 0);
}

static void refuse_bytes(struct session *s, const struct pending *p, const struct object *o)
{
	audit_verdict(s, p->what, -EIO, object_size(o));
	session_refuse(s, p->type, p->seq, -EIO,
		       "%s does not have the CRC-64 that the store gave for it: its bytes "
		       "were damaged on the way or in the store",
		       object_key(o));
}

/* True: answered by what is known of the object now. */
static bool answer_known(struct session *s, struct pending *p, struct object *o)
{
	enum object_verdict verdict;
	/* First: once nothing is on its way, every answer has left its CRC. */
	const bool loading = object_is_loading(o);
	uint64_t crc, stored;
	const bool given = object_stored_crc(o, &stored);

	verdict = object_verdict(o, &crc);
	if (verdict == VERDICT_BAD)
		refuse_bytes(s, p, o);
	else if (p->store_only && given)
		answer_crc(s, p, o, &stored);
	else if (p->store_only && !loading && object_error(o) == 0 && !object_is_dropped(o))
		answer_crc(s, p, o, NULL);
	else if (!p->store_only && verdict != VERDICT_PENDING)
		answer_crc(s, p, o, verdict == VERDICT_GOOD ? &crc : NULL);
	else
		return false;
	return true;
}

/* True: answered.  A session may be dead then. */
static bool try_answer(struct session *s, struct pending *p, struct object *o, uint64_t now_ms)
{
	uint64_t present;
	int error;

	if (answer_known(s, p, o))
		return true;
	error = object_error(o);
	if (error == 0 && object_is_dropped(o))
		error = -ESTALE;
	if (error != 0) {
		audit_verdict(s, p->what, error, 0);
		session_refuse(s, p->type, p->seq, error, "%s: %s", object_key(o),
			       strerror(error < 0 ? -error : error));
		return true;
	}
	present = object_present_bytes(o);
	if (present != p->present) {
		p->present = present;
		p->since_ms = now_ms;
	}
	if (now_ms - p->since_ms < STANDSTILL_MS)
		return false;
	audit_verdict(s, p->what, -EAGAIN, 0);
	session_refuse(s, p->type, p->seq, -EAGAIN,
		       "%s is not complete and nothing more arrives; read it to its end first",
		       object_key(o));
	return true;
}

bool op_verify_poll(struct pending *p, uint64_t now_ms)
{
	struct session *s = p->session;
	const struct held *h = session_held(s, p->object);

	if (h != NULL && h->object != NULL && !try_answer(s, p, h->object, now_ms))
		return false;
	if (!session_is_dead(s))
		pending_free(p);
	return true;
}

void op_verify(struct session *s, const struct wire_head *req)
{
	const struct wire_object *msg = (const struct wire_object *)req;
	const struct held *h = session_held(s, msg->object);
	struct pending *p;

	if (h == NULL) {
		session_refuse(s, req->type, req->seq, -EBADF, "this session has no open object %u",
			       msg->object);
		return;
	}
	if ((msg->flags & ~(uint32_t)WIRE_VERIFY_STORE) != 0) {
		session_refuse(s, req->type, req->seq, -EINVAL, "VERIFY: unknown flags 0x%x",
			       msg->flags);
		return;
	}
	if (h->object == NULL) {
		/* Nothing is right about, and nothing wrong with, no bytes: their CRC is 0. */
		const struct pending now = { .type = req->type, .seq = req->seq, .what = NULL };

		answer_crc(s, &now, NULL, NULL);
		return;
	}
	p = pending_new(s, req, object_key(h->object));
	if (p == NULL)
		return;
	p->object = msg->object;
	p->store_only = (msg->flags & WIRE_VERIFY_STORE) != 0;
	p->since_ms = clock_ms();
	if (!op_verify_poll(p, p->since_ms))
		pulse_wake(s->all);
}
