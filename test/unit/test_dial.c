#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include <event2/event.h>

#include "daemon/net/addr.h"
#include "daemon/net/dial.h"
#include "test/unit/loopserver.h"

struct fixture {
	struct event_base *base;
	struct addr to;
	struct addr from;
	struct dial_target target;
	bool done;
	int result;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->base = event_base_new();
	*state = f;
	return f->base != NULL ? 0 : -1;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	event_base_free(f->base);
	free(f);
	return 0;
}

static void on_done(int fd, void *arg)
{
	struct fixture *f = arg;

	assert_false(f->done);
	f->done = true;
	f->result = fd;
}

static struct dial *start(struct fixture *f, uint16_t port, const char *from, unsigned timeout_ms)
{
	struct dial *d = NULL;

	assert_int_equal(addr_parse("127.0.0.1", &f->to), 0);
	addr_set_port(&f->to, port);
	f->target = (struct dial_target){
		.addr = &f->to.sa,
		.addr_len = f->to.len,
		.timeout_ms = timeout_ms,
	};
	if (from != NULL) {
		assert_int_equal(addr_parse(from, &f->from), 0);
		f->target.source = &f->from.sa;
		f->target.source_len = f->from.len;
	}
	assert_int_equal(dial_start(f->base, &f->target, on_done, f, &d), 0);
	assert_false(f->done);
	return d;
}

static int run(struct fixture *f)
{
	while (!f->done)
		assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
	return f->result;
}

static int listen_on_loopback(int backlog, uint16_t *ret_port)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(listen(fd, backlog), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
	*ret_port = ntohs(in.sin_port);
	return fd;
}

static void test_a_connection_leaves_from_the_source_address(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	uint16_t port;
	int listener = listen_on_loopback(4, &port), fd, accepted;

	start(f, port, "127.0.0.5", 5000);
	fd = run(f);
	assert_true(fd >= 0);
	accepted = accept(listener, (struct sockaddr *)&peer, &len);
	assert_int_equal(ntohl(peer.sin_addr.s_addr), 0x7f000005);
	close(accepted);
	close(fd);
	close(listener);
}

static void test_a_refused_connection_is_told_from_the_loop(void **state)
{
	struct fixture *f = *state;
	uint16_t port;
	int listener = listen_on_loopback(4, &port);

	close(listener);
	start(f, port, NULL, 5000);
	assert_int_equal(run(f), -ECONNREFUSED);
}

static void test_a_source_that_the_node_lacks_fails_from_the_loop(void **state)
{
	struct fixture *f = *state;

	start(f, 9, "192.0.2.77", 5000);
	assert_int_equal(run(f), -EADDRNOTAVAIL);
}

/* A listener whose queue is full drops what comes: nobody ever answers. */
static void test_silence_ends_at_the_deadline(void **state)
{
	struct fixture *f = *state;
	int listener, fillers[8], i;
	uint16_t port;

	listener = listen_on_loopback(0, &port);
	addr_parse("127.0.0.1", &f->to);
	addr_set_port(&f->to, port);
	for (i = 0; i < 8; i++) {
		fillers[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
		connect(fillers[i], &f->to.sa, f->to.len);
	}
	start(f, port, NULL, 50);
	assert_int_equal(run(f), -ETIMEDOUT);
	for (i = 0; i < 8; i++)
		close(fillers[i]);
	close(listener);
}

static void test_nothing_is_told_after_cancel(void **state)
{
	struct fixture *f = *state;
	uint16_t port;
	int listener = listen_on_loopback(4, &port);

	dial_cancel(start(f, port, NULL, 5000));
	dial_cancel(start(f, 9, "192.0.2.77", 5000));
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	assert_false(f->done);
	close(listener);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_connection_leaves_from_the_source_address,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_refused_connection_is_told_from_the_loop,
						setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_a_source_that_the_node_lacks_fails_from_the_loop, setup, teardown),
		cmocka_unit_test_setup_teardown(test_silence_ends_at_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nothing_is_told_after_cancel, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
