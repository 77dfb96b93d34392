/*
 * Reads without waiting.  A read waits for one chunk at a time, the first that
 * is missing; the daemon's completion names its slot.  When none is missing it
 * is ready, and ossc_complete() copies.
 *
 *	FREE --> WAITING <--> READY --> FREE
 *	  \____> POSTPONED (the ring was full) --> WAITING
 */
#include "libclient/core/epoch.h"
#include "libclient/core/lock.h"
#include "libclient/core/sys.h"
#include "libclient/lib/handles.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum slot_state {
	SLOT_FREE = 0,
	SLOT_WAITING,	/* a completion with its token will come */
	SLOT_POSTPONED, /* to be asked for when the ring has room */
	SLOT_READY,	/* to be copied; if failed, by a read that may wait */
	SLOT_COPYING,	/* a thread copies it */
};

struct slot {
	struct ossc_read read;
	enum slot_state state;
	bool failed;	 /* READY: only a read that may wait can tell */
	uint32_t turn;	 /* with the index, the token */
	uint32_t serial; /* session that was asked */
	uint32_t next;	 /* in the free list */
};

struct async {
	struct lock lock;
	uint32_t epoch;
	int event_fd;  /* epoll: the three below */
	int ready_fd;  /* eventfd: a slot is READY */
	int notify_fd; /* of the session that is watched */
	int socket_fd;
	uint32_t watched; /* its serial */
	uint32_t free;	  /* first free slot, OSSC_MAX_READS: none */
	unsigned nr_busy;
	uint32_t cursor; /* the next slot to look at: none is passed over for ever */
	struct slot slots[OSSC_MAX_READS];
};

void async_free(struct async *a)
{
	if (a == NULL)
		return;
	if (a->epoch == epoch_now()) {
		close(a->event_fd);
		close(a->ready_fd);
	}
	free(a);
}

static int open_fds(struct async *a)
{
	struct epoll_event ev = { .events = EPOLLIN };

	a->ready_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (a->ready_fd == -1)
		return -errno;
	a->event_fd = epoll_create1(EPOLL_CLOEXEC);
	if (a->event_fd == -1 || epoll_ctl(a->event_fd, EPOLL_CTL_ADD, a->ready_fd, &ev) == -1) {
		int r = -errno;

		if (a->event_fd != -1)
			close(a->event_fd);
		close(a->ready_fd);
		return r;
	}
	a->epoch = epoch_now();
	a->watched = 0;
	return 0;
}

static int make(struct ossc *c)
{
	struct async *a = calloc(1, sizeof(*a)), *none = NULL;
	uint32_t i;
	int r;

	if (a == NULL)
		return -ENOMEM;
	r = open_fds(a);
	if (r != 0) {
		free(a);
		return r;
	}
	for (i = 0; i < OSSC_MAX_READS; i++)
		a->slots[i].next = i + 1;
	/* Release pairs with the acquire in get(). */
	if (!__atomic_compare_exchange_n(&c->async, &none, a, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE))
		async_free(a);
	return 0;
}

/* In a forked child the reads in flight are the parent's: start anew. */
static int reset_in_child(struct async *a)
{
	uint64_t signals = lock_enter(&a->lock);
	uint32_t i;
	int r = 0;

	if (a->epoch != epoch_now()) {
		r = open_fds(a);
		for (i = 0; i < OSSC_MAX_READS; i++) {
			a->slots[i].state = SLOT_FREE;
			a->slots[i].next = i + 1;
		}
		a->free = 0;
		a->nr_busy = 0;
	}
	lock_leave(&a->lock, signals);
	return r;
}

static int get(struct ossc *c, struct async **ret)
{
	struct async *a = __atomic_load_n(&c->async, __ATOMIC_ACQUIRE);
	int r = 0;

	if (a == NULL) {
		r = make(c);
		a = __atomic_load_n(&c->async, __ATOMIC_ACQUIRE);
	} else if (__atomic_load_n(&a->epoch, __ATOMIC_RELAXED) != epoch_now()) {
		r = reset_in_child(a);
	}
	*ret = a;
	return r;
}

static void signal_ready(struct async *a)
{
	uint64_t one = 1;

	sys_write(a->ready_fd, &one, sizeof(one));
}

