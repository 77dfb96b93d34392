/*
 * session_fixture.h - sessions over a fake mount, and a client's end of a
 * connection that speaks the protocol by hand.
 */
#ifndef TEST_UNIT_SESSION_FIXTURE_H
#define TEST_UNIT_SESSION_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>

#include "common/ring.h"
#include "common/strbuf.h"
#include "common/wire.h"
#include "daemon/base/worker.h"
#include "daemon/session/session.h"
#include "test/unit/fake_mounts.h"

#define PATIENCE_MS 5000

/* For tests and for fuzz targets, which know no cmocka. */
#define need(condition)                                                                            \
	do {                                                                                       \
		if (!(condition)) {                                                                \
			fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);            \
			abort();                                                                   \
		}                                                                                  \
	} while (0)

struct client {
	int fd;
	struct wire_session *mem;
	int kick, notify;
	struct ring submit, complete;
	uint32_t seq;
	/* The last answer. */
	union {
		struct wire_head head;
		struct wire_error error;
		struct wire_mount_answer mount;
		struct wire_open_answer open;
		struct wire_status_answer status;
		struct wire_verify_answer verify;
		struct wire_hello_answer hello;
		char bytes[WIRE_MAX];
	} in;
	int fds[8];
	unsigned nr_fds;
};

struct fixture {
	struct worker *w;
	struct event_base *base;
	struct cache *cache;
	struct sessions *ss;
	struct client c;
};

static inline int fixture_report(uid_t viewer, struct strbuf *out, void *arg)
{
	(void)viewer;
	(void)arg;
	strbuf_adds(out, "{}");
	return 0;
}

/* Run what is ready, without waiting. */
static inline void turn(struct fixture *f)
{
	event_base_loop(f->base, EVLOOP_NONBLOCK);
}

static inline void client_drop_fds(struct client *c)
{
	while (c->nr_fds > 0)
		close(c->fds[--c->nr_fds]);
}

/* The next message, or 0 at the end of the connection.  Fails the test when nothing comes. */
static inline ssize_t client_receive(struct fixture *f, struct client *c)
{
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int) * 8)];
	} control;
	struct iovec iov = { c->in.bytes, sizeof(c->in.bytes) };
	int waited;

	client_drop_fds(c);
	for (waited = 0; waited < PATIENCE_MS; waited++) {
		struct msghdr msg = { .msg_iov = &iov,
				      .msg_iovlen = 1,
				      .msg_control = &control,
				      .msg_controllen = sizeof(control) };
		struct pollfd p = { .fd = c->fd, .events = POLLIN };
		struct cmsghdr *cm;
		ssize_t n;

		turn(f);
		n = recvmsg(c->fd, &msg, MSG_DONTWAIT);
		if (n == -1 && errno == EAGAIN) {
			(void)poll(&p, 1, 1);
			continue;
		}
		if (n == -1)
			return 0;
		for (cm = CMSG_FIRSTHDR(&msg); cm != NULL; cm = CMSG_NXTHDR(&msg, cm)) {
			c->nr_fds = (unsigned)((cm->cmsg_len - CMSG_LEN(0)) / sizeof(int));
			memcpy(c->fds, CMSG_DATA(cm), c->nr_fds * sizeof(int));
		}
		return n;
	}
	need(!"no answer came");
	return -1;
}

static inline void client_send_raw(struct client *c, const void *bytes, size_t len)
{
	need(send(c->fd, bytes, len, MSG_NOSIGNAL) == (ssize_t)len);
}

/* Fills the head in and asks; returns the status. */
static inline int ask(struct fixture *f, struct wire_head *msg, uint16_t type, size_t len)
{
	struct client *c = &f->c;

	*msg = wire_head((enum wire_type)type, ++c->seq, (uint32_t)len);
	client_send_raw(c, msg, len);
	need(client_receive(f, c) >= (ssize_t)sizeof(struct wire_head));
	need(c->in.head.magic == WIRE_MAGIC);
	need(c->in.head.seq == c->seq);
	need(c->in.head.type == type);
	return c->in.head.status;
}

static inline void client_connect(struct fixture *f, struct client *c)
{
	int pair[2];

	*c = (struct client){ .fd = -1, .kick = -1, .notify = -1 };
	need(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) == 0);
	c->fd = pair[0];
	need(sessions_adopt(f->ss, pair[1]) == 0);
}

static inline int client_hello(struct fixture *f)
{
	struct wire_hello hello = { .wire_version = WIRE_VERSION, .version = "test" };
	struct client *c = &f->c;
	int r;

	r = ask(f, &hello.head, WIRE_HELLO, sizeof(hello));
	if (r != 0)
		return r;
	need(c->nr_fds == 3);
	c->mem = mmap(NULL, sizeof(*c->mem), PROT_READ | PROT_WRITE, MAP_SHARED, c->fds[0], 0);
	need(c->mem != MAP_FAILED);
	c->kick = dup(c->fds[1]);
	c->notify = dup(c->fds[2]);
	ring_init(&c->submit, &c->mem->submit, WIRE_NR_SUBMISSIONS);
	ring_init(&c->complete, &c->mem->complete, WIRE_NR_COMPLETIONS);
	return 0;
}

