#include "daemon/session/session.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "common/strbuf.h"
#include "daemon/base/json.h"
#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"
#include "daemon/session/session_internal.h"

#define LOG_MODULE "session"
#include "daemon/base/log.h"

/* ---- life ----------------------------------------------------------------------- */

void session_read_exe(struct session *s)
{
	char link[32];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/%d/exe", (int)s->pid);
	n = readlink(link, s->exe, sizeof(s->exe) - 1);
	if (n <= 0)
		snprintf(s->exe, sizeof(s->exe), "?");
	else
		s->exe[n] = '\0';
}

void session_new(struct sessions *ss, int fd, uid_t uid, pid_t pid)
{
	struct event_base *base = worker_base(ss->control);
	struct session *s = xcalloc(1, sizeof(*s));

	*s = (struct session){
		.all = ss,
		.id = ++ss->next_id,
		.uid = uid,
		.pid = pid,
		.fd = fd,
		.mem_fd = -1,
		.kick_fd = -1,
		.notify_fd = -1,
		.first_free = UINT32_MAX,
	};
	TAILQ_INIT(&s->outbox);
	TAILQ_INIT(&s->pending);
	LIST_INIT(&s->notices);
	snprintf(s->exe, sizeof(s->exe), "?");
	s->on_readable = event_new(base, fd, EV_READ | EV_PERSIST, dispatch_on_readable, s);
	s->on_writable = event_new(base, fd, EV_WRITE | EV_PERSIST, outbox_on_writable, s);
	BUG_ON(s->on_readable == NULL || s->on_writable == NULL);
	event_add(s->on_readable, NULL);
	LIST_INSERT_HEAD(&ss->list, s, link);
	ss->nr++;
	if (ss->conf.on_change != NULL)
		ss->conf.on_change(ss->nr, ss->conf.arg);
}

static void close_memory(struct session *s)
{
	if (s->shared == NULL)
		return;
	event_free(s->on_kick);
	event_free(s->on_again);
	s->on_kick = s->on_again = NULL;
	close(s->kick_fd);
	close(s->notify_fd);
	ringsvc_fini(&s->ring);
	munmap(s->shared, sizeof(*s->shared));
	s->shared = NULL;
}

/* Nothing is heard or said any more. */
static void end_talk(struct session *s)
{
	struct pending *p;

	while ((p = TAILQ_FIRST(&s->pending)) != NULL)
		pending_free(p);
	notices_cancel(s, NULL);
	pulse_forget(s);
	close_memory(s);
	outbox_clear(s);
	event_free(s->on_readable);
	event_free(s->on_writable);
	close(s->fd);
	s->fd = -1;
}

/* Give back all that the client held. */
static void release_all(struct session *s)
{
	uint32_t i;

	for (i = 1; i <= s->nr_held; i++)
		if (session_held(s, i) != NULL)
			session_release(s, i);
	free(s->held);
	s->held = NULL;
	s->nr_held = s->cap_held = 0;
	for (i = 1; i <= SESSION_MOUNTS_MAX; i++)
		session_drop_mount(s, i);
	if (s->mem_fd != -1)
		close(s->mem_fd);
	s->mem_fd = -1;
}

/*
 * Does a process of the client still map the session's memory?  Then it may still read the objects
 * that it held, by the words of their chunks, and map what was pinned for it, whatever became of
 * the socket: a number can be closed by anybody.  The kernel seals a memory file against writing
 * only when nobody maps it so.  Ours is unmapped by now.
 */
static bool is_mapped(const struct session *s)
{
	return fcntl(s->mem_fd, F_ADD_SEALS, F_SEAL_WRITE) == -1 && errno == EBUSY;
}

static bool holds_objects(const struct session *s)
{
	uint32_t i;

	for (i = 0; i < s->nr_held; i++)
		if (s->held[i].used && s->held[i].object != NULL)
			return true;
	return false;
}

static void add_counts(struct session_counts *to, const struct session_counts *from)
{
	to->messages += from->messages;
	to->submissions += from->submissions;
	to->touches += from->touches;
	to->kicks += from->kicks;
	to->bad_entries += from->bad_entries;
}

