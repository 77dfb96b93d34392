/*
 * fake_daemon.h - a daemon in a thread of the test's own: the control socket,
 * the rings, a chunk table and object memory, and fills whose course the test
 * decides.  It speaks wire.h and nothing else; it knows no store.
 *
 * Threads: the test changes `plan` and calls fake_*(); one lock guards all.
 */
#ifndef TEST_UNIT_FAKE_DAEMON_H
#define TEST_UNIT_FAKE_DAEMON_H

#include "common/chunktab.h"
#include "common/ring.h"
#include "common/snapshot.h"
#include "common/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define FAKE_SHIFT    20u
#define FAKE_CHUNK    (1ull << FAKE_SHIFT)
#define FAKE_SESSIONS 8
#define FAKE_FILES    4
#define FAKE_UNUSED   __attribute__((unused))

struct fake_file {
	const char *path;
	uint64_t size;
	char etag[16];
	int fd;		     /* memory file, -1: not open */
	uint64_t first_word; /* in the table */
	unsigned nr_pins;
};

struct fake_session {
	int fd; /* -1: free */
	int kick, notify;
	struct wire_session *memory;
	struct ring submit, complete;
	uint32_t touch_seen;
};

struct fake_plan { /* what the test wants to happen */
	uint16_t hello_version;
	bool no_mount;	     /* MOUNT answers -ENOENT */
	bool sleepy;	     /* the submission ring is not read */
	bool silent;	     /* FETCH is ignored */
	bool die_on_fetch;   /* FETCH ends the daemon */
	uint32_t watermark;  /* pages published, then no more; 0: the whole chunk */
	int fail;	     /* FETCH ends in this errno ... */
	unsigned nr_fails;   /* ... so many times */
	int pin_error;	     /* PIN answers it */
	bool evict_after;    /* each filled chunk goes again at once */
	bool answer_nothing; /* requests after HELLO are swallowed */
};

struct fake {
	char dir[64];
	char path[100];
	pthread_t thread;
	pthread_mutex_t lock;
	int listen_fd, stop_fd;
	bool running;
	struct fake_plan plan;
	struct fake_session sessions[FAKE_SESSIONS];
	struct fake_file files[FAKE_FILES];
	struct chunktab *table;
	int table_fd, snapshot_fd;
	size_t snapshot_len;
	uint64_t serial;
	unsigned nr_hellos, nr_mounts, nr_opens, nr_closes, nr_fetches, nr_retries, nr_touches;
	unsigned nr_pins, nr_unpins, nr_advices, nr_snapshots;
};

/* What an object holds: never a zero byte. */
static inline unsigned char fake_byte(unsigned file, uint64_t off)
{
	return (unsigned char)((off * 7 + (off >> 13) + file * 31) % 251 + 1);
}

/* ---- snapshot ------------------------------------------------------------------- */

/* Files are "a.bin", "dir/b.bin", "dir/c.bin", "empty"; one more name for each serial above 1. */
static int fake_build_snapshot(struct fake *d)
{
	struct {
		struct snapshot_header header;
		struct snapshot_entry entries[7];
		char strings[256];
	} s = { 0 };
	static const char *const names[] = { "", "a.bin", "dir", "empty", "new", "b.bin", "c.bin" };
	static const int files[] = { -1, 0, -1, 3, -1, 1, 2 };
	bool has_new = d->serial > 1;
	uint64_t at = 0;
	unsigned i;

	s.header = (struct snapshot_header){
		.magic = SNAPSHOT_MAGIC,
		.version = SNAPSHOT_VERSION,
		.serial = d->serial,
		.len = sizeof(s),
		.nr_entries = 7,
		.strings_off = offsetof(__typeof__(s), strings),
		.strings_len = sizeof(s) - offsetof(__typeof__(s), strings),
	};
	for (i = 0; i < 7; i++) {
		struct snapshot_entry *e = &s.entries[i];

		e->ino = i + 1;
		e->name_off = at;
		e->name_len = (uint16_t)strlen(names[i]);
		memcpy(s.strings + at, names[i], e->name_len);
		at += e->name_len;
		e->mtime_ns = 1000000000ll * i;
		if (files[i] >= 0) {
			const struct fake_file *f = &d->files[files[i]];

			e->size = f->size;
			e->etag_off = at;
			e->etag_len = (uint8_t)strlen(f->etag);
			memcpy(s.strings + at, f->etag, e->etag_len);
			at += e->etag_len;
		}
	}
	s.entries[0].flags = s.entries[2].flags = SNAPSHOT_DIR;
	s.entries[0].first_child = 1;
	s.entries[0].nr_children = has_new ? 4 : 3;
	s.entries[2].first_child = 5;
	s.entries[2].nr_children = 2;
	s.entries[5].parent = s.entries[6].parent = 2;

	if (d->snapshot_fd >= 0)
		close(d->snapshot_fd);
	d->snapshot_fd = memfd_create("fake-snapshot", MFD_CLOEXEC);
	d->snapshot_len = sizeof(s);
	return write(d->snapshot_fd, &s, sizeof(s)) == (ssize_t)sizeof(s) ? 0 : -EIO;
}