static inline void client_close(struct client *c)
{
	client_drop_fds(c);
	if (c->mem != NULL)
		munmap(c->mem, sizeof(*c->mem));
	if (c->kick != -1)
		close(c->kick);
	if (c->notify != -1)
		close(c->notify);
	if (c->fd != -1)
		close(c->fd);
	*c = (struct client){ .fd = -1, .kick = -1, .notify = -1 };
}

static inline void client_kick(struct client *c)
{
	const uint64_t one = 1;

	need(write(c->kick, &one, sizeof(one)) == (ssize_t)sizeof(one));
}

static inline void client_submit(struct client *c, const struct wire_submission *s)
{
	uint32_t slot = 0;

	need(ring_reserve(&c->submit, &slot) == 0);
	c->mem->submissions[slot] = *s;
	if (ring_publish(&c->submit))
		client_kick(c);
}

static inline struct fixture *fixture_new(void)
{
	const struct cache_conf cache = {
		.size = FAKE_CHUNK * 16,
		.chunk_shift = 20,
		.expire_ms = 0,
		.max_objects = 64,
		.verify = VERIFY_ON,
	};
	const struct sessions_conf conf = {
		.max_sessions = 4,
		.max_per_user = 3,
		.access_key = "own-id",
		.secret = "own-secret",
		.on_report = fixture_report,
	};
	struct fixture *f = calloc(1, sizeof(*f));

	need(worker_new("test", &f->w) == 0);
	f->base = worker_base(f->w);
	need(cache_new(&cache, &f->cache) == 0);
	need(fake_start(f->base, f->cache) == 0);
	need(sessions_new(f->w, f->cache, NULL, &conf, &f->ss) == 0);
	client_connect(f, &f->c);
	return f;
}

static inline void fixture_free(struct fixture *f)
{
	client_close(&f->c);
	sessions_shut(f->ss, "the test ends");
	sessions_free(f->ss);
	fake_end();
	cache_free(f->cache);
	worker_free(f->w);
	free(f);
}

/* MOUNT with these strings; the rest is empty. */
static inline int ask_mount(struct fixture *f, const char *oss_path, const char *key,
			    const char *secret, uint32_t flags)
{
	union {
		struct wire_mount msg;
		char bytes[4096];
	} m = { .msg.flags = flags };
	struct wire_str strings[WIRE_MOUNT_NR_STRINGS] = { 0 };
	int len;

	strings[WIRE_MOUNT_OSS_PATH] = (struct wire_str){ oss_path, (uint16_t)strlen(oss_path) };
	strings[WIRE_MOUNT_ACCESS_KEY] = (struct wire_str){ key, (uint16_t)strlen(key) };
	strings[WIRE_MOUNT_SECRET] = (struct wire_str){ secret, (uint16_t)strlen(secret) };
	len = wire_pack(&m, sizeof(m), offsetof(struct wire_mount, strings), m.msg.len, strings,
			WIRE_MOUNT_NR_STRINGS);
	need(len > 0);
	return ask(f, &m.msg.head, WIRE_MOUNT, (size_t)len);
}

static inline int ask_open(struct fixture *f, uint32_t mount, const char *path)
{
	union {
		struct wire_open msg;
		char bytes[sizeof(struct wire_open) + 512];
	} m = { .msg.mount = mount, .msg.path_len = (uint16_t)strlen(path) };

	memcpy(m.msg.path, path, strlen(path));
	return ask(f, &m.msg.head, WIRE_OPEN, offsetof(struct wire_open, path) + strlen(path));
}

static inline int ask_path(struct fixture *f, uint16_t type, uint32_t mount, const char *path)
{
	union {
		struct wire_path msg;
		char bytes[sizeof(struct wire_path) + 512];
	} m = { .msg.mount = mount, .msg.path_len = (uint16_t)strlen(path) };

	memcpy(m.msg.path, path, strlen(path));
	return ask(f, &m.msg.head, type, offsetof(struct wire_path, path) + strlen(path));
}

static inline int ask_object(struct fixture *f, uint16_t type, uint32_t object)
{
	struct wire_object m = { .object = object };

	return ask(f, &m.head, type, sizeof(m));
}

static inline int ask_pin(struct fixture *f, uint16_t type, uint32_t object, uint32_t first,
			  uint32_t nr)
{
	struct wire_pin m = { .object = object, .first_chunk = first, .nr_chunks = nr };

	return ask(f, &m.head, type, sizeof(m));
}

#endif
