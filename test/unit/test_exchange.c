#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "test/unit/fetch.h"
#include "test/unit/loopserver.h"

#define MiB (1u << 20)

/* What the server says to each request, on each connection; then it closes. */
struct script {
	const char *answer;	  /* to every request, until the client closes */
	size_t big_body;	  /* bytes of pattern after the answer */
	const char *first_answer; /* instead, to the first request of the first connection */
	unsigned closes_after;	  /* requests on one connection; 0: never */
	bool resets;		  /* instead of closing */
	bool answers_before_body; /* of the request, and never reads it */
	bool hangs;		  /* keeps the connection open and silent at the end */
};

struct fixture {
	struct event_base *base;
	struct http_client *client;
	struct loopserver server;
	struct script script; /* outlives the test: the server's threads read it */
	struct http_request req;
	struct fetch fetch;
};

static unsigned char pattern(size_t i)
{
	return (unsigned char)(i * 2654435761u >> 13);
}

static void send_pattern(int fd, size_t len)
{
	static const size_t step = 65536;
	unsigned char buf[65536];
	size_t done, i;

	for (done = 0; done < len; done += step) {
		for (i = 0; i < step; i++)
			buf[i] = pattern(done + i);
		loopserver_send(fd, buf, len - done < step ? len - done : step);
	}
}

static void wait_for_close(int fd)
{
	char byte;

	while (recv(fd, &byte, 1, 0) > 0)
		;
}

static void run_script(struct loopserver *s, int fd, unsigned nr)
{
	const struct script *script = s->arg;
	unsigned nr_here = 0;
	char request[8192];

	while (loopserver_read_request(s, fd, request, sizeof(request))) {
		if (nr == 0 && nr_here == 0 && script->first_answer != NULL)
			loopserver_say(fd, script->first_answer);
		else
			loopserver_say(fd, script->answer);
		send_pattern(fd, script->big_body);
		if (++nr_here == script->closes_after)
			break;
	}
	if (script->hangs)
		wait_for_close(fd);
	if (script->resets)
		loopserver_reset(fd);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct http_client_conf conf = { .max_connections = 4,
					 .connect_timeout_ms = 5000,
					 .idle_timeout_ms = 5000 };

	alarm(60);
	f->base = event_base_new();
	assert_int_equal(http_client_new(f->base, &conf, &f->client), 0);
	f->req = (struct http_request){
		.method = "GET",
		.host = "127.0.0.1",
		.authority = "store.example",
		.target = "/bucket/key?secret-signature",
	};
	fetch_init(&f->fetch, f->client);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_client_free(f->client);
	event_base_free(f->base);
	fetch_fini(&f->fetch);
	if (f->server.fd > 0)
		loopserver_stop(&f->server);
	free(f);
	return 0;
}

static void serve(struct fixture *f, const struct script *script)
{
	f->script = *script;
	loopserver_start(&f->server, "127.0.0.1", 0, run_script, &f->script);
	f->req.port = f->server.port;
}

/* One more exchange, from the beginning to the end. */
static struct fetch *get(struct fixture *f)
{
	void (*then)(struct fetch *) = f->fetch.then;
	const struct sink_ops *ops = f->fetch.sink.ops;

	fetch_fini(&f->fetch);
	fetch_init(&f->fetch, f->client);
	f->fetch.then = then;
	f->fetch.sink.ops = ops;
	fetch_start(&f->fetch, &f->req);
	fetch_run(&f->fetch, f->base);
	return &f->fetch;
}

static void expect_body(const struct fetch *x, const char *body)
{
	assert_int_equal(x->error, 0);
	assert_int_equal(x->body_len, strlen(body));
	if (x->body_len > 0)
		assert_memory_equal(x->body, body, x->body_len);
}

static void expect_pattern(const struct fetch *x, size_t len)
{
	size_t i;

	assert_string_equal(x->text, "unknown failure");
	assert_int_equal(x->error, 0);
	assert_int_equal(x->body_len, len);
	for (i = 0; i < len; i++) {
		if ((unsigned char)x->body[i] != pattern(i))
			fail_msg("byte %zu is wrong", i);
	}
}

static void test_a_body_of_known_length_arrives(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n"
					   "ETag: \"v1\"\r\n\r\nhello" };
	struct fixture *f = *state;

	serve(f, &script);
	expect_body(get(f), "hello");
	assert_int_equal(f->fetch.status, 200);
	assert_int_equal(f->fetch.length, 5);
	assert_string_equal(f->fetch.etag, "\"v1\"");
	assert_int_equal(f->fetch.nr_heads, 1);
}