void session_close(struct session *s, const char *fmt, ...)
{
	static const struct timeval at_once = { 0, 0 };
	struct sessions *ss = s->all;
	char reason[256];
	va_list ap;

	if (s->state == SESSION_DEAD)
		return;
	va_start(ap, fmt);
	vsnprintf(reason, sizeof(reason), fmt, ap);
	va_end(ap);
	if (s->state == SESSION_OPEN || s->state == SESSION_LEFT)
		slog_info(s, "ended: %s", reason);
	else
		slog(LOG_LEVEL_DEBUG, s, "ended before it began: %s", reason);

	if (s->state != SESSION_LEFT) {
		s->state = SESSION_LEFT;
		end_talk(s);
		if (!ss->shut && holds_objects(s) && is_mapped(s)) {
			slog_info(s,
				  "its memory is still mapped: what it held stays as long, and "
				  "%llu pinned chunks",
				  (unsigned long long)s->nr_pins);
			pulse_sweep(ss);
			return;
		}
	}
	s->state = SESSION_DEAD;
	release_all(s);

	add_counts(&ss->counts, &s->counts);
	LIST_REMOVE(s, link);
	LIST_INSERT_HEAD(&ss->dead, s, link);
	event_add(ss->bury, &at_once);
	ss->nr--;
	ss->nr_refused -= s->refused;
	pulse_wake(ss);
	if (ss->conf.on_change != NULL)
		ss->conf.on_change(ss->nr, ss->conf.arg);
}

bool session_is_left(struct session *s)
{
	if (s->state != SESSION_LEFT)
		return false;
	if (is_mapped(s))
		return true;
	session_close(s, "nobody maps its memory any more");
	return false;
}

static void bury_dead(evutil_socket_t fd, short what, void *arg)
{
	struct sessions *ss = arg;
	struct session *s;

	(void)fd;
	(void)what;
	while ((s = LIST_FIRST(&ss->dead)) != NULL) {
		LIST_REMOVE(s, link);
		free(s);
	}
}

struct audit_who session_who(const struct session *s)
{
	return (struct audit_who){ .uid = s->uid, .pid = s->pid, .exe = s->exe };
}

/*
 * A memory file of that size which neither side can cut short under the other.  More seals are
 * possible: see is_mapped().
 */
static int make_memory(size_t size, struct wire_session **ret_mem)
{
	void *mem;
	int fd, r;

	fd = memfd_create("ossc-session", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd == -1)
		return -errno;
	if (ftruncate(fd, (off_t)size) == -1 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW) == -1)
		goto err_close;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		goto err_close;
	*ret_mem = mem;
	return fd;

err_close:
	r = -errno;
	close(fd);
	return r;
}

int session_open_memory(struct session *s, int ret_fds[3])
{
	int mem_fd, pair[2], r;

	mem_fd = make_memory(sizeof(*s->shared), &s->shared);
	if (mem_fd < 0)
		return mem_fd;
	s->kick_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (s->kick_fd == -1)
		goto err_memory;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) == -1)
		goto err_kick;
	/*
	 * Edge-triggered and never read: the client holds the same open file, could clear its
	 * O_NONBLOCK and so make a read wait.
	 */
	s->on_kick = event_new(worker_base(s->all->control), s->kick_fd,
			       EV_READ | EV_PERSIST | EV_ET, ringops_on_kick, s);
	s->on_again = event_new(worker_base(s->all->control), -1, 0, ringops_on_again, s);
	BUG_ON(s->on_kick == NULL || s->on_again == NULL);
	event_add(s->on_kick, NULL);
	s->notify_fd = pair[0];
	ringsvc_init(&s->ring, s->shared);
	ringsvc_set_want_touch(&s->ring, s->all->want_touch);
	idle_begin(s);
	s->mem_fd = mem_fd;
	ret_fds[0] = mem_fd;
	ret_fds[1] = s->kick_fd;
	ret_fds[2] = pair[1];
	return 0;

err_kick:
	r = -errno;
	close(s->kick_fd);
	s->kick_fd = -1;
	errno = -r;
err_memory:
	r = -errno;
	munmap(s->shared, sizeof(*s->shared));
	s->shared = NULL;
	close(mem_fd);
	return r;
}

