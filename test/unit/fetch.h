/*
 * fetch.h - for unit tests of the HTTP client: one exchange with a sink in
 * memory, run to its end.  Include it after cmocka.h.
 */
#ifndef TEST_UNIT_FETCH_H
#define TEST_UNIT_FETCH_H

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/http/client.h"
#include "daemon/http/sink.h"

#define FETCH_BODY_MAX (32u << 20)

struct fetch {
	struct sink sink; /* first: the sink's functions find the rest from it */
	struct http_client *client;
	struct http_exchange *exchange;
	struct http_events events;
	bool wants_no_body;
	int head_answer; /* what on_head() returns */
	int sink_error;	 /* what the sink answers from byte sink_limit on */
	size_t sink_limit;
	bool cancels_in_head;
	bool cancels_in_sink;
	void (*then)(struct fetch *f); /* from on_done() */

	unsigned nr_heads;
	unsigned nr_done;
	unsigned nr_spliced;
	unsigned nr_written;
	int error;
	int status; /* 0: on_done() had no response */
	int64_t length;
	char etag[64];
	char text[1024];
	char *body;
	size_t body_len;
};

static inline int fetch_take(struct fetch *f, size_t len)
{
	if (f->cancels_in_sink)
		http_cancel(f->exchange);
	if (f->sink_error != 0 && f->body_len + len > f->sink_limit)
		return f->sink_error;
	assert_true(len <= FETCH_BODY_MAX - f->body_len);
	if (f->body == NULL)
		f->body = malloc(FETCH_BODY_MAX);
	return 0;
}

static inline int fetch_write(struct sink *s, const void *buf, size_t len)
{
	struct fetch *f = (struct fetch *)s;
	int r = fetch_take(f, len);

	if (r != 0)
		return r;
	memcpy(f->body + f->body_len, buf, len);
	f->body_len += len;
	f->nr_written++;
	return 0;
}

/* Takes odd pieces, as a chunk's end would make it. */
static inline ssize_t fetch_splice(struct sink *s, int pipe_fd, size_t len)
{
	struct fetch *f = (struct fetch *)s;
	size_t some = len > 100003 ? 100003 : len;
	ssize_t n;
	int r = fetch_take(f, some);

	if (r != 0)
		return r;
	n = read(pipe_fd, f->body + f->body_len, some);
	if (n <= 0)
		return -EIO;
	f->body_len += (size_t)n;
	f->nr_spliced++;
	return n;
}

static const struct sink_ops fetch_write_ops = { .write = fetch_write };
static const struct sink_ops fetch_splice_ops = { .write = fetch_write, .splice = fetch_splice };

static inline int fetch_on_head(const struct http_response *res, struct sink **ret_sink, void *arg)
{
	struct fetch *f = arg;

	assert_int_equal(f->nr_done, 0);
	f->nr_heads++;
	f->status = http_response_status(res);
	*ret_sink = f->wants_no_body ? NULL : &f->sink;
	if (f->cancels_in_head)
		http_cancel(f->exchange);
	return f->head_answer;
}

static inline void fetch_on_done(int error, const struct http_response *res, void *arg)
{
	struct fetch *f = arg;

	assert_int_equal(++f->nr_done, 1);
	f->error = error;
	f->status = res != NULL ? http_response_status(res) : 0;
	f->length = res != NULL ? http_response_length(res) : -1;
	if (res != NULL && http_response_header(res, "etag") != NULL)
		snprintf(f->etag, sizeof(f->etag), "%s", http_response_header(res, "etag"));
	snprintf(f->text, sizeof(f->text), "%s", http_error_text(f->client));
	if (error != 0)
		assert_string_not_equal(f->text, "");
	if (f->then != NULL)
		f->then(f);
}

static inline void fetch_init(struct fetch *f, struct http_client *client)
{
	memset(f, 0, sizeof(*f));
	f->sink.ops = &fetch_write_ops;
	f->client = client;
	f->events.on_head = fetch_on_head;
	f->events.on_done = fetch_on_done;
}

static inline void fetch_fini(struct fetch *f)
{
	free(f->body);
	f->body = NULL;
}

static inline void fetch_start(struct fetch *f, const struct http_request *req)
{
	assert_int_equal(http_start(f->client, req, &f->events, f, &f->exchange), 0);
	assert_int_equal(f->nr_done, 0);
}

static inline void fetch_run(struct fetch *f, struct event_base *base)
{
	while (f->nr_done == 0)
		assert_int_not_equal(event_base_loop(base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY),
				     -1);
}

static inline void fetch_expect_text(const struct fetch *f, const char *words)
{
	if (strstr(f->text, words) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->text, words);
}

#endif