static void test_a_connection_is_used_again(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" };
	struct fixture *f = *state;
	int i;

	serve(f, &script);
	for (i = 0; i < 5; i++)
		expect_body(get(f), "ok");
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
	assert_int_equal(atomic_load(&f->server.nr_requests), 5);
}

static void test_big_bodies_are_whole_whatever_way_they_take(void **state)
{
	struct script script = { .answer = "HTTP/1.1 206 Partial Content\r\n"
					   "Content-Length: 8388608\r\n\r\n",
				 .big_body = 8 * MiB };
	struct fixture *f = *state;

	serve(f, &script);
	expect_pattern(get(f), 8 * MiB);
	assert_int_equal(f->fetch.nr_spliced, 0);
	f->fetch.sink.ops = &fetch_splice_ops;
	expect_pattern(get(f), 8 * MiB);
	assert_int_equal(f->fetch.nr_written, 0);
	assert_true(f->fetch.nr_spliced > 0);
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
}

/* Once, then no more. */
static bool prefers_splice(struct sink *s)
{
	return ((const struct fetch *)s)->nr_spliced == 0;
}

static void test_a_sink_may_have_written_what_could_be_spliced(void **state)
{
	const struct sink_ops ops = { .write = fetch_write,
				      .splice = fetch_splice,
				      .prefers_splice = prefers_splice };
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 8388608\r\n\r\n",
				 .big_body = 8 * MiB };
	struct fixture *f = *state;

	serve(f, &script);
	f->fetch.sink.ops = &ops;
	expect_pattern(get(f), 8 * MiB);
	assert_true(f->fetch.nr_spliced > 0);
	assert_true(f->fetch.nr_written > 0);
}

static void test_a_body_may_end_with_the_connection(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\n\r\n",
				 .big_body = 3 * MiB + 17,
				 .closes_after = 1 };
	struct fixture *f = *state;

	serve(f, &script);
	expect_pattern(get(f), 3 * MiB + 17);
	assert_int_equal(f->fetch.length, -1);
	f->fetch.sink.ops = &fetch_splice_ops;
	expect_pattern(get(f), 3 * MiB + 17);
	assert_int_equal(atomic_load(&f->server.nr_conns), 2);
}

static void test_a_chunked_body_arrives_and_the_connection_stays(void **state)
{
	struct script script = { .answer =
					 "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
					 "5;x=\"y\"\r\nhello\r\n6\r\n world\r\n0\r\nX: 1\r\n\r\n" };
	struct fixture *f = *state;

	serve(f, &script);
	expect_body(get(f), "hello world");
	f->fetch.sink.ops = &fetch_splice_ops;
	expect_body(get(f), "hello world");
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
}

static void test_responses_without_a_body_end_at_their_head(void **state)
{
	struct script script = { .answer = "HTTP/1.1 204 No Content\r\n\r\n",
				 .first_answer = "HTTP/1.1 304 Not Modified\r\n"
						 "Content-Length: 5\r\n\r\n" };
	struct fixture *f = *state;

	serve(f, &script);
	expect_body(get(f), "");
	assert_int_equal(f->fetch.status, 304);
	expect_body(get(f), "");
	assert_int_equal(f->fetch.status, 204);
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
}

static void test_head_has_a_length_and_no_body(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 123456789012\r\n"
					   "\r\n" };
	struct fixture *f = *state;

	serve(f, &script);
	f->req.method = "HEAD";
	expect_body(get(f), "");
	assert_int_equal(f->fetch.length, 123456789012);
	expect_body(get(f), "");
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
}

static void test_interim_responses_are_skipped(void **state)
{
	struct script script = { .answer = "HTTP/1.1 100 Continue\r\n\r\n"
					   "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
					   "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" };
	struct fixture *f = *state;

	serve(f, &script);
	expect_body(get(f), "ok");
	assert_int_equal(f->fetch.nr_heads, 1);
	assert_int_equal(f->fetch.status, 200);
}

