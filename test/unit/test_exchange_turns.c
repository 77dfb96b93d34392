/* Whose bytes are read first on a worker that has other things to do: an HTTP exchange beside those. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/worker.h"
#include "test/unit/fetch.h"
#include "test/unit/loopserver.h"

#define TURNS 5

struct fixture {
	struct fetch fetch; /* first: its sink's functions find the rest from it */
	struct worker *worker;
	struct http_client *client;
	struct loopserver server;
	/* Others, who have something to do from the moment when the head is there, turn after turn. */
	struct event *others;
	unsigned nr_turns;
	unsigned nr_before; /* of them before the first byte of the body */
};

static void answer_all(struct loopserver *s, int fd, unsigned nr)
{
	char request[8192];

	(void)nr;
	while (loopserver_read_request(s, fd, request, sizeof(request)))
		loopserver_say(fd, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval now = { 0 };
	struct fixture *f = arg;

	(void)fd;
	(void)what;
	if (++f->nr_turns < TURNS)
		event_add(f->others, &now);
}

static int setup(void **state)
{
	struct http_client_conf conf = { .max_connections = 1 };
	struct fixture *f = calloc(1, sizeof(*f));

	alarm(60);
	assert_int_equal(worker_new("test", &f->worker), 0);
	assert_int_equal(http_client_new(worker_base(f->worker), &conf, &f->client), 0);
	f->others = event_new(worker_base(f->worker), -1, 0, on_turn, f);
	loopserver_start(&f->server, "127.0.0.1", 0, answer_all, NULL);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_free(f->others);
	http_client_free(f->client);
	worker_free(f->worker);
	fetch_fini(&f->fetch);
	loopserver_stop(&f->server);
	free(f);
	return 0;
}

static int busy_on_head(const struct http_response *res, struct sink **ret_sink, void *arg)
{
	struct fixture *f = arg;

	event_active(f->others, EV_TIMEOUT, 0);
	return fetch_on_head(res, ret_sink, arg);
}

static int note_write(struct sink *s, const void *buf, size_t len)
{
	struct fixture *f = (struct fixture *)s;

	if (f->fetch.body_len == 0)
		f->nr_before = f->nr_turns;
	return fetch_write(s, buf, len);
}

static bool answer_yes(struct sink *s)
{
	(void)s;
	return true;
}

static void get(struct fixture *f, const struct sink_ops *ops)
{
	struct http_request req = { .method = "GET",
				    .host = "127.0.0.1",
				    .port = f->server.port,
				    .authority = "store.example",
				    .target = "/" };

	fetch_init(&f->fetch, f->client);
	f->fetch.sink.ops = ops;
	f->fetch.events.on_head = busy_on_head;
	fetch_start(&f->fetch, &req);
	fetch_run(&f->fetch, worker_base(f->worker));
	assert_int_equal(f->fetch.error, 0);
	assert_int_equal(f->fetch.body_len, 5);
	assert_memory_equal(f->fetch.body, "hello", 5);
}

static void test_a_body_that_somebody_waits_for_is_read_at_once(void **state)
{
	const struct sink_ops wanted = { .write = note_write };
	struct fixture *f = *state;

	get(f, &wanted);
	assert_int_equal(f->nr_before, 0);
}

static void test_a_body_that_may_wait_lets_others_go_first(void **state)
{
	const struct sink_ops patient = { .write = note_write, .may_wait = answer_yes };
	struct fixture *f = *state;

	get(f, &patient);
	assert_int_equal(f->nr_before, TURNS);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(test_a_body_that_somebody_waits_for_is_read_at_once),
		STORY(test_a_body_that_may_wait_lets_others_go_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