/* ---- chunks ---------------------------------------------------------------------- */

static uint64_t *fake_word(struct fake *d, const struct fake_file *f, uint32_t chunk)
{
	return &d->table->words[f->first_word + chunk];
}

static void fake_set_word(struct fake *d, const struct fake_file *f, uint32_t chunk, uint64_t word)
{
	uint64_t *at = fake_word(d, f, chunk);

	__atomic_store_n(at, word, __ATOMIC_RELEASE);
	syscall(SYS_futex, at, FUTEX_WAKE, INT32_MAX, NULL, NULL, 0);
}

static uint64_t fake_chunk_len(const struct fake_file *f, uint32_t chunk)
{
	uint64_t start = (uint64_t)chunk << FAKE_SHIFT;

	return f->size - start < FAKE_CHUNK ? f->size - start : FAKE_CHUNK;
}

static void fake_write(const struct fake *d, const struct fake_file *f, uint32_t chunk,
		       uint64_t len)
{
	static unsigned char buf[FAKE_CHUNK];
	uint64_t start = (uint64_t)chunk << FAKE_SHIFT, i;

	for (i = 0; i < len; i++)
		buf[i] = fake_byte((unsigned)(f - d->files), start + i);
	if (pwrite(f->fd, buf, len, (off_t)start) != (ssize_t)len)
		abort();
}

/* Bring the chunk in, as far as the plan says. */
static void fake_fill(struct fake *d, struct fake_file *f, uint32_t chunk)
{
	uint64_t word = chunk_word_load(fake_word(d, f, chunk));
	uint32_t generation = chunk_word_generation(word);
	uint64_t len = fake_chunk_len(f, chunk);

	if (chunk_word_state(word) == CHUNK_READY)
		return;
	if (d->plan.watermark != 0) {
		if (len > (uint64_t)d->plan.watermark * CHUNKTAB_PAGE)
			len = (uint64_t)d->plan.watermark * CHUNKTAB_PAGE;
		fake_write(d, f, chunk, len);
		fake_set_word(d, f, chunk,
			      chunk_word(generation, d->plan.watermark, CHUNK_LOADING));
		return;
	}
	fake_write(d, f, chunk, len);
	fake_set_word(d, f, chunk, chunk_word(generation, 0, CHUNK_READY));
}

/* As the daemon does: generation first, then the hole. */
static void fake_evict_locked(struct fake *d, struct fake_file *f, uint32_t chunk)
{
	uint32_t generation = chunk_word_generation(chunk_word_load(fake_word(d, f, chunk))) + 1;

	__atomic_store_n(fake_word(d, f, chunk), chunk_word(generation, 0, CHUNK_EVICTING),
			 __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)chunk << FAKE_SHIFT,
		      (off_t)fake_chunk_len(f, chunk)) == -1)
		abort();
	fake_set_word(d, f, chunk, chunk_word(generation, 0, CHUNK_EMPTY));
}

/* ---- rings ------------------------------------------------------------------------ */

static void fake_notify(struct fake_session *s, uint64_t token, int result)
{
	uint64_t one = 1;
	uint32_t slot;

	if (ring_reserve(&s->complete, &slot) != 0)
		abort();
	s->memory->completions[slot] = (struct wire_completion){ .token = token, .result = result };
	if (ring_publish(&s->complete) && write(s->notify, &one, sizeof(one)) != sizeof(one))
		abort();
}