static void test_interim_responses_without_end_are_refused(void **state)
{
	struct fixture *f = *state;
	size_t len = 0, one = strlen("HTTP/1.1 100 C\r\n\r\n");
	char *many = malloc(5000 * one + 1);
	struct script script = { .answer = many, .hangs = true };
	int i;

	for (i = 0; i < 5000; i++, len += one)
		memcpy(many + len, "HTTP/1.1 100 C\r\n\r\n", one + 1);
	serve(f, &script);
	assert_int_equal(get(f)->error, -EPROTO);
	fetch_expect_text(&f->fetch, "head of more than 65536 bytes");
	loopserver_stop(&f->server);
	f->server.fd = -1;
	free(many);
}

static void expect_bad_answer(struct fixture *f, const char *answer, const char *words)
{
	struct script script = { .answer = answer, .hangs = true };

	serve(f, &script);
	assert_int_equal(get(f)->error, -EPROTO);
	assert_int_equal(f->fetch.nr_heads, 0);
	assert_int_equal(f->fetch.status, 0);
	fetch_expect_text(&f->fetch, words);
	fetch_expect_text(&f->fetch, "127.0.0.1");
	assert_null(strstr(f->fetch.text, "secret"));
	loopserver_stop(&f->server);
	f->server.fd = -1;
}

static void test_what_is_not_http_is_refused(void **state)
{
	struct fixture *f = *state;

	expect_bad_answer(f, "SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP");
	expect_bad_answer(f, "\x15\x03\x01\x00\x02\x02\x46", "is this port for TLS?");
	expect_bad_answer(f, "HTTP/2 200\r\n\r\n", "not an HTTP/1.1 status line");
	expect_bad_answer(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n",
			  "two Content-Lengths");
	expect_bad_answer(f, "HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n", "folded");
	expect_bad_answer(f, "HTTP/1.1 101 Switching\r\nUpgrade: x\r\n\r\n", "another protocol");
}

static void test_a_body_that_ends_early_is_a_reset_with_its_bytes_counted(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2097152\r\n\r\n",
				 .big_body = MiB,
				 .closes_after = 1 };
	struct fixture *f = *state;

	serve(f, &script);
	assert_int_equal(get(f)->error, -ECONNRESET);
	assert_int_equal(f->fetch.body_len, MiB);
	assert_int_equal(f->fetch.status, 200);
	fetch_expect_text(&f->fetch, "after 1048576 of 2097152 body bytes");
	f->fetch.sink.ops = &fetch_splice_ops;
	assert_int_equal(get(f)->error, -ECONNRESET);
	assert_int_equal(f->fetch.body_len, MiB);
	assert_null(strstr(f->fetch.text, "secret"));
}

static void test_a_chunked_body_that_ends_early_is_a_reset(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
					   "5\r\nhello\r\n",
				 .closes_after = 1 };
	struct fixture *f = *state;

	serve(f, &script);
	assert_int_equal(get(f)->error, -ECONNRESET);
	assert_int_equal(f->fetch.body_len, 5);
}

static void test_a_reset_in_the_middle_says_where(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
				 .closes_after = 1,
				 .resets = true };
	struct fixture *f = *state;

	serve(f, &script);
	assert_int_equal(get(f)->error, -ECONNRESET);
	fetch_expect_text(&f->fetch, "127.0.0.1");
}

static void test_silence_ends_with_a_timeout_that_says_after_how_much(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello",
				 .closes_after = 1,
				 .hangs = true };
	struct fixture *f = *state;

	serve(f, &script);
	f->req.idle_timeout_ms = 60;
	assert_int_equal(get(f)->error, -ETIMEDOUT);
	assert_int_equal(f->fetch.body_len, 5);
	fetch_expect_text(&f->fetch, "sent nothing for 60 ms after 5 of 10 body bytes");
	f->script.answer = "";
	assert_int_equal(get(f)->error, -ETIMEDOUT);
	fetch_expect_text(&f->fetch, "gave no answer for 60 ms");
}

static void test_bytes_after_the_body_spoil_the_connection(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 "
					   "200 OK\r\nContent-Length: 4\r\n\r\nevil" };
	struct fixture *f = *state;

	serve(f, &script);
	expect_body(get(f), "ok");
	expect_body(get(f), "ok");
	f->script.answer = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
			   "2\r\nok\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n";
	expect_body(get(f), "ok");
	expect_body(get(f), "ok");
	assert_int_equal(atomic_load(&f->server.nr_conns), 4);
}

static void test_connection_close_is_obeyed(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nConnection: x, Close\r\n"
					   "Content-Length: 2\r\n\r\nok",
				 .first_answer = "HTTP/1.0 200 OK\r\n"
						 "Content-Length: 2\r\n\r\nok" };
	struct fixture *f = *state;
	int i;

	serve(f, &script);
	for (i = 0; i < 3; i++)
		expect_body(get(f), "ok");
	assert_int_equal(atomic_load(&f->server.nr_conns), 3);
}

