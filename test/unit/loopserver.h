/*
 * loopserver.h - a server on a loopback port for unit tests: one thread
 * accepts, each connection runs the test's script in a thread of its own.
 * Include it after cmocka.h.
 */
#ifndef TEST_UNIT_LOOPSERVER_H
#define TEST_UNIT_LOOPSERVER_H

#include <arpa/inet.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOPSERVER_CONNS 256

struct loopserver;
/* Serve connection `nr` (0, 1, ...); fd is closed afterwards. */
typedef void loopserver_fn(struct loopserver *s, int fd, unsigned nr);

struct loopserver_conn {
	struct loopserver *server;
	pthread_t thread;
	int fd;
	unsigned nr;
};

struct loopserver {
	int fd;
	uint16_t port;
	pthread_t thread;
	loopserver_fn *script;
	void *arg;
	_Atomic unsigned nr_conns;
	_Atomic unsigned nr_requests;
	struct loopserver_conn conns[LOOPSERVER_CONNS];
};

static inline void *loopserver_conn_main(void *arg)
{
	struct loopserver_conn *c = arg;

	c->server->script(c->server, c->fd, c->nr);
	/* The number stays taken until the end, so that loopserver_stop() can wake a script. */
	shutdown(c->fd, SHUT_RDWR);
	return NULL;
}

static inline void *loopserver_main(void *arg)
{
	struct loopserver *s = arg;
	struct loopserver_conn *c;
	unsigned nr = 0;
	int fd;

	while (nr < LOOPSERVER_CONNS && (fd = accept(s->fd, NULL, NULL)) != -1) {
		c = &s->conns[nr];
		*c = (struct loopserver_conn){ .server = s, .fd = fd, .nr = nr++ };
		/* Before it answers: then a test that has the answer has the count. */
		atomic_store(&s->nr_conns, nr);
		assert_int_equal(pthread_create(&c->thread, NULL, loopserver_conn_main, c), 0);
	}
	return NULL;
}

/* addr: "127.0.0.1" or another address of the loopback. */
static inline void loopserver_start(struct loopserver *s, const char *addr, uint16_t port,
				    loopserver_fn *script, void *arg)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	socklen_t len = sizeof(in);
	int on = 1;

	memset(s, 0, sizeof(*s));
	s->script = script;
	s->arg = arg;
	s->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_not_equal(s->fd, -1);
	assert_int_equal(inet_pton(AF_INET, addr, &in.sin_addr), 1);
	setsockopt(s->fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	assert_int_equal(bind(s->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(s->fd, 64), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&in, &len), 0);
	s->port = ntohs(in.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, loopserver_main, s), 0);
}

static inline void loopserver_stop(struct loopserver *s)
{
	unsigned i, nr;

	shutdown(s->fd, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->fd);
	nr = atomic_load(&s->nr_conns);
	for (i = 0; i < nr; i++) {
		shutdown(s->conns[i].fd, SHUT_RDWR);
		pthread_join(s->conns[i].thread, NULL);
		close(s->conns[i].fd);
	}
}

/* One request head (the client sends nothing more before the answer); false at the end. */
static inline int loopserver_read_request(struct loopserver *s, int fd, char *buf, size_t len)
{
	size_t n = 0;

	while (n + 1 < len) {
		ssize_t r = recv(fd, buf + n, 1, 0);

		if (r <= 0)
			return 0;
		buf[++n] = '\0';
		if (n >= 4 && memcmp(buf + n - 4, "\r\n\r\n", 4) == 0) {
			atomic_fetch_add(&s->nr_requests, 1);
			return 1;
		}
	}
	return 0;
}

/* The peer may be gone: that is for the test to judge, not for the script. */
static inline void loopserver_send(int fd, const void *bytes, size_t len)
{
	const char *p = bytes;

	while (len > 0) {
		ssize_t n = send(fd, p, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		p += n;
		len -= (size_t)n;
	}
}

static inline void loopserver_say(int fd, const char *text)
{
	loopserver_send(fd, text, strlen(text));
}

/* Make close() send a reset. */
static inline void loopserver_reset(int fd)
{
	struct linger now = { .l_onoff = 1, .l_linger = 0 };
	struct sockaddr unspec = { .sa_family = AF_UNSPEC };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	connect(fd, &unspec, sizeof(unspec));
}

#endif