/* Let the epoll descriptor follow the link's present session. */
static void watch_locked(struct ossc *c, struct async *a)
{
	struct epoll_event in = { .events = EPOLLIN }, hup = { .events = EPOLLRDHUP };
	uint32_t serial = link_serial(c->link);

	if (serial == a->watched)
		return;
	if (a->watched != 0) {
		epoll_ctl(a->event_fd, EPOLL_CTL_DEL, a->notify_fd, NULL);
		epoll_ctl(a->event_fd, EPOLL_CTL_DEL, a->socket_fd, NULL);
	}
	a->watched = serial;
	a->notify_fd = link_notify_fd(c->link);
	a->socket_fd = link_socket_fd(c->link);
	if (serial != 0) {
		epoll_ctl(a->event_fd, EPOLL_CTL_ADD, a->notify_fd, &in);
		epoll_ctl(a->event_fd, EPOLL_CTL_ADD, a->socket_fd, &hup);
	}
}

static void ready_locked(struct async *a, struct slot *s, bool failed)
{
	s->state = SLOT_READY;
	s->failed = failed;
	signal_ready(a);
}

/* Ask for the first missing byte of the slot's read, or find that it is ready. */
static void arm_locked(struct async *a, struct slot *s)
{
	uint32_t index = (uint32_t)(s - a->slots), chunk;
	struct file *f = s->read.file->file;
	uint64_t end;
	int r;

	r = file_missing(f, s->read.off, s->read.len, &chunk, &end);
	if (r != -EAGAIN) {
		ready_locked(a, s, r != 0);
		return;
	}
	s->serial = link_serial(s->read.file->conn->link);
	s->turn++;
	r = file_fetch_now(f, chunk, end, (uint64_t)s->turn << 32 | (index + 1));
	if (r == 0)
		s->state = SLOT_WAITING;
	else if (r == -EAGAIN)
		s->state = SLOT_POSTPONED;
	else
		ready_locked(a, s, true); /* no session: a read that may wait finds another */
}

static struct slot *take_slot_locked(struct async *a)
{
	struct slot *s;

	if (a->free >= OSSC_MAX_READS)
		return NULL;
	s = &a->slots[a->free];
	a->free = s->next;
	a->nr_busy++;
	return s;
}

OSSC_EXPORT int ossc_submit(struct ossc *conn, const struct ossc_read *reads, unsigned nr)
{
	struct async *a;
	uint64_t signals;
	unsigned i;
	int r = get(conn, &a);

	if (r != 0)
		return r;
	for (i = 0; i < nr; i++)
		if (reads[i].file->conn != conn)
			return -EINVAL;
	signals = lock_enter(&a->lock);
	watch_locked(conn, a);
	for (i = 0; i < nr; i++) {
		struct slot *s = take_slot_locked(a);

		if (s == NULL)
			break;
		s->read = reads[i];
		s->failed = false;
		arm_locked(a, s);
	}
	/* From now on the daemon signals; what came before that is looked at at once. */
	if (a->watched != 0 && link_complete_sleep(conn->link, a->watched) == -EAGAIN)
		signal_ready(a);
	lock_leave(&a->lock, signals);
	return i == 0 && nr > 0 ? -EAGAIN : (int)i;
}

/* Take the daemon's completions, and let go what waits for a session that is over. */
static void collect_locked(struct ossc *c, struct async *a)
{
	struct wire_completion done;
	uint32_t serial = link_serial(c->link), i;

	while (link_complete(c->link, serial, &done) == 0) {
		uint32_t index = (uint32_t)done.token - 1;
		struct slot *s = &a->slots[index % OSSC_MAX_READS];

		if (index >= OSSC_MAX_READS || s->state != SLOT_WAITING ||
		    s->turn != (uint32_t)(done.token >> 32))
			continue;
		if (done.result < 0)
			ready_locked(a, s, true);
		else
			arm_locked(a, s);
	}
	for (i = 0; i < OSSC_MAX_READS && a->nr_busy > 0; i++) {
		struct slot *s = &a->slots[i];

		if (s->state == SLOT_POSTPONED)
			arm_locked(a, s);
		else if (s->state == SLOT_WAITING && s->serial != serial)
			ready_locked(a, s, true);
	}
	watch_locked(c, a);
}