static void test_a_connection_that_died_idle_is_replaced_without_a_word(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
				 .closes_after = 2 };
	struct fixture *f = *state;
	int i;

	/* Each second request finds its connection closed, or being closed just now. */
	serve(f, &script);
	for (i = 0; i < 20; i++)
		expect_body(get(f), "ok");
	assert_int_equal(atomic_load(&f->server.nr_requests), 20);
}

static void answer_once_then_swallow(struct loopserver *s, int fd, unsigned nr)
{
	char request[8192];

	(void)nr;
	if (!loopserver_read_request(s, fd, request, sizeof(request)))
		return;
	loopserver_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
	/* The second request is read, so that only the missing answer shows the death. */
	loopserver_read_request(s, fd, request, sizeof(request));
}

static void test_a_request_that_a_reused_connection_swallowed_is_sent_again_once(void **state)
{
	struct fixture *f = *state;

	loopserver_start(&f->server, "127.0.0.1", 0, answer_once_then_swallow, NULL);
	f->req.port = f->server.port;
	expect_body(get(f), "ok");
	expect_body(get(f), "ok");
	assert_int_equal(atomic_load(&f->server.nr_conns), 2);
	assert_int_equal(atomic_load(&f->server.nr_requests), 3);
}

static void test_a_fresh_connection_that_fails_is_not_tried_again(void **state)
{
	struct script script = { .answer = "", .closes_after = 1 };
	struct fixture *f = *state;

	serve(f, &script);
	assert_int_equal(get(f)->error, -ECONNRESET);
	fetch_expect_text(&f->fetch, "closed the connection before it answered");
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
}

static void test_a_refused_connection_says_whom_it_asked(void **state)
{
	struct script script = { .answer = "" };
	struct fixture *f = *state;
	char expected[64];

	serve(f, &script);
	loopserver_stop(&f->server);
	f->server.fd = -1;
	assert_int_equal(get(f)->error, -ECONNREFUSED);
	snprintf(expected, sizeof(expected), "connect to 127.0.0.1 (127.0.0.1:%u): ", f->req.port);
	fetch_expect_text(&f->fetch, expected);
	fetch_expect_text(&f->fetch, "Connection refused");
}

static void test_what_the_sink_refuses_ends_the_exchange(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n",
				 .big_body = MiB };
	const struct sink_ops *ops[] = { &fetch_write_ops, &fetch_splice_ops };
	struct fixture *f = *state;
	int i;

	serve(f, &script);
	for (i = 0; i < 2; i++) {
		fetch_fini(&f->fetch);
		fetch_init(&f->fetch, f->client);
		f->fetch.sink.ops = ops[i];
		f->fetch.sink_error = -ENOSPC;
		f->fetch.sink_limit = 500000;
		fetch_start(&f->fetch, &f->req);
		fetch_run(&f->fetch, f->base);
		assert_int_equal(f->fetch.error, -ENOSPC);
		fetch_expect_text(&f->fetch, "was not taken after");
		fetch_expect_text(&f->fetch, "No space left");
	}
	/* What was left in the pipe is not what the next one gets. */
	f->fetch.sink.ops = &fetch_splice_ops;
	expect_pattern(get(f), MiB);
}

static void test_on_head_may_refuse(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" };
	struct fixture *f = *state;

	serve(f, &script);
	f->fetch.head_answer = -ESTALE;
	fetch_start(&f->fetch, &f->req);
	fetch_run(&f->fetch, f->base);
	assert_int_equal(f->fetch.error, -ESTALE);
	assert_int_equal(f->fetch.status, 200);
	fetch_expect_text(&f->fetch, "status 200");
}

