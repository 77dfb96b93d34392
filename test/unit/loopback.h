/*
 * loopback.h - a server on 127.0.0.1 that says what a test told it to say, one
 * answer a request, in order, and keeps the heads that it was sent.  And the
 * loop, client and bucket that talk to it.
 *
 * Header only, because each unit test is one source file.
 */
#ifndef TEST_UNIT_LOOPBACK_H
#define TEST_UNIT_LOOPBACK_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/http/client.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/cred.h"

#define LB_MAX_ANSWERS 64
#define LB_MAX_CONNS   16
#define LB_HEAD_MAX    16384
#define LB_GUARD_S     20 /* no test takes longer: then something hangs */

struct lb_answer {
	char *text;
	size_t len;
	bool then_close;
	bool silent; /* say nothing at all */
};

struct lb_conn {
	int fd;
	char head[LB_HEAD_MAX];
	size_t len;
};

struct loopback {
	int listen_fd, stop_fd[2], refusing_fd;
	unsigned port;
	pthread_t thread;
	pthread_mutex_t lock;
	struct lb_answer answers[LB_MAX_ANSWERS]; /* under the lock, like the rest */
	size_t nr_answers, nr_requests, nr_turns;
	bool repeat_last; /* once the answers are used up */
	bool repeat_all;
	char *heads[LB_MAX_ANSWERS];
	struct lb_conn conns[LB_MAX_CONNS];

	struct event_base *base;
	struct event *guard;
	struct http_client *client;
	struct cred_source *creds;
	struct oss_bucket *bucket;
};

static inline void lb_close_conn(struct lb_conn *c)
{
	close(c->fd);
	c->fd = -1;
	c->len = 0;
}

static inline void lb_send(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = send(fd, text, len, MSG_NOSIGNAL);

		if (n <= 0)
			return;
		text += n;
		len -= (size_t)n;
	}
}

/* A whole head has come: keep it, and say what is next. */
static inline void lb_answer(struct loopback *lb, struct lb_conn *c)
{
	struct lb_answer a = { .then_close = true };

	pthread_mutex_lock(&lb->lock);
	if (lb->nr_requests < LB_MAX_ANSWERS) {
		lb->heads[lb->nr_requests] = strdup(c->head);
		if (lb->nr_requests < lb->nr_answers)
			a = lb->answers[lb->nr_requests];
		lb->nr_requests++;
	}
	if (lb->repeat_last && lb->nr_requests > lb->nr_answers)
		a = lb->answers[lb->nr_answers - 1];
	if (lb->repeat_all)
		a = lb->answers[lb->nr_turns++ % lb->nr_answers];
	pthread_mutex_unlock(&lb->lock);
	c->len = 0;
	if (a.silent)
		return;
	lb_send(c->fd, a.text, a.len);
	if (a.then_close)
		lb_close_conn(c);
}

static inline void lb_read(struct loopback *lb, struct lb_conn *c)
{
	ssize_t n = recv(c->fd, c->head + c->len, LB_HEAD_MAX - 1 - c->len, 0);

	if (n <= 0) {
		lb_close_conn(c);
		return;
	}
	c->len += (size_t)n;
	c->head[c->len] = '\0';
	if (strstr(c->head, "\r\n\r\n") != NULL)
		lb_answer(lb, c);
	else if (c->len == LB_HEAD_MAX - 1)
		lb_close_conn(c);
}

static inline void lb_accept(struct loopback *lb)
{
	int fd = accept(lb->listen_fd, NULL, NULL);
	size_t i;

	for (i = 0; i < LB_MAX_CONNS && fd != -1; i++) {
		if (lb->conns[i].fd == -1) {
			lb->conns[i].fd = fd;
			return;
		}
	}
	if (fd != -1)
		close(fd);
}