/* ---- what a client holds ---------------------------------------------------------- */

int session_take_mount(struct session *s, uint32_t *ret_number)
{
	uint32_t i;

	for (i = 0; i < SESSION_MOUNTS_MAX; i++)
		if (!s->mounts[i].taken) {
			s->mounts[i].taken = true;
			*ret_number = i + 1;
			return 0;
		}
	return -ENOSPC;
}

void session_drop_mount(struct session *s, uint32_t number)
{
	struct mount *m = s->mounts[number - 1].mount;

	s->mounts[number - 1].mount = NULL;
	s->mounts[number - 1].taken = false;
	if (m != NULL)
		mount_release(m);
}

struct mount *session_mount(const struct session *s, uint32_t number)
{
	return number >= 1 && number <= SESSION_MOUNTS_MAX ? s->mounts[number - 1].mount : NULL;
}

int session_hold(struct session *s, uint32_t mount, struct object *o, uint32_t *ret_number)
{
	uint32_t i = s->first_free;

	if (i != UINT32_MAX) {
		s->first_free = s->held[i].next_free;
	} else {
		if (s->nr_held == SESSION_OBJECTS_MAX)
			return -EMFILE;
		if (s->nr_held == s->cap_held) {
			s->cap_held = s->cap_held != 0 ? s->cap_held * 2 : 16;
			s->held = xrealloc(s->held, s->cap_held, sizeof(*s->held));
		}
		i = s->nr_held++;
	}
	s->held[i] = (struct held){
		.used = true,
		.object = o,
		.mount = mount,
		.nr_chunks = o != NULL ? object_nr_chunks(o) : 0,
	};
	*ret_number = i + 1;
	return 0;
}

struct held *session_held(struct session *s, uint32_t number)
{
	if (number < 1 || number > s->nr_held || !s->held[number - 1].used)
		return NULL;
	return &s->held[number - 1];
}

/* Pins are given back in runs: each pass takes one from every chunk that has any. */
static void unpin_all(struct session *s, struct held *h)
{
	uint32_t first = 0, end, i;
	bool any = h->pins != NULL;

	while (any) {
		any = false;
		for (first = 0; first < h->nr_chunks; first = end + 1) {
			for (end = first; end < h->nr_chunks && h->pins[end] > 0; end++)
				;
			if (end == first)
				continue;
			chunk_unpin(h->object, first, end - first);
			s->nr_pins -= end - first;
			for (i = first; i < end; i++)
				any |= --h->pins[i] > 0;
		}
	}
	free(h->pins);
	h->pins = NULL;
}

void session_release(struct session *s, uint32_t number)
{
	struct held *h = &s->held[number - 1];
	struct object *o = h->object;

	if (o != NULL)
		unpin_all(s, h);
	*h = (struct held){ .used = false, .next_free = s->first_free };
	s->first_free = number - 1;
	if (o == NULL)
		return;
	notices_cancel(s, o);
	object_unuse(o);
	object_unref(o);
}

struct pending *pending_new(struct session *s, const struct wire_head *req, const char *what)
{
	struct pending *p;

	if (s->nr_pending == SESSION_PENDING_MAX) {
		session_refuse(s, req->type, req->seq, -EAGAIN,
			       "%u requests of this client wait already; it asks again later",
			       s->nr_pending);
		return NULL;
	}
	p = xcalloc(1, sizeof(*p));
	p->session = s;
	p->type = req->type;
	p->seq = req->seq;
	p->what = xstrdup(what);
	TAILQ_INSERT_TAIL(&s->pending, p, link);
	s->nr_pending++;
	return p;
}

void pending_free(struct pending *p)
{
	struct session *s = p->session;

	if (p->attach != NULL)
		mount_attach_cancel(p->attach);
	TAILQ_REMOVE(&s->pending, p, link);
	s->nr_pending--;
	free(p->what);
	free(p);
}

/* ---- all of them -------------------------------------------------------------------- */