static void test_an_unwanted_body_is_dropped_or_cut(void **state)
{
	struct script script = { .answer =
					 "HTTP/1.1 404 Not Found\r\nContent-Length: 65536\r\n\r\n",
				 .big_body = 65536 };
	struct fixture *f = *state;
	int i;

	serve(f, &script);
	for (i = 0; i < 3; i++) {
		fetch_init(&f->fetch, f->client);
		f->fetch.wants_no_body = true;
		if (i == 2)
			f->fetch.events.on_head = NULL;
		fetch_start(&f->fetch, &f->req);
		fetch_run(&f->fetch, f->base);
		assert_int_equal(f->fetch.error, 0);
		assert_int_equal(f->fetch.status, 404);
	}
	assert_int_equal(atomic_load(&f->server.nr_conns), 1);
	f->script.answer = "HTTP/1.1 404 Not Found\r\nContent-Length: 65537\r\n\r\n";
	for (i = 0; i < 2; i++) {
		fetch_init(&f->fetch, f->client);
		f->fetch.wants_no_body = true;
		fetch_start(&f->fetch, &f->req);
		fetch_run(&f->fetch, f->base);
		assert_int_equal(f->fetch.error, 0);
	}
	assert_int_equal(atomic_load(&f->server.nr_conns), 2);
}

static void test_cancel_is_silent_at_every_stage(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n",
				 .big_body = MiB };
	struct fixture *f = *state;
	struct fetch *x = &f->fetch;
	struct fetch other;

	serve(f, &script);
	/* Before the loop ran at all. */
	fetch_start(x, &f->req);
	http_cancel(x->exchange);
	/* In the middle of the body. */
	fetch_start(x, &f->req);
	while (x->body_len == 0)
		event_base_loop(f->base, EVLOOP_ONCE);
	http_cancel(x->exchange);
	/* From inside the callbacks. */
	x->cancels_in_head = true;
	fetch_start(x, &f->req);
	x->nr_heads = 0;
	while (x->nr_heads == 0)
		event_base_loop(f->base, EVLOOP_ONCE);
	x->cancels_in_head = false;
	x->cancels_in_sink = true;
	x->sink.ops = &fetch_splice_ops;
	x->body_len = 0;
	fetch_start(x, &f->req);
	while (x->body_len == 0)
		event_base_loop(f->base, EVLOOP_ONCE);
	assert_int_equal(x->nr_done, 0);
	/* And the client is as good as new. */
	f->script.answer = "HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n";
	fetch_init(&other, f->client);
	fetch_start(&other, &f->req);
	fetch_run(&other, f->base);
	expect_pattern(&other, MiB);
	assert_int_equal(x->nr_done, 0);
	fetch_fini(&other);
}

static struct fixture *chained;

static void start_another(struct fetch *x)
{
	static struct fetch next;

	(void)x;
	fetch_init(&next, chained->client);
	fetch_start(&next, &chained->req);
	/* It ends where it began: nothing of it may be told. */
	http_cancel(next.exchange);
}

static void test_on_done_may_start_and_cancel(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" };
	struct fixture *f = *state;

	serve(f, &script);
	chained = f;
	f->fetch.then = start_another;
	expect_body(get(f), "ok");
	expect_body(get(f), "ok");
	assert_int_equal(atomic_load(&f->server.nr_requests), 2);
}

static void test_more_exchanges_than_connections_wait_their_turn(void **state)
{
	struct script script = { .answer = "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n",
				 .big_body = 100000 };
	struct fixture *f = *state;
	struct fetch many[40];
	size_t i;

	serve(f, &script);
	for (i = 0; i < 40; i++) {
		fetch_init(&many[i], f->client);
		fetch_start(&many[i], &f->req);
	}
	/* One from the middle of the queue leaves it. */
	http_cancel(many[20].exchange);
	for (i = 0; i < 40; i++) {
		if (i == 20)
			continue;
		fetch_run(&many[i], f->base);
		expect_pattern(&many[i], 100000);
		fetch_fini(&many[i]);
	}
	assert_int_equal(atomic_load(&f->server.nr_conns), 4);
	assert_int_equal(many[20].nr_done, 0);
}