/* False: the plan says that the daemon dies now. */
static bool fake_fetch(struct fake *d, struct fake_session *s, const struct wire_submission *sub)
{
	struct fake_file *f = &d->files[sub->object - 1];
	int result = 0;

	d->nr_fetches++;
	if ((sub->flags & WIRE_FETCH_RETRY) != 0)
		d->nr_retries++;
	if (d->plan.die_on_fetch)
		return false;
	if (d->plan.silent)
		return true;
	if (d->plan.nr_fails > 0) {
		uint64_t word = chunk_word_load(fake_word(d, f, sub->chunk));

		d->plan.nr_fails--;
		result = -d->plan.fail;
		fake_set_word(d, f, sub->chunk,
			      chunk_word(chunk_word_generation(word) + 1, (uint32_t)d->plan.fail,
					 CHUNK_FAILED));
	} else {
		fake_fill(d, f, sub->chunk);
		if (d->plan.evict_after)
			fake_evict_locked(d, f, sub->chunk);
	}
	if ((sub->flags & WIRE_FETCH_NOTIFY) != 0)
		fake_notify(s, sub->token, result);
	return true;
}

static bool fake_serve_ring(struct fake *d, struct fake_session *s)
{
	uint32_t slot, tail;
	bool alive = true;
	uint64_t count;

	if (read(s->kick, &count, sizeof(count)) == -1 && errno != EAGAIN)
		abort();
	if (d->plan.sleepy)
		return true;
	do {
		ring_awake(&s->submit);
		while (alive && ring_peek(&s->submit, &slot) == 0) {
			struct wire_submission sub = s->memory->submissions[slot];

			ring_consumed(&s->submit);
			if (sub.op == WIRE_OP_FETCH)
				alive = fake_fetch(d, s, &sub);
			else
				d->nr_advices++;
		}
	} while (alive && ring_sleep(&s->submit));
	tail = __atomic_load_n(&s->memory->touch_tail, __ATOMIC_ACQUIRE);
	d->nr_touches += tail - s->touch_seen;
	s->touch_seen = tail;
	return alive;
}

/* ---- requests ---------------------------------------------------------------------- */

static void fake_send(int fd, const void *msg, size_t len, const int *fds, unsigned nr_fds)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int) * 4)] = { 0 };
	struct iovec iov = { .iov_base = (void *)(uintptr_t)msg, .iov_len = len };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (nr_fds > 0) {
		struct cmsghdr *c = (struct cmsghdr *)control;

		m.msg_control = control;
		m.msg_controllen = CMSG_SPACE(sizeof(int) * nr_fds);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int) * nr_fds);
		memcpy(CMSG_DATA(c), fds, sizeof(int) * nr_fds);
	}
	sendmsg(fd, &m, MSG_NOSIGNAL);
}

static void fake_refuse(const struct fake_session *s, const struct wire_head *h, int error)
{
	struct wire_error e = { .head = wire_head(h->type, h->seq, sizeof(e)) };

	e.head.status = error;
	snprintf(e.text, sizeof(e.text), "the fake refuses request %u", h->type);
	fake_send(s->fd, &e, sizeof(e), NULL, 0);
}

static void fake_hello(struct fake *d, struct fake_session *s, const struct wire_head *h)
{
	struct wire_hello_answer a = { .head = wire_head(WIRE_HELLO, h->seq, sizeof(a)) };
	int memory = memfd_create("fake-session", MFD_CLOEXEC);
	int fds[3];

	d->nr_hellos++;
	a.head.version = d->plan.hello_version;
	a.wire_version = d->plan.hello_version;
	a.session = d->nr_hellos;
	if (memory == -1 || ftruncate(memory, sizeof(struct wire_session)) == -1)
		abort();
	s->memory = mmap(NULL, sizeof(struct wire_session), PROT_READ | PROT_WRITE, MAP_SHARED,
			 memory, 0);
	s->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	s->notify = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	ring_init(&s->submit, &s->memory->submit, WIRE_NR_SUBMISSIONS);
	ring_init(&s->complete, &s->memory->complete, WIRE_NR_COMPLETIONS);
	s->touch_seen = 0;
	ring_sleep(&s->submit);
	fds[0] = memory;
	fds[1] = s->kick;
	fds[2] = s->notify;
	fake_send(s->fd, &a, sizeof(a), fds, 3);
	close(memory);
}

