#include "daemon/mount/fetch.h"
#include "common/clock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/http/client.h"
#include "daemon/mount/fetch_worker.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/endpoint.h"

#define KEEPALIVE_MS 45000 /* stores close what is idle for a minute */

void fetch_object_init(struct fetch_object *fo, struct object *o, struct oss_bucket *bucket,
		       struct fetchq_lane *lane)
{
	fetchq_entry_init(&fo->entry, o, object_nr_chunks(o), lane);
	/* TLS is worth a second thread: most of its work is done before the memory file. */
	fo->entry.one_writer = !oss_bucket_endpoint(bucket)->tls && !object_takes_writers(o);
	fo->bucket = oss_bucket_ref(bucket);
}

void fetch_object_fini(struct fetch_object *fo)
{
	fetchq_entry_fini(&fo->entry);
	oss_bucket_unref(fo->bucket);
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

void fetch_done_add(struct fetch_done *sum, const struct fetch_tally *t)
{
	uint64_t retried_ms = atomic_load(&t->retried_ms);

	sum->bytes += atomic_load(&t->bytes);
	sum->requests += atomic_load(&t->requests);
	sum->retries += atomic_load(&t->retries);
	sum->arrived_ms = later(sum->arrived_ms, atomic_load(&t->arrived_ms));
	if (retried_ms > sum->retried_ms) {
		sum->retried_ms = retried_ms;
		sum->why = atomic_load(&t->why);
	}
}

/* ---- workers: on their own threads ------------------------------------------------ */

static void run_tick(struct fetch_worker *w)
{
	const struct timeval second = { .tv_sec = 1 };
	bool wanted = !TAILQ_EMPTY(&w->transfers);

	if (wanted == w->is_ticking)
		return;
	if (wanted)
		event_add(w->tick, &second);
	else
		event_del(w->tick);
	w->is_ticking = wanted;
}

void fetch_worker_pump(struct fetch_worker *w)
{
	struct fetchq *q = w->fetch->queue;
	struct fetchq_work work;

	if (w->is_stopping)
		return;
	/* What waited for leave goes before new work, but a reader before all else. */
	while (transfer_resume_one(w, true))
		;
	while (fetchq_take(q, w->index, FETCH_DEMAND, &work))
		transfer_start(w, &work);
	while (transfer_resume_one(w, false))
		;
	while (fetchq_take(q, w->index, FETCH_PREFETCH, &work))
		transfer_start(w, &work);
	run_tick(w);
}

static void worker_on_wake(void *arg)
{
	struct fetch_worker *w = arg;

	fetchq_awake(w->fetch->queue, w->index);
	fetch_worker_pump(w);
}

static void worker_on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct fetch_worker *w = arg;
	struct transfer *t, *next;
	uint64_t now = clock_ms();

	(void)fd;
	(void)what;
	for (t = TAILQ_FIRST(&w->transfers); t != NULL; t = next) {
		next = transfer_next(t);
		transfer_judge(t, now);
	}
	fetchq_look(w->fetch->queue);
	fetch_worker_pump(w);
}

static void worker_on_stop(void *arg)
{
	struct fetch_worker *w = arg;

	w->is_stopping = true;
	while (!TAILQ_EMPTY(&w->transfers))
		transfer_abandon(TAILQ_FIRST(&w->transfers));
}

/* ---- from any thread --------------------------------------------------------------- */

static void wake_worker(unsigned worker, void *arg)
{
	struct fetch *f = arg;

	/* Without memory for the letter the daemon could not go on either. */
	BUG_ON(worker_post(f->workers[worker].thread, worker_on_wake, &f->workers[worker]) != 0);
}

static void ring_control(void *arg)
{
	struct fetch *f = arg;
	const uint64_t one = 1;
	ssize_t n;

	do
		n = write(f->notice_fd, &one, sizeof(one));
	while (n == -1 && errno == EINTR);
}

/* ---- control loop ------------------------------------------------------------------- */

static void on_notice(evutil_socket_t fd, short what, void *arg)
{
	struct fetchq_notice n;
	struct fetch *f = arg;
	uint64_t count;

	(void)what;
	while (read(fd, &count, sizeof(count)) == -1 && errno == EINTR)
		;
	while (fetchq_next_notice(f->queue, &n)) {
		f->conf.on_notice(&n, f->conf.arg);
		fetchq_notice_done(f->queue, &n);
	}
}