int sessions_new(struct worker *control, struct cache *cache, struct mounts *mounts,
		 const struct sessions_conf *conf, struct sessions **ret_sessions)
{
	struct sessions *ss = xcalloc(1, sizeof(*ss));
	int r;

	ss->control = control;
	ss->cache = cache;
	ss->mounts = mounts;
	ss->conf = *conf;
	ss->listen_fd = -1;
	LIST_INIT(&ss->list);
	LIST_INIT(&ss->dead);
	TAILQ_INIT(&ss->active);
	ss->spare_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	r = ss->spare_fd == -1 ? -errno : pulse_init(ss);
	if (r != 0) {
		if (ss->spare_fd != -1)
			close(ss->spare_fd);
		free(ss);
		return r;
	}
	ss->bury = event_new(worker_base(control), -1, 0, bury_dead, ss);
	BUG_ON(ss->bury == NULL);
	*ret_sessions = ss;
	return 0;
}

void sessions_set_bounds(struct sessions *ss, unsigned max_sessions, unsigned max_per_user)
{
	ss->conf.max_sessions = max_sessions;
	ss->conf.max_per_user = max_per_user;
}

void sessions_set_mmap(struct sessions *ss, unsigned mmap)
{
	ss->conf.mmap = mmap;
}

void sessions_shut(struct sessions *ss, const char *reason)
{
	struct session *s;

	ss->shut = true;
	if (ss->on_connect != NULL) {
		event_free(ss->on_connect);
		ss->on_connect = NULL;
		close(ss->listen_fd);
		ss->listen_fd = -1;
	}
	while ((s = LIST_FIRST(&ss->list)) != NULL)
		session_close(s, "%s", reason);
}

void sessions_free(struct sessions *ss)
{
	if (ss == NULL)
		return;
	BUG_ON(!LIST_EMPTY(&ss->list));
	bury_dead(-1, 0, ss);
	event_free(ss->bury);
	pulse_fini(ss);
	close(ss->spare_fd);
	free(ss);
}

unsigned sessions_count(const struct sessions *ss)
{
	return ss->nr;
}

static void report_one(const struct session *s, struct strbuf *out)
{
	unsigned nr_mounts = 0, nr_objects = 0;
	uint32_t i;

	for (i = 0; i < SESSION_MOUNTS_MAX; i++)
		nr_mounts += s->mounts[i].mount != NULL;
	for (i = 0; i < s->nr_held; i++)
		nr_objects += s->held[i].used;
	strbuf_addf(out, "{\"id\":%u,\"uid\":%u,\"pid\":%d,\"exe\":", s->id, (unsigned)s->uid,
		    (int)s->pid);
	json_cstring(out, s->exe);
	strbuf_addf(out,
		    ",\"mounts\":%u,\"objects\":%u,\"pins\":%llu,\"messages\":%llu,"
		    "\"submissions\":%llu,\"touches\":%llu}",
		    nr_mounts, nr_objects, (unsigned long long)s->nr_pins,
		    (unsigned long long)s->counts.messages,
		    (unsigned long long)s->counts.submissions,
		    (unsigned long long)s->counts.touches);
}

void sessions_report(const struct sessions *ss, uid_t viewer, struct strbuf *out)
{
	struct session_counts total = ss->counts;
	const struct session *s;
	bool first = true;

	strbuf_adds(out, "\"sessions\":[");
	LIST_FOREACH(s, &ss->list, link)
	{
		add_counts(&total, &s->counts);
		if ((s->state != SESSION_OPEN && s->state != SESSION_LEFT) ||
		    (viewer != 0 && viewer != s->uid))
			continue;
		if (!first)
			strbuf_addc(out, ',');
		first = false;
		report_one(s, out);
	}
	strbuf_addf(
		out,
		"],\"counters\":{\"sessions\":%llu,\"broken_sessions\":%llu,\"messages\":%llu,"
		"\"submissions\":%llu,\"bad_submissions\":%llu,\"touches\":%llu,\"kicks\":%llu}",
		(unsigned long long)ss->nr_opened, (unsigned long long)ss->nr_broken,
		(unsigned long long)total.messages, (unsigned long long)total.submissions,
		(unsigned long long)total.bad_entries, (unsigned long long)total.touches,
		(unsigned long long)total.kicks);
}