static void fake_mount(struct fake *d, struct fake_session *s, const struct wire_head *h)
{
	struct wire_mount_answer a = {
		.head = wire_head(h->type, h->seq, sizeof(a)),
		.mount = 7,
		.chunk_shift = FAKE_SHIFT,
		.snapshot_serial = d->serial,
		.snapshot_len = d->snapshot_len,
		.table_len = sizeof(struct chunktab),
	};
	int fds[2] = { d->table_fd, d->snapshot_fd };

	if (h->type == WIRE_MOUNT) {
		d->nr_mounts++;
		if (d->plan.no_mount)
			fake_refuse(s, h, -ENOENT);
		else
			fake_send(s->fd, &a, sizeof(a), fds, 2);
		return;
	}
	d->nr_snapshots++;
	fake_send(s->fd, &a, sizeof(a), fds + 1, 1);
}

static void fake_open(struct fake *d, struct fake_session *s, const struct wire_open *o)
{
	struct wire_open_answer a = { .head = wire_head(WIRE_OPEN, o->head.seq, sizeof(a)) };
	unsigned i;

	d->nr_opens++;
	for (i = 0; i < FAKE_FILES; i++)
		if (strlen(d->files[i].path) == o->path_len &&
		    memcmp(d->files[i].path, o->path, o->path_len) == 0)
			break;
	if (i == FAKE_FILES) {
		fake_refuse(s, &o->head, -ENOENT);
		return;
	}
	a.object = i + 1;
	a.size = d->files[i].size;
	a.first_word = d->files[i].first_word;
	a.ino = 100 + i;
	strcpy(a.etag, d->files[i].etag);
	fake_send(s->fd, &a, sizeof(a), &d->files[i].fd, 1);
}

static void fake_pin(struct fake *d, struct fake_session *s, const struct wire_pin *p)
{
	struct wire_head a = wire_head(p->head.type, p->head.seq, sizeof(a));

	if (p->head.type == WIRE_PIN && d->plan.pin_error != 0) {
		fake_refuse(s, &p->head, d->plan.pin_error);
		return;
	}
	if (p->head.type == WIRE_PIN)
		d->nr_pins++, d->files[p->object - 1].nr_pins++;
	else
		d->nr_unpins++, d->files[p->object - 1].nr_pins--;
	fake_send(s->fd, &a, sizeof(a), NULL, 0);
}

static void fake_status(const struct fake_session *s, const struct wire_head *h)
{
	static const char text[] = "{\"fake\": true}";
	struct wire_status_answer a = {
		.head = wire_head(h->type, h->seq, sizeof(a)),
		.text_len = sizeof(text) - 1,
	};
	int fd = memfd_create("fake-status", MFD_CLOEXEC);

	if (write(fd, text, sizeof(text) - 1) != (ssize_t)sizeof(text) - 1)
		abort();
	fake_send(s->fd, &a, sizeof(a), &fd, 1);
	close(fd);
}

static void fake_request(struct fake *d, struct fake_session *s, const struct wire_head *h)
{
	struct wire_verify_answer v = { .head = wire_head(h->type, h->seq, sizeof(v)),
					.crc64 = 0x1234,
					.known = 1 };
	struct wire_head bare = wire_head(h->type, h->seq, sizeof(bare));

	if (h->type == WIRE_HELLO) {
		fake_hello(d, s, h);
		return;
	}
	if (d->plan.answer_nothing)
		return;
	switch ((enum wire_type)h->type) {
	case WIRE_MOUNT:
	case WIRE_SNAPSHOT:
		fake_mount(d, s, h);
		break;
	case WIRE_OPEN:
		fake_open(d, s, (const struct wire_open *)h);
		break;
	case WIRE_PIN:
	case WIRE_UNPIN:
		fake_pin(d, s, (const struct wire_pin *)h);
		break;
	case WIRE_STATUS:
		fake_status(s, h);
		break;
	case WIRE_VERIFY:
		fake_send(s->fd, &v, sizeof(v), NULL, 0);
		break;
	default:
		d->nr_closes += h->type == WIRE_CLOSE;
		fake_send(s->fd, &bare, sizeof(bare), NULL, 0);
		break;
	}
}