static int start_worker(struct fetch *f, unsigned index)
{
	struct fetch_worker *w = &f->workers[index];
	struct http_client_conf conf = {
		.connect_timeout_ms = f->conf.connect_timeout_ms,
		.idle_timeout_ms = f->conf.idle_timeout_ms,
		.keepalive_ms = KEEPALIVE_MS,
		/*
		 * One worker may have all, see fetchq_conf; and requests that were cut
		 * leave their connection a moment later.
		 */
		.max_connections = f->conf.slots * f->conf.nr_workers + f->conf.slots / 32 + 4,
		.tls_ca_file = f->tls_ca_file,
	};
	char name[16];
	int r;

	w->fetch = f;
	w->index = index;
	w->seed = (unsigned)clock_ms() + index * 7919;
	TAILQ_INIT(&w->transfers);
	snprintf(name, sizeof(name), "ossc-net%u", index % 1000);
	r = worker_new(name, &w->thread);
	if (r != 0)
		return r;
	w->base = worker_base(w->thread);
	w->tick = event_new(w->base, -1, EV_PERSIST, worker_on_tick, w);
	if (w->tick == NULL)
		return -ENOMEM;
	r = http_client_new(w->base, &conf, &w->client);
	if (r != 0)
		return r;
	return worker_start(w->thread);
}

static void stop_worker(struct fetch_worker *w)
{
	if (w->thread == NULL)
		return;
	BUG_ON(worker_post(w->thread, worker_on_stop, w) != 0);
	worker_stop(w->thread);
}

static void free_worker(struct fetch_worker *w)
{
	if (w->thread == NULL)
		return;
	if (w->client != NULL)
		http_client_free(w->client);
	if (w->tick != NULL)
		event_free(w->tick);
	worker_free(w->thread);
}

int fetch_new(const struct fetch_conf *conf, struct fetch **ret_fetch)
{
	struct fetch *f = xcalloc(1, sizeof(*f) + conf->nr_workers * sizeof(f->workers[0]));
	struct fetchq_conf qconf = {
		.nr_workers = conf->nr_workers,
		.slots = conf->slots,
		.wake = wake_worker,
		.notice = ring_control,
		.arg = f,
	};
	unsigned i;
	int r;

	f->conf = *conf;
	f->tls_ca_file = xstrdup(conf->tls_ca_file);
	f->retry_budget_ms = conf->retry_budget_ms;
	f->notice_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (f->notice_fd == -1) {
		r = -errno;
		goto err_free;
	}
	r = fetchq_new(&qconf, &f->queue);
	if (r != 0)
		goto err_free;
	r = -ENOMEM;
	f->notice = event_new(conf->control, f->notice_fd, EV_READ | EV_PERSIST, on_notice, f);
	if (f->notice == NULL || event_add(f->notice, NULL) == -1)
		goto err_free;
	for (i = 0; i < conf->nr_workers; i++) {
		r = start_worker(f, i);
		if (r != 0)
			goto err_free;
	}
	*ret_fetch = f;
	return 0;

err_free:
	fetch_free(f);
	return r;
}

void fetch_free(struct fetch *f)
{
	unsigned i;

	if (f == NULL)
		return;
	for (i = 0; i < f->conf.nr_workers; i++)
		stop_worker(&f->workers[i]);
	/* A worker that gives its chunks back may still write to the others. */
	for (i = 0; i < f->conf.nr_workers; i++)
		free_worker(&f->workers[i]);
	fetchq_free(f->queue);
	if (f->notice != NULL)
		event_free(f->notice);
	if (f->notice_fd != -1)
		close(f->notice_fd);
	free(f->tls_ca_file);
	free(f);
}

void fetch_reconfigure(struct fetch *f, unsigned slots, unsigned retry_budget_ms)
{
	/* Clients keep the bound of connections that they were made with. */
	if (slots > f->conf.slots)
		slots = f->conf.slots;
	fetchq_set_slots(f->queue, slots);
	atomic_store(&f->retry_budget_ms, retry_budget_ms);
}

struct fetchq *fetch_queue(struct fetch *f)
{
	return f->queue;
}

struct worker *fetch_thread(struct fetch *f, unsigned i)
{
	return f->workers[i % f->conf.nr_workers].thread;
}

void fetch_stats(const struct fetch *f, struct fetch_stats *ret)
{
	ret->bytes = atomic_load(&f->bytes);
	ret->requests = atomic_load(&f->requests);
	ret->retries = atomic_load(&f->retries);
	ret->throttled = atomic_load(&f->throttled);
	ret->errors = atomic_load(&f->errors);
	ret->cut = atomic_load(&f->cut);
}
