#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include <event2/event.h>

#include "common/clock.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/http/sink.h"
#include "daemon/mount/fetch_worker.h"
#include "daemon/mount/straggler.h"
#include "daemon/oss/get.h"
#include "daemon/oss/retry.h"

#define LOG_MODULE "fetch"
#include "daemon/base/log.h"

#define PROGRESS_LEAST 4096 /* bytes that make a failed attempt worth a new budget */

/*
 * One chunk on its way.
 *
 *	ASKING --> BACKOFF --> ASKING, or REFUSED while the store is to be spared
 *	   \__________\___________\___> transfer_end()
 */
enum transfer_state {
	TRANSFER_NEW = 0,
	TRANSFER_ASKING,  /* a request is under way */
	TRANSFER_BACKOFF, /* the timer runs */
	TRANSFER_REFUSED, /* waits for leave of the queue */
};

struct transfer {
	struct sink sink; /* first: the sink's functions get it */
	struct fetch_worker *worker;
	struct fetchq_work work;
	enum transfer_state state;
	struct fill *fill;
	struct oss_get *get;
	struct oss_retry retry;
	struct event *timer;
	uint64_t asked_ms;
	uint64_t moved_ms; /* when more had come, at a look */
	uint64_t moved;	   /* bytes there were then */
	unsigned nr_cuts;
	TAILQ_ENTRY(transfer) link;
};

/* ---- the sink ------------------------------------------------------------------ */

static struct fetch_tally *tally_of(const struct transfer *t)
{
	struct fetch_object *fo = object_owner(t->work.object);

	return &fo->tally;
}

/* As they come: a range may be minutes under way. */
static void count_bytes(struct transfer *t, uint64_t bytes)
{
	atomic_fetch_add_explicit(&t->worker->fetch->bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&tally_of(t)->bytes, bytes, memory_order_relaxed);
	fetchq_count(&t->work, bytes);
}

static int sink_write(struct sink *s, const void *buf, size_t len)
{
	struct transfer *t = (struct transfer *)s;
	int r = fill_write(t->fill, buf, len);

	if (r == 0)
		count_bytes(t, len);
	return r;
}

static ssize_t sink_splice(struct sink *s, int pipe_fd, size_t len)
{
	struct transfer *t = (struct transfer *)s;
	ssize_t n = fill_splice(t->fill, pipe_fd, len);

	if (n > 0)
		count_bytes(t, (uint64_t)n);
	return n;
}

static bool sink_prefers_splice(struct sink *s)
{
	return fill_splices(((struct transfer *)s)->fill);
}

static bool sink_may_wait(struct sink *s)
{
	return !fill_is_wanted(((struct transfer *)s)->fill);
}

static const struct sink_ops fill_sink = {
	.write = sink_write,
	.splice = sink_splice,
	.prefers_splice = sink_prefers_splice,
	.may_wait = sink_may_wait,
};

/* ---- the end ------------------------------------------------------------------- */

static struct fetchq *queue_of(const struct transfer *t)
{
	return t->worker->fetch->queue;
}

/* The only way out.  error as for fill_finish(). */
static void transfer_end(struct transfer *t, int error)
{
	struct fetch_worker *w = t->worker;
	const bool good = fill_finish(t->fill, error) == 0 && error == 0;

	if (good)
		atomic_store(&tally_of(t)->arrived_ms, clock_ms());
	if (t->state == TRANSFER_REFUSED)
		fetchq_unrefuse(queue_of(t), w->index, &t->work);
	TAILQ_REMOVE(&w->transfers, t, link);
	if (t->timer != NULL)
		event_free(t->timer);
	fetchq_finish(queue_of(t), w->index, &t->work, good);
	free(t);
}