static inline void *lb_serve(void *arg)
{
	struct loopback *lb = arg;
	struct pollfd p[LB_MAX_CONNS + 2];
	size_t i;

	for (;;) {
		p[0] = (struct pollfd){ .fd = lb->stop_fd[0], .events = POLLIN };
		p[1] = (struct pollfd){ .fd = lb->listen_fd, .events = POLLIN };
		for (i = 0; i < LB_MAX_CONNS; i++)
			p[i + 2] = (struct pollfd){ .fd = lb->conns[i].fd, .events = POLLIN };
		if (poll(p, LB_MAX_CONNS + 2, -1) == -1 && errno != EINTR)
			return NULL;
		if (p[0].revents != 0)
			return NULL;
		for (i = 0; i < LB_MAX_CONNS; i++) {
			if (p[i + 2].revents != 0)
				lb_read(lb, &lb->conns[i]);
		}
		if (p[1].revents != 0)
			lb_accept(lb);
	}
}

/* The next answer that has none yet. */
static inline void lb_say_bytes(struct loopback *lb, const char *text, size_t len, bool then_close)
{
	struct lb_answer *a;

	pthread_mutex_lock(&lb->lock);
	assert_true(lb->nr_answers < LB_MAX_ANSWERS);
	a = &lb->answers[lb->nr_answers++];
	a->text = malloc(len + 1);
	assert_non_null(a->text);
	memcpy(a->text, text, len);
	a->len = len;
	a->then_close = then_close;
	pthread_mutex_unlock(&lb->lock);
}

static inline void lb_say(struct loopback *lb, const char *text)
{
	lb_say_bytes(lb, text, strlen(text), false);
}

static inline void lb_say_nothing(struct loopback *lb)
{
	pthread_mutex_lock(&lb->lock);
	assert_true(lb->nr_answers < LB_MAX_ANSWERS);
	lb->answers[lb->nr_answers++].silent = true;
	pthread_mutex_unlock(&lb->lock);
}

/* status_line and headers (each ended by CRLF), then a body with its length. */
static inline void lb_say_body(struct loopback *lb, const char *head, const char *body)
{
	size_t size = strlen(head) + strlen(body) + 64;
	char *text = malloc(size);

	assert_non_null(text);
	snprintf(text, size, "HTTP/1.1 %sContent-Length: %zu\r\n\r\n%s", head, strlen(body), body);
	lb_say(lb, text);
	free(text);
}

static inline size_t lb_nr_requests(struct loopback *lb)
{
	size_t nr;

	pthread_mutex_lock(&lb->lock);
	nr = lb->nr_requests;
	pthread_mutex_unlock(&lb->lock);
	return nr;
}

/* The head of the i-th request; it lives as long as the server. */
static inline const char *lb_head(struct loopback *lb, size_t i)
{
	assert_true(i < lb_nr_requests(lb));
	return lb->heads[i];
}

/* Copies the value of a header of the i-th request; "" when absent. */
static inline const char *lb_header(struct loopback *lb, size_t i, const char *name, char buf[512])
{
	char want[64];
	const char *at;

	snprintf(want, sizeof(want), "\r\n%s: ", name);
	at = strcasestr(lb_head(lb, i), want);
	buf[0] = '\0';
	if (at != NULL)
		snprintf(buf, 512, "%.*s", (int)strcspn(at + strlen(want), "\r"),
			 at + strlen(want));
	return buf;
}

static inline void lb_on_guard(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	fprintf(stderr, "a callback did not come within %d s\n", LB_GUARD_S);
	abort();
}

/* Run the loop until a callback breaks it. */
static inline void lb_run(struct loopback *lb)
{
	struct timeval tv = { .tv_sec = LB_GUARD_S };

	evtimer_add(lb->guard, &tv);
	event_base_dispatch(lb->base);
	evtimer_del(lb->guard);
}

