/*
 * What ring entries mean: fetches, advice and touches become calls of the
 * mount, notices of finished chunks become completions.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <event2/event.h>

#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

/*
 * One FETCH that wants a completion.  The cache's word comes on any thread; it
 * is posted here.  Between the two the notice belongs to the mailbox: a session
 * that ends meanwhile only takes its name off it.
 */
struct notice {
	LIST_ENTRY(notice) link;
	struct session *session; /* NULL: the session has no use for it any more */
	struct worker *control;
	struct object *object;
	uint64_t token;
	int result;
	bool fired; /* atomic */
};

/* ---- completions ----------------------------------------------------------------- */

static void signal_client(struct session *s)
{
	static const uint64_t one = 1;

	/* A full socket wakes the client just as well. */
	(void)!send(s->notify_fd, &one, sizeof(one), MSG_DONTWAIT | MSG_NOSIGNAL);
}

/* What a ring call returned: a signal to send, or the session's end. */
static void settle(struct session *s, int r)
{
	if (r == 1)
		signal_client(s);
	else if (r == -ENOBUFS)
		session_close(s, "it does not take its completions");
	else if (r < 0)
		session_close(s, "the completion ring's indices make no sense");
}

static void complete(struct session *s, uint64_t token, int result)
{
	const struct wire_completion completion = { .token = token, .result = result };

	settle(s, ringsvc_complete(&s->ring, &completion));
}

static void continue_soon(struct session *s)
{
	static const struct timeval at_once = { 0, 0 };

	event_add(s->on_again, &at_once);
}

static void notice_deliver(void *arg)
{
	struct notice *n = arg;
	struct session *s = n->session;

	if (s != NULL) {
		LIST_REMOVE(n, link);
		s->nr_notices--;
		complete(s, n->token, n->result);
		if (!session_is_dead(s) && s->stalled)
			continue_soon(s);
	}
	free(n);
}

static void notice_on_done(int result, void *arg)
{
	struct notice *n = arg;

	n->result = result;
	/* Pairs with the load in notices_cancel(). */
	__atomic_store_n(&n->fired, true, __ATOMIC_RELEASE);
	BUG_ON(worker_post(n->control, notice_deliver, n) != 0);
}

void notices_cancel(struct session *s, const struct object *o)
{
	struct notice *n, *next;

	for (n = LIST_FIRST(&s->notices); n != NULL; n = next) {
		next = LIST_NEXT(n, link);
		if (o != NULL && n->object != o)
			continue;
		chunk_notify_cancel(n->object, n);
		LIST_REMOVE(n, link);
		s->nr_notices--;
		n->session = NULL;
		if (!session_is_dead(s))
			complete(s, n->token, -ECANCELED);
		if (!__atomic_load_n(&n->fired, __ATOMIC_ACQUIRE))
			free(n);
		if (o != NULL && session_is_dead(s))
			return; /* complete() ended it, and with it all notices */
	}
}

/* ---- submissions ------------------------------------------------------------------- */

static void add_notice(struct session *s, struct object *o, uint32_t chunk, uint32_t end,
		       uint64_t token)
{
	struct notice *n = xcalloc(1, sizeof(*n));
	int r;

	n->session = s;
	n->control = s->all->control;
	n->object = o;
	n->token = token;
	LIST_INSERT_HEAD(&s->notices, n, link);
	s->nr_notices++;
	r = chunk_notify(o, chunk, end, notice_on_done, n);
	if (r == 0)
		return;
	LIST_REMOVE(n, link);
	s->nr_notices--;
	free(n);
	complete(s, token, r);
}

/* The bytes of a chunk, which is shorter at the object's end. */
static uint64_t chunk_bytes(const struct session *s, const struct object *o, uint32_t chunk)
{
	unsigned shift = cache_chunk_shift(s->all->cache);
	uint64_t rest = object_size(o) - ((uint64_t)chunk << shift);

	return rest < 1ull << shift ? rest : 1ull << shift;
}