/* No attempt more: the reader gets the error, an operator the reason. */
static void transfer_fail(struct transfer *t, const struct oss_result *res)
{
	static struct log_limit limit;
	struct fetchq_entry *e = t->work.entry;
	struct object *o = t->work.object;
	const bool changed = res->error == -ESTALE || res->status == 404 || res->status == 412 ||
			     res->status == 416;
	int error = changed ? -ESTALE : res->error;
	unsigned suppressed;

	atomic_fetch_add(&t->worker->fetch->errors, 1);
	/* First the reason: who sees the error may look for it. */
	if (log_limit_pass(&limit, &suppressed)) {
		log_warn("%s%s%s", res->text,
			 changed && res->error != -ESTALE
				 ? "; readers get ESTALE, the listing is renewed"
				 : "",
			 res->action == OSS_FATAL ? "" : " (given up after retries)");
		if (suppressed != 0)
			log_warn("%u more failed downloads were not logged", suppressed);
	}
	if (changed) {
		object_fail(o, -ESTALE, false);
		fetchq_forget(queue_of(t), e);
	} else {
		fetchq_forget_ahead(queue_of(t), e);
	}
	fetchq_tell(queue_of(t), e, error);
	transfer_end(t, error);
}

/* ---- attempts ------------------------------------------------------------------ */

static void transfer_on_done(const struct oss_result *res, void *arg);

static void transfer_ask(struct transfer *t)
{
	struct object *o = t->work.object;
	const struct fetch_object *fo = object_owner(o);
	struct oss_range_get range = {
		.key = object_key(o),
		.offset = fill_offset(t->fill),
		.length = fill_end(t->fill) - fill_offset(t->fill),
		.object_size = object_size(o),
		.etag = object_etag(o),
		.sink = &t->sink,
	};
	struct oss_result res = { .action = OSS_FATAL };
	int r;

	t->state = TRANSFER_ASKING;
	t->asked_ms = t->moved_ms = clock_ms();
	t->moved = 0;
	atomic_fetch_add(&t->worker->fetch->requests, 1);
	atomic_fetch_add(&tally_of(t)->requests, 1);
	r = oss_get_start(t->worker->client, fo->bucket, &range, transfer_on_done, t, &t->get);
	if (r == 0)
		return;
	res.error = r;
	snprintf(res.text, sizeof(res.text), "the request for %s could not be made: errno %d",
		 object_key(o), -r);
	transfer_fail(t, &res);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct transfer *t = arg;
	struct fetch_worker *w = t->worker;

	(void)fd;
	(void)what;
	if (object_is_dropped(t->work.object))
		transfer_end(t, -EAGAIN);
	else if (object_error(t->work.object) != 0)
		transfer_end(t, object_error(t->work.object));
	else if (fetchq_resume(queue_of(t), w->index, &t->work, false))
		transfer_ask(t);
	else
		t->state = TRANSFER_REFUSED;
	fetch_worker_pump(w);
}

static uint32_t random_bits(struct fetch_worker *w)
{
	return (uint32_t)rand_r(&w->seed) << 16 ^ (uint32_t)rand_r(&w->seed);
}

static void count_retry(struct fetch_tally *tally, const struct oss_result *res)
{
	atomic_fetch_add(&tally->retries, 1);
	atomic_store(&tally->why,
		     res->status >= 300 ? (uint32_t)res->status : (uint32_t)-res->error);
	atomic_store(&tally->retried_ms, clock_ms());
}

static void transfer_retry(struct transfer *t, const struct oss_result *res)
{
	struct fetch_worker *w = t->worker;
	struct timeval tv;
	int64_t delay;

	delay = oss_retry_next(&t->retry, res->action, res->delay_ms, clock_ms(), random_bits(w));
	if (t->timer == NULL)
		t->timer = evtimer_new(w->base, on_timer, t);
	if (delay < 0 || t->timer == NULL) {
		transfer_fail(t, res);
		return;
	}
	atomic_fetch_add(&w->fetch->retries, 1);
	count_retry(tally_of(t), res);
	log_debug("again in %lld ms: %s", (long long)delay, res->text);
	tv.tv_sec = delay / 1000;
	tv.tv_usec = delay % 1000 * 1000;
	fetchq_pause(queue_of(t), &t->work);
	t->state = TRANSFER_BACKOFF;
	evtimer_add(t->timer, &tv);
}

static void note_rate(struct transfer *t, uint64_t bytes)
{
	fetchq_brought(queue_of(t), &t->work, bytes, clock_ms() - t->asked_ms);
}