/* The bucket "bucket" behind this server; path: "oss://bucket/" or "s3://bucket/". */
static inline void lb_make_bucket(struct loopback *lb, const char *path, const char *region,
				  struct cred_source *creds)
{
	struct oss_endpoint endpoint;
	struct oss_location location;
	char url[64], err[256];
	struct oss_endpoint_conf conf = { .path = path, .endpoint = url, .region = region };
	struct oss_bucket_conf bucket_conf = { .endpoint = &endpoint, .creds = creds };

	snprintf(url, sizeof(url), "http://127.0.0.1:%u", lb->port);
	assert_int_equal(oss_endpoint_parse(&conf, &endpoint, &location, err, sizeof(err)), 0);
	bucket_conf.name = location.bucket;
	oss_bucket_unref(lb->bucket);
	assert_int_equal(oss_bucket_new(&bucket_conf, &lb->bucket), 0);
}

/* The bucket moves to a port that is bound, so that nobody else gets it, but never listened on. */
static inline void lb_refuse(struct loopback *lb)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	unsigned served = lb->port;

	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	lb->refusing_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(lb->refusing_fd != -1);
	assert_int_equal(bind(lb->refusing_fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(getsockname(lb->refusing_fd, (struct sockaddr *)&addr, &len), 0);
	lb->port = ntohs(addr.sin_port);
	lb_make_bucket(lb, "oss://bucket/", "cn-test", lb->creds);
	lb->port = served;
}

static inline void lb_start(struct loopback *lb)
{
	struct http_client_conf conf = { .connect_timeout_ms = 5000,
					 .idle_timeout_ms = 5000,
					 .keepalive_ms = 10000,
					 .max_connections = 1 };
	struct sockaddr_in addr = { .sin_family = AF_INET };
	socklen_t len = sizeof(addr);
	char err[256];
	size_t i;

	memset(lb, 0, sizeof(*lb));
	lb->refusing_fd = -1;
	addr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	for (i = 0; i < LB_MAX_CONNS; i++)
		lb->conns[i].fd = -1;
	pthread_mutex_init(&lb->lock, NULL);
	lb->listen_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(lb->listen_fd != -1);
	assert_int_equal(bind(lb->listen_fd, (struct sockaddr *)&addr, len), 0);
	assert_int_equal(listen(lb->listen_fd, 16), 0);
	assert_int_equal(getsockname(lb->listen_fd, (struct sockaddr *)&addr, &len), 0);
	lb->port = ntohs(addr.sin_port);
	assert_int_equal(pipe(lb->stop_fd), 0);
	assert_int_equal(pthread_create(&lb->thread, NULL, lb_serve, lb), 0);

	lb->base = event_base_new();
	assert_non_null(lb->base);
	lb->guard = evtimer_new(lb->base, lb_on_guard, lb);
	assert_non_null(lb->guard);
	assert_int_equal(http_client_new(lb->base, &conf, &lb->client), 0);
	assert_int_equal(
		cred_source_new_static("TestId", "TestSecret", NULL, &lb->creds, err, sizeof(err)),
		0);
	lb_make_bucket(lb, "oss://bucket/", "cn-test", lb->creds);
}

static inline void lb_stop(struct loopback *lb)
{
	size_t i;

	oss_bucket_unref(lb->bucket);
	cred_source_unref(lb->creds);
	http_client_free(lb->client);
	event_free(lb->guard);
	event_base_free(lb->base);
	assert_int_equal(write(lb->stop_fd[1], "x", 1), 1);
	pthread_join(lb->thread, NULL);
	for (i = 0; i < LB_MAX_CONNS; i++) {
		if (lb->conns[i].fd != -1)
			close(lb->conns[i].fd);
	}
	for (i = 0; i < LB_MAX_ANSWERS; i++) {
		free(lb->answers[i].text);
		free(lb->heads[i]);
	}
	if (lb->refusing_fd != -1)
		close(lb->refusing_fd);
	close(lb->listen_fd);
	close(lb->stop_fd[0]);
	close(lb->stop_fd[1]);
	pthread_mutex_destroy(&lb->lock);
}

#endif