static void read_put(struct loopserver *s, int fd, unsigned nr)
{
	char request[8192], *body = s->arg;
	size_t len = 0;
	ssize_t n = 1;

	(void)nr;
	if (!loopserver_read_request(s, fd, request, sizeof(request)) ||
	    strstr(request, "Content-Length: 3000000\r\n") == NULL)
		return;
	while (len < 3000000 && n > 0) {
		n = recv(fd, body + len, 3000000 - len, 0);
		len += n > 0 ? (size_t)n : 0;
	}
	loopserver_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void test_a_request_body_is_sent_whole(void **state)
{
	struct fixture *f = *state;
	char *body = malloc(3000000), *got = malloc(3000000);
	size_t i;

	for (i = 0; i < 3000000; i++)
		body[i] = (char)pattern(i);
	loopserver_start(&f->server, "127.0.0.1", 0, read_put, got);
	f->req.port = f->server.port;
	f->req.method = "PUT";
	f->req.body = body;
	f->req.body_len = 3000000;
	expect_body(get(f), "");
	assert_memory_equal(got, body, 3000000);
	loopserver_stop(&f->server);
	f->server.fd = -1;
	free(body);
	free(got);
}

static void refuse_put(struct loopserver *s, int fd, unsigned nr)
{
	char request[8192];

	(void)nr;
	if (loopserver_read_request(s, fd, request, sizeof(request)))
		loopserver_say(fd, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	wait_for_close((int)(intptr_t)s->arg);
}

static void test_an_answer_before_the_request_is_sent_is_taken(void **state)
{
	struct fixture *f = *state;
	size_t len = 24u << 20; /* more than the sockets hold */
	char *body = calloc(1, len);
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	loopserver_start(&f->server, "127.0.0.1", 0, refuse_put, (void *)(intptr_t)pair[0]);
	f->req.port = f->server.port;
	f->req.method = "PUT";
	f->req.body = body;
	f->req.body_len = len;
	expect_body(get(f), "no");
	assert_int_equal(f->fetch.status, 403);
	close(pair[1]);
	loopserver_stop(&f->server);
	f->server.fd = -1;
	close(pair[0]);
	free(body);
}

static void test_requests_that_are_no_requests_are_refused_at_once(void **state)
{
	struct fixture *f = *state;
	struct http_header header = { "X", "a\r\nb: c" };
	struct http_request bad[6];
	size_t i;

	f->req.port = 80;
	for (i = 0; i < 6; i++)
		bad[i] = f->req;
	bad[0].headers = &header;
	bad[0].nr_headers = 1;
	bad[1].target = "/a b";
	bad[2].target = "";
	bad[3].method = "GET /";
	bad[4].authority = "a\nb";
	bad[5].port = 0;
	for (i = 0; i < 6; i++)
		assert_int_equal(http_start(f->client, &bad[i], &f->fetch.events, &f->fetch,
					    &f->fetch.exchange),
				 -EINVAL);
}

static void test_a_name_that_is_none_fails_from_the_loop(void **state)
{
	struct fixture *f = *state;

	f->req.port = 80;
	f->req.host = "no/name";
	assert_int_equal(get(f)->error, -EINVAL);
	fetch_expect_text(&f->fetch, "not a host name");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(test_a_body_of_known_length_arrives),
		STORY(test_a_connection_is_used_again),
		STORY(test_big_bodies_are_whole_whatever_way_they_take),
		STORY(test_a_sink_may_have_written_what_could_be_spliced),
		STORY(test_a_body_may_end_with_the_connection),
		STORY(test_a_chunked_body_arrives_and_the_connection_stays),
		STORY(test_responses_without_a_body_end_at_their_head),
		STORY(test_head_has_a_length_and_no_body),
		STORY(test_interim_responses_are_skipped),
		STORY(test_interim_responses_without_end_are_refused),
		STORY(test_what_is_not_http_is_refused),
		STORY(test_a_body_that_ends_early_is_a_reset_with_its_bytes_counted),
		STORY(test_a_chunked_body_that_ends_early_is_a_reset),
		STORY(test_a_reset_in_the_middle_says_where),
		STORY(test_silence_ends_with_a_timeout_that_says_after_how_much),
		STORY(test_bytes_after_the_body_spoil_the_connection),
		STORY(test_connection_close_is_obeyed),
		STORY(test_a_connection_that_died_idle_is_replaced_without_a_word),
		STORY(test_a_request_that_a_reused_connection_swallowed_is_sent_again_once),
		STORY(test_a_fresh_connection_that_fails_is_not_tried_again),
		STORY(test_a_refused_connection_says_whom_it_asked),
		STORY(test_what_the_sink_refuses_ends_the_exchange),
		STORY(test_on_head_may_refuse),
		STORY(test_an_unwanted_body_is_dropped_or_cut),
		STORY(test_cancel_is_silent_at_every_stage),
		STORY(test_on_done_may_start_and_cancel),
		STORY(test_more_exchanges_than_connections_wait_their_turn),
		STORY(test_a_request_body_is_sent_whole),
		STORY(test_an_answer_before_the_request_is_sent_is_taken),
		STORY(test_requests_that_are_no_requests_are_refused_at_once),
		STORY(test_a_name_that_is_none_fails_from_the_loop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