static void fetch(struct session *s, const struct wire_submission *e)
{
	const bool notify = (e->flags & WIRE_FETCH_NOTIFY) != 0;
	const struct held *h = session_held(s, e->object);
	struct object *o;
	uint64_t bytes;
	int r = 0;

	if (h == NULL)
		r = -EBADF;
	else if (h->object == NULL || e->chunk >= h->nr_chunks || e->arg == 0 ||
		 e->arg > 1ull << cache_chunk_shift(s->all->cache))
		r = -EINVAL;
	if (r != 0) {
		s->counts.bad_entries++;
		if (notify)
			complete(s, e->token, r);
		return;
	}
	o = h->object;
	bytes = chunk_bytes(s, o, e->chunk);
	if (e->arg < bytes)
		bytes = e->arg;
	mount_want(o, e->chunk, (uint32_t)bytes, (e->flags & WIRE_FETCH_RETRY) != 0);
	if (notify)
		add_notice(s, o, e->chunk, (uint32_t)bytes, e->token);
}

static void advise(struct session *s, const struct wire_submission *e)
{
	const struct held *h = session_held(s, e->object);
	uint32_t nr = e->arg;

	if (h == NULL || e->flags < WIRE_ADVISE_WILLNEED || e->flags > WIRE_ADVISE_RANDOM ||
	    e->chunk > h->nr_chunks) {
		s->counts.bad_entries++;
		return;
	}
	if (nr > h->nr_chunks - e->chunk)
		nr = h->nr_chunks - e->chunk;
	if (nr > 0)
		mount_advise(h->object, e->chunk, nr, e->flags);
}

static int on_submission(const struct wire_submission *e, void *arg)
{
	struct session *s = arg;

	s->counts.submissions++;
	switch (e->op) {
	case WIRE_OP_FETCH:
		fetch(s, e);
		break;
	case WIRE_OP_ADVISE:
		advise(s, e);
		break;
	default:
		return -EOPNOTSUPP;
	}
	return session_is_dead(s) ? -ECANCELED : 0;
}

static void note_touch(uint32_t object, uint32_t chunk, void *arg)
{
	struct session *s = arg;
	const struct held *h = session_held(s, object);

	if (h != NULL && chunk < h->nr_chunks)
		mount_touch(h->object, chunk);
}

static void on_touch(uint32_t object, uint32_t chunk, void *arg)
{
	((struct session *)arg)->counts.touches++;
	note_touch(object, chunk, arg);
}

/* True: none are left of those that were submitted before. */
static bool drain(struct session *s)
{
	unsigned waiting = s->nr_notices + ringsvc_backlog(&s->ring);
	unsigned budget = SESSION_ENTRIES_A_WAKE;
	int r;

	/* No more may be begun than there is room to answer. */
	if (budget > SESSION_NOTICES_MAX - waiting)
		budget = SESSION_NOTICES_MAX - waiting;
	s->stalled = budget == 0;
	if (s->stalled)
		return false;
	r = ringsvc_drain(&s->ring, budget, on_submission, s);
	if (r == 1)
		continue_soon(s);
	else if (r == -EOPNOTSUPP)
		session_close(s, "an entry of unknown kind in its submission ring");
	else if (r < 0 && r != -ECANCELED)
		session_close(s, "the submission ring's indices make no sense");
	return r == 0;
}

void ringops_on_again(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	(void)drain(s);
	if (!session_is_dead(s))
		pulse_activate(s);
}

void ringops_on_kick(int fd, short what, void *arg)
{
	struct session *s = arg;

	(void)fd;
	(void)what;
	s->counts.kicks++;
	(void)ringops_pulse(s);
	if (!session_is_dead(s))
		pulse_activate(s);
}

bool ringops_pulse(struct session *s)
{
	bool any = false, drained;
	uint32_t end;

	/* Touches before fetches: what was read already is what a fetch may push out. */
	end = ringsvc_peek_touches(&s->ring, note_touch, s);
	drained = drain(s);
	if (session_is_dead(s))
		return true;
	/*
	 * And after them, the same once more: a touch that was written after a fetch ends its hold,
	 * whichever of them is met first.  Only these: the fetch of a later one may lie unseen in
	 * the ring, and it would be held for nobody.
	 */
	if (drained)
		any = ringsvc_drain_touches(&s->ring, end, on_touch, s) > 0;
	/* Who touched while the ring was awake did not kick: we come again. */
	if (ringsvc_has_touches(&s->ring))
		pulse_activate(s);
	if (ringsvc_backlog(&s->ring) > 0) {
		settle(s, ringsvc_flush(&s->ring));
		any = true;
	}
	if (!session_is_dead(s) && s->stalled)
		continue_soon(s);
	return any;
}