/* ---- the thread ---------------------------------------------------------------------- */

static void fake_end_session(struct fake_session *s)
{
	if (s->fd < 0)
		return;
	close(s->fd);
	s->fd = -1;
	if (s->memory == NULL)
		return;
	munmap(s->memory, sizeof(*s->memory));
	s->memory = NULL;
	close(s->kick);
	close(s->notify);
}

static bool fake_serve(struct fake *d, struct fake_session *s)
{
	_Alignas(struct wire_head) char buf[WIRE_MAX];
	ssize_t n = recv(s->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n == 0 || (n == -1 && errno != EAGAIN)) {
		fake_end_session(s);
		return true;
	}
	if (n >= (ssize_t)sizeof(struct wire_head))
		fake_request(d, s, (struct wire_head *)buf);
	return s->memory == NULL || fake_serve_ring(d, s);
}

static void fake_accept(struct fake *d)
{
	int fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC), i;

	for (i = 0; i < FAKE_SESSIONS && fd >= 0; i++) {
		if (d->sessions[i].fd < 0) {
			d->sessions[i].fd = fd;
			return;
		}
	}
	if (fd >= 0)
		close(fd);
}

static void *fake_run(void *arg)
{
	struct fake *d = arg;
	bool alive = true;
	int i;

	while (alive) {
		struct pollfd p[2 + 2 * FAKE_SESSIONS];

		pthread_mutex_lock(&d->lock);
		p[0] = (struct pollfd){ .fd = d->stop_fd, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = d->listen_fd, .events = POLLIN };
		for (i = 0; i < FAKE_SESSIONS; i++) {
			struct fake_session *s = &d->sessions[i];

			p[2 + 2 * i] = (struct pollfd){ .fd = s->fd, .events = POLLIN };
			p[3 + 2 * i] = (struct pollfd){ .fd = s->memory != NULL ? s->kick : -1,
							.events = POLLIN };
		}
		pthread_mutex_unlock(&d->lock);
		if (poll(p, 2 + 2 * FAKE_SESSIONS, -1) == -1 && errno != EINTR)
			abort();
		pthread_mutex_lock(&d->lock);
		if (p[0].revents != 0)
			alive = false;
		if (alive && p[1].revents != 0)
			fake_accept(d);
		for (i = 0; i < FAKE_SESSIONS && alive; i++)
			if (p[2 + 2 * i].revents != 0 || p[3 + 2 * i].revents != 0)
				alive = fake_serve(d, &d->sessions[i]);
		pthread_mutex_unlock(&d->lock);
	}
	pthread_mutex_lock(&d->lock);
	for (i = 0; i < FAKE_SESSIONS; i++)
		fake_end_session(&d->sessions[i]);
	close(d->listen_fd);
	unlink(d->path);
	pthread_mutex_unlock(&d->lock);
	return NULL;
}

/* ---- for the tests ---------------------------------------------------------------------- */

static void fake_listen(struct fake *d)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	d->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	strcpy(addr.sun_path, d->path);
	if (bind(d->listen_fd, (struct sockaddr *)&addr, sizeof(addr)) == -1 ||
	    listen(d->listen_fd, 16) == -1)
		abort();
}

