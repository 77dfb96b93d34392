#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <time.h>

#include "daemon/http/pace.h"
#include "test/unit/fetch.h"
#include "test/unit/loopserver.h"

#define WINDOW 60000u

static void test_a_window_with_enough_bytes_begins_the_next(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 0, 1000);
	assert_false(pace_is_too_slow(&p, 0, WINDOW, 1000 + WINDOW - 1));
	assert_false(pace_is_too_slow(&p, PACE_LEAST, WINDOW, 1000 + WINDOW));
	assert_false(pace_is_too_slow(&p, PACE_LEAST, WINDOW, 1000 + 2 * WINDOW - 1));
	assert_false(pace_is_too_slow(&p, 2 * PACE_LEAST, WINDOW, 1000 + 3 * WINDOW));
}

static void test_a_byte_now_and_then_is_too_slow(void **state)
{
	uint64_t now = 0, bytes = 0;
	struct pace p;

	(void)state;
	pace_init(&p, 0, now);
	while (!pace_is_too_slow(&p, bytes, WINDOW, now)) {
		assert_true(now < WINDOW);
		now += 1000;
		bytes++;
	}
	assert_int_equal(now, WINDOW);
}

static void test_bytes_of_before_the_window_do_not_count(void **state)
{
	struct pace p;

	(void)state;
	pace_init(&p, 1u << 30, 0);
	assert_true(pace_is_too_slow(&p, (1u << 30) + PACE_LEAST - 1, WINDOW, WINDOW));
}

/* ---- servers that are never silent and never done -------------------------------- */

struct fixture {
	struct loopserver server;
	struct event_base *base;
	struct http_client *client;
	struct http_request req;
	struct fetch fetch;
	const char *begin; /* what is said at once; then one letter after the other */
	size_t begin_len;
	bool reads_first;
};

static void trickle(struct loopserver *s, int fd, unsigned nr)
{
	const struct timespec pause = { .tv_nsec = 5 * 1000 * 1000 };
	const struct fixture *f = s->arg;
	char head[4096];

	(void)nr;
	if (f->reads_first && !loopserver_read_request(s, fd, head, sizeof(head)))
		return;
	loopserver_send(fd, f->begin, f->begin_len);
	while (send(fd, "a", 1, MSG_NOSIGNAL) == 1)
		nanosleep(&pause, NULL);
}

static int setup(void **state)
{
	const struct http_client_conf conf = {
		.max_connections = 1,
		.connect_timeout_ms = 200,
		.idle_timeout_ms = 600, /* a server on a busy machine may pause */
		.tls_insecure = true,
	};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	alarm(60);
	f->base = event_base_new();
	assert_non_null(f->base);
	assert_int_equal(http_client_new(f->base, &conf, &f->client), 0);
	fetch_init(&f->fetch, f->client);
	f->reads_first = true;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	http_client_free(f->client);
	event_base_free(f->base);
	fetch_fini(&f->fetch);
	loopserver_stop(&f->server);
	free(f);
	return 0;
}

static void expect_timeout(struct fixture *f, const char *begin, size_t begin_len,
			   const char *words)
{
	f->begin = begin;
	f->begin_len = begin_len;
	loopserver_start(&f->server, "127.0.0.1", 0, trickle, f);
	f->req.method = "GET";
	f->req.host = "127.0.0.1";
	f->req.authority = "store.example";
	f->req.target = "/bucket/key";
	f->req.port = f->server.port;
	fetch_start(&f->fetch, &f->req);
	fetch_run(&f->fetch, f->base);
	assert_int_equal(f->fetch.error, -ETIMEDOUT);
	fetch_expect_text(&f->fetch, words);
}

static void test_a_body_that_trickles_is_given_up(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n";

	expect_timeout(*state, head, sizeof(head) - 1, "sent less than 1024 bytes in 1200 ms");
}

static void test_a_head_that_trickles_is_given_up(void **state)
{
	static const char head[] = "HTTP/1.1 200 OK\r\nX-Long: ";

	expect_timeout(*state, head, sizeof(head) - 1, "sent less than 1024 bytes in 1200 ms");
}

static void test_a_handshake_that_trickles_ends_at_its_deadline(void **state)
{
	static const char record[] = "\x16\x03\x03\x40"; /* 16 KiB of handshake are to come */
	struct fixture *f = *state;

	f->req.tls = true;
	f->reads_first = false;
	expect_timeout(f, record, sizeof(record) - 1, "no handshake within 200 ms");
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_window_with_enough_bytes_begins_the_next),
		cmocka_unit_test(test_a_byte_now_and_then_is_too_slow),
		cmocka_unit_test(test_bytes_of_before_the_window_do_not_count),
		STORY(test_a_body_that_trickles_is_given_up),
		STORY(test_a_head_that_trickles_is_given_up),
		STORY(test_a_handshake_that_trickles_ends_at_its_deadline),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