static struct slot *next_ready_locked(struct async *a)
{
	uint32_t i;

	for (i = 0; i < OSSC_MAX_READS; i++) {
		struct slot *s = &a->slots[(a->cursor + i) % OSSC_MAX_READS];

		if (s->state == SLOT_READY) {
			a->cursor = (a->cursor + i + 1) % OSSC_MAX_READS;
			return s;
		}
	}
	return NULL;
}

/* Copy one read, outside the lock.  -EAGAIN: bytes went again; it waits once more. */
static ssize_t copy(struct slot *s)
{
	struct ossc_read *r = &s->read;
	uint32_t chunk = UINT32_MAX;
	ssize_t n = -EAGAIN;

	if (!s->failed)
		n = file_read_try(r->file->file, r->buf, r->len, r->off, &chunk);
	/* Failed, or its session ended: the waiting read tries again and says why. */
	if (n == -EAGAIN && (s->failed || chunk == UINT32_MAX))
		n = file_read(r->file->file, r->buf, r->len, r->off);
	return n;
}

/* Hand out what is ready, at most max. */
static unsigned hand_out(struct async *a, struct ossc_done *ret_done, unsigned max)
{
	uint64_t signals = lock_enter(&a->lock);
	unsigned nr = 0;

	while (nr < max) {
		struct slot *s = next_ready_locked(a);
		ssize_t n;

		if (s == NULL)
			break;
		s->state = SLOT_COPYING;
		lock_leave(&a->lock, signals);
		n = copy(s);
		signals = lock_enter(&a->lock);
		if (n == -EAGAIN) {
			arm_locked(a, s);
			continue;
		}
		ret_done[nr++] = (struct ossc_done){ .user = s->read.user, .result = n };
		s->state = SLOT_FREE;
		s->next = a->free;
		a->free = (uint32_t)(s - a->slots);
		a->nr_busy--;
	}
	lock_leave(&a->lock, signals);
	return nr;
}

/* Sleep until something may have changed.  False: nothing is in flight. */
static bool rest(struct ossc *c, struct async *a, unsigned wait_ms)
{
	uint64_t signals = lock_enter(&a->lock), count;
	uint32_t serial = a->watched;
	bool busy = a->nr_busy > 0, now;
	struct pollfd p = { .fd = a->event_fd, .events = POLLIN };

	sys_read(a->ready_fd, &count, sizeof(count));
	now = next_ready_locked(a) != NULL ||
	      (serial != 0 && link_complete_sleep(c->link, serial) == -EAGAIN);
	if (now)
		signal_ready(a);
	lock_leave(&a->lock, signals);
	if (!busy)
		return false;
	if (!now && wait_ms > 0)
		sys_poll(&p, 1, wait_ms < LINK_SLICE_MS ? wait_ms : LINK_SLICE_MS);
	if (serial != 0)
		link_check(c->link, serial);
	return true;
}

OSSC_EXPORT int ossc_complete(struct ossc *conn, struct ossc_done *ret_done, unsigned max,
			      int timeout_ms)
{
	uint64_t deadline = sys_now_ms() + (timeout_ms < 0 ? 0 : (unsigned)timeout_ms), now;
	struct async *a;
	int r = get(conn, &a);

	if (r != 0)
		return r;
	if (max == 0)
		return 0;
	for (;;) {
		uint64_t signals = lock_enter(&a->lock);
		unsigned nr;

		collect_locked(conn, a);
		lock_leave(&a->lock, signals);
		nr = hand_out(a, ret_done, max);
		now = sys_now_ms();
		if (nr > 0 || (timeout_ms >= 0 && now >= deadline)) {
			rest(conn, a, 0);
			return (int)nr;
		}
		if (!rest(conn, a, timeout_ms < 0 ? LINK_SLICE_MS : (unsigned)(deadline - now)))
			return 0;
	}
}

OSSC_EXPORT int ossc_event_fd(struct ossc *conn)
{
	struct async *a;
	uint64_t signals;
	int r = get(conn, &a);

	if (r != 0)
		return r;
	signals = lock_enter(&a->lock);
	watch_locked(conn, a);
	lock_leave(&a->lock, signals);
	return a->event_fd;
}