/* A daemon with a fresh cache: all objects are opened anew. */
FAKE_UNUSED static void fake_start(struct fake *d)
{
	uint64_t word = 16;
	unsigned i;

	if (d->table != NULL) {
		munmap(d->table, sizeof(*d->table));
		close(d->table_fd);
	}
	d->table_fd = memfd_create("fake-table", MFD_CLOEXEC);
	if (ftruncate(d->table_fd, sizeof(*d->table)) == -1)
		abort();
	d->table =
		mmap(NULL, sizeof(*d->table), PROT_READ | PROT_WRITE, MAP_SHARED, d->table_fd, 0);
	d->table->magic = CHUNKTAB_MAGIC;
	d->table->version = CHUNKTAB_VERSION;
	d->table->chunk_shift = FAKE_SHIFT;
	d->table->snapshot_serial = d->serial;
	for (i = 0; i < FAKE_FILES; i++) {
		struct fake_file *f = &d->files[i];

		if (f->fd >= 0)
			close(f->fd);
		f->fd = memfd_create("fake-object", MFD_CLOEXEC);
		if (ftruncate(f->fd, (off_t)f->size) == -1)
			abort();
		f->first_word = word;
		word += chunk_count(f->size, FAKE_SHIFT);
	}
	if (fake_build_snapshot(d) != 0)
		abort();
	fake_listen(d);
	d->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (pthread_create(&d->thread, NULL, fake_run, d) != 0)
		abort();
	d->running = true;
}

/* Wait until it has ended: told to, or by its plan. */
FAKE_UNUSED static void fake_stop(struct fake *d, bool tell)
{
	uint64_t one = 1;

	if (!d->running)
		return;
	if (tell && write(d->stop_fd, &one, sizeof(one)) != sizeof(one))
		abort();
	pthread_join(d->thread, NULL);
	close(d->stop_fd);
	d->running = false;
}

FAKE_UNUSED static struct fake *fake_new(void)
{
	static const struct fake_file files[FAKE_FILES] = {
		{ .path = "a.bin", .size = 5 * FAKE_CHUNK + 123, .etag = "A1", .fd = -1 },
		{ .path = "dir/b.bin", .size = 300, .etag = "B1", .fd = -1 },
		{ .path = "dir/c.bin", .size = 3 * FAKE_CHUNK, .etag = "C1", .fd = -1 },
		{ .path = "empty", .size = 0, .etag = "E1", .fd = -1 },
	};
	struct fake *d = calloc(1, sizeof(*d));
	int i;

	pthread_mutex_init(&d->lock, NULL);
	memcpy(d->files, files, sizeof(files));
	for (i = 0; i < FAKE_SESSIONS; i++)
		d->sessions[i].fd = -1;
	d->plan.hello_version = WIRE_VERSION;
	d->serial = 1;
	d->snapshot_fd = -1;
	strcpy(d->dir, "/tmp/ossc-test-XXXXXX");
	if (mkdtemp(d->dir) == NULL)
		abort();
	snprintf(d->path, sizeof(d->path), "%s/d.sock", d->dir);
	return d;
}

FAKE_UNUSED static void fake_free(struct fake *d)
{
	int i;

	fake_stop(d, true);
	for (i = 0; i < FAKE_FILES; i++)
		if (d->files[i].fd >= 0)
			close(d->files[i].fd);
	if (d->table != NULL) {
		munmap(d->table, sizeof(*d->table));
		close(d->table_fd);
		close(d->snapshot_fd);
	}
	rmdir(d->dir);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

FAKE_UNUSED static void fake_plan(struct fake *d, struct fake_plan plan)
{
	plan.hello_version = WIRE_VERSION;
	pthread_mutex_lock(&d->lock);
	d->plan = plan;
	pthread_mutex_unlock(&d->lock);
}

FAKE_UNUSED static void fake_evict(struct fake *d, unsigned file, uint32_t chunk)
{
	pthread_mutex_lock(&d->lock);
	fake_evict_locked(d, &d->files[file], chunk);
	pthread_mutex_unlock(&d->lock);
}

/* A counter of the fake's. */
#define fake_count(d, counter)                                                                     \
	({                                                                                         \
		unsigned count_;                                                                   \
		pthread_mutex_lock(&(d)->lock);                                                    \
		count_ = (d)->counter;                                                             \
		pthread_mutex_unlock(&(d)->lock);                                                  \
		count_;                                                                            \
	})

/* Do these bytes belong to that file at that offset? */
FAKE_UNUSED static bool fake_is_right(unsigned file, const void *buf, size_t len, uint64_t off)
{
	const unsigned char *b = buf;
	size_t i;

	for (i = 0; i < len; i++)
		if (b[i] != fake_byte(file, off + i))
			return false;
	return true;
}

#endif