static void transfer_on_done(const struct oss_result *res, void *arg)
{
	struct transfer *t = arg;
	struct fetch_worker *w = t->worker;
	struct object *o = t->work.object;

	t->get = NULL;
	if (res->has_crc64)
		object_set_crc(o, res->crc64);
	if (res->bytes >= PROGRESS_LEAST)
		oss_retry_progress(&t->retry, clock_ms());
	if (res->action == OSS_RETRY_SLOW) {
		atomic_fetch_add(&w->fetch->throttled, 1);
		fetchq_slow(queue_of(t), &t->work);
	}

	if (object_is_dropped(o)) {
		transfer_end(t, -EAGAIN);
	} else if (object_error(o) != 0) {
		transfer_end(t, object_error(o));
	} else if (fill_offset(t->fill) == fill_end(t->fill)) {
		note_rate(t, res->bytes);
		transfer_end(t, 0);
	} else if (res->action == OSS_FATAL || res->action == OSS_DONE) {
		transfer_fail(t, res);
	} else {
		transfer_retry(t, res);
	}
	fetch_worker_pump(w);
}

/* ---- for the worker -------------------------------------------------------------- */

static void refuse_work(struct fetch_worker *w, struct fetchq_work *work, int error)
{
	struct fetchq *q = w->fetch->queue;

	if (error == -ENOSPC) {
		fetchq_put_back(q, w->index, work);
	} else {
		if (error != -EALREADY)
			fetchq_forget(q, work->entry);
		fetchq_finish(q, w->index, work, false);
	}
}

void transfer_start(struct fetch_worker *w, const struct fetchq_work *work)
{
	struct oss_retry_conf retry = {
		.budget_ms = atomic_load(&w->fetch->retry_budget_ms),
	};
	struct fetchq_work own = *work;
	struct transfer *t;
	struct fill *fill;
	int r;

	r = fill_begin(work->object, work->chunk, work->class, &fill);
	if (r != 0) {
		refuse_work(w, &own, r);
		return;
	}
	t = xcalloc(1, sizeof(*t));
	t->sink.ops = &fill_sink;
	t->worker = w;
	t->work = own;
	t->fill = fill;
	oss_retry_init(&t->retry, &retry, clock_ms());
	TAILQ_INSERT_TAIL(&w->transfers, t, link);
	transfer_ask(t);
}

bool transfer_resume_one(struct fetch_worker *w, bool only_demand)
{
	struct transfer *t;

	TAILQ_FOREACH(t, &w->transfers, link)
	{
		if (t->state != TRANSFER_REFUSED || (only_demand && t->work.list != FETCH_DEMAND))
			continue;
		/* Another's store may be well. */
		if (!fetchq_resume(queue_of(t), w->index, &t->work, true))
			continue;
		transfer_ask(t);
		return true;
	}
	return false;
}

void transfer_judge(struct transfer *t, uint64_t now_ms)
{
	uint64_t bytes, median;

	if (t->state != TRANSFER_ASKING || t->nr_cuts == STRAGGLER_CUTS)
		return;
	bytes = oss_get_bytes(t->get);
	if (bytes != t->moved) {
		t->moved = bytes;
		t->moved_ms = now_ms;
	}
	median = fetchq_usual_rate(queue_of(t), &t->work);
	/* What has come so far says nothing of a card that is dead since. */
	if (!straggler_is(median, bytes, now_ms - t->asked_ms) &&
	    !straggler_is(median, 0, now_ms - t->moved_ms))
		return;
	t->nr_cuts++;
	oss_get_cancel(t->get);
	t->get = NULL;
	atomic_fetch_add(&t->worker->fetch->cut, 1);
	if (fill_offset(t->fill) == fill_end(t->fill))
		transfer_end(t, 0);
	else
		transfer_ask(t);
}

void transfer_abandon(struct transfer *t)
{
	if (t->get != NULL)
		oss_get_cancel(t->get);
	transfer_end(t, -EAGAIN);
}

struct transfer *transfer_next(struct transfer *t)
{
	return TAILQ_NEXT(t, link);
}
