#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>

#include <event2/event.h>

#include "daemon/net/connpool.h"
#include "daemon/net/source.h"
#include "daemon/net/stream.h"
#include "test/unit/loopserver.h"

/* One who asks. */
struct asker {
	struct connpool_wait *wait;
	unsigned nr_done;
	int error;
	struct conn *conn;
	bool reused;
	char text[CONNECT_TEXT_LEN];
};

struct fixture {
	struct event_base *base;
	struct connpool *pool;
	struct loopserver server;
	struct connect_target target;
	char hosts[64];
};

/* Say hello, then wait until the client goes. */
static void greet(struct loopserver *s, int fd, unsigned nr)
{
	char byte;

	(void)s;
	(void)nr;
	while (recv(fd, &byte, 1, 0) > 0)
		loopserver_send(fd, &byte, 1);
}

static void open_pool(struct fixture *f, unsigned max, unsigned keepalive_ms)
{
	struct connpool_conf conf = { .max_connections = max,
				      .keepalive_ms = keepalive_ms,
				      .resolver = { .hosts_file = f->hosts } };
	char err[200];

	connpool_free(f->pool);
	assert_int_equal(connpool_new(f->base, &conf, &f->pool, err, sizeof(err)), 0);
}

static int setup(void **state)
{
	static const char hosts[] = "127.0.0.9 pair.example\n127.0.0.1 pair.example\n"
				    "127.0.0.1 one.example two.example\n";
	struct fixture *f = calloc(1, sizeof(*f));
	int fd;

	alarm(60);
	snprintf(f->hosts, sizeof(f->hosts), "/tmp/test_connpool_hosts.XXXXXX");
	fd = mkstemp(f->hosts);
	assert_int_equal(write(fd, hosts, sizeof(hosts) - 1), sizeof(hosts) - 1);
	close(fd);
	f->base = event_base_new();
	loopserver_start(&f->server, "127.0.0.1", 0, greet, NULL);
	f->target = (struct connect_target){ .host = "one.example",
					     .port = f->server.port,
					     .timeout_ms = 5000 };
	open_pool(f, 4, 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	connpool_free(f->pool);
	event_base_free(f->base);
	loopserver_stop(&f->server);
	unlink(f->hosts);
	free(f);
	return 0;
}

static void on_conn(int error, struct conn *conn, bool reused, const char *text, void *arg)
{
	struct asker *a = arg;

	assert_int_equal(++a->nr_done, 1);
	a->error = error;
	a->conn = conn;
	a->reused = reused;
	snprintf(a->text, sizeof(a->text), "%s", text);
}

static void ask(struct fixture *f, struct asker *a, bool fresh)
{
	memset(a, 0, sizeof(*a));
	assert_int_equal(connpool_acquire(f->pool, &f->target, fresh, on_conn, a, &a->wait), 0);
	assert_int_equal(a->nr_done, 0);
}

static void finish(struct fixture *f, const struct asker *a)
{
	while (a->nr_done == 0)
		assert_int_not_equal(
			event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY), -1);
}

static struct asker get(struct fixture *f, bool fresh)
{
	struct asker a;

	ask(f, &a, fresh);
	finish(f, &a);
	return a;
}

static void test_a_clean_connection_is_handed_out_again(void **state)
{
	struct fixture *f = *state;
	struct asker a = get(f, false), b;

	assert_int_equal(a.error, 0);
	assert_false(a.reused);
	connpool_release(f->pool, a.conn, true);
	assert_int_equal(connpool_nr_idle(f->pool), 1);
	b = get(f, false);
	assert_true(b.reused);
	assert_ptr_equal(b.conn, a.conn);
	connpool_release(f->pool, b.conn, true);
	b = get(f, true);
	assert_false(b.reused);
	connpool_release(f->pool, b.conn, false);
	assert_int_equal(connpool_nr_open(f->pool), 1);
}

static void test_the_most_recent_is_used_first(void **state)
{
	struct fixture *f = *state;
	struct asker a = get(f, false), b = get(f, false), c;

	connpool_release(f->pool, b.conn, true);
	connpool_release(f->pool, a.conn, true);
	c = get(f, false);
	assert_ptr_equal(c.conn, a.conn);
	connpool_release(f->pool, c.conn, true);
}

static void test_connections_are_for_one_host_only(void **state)
{
	struct fixture *f = *state;
	struct asker a = get(f, false), b;

	connpool_release(f->pool, a.conn, true);
	f->target.host = "two.example";
	b = get(f, false);
	assert_false(b.reused);
	connpool_release(f->pool, b.conn, true);
	assert_int_equal(connpool_nr_idle(f->pool), 2);
}

static void test_at_the_bound_callers_wait_in_order(void **state)
{
	struct fixture *f = *state;
	struct asker a, b, c, d;

	open_pool(f, 2, 0);
	a = get(f, false);
	b = get(f, false);
	ask(f, &c, false);
	ask(f, &d, false);
	event_base_loop(f->base, EVLOOP_NONBLOCK);
	assert_int_equal(c.nr_done + d.nr_done, 0);
	connpool_release(f->pool, a.conn, true);
	finish(f, &c);
	assert_int_equal(d.nr_done, 0);
	assert_true(c.reused);
	/* Closed, not handed on: its place is free all the same. */
	connpool_release(f->pool, b.conn, false);
	finish(f, &d);
	assert_false(d.reused);
	assert_int_equal(connpool_nr_open(f->pool), 2);
	connpool_release(f->pool, c.conn, true);
	connpool_release(f->pool, d.conn, true);
}

static void test_at_the_bound_an_idle_connection_of_another_host_makes_room(void **state)
{
	struct fixture *f = *state;
	struct asker a, b;

	open_pool(f, 1, 0);
	a = get(f, false);
	connpool_release(f->pool, a.conn, true);
	f->target.host = "two.example";
	b = get(f, false);
	assert_int_equal(b.error, 0);
	assert_int_equal(connpool_nr_open(f->pool), 1);
	connpool_release(f->pool, b.conn, true);
}

static void test_nothing_is_told_after_cancel(void **state)
{
	struct fixture *f = *state;
	struct asker a, b, c;

	open_pool(f, 1, 0);
	ask(f, &a, false);
	ask(f, &b, false);
	ask(f, &c, false);
	connpool_cancel(b.wait);
	while (connpool_nr_open(f->pool) == 0)
		event_base_loop(f->base, EVLOOP_ONCE);
	if (a.nr_done == 0)
		connpool_cancel(a.wait);
	else
		connpool_release(f->pool, a.conn, false);
	finish(f, &c);
	assert_int_equal(c.error, 0);
	assert_int_equal(b.nr_done, 0);
	connpool_release(f->pool, c.conn, false);
	assert_int_equal(connpool_nr_open(f->pool), 0);
}

static void test_idle_connections_are_closed_in_time(void **state)
{
	struct fixture *f = *state;
	struct asker a;

	open_pool(f, 4, 40);
	a = get(f, false);
	connpool_release(f->pool, a.conn, true);
	while (connpool_nr_open(f->pool) > 0)
		assert_int_equal(event_base_loop(f->base, EVLOOP_ONCE), 0);
	assert_int_equal(connpool_nr_idle(f->pool), 0);
}

static void test_a_connection_that_the_server_speaks_on_is_not_used_again(void **state)
{
	struct fixture *f = *state;
	struct asker a = get(f, false), b;

	/* The server sends this back, and nobody has asked for it. */
	assert_int_equal(stream_write(conn_stream(a.conn), "x", 1), 1);
	while (stream_is_quiet(conn_stream(a.conn)))
		;
	connpool_release(f->pool, a.conn, true);
	b = get(f, false);
	assert_false(b.reused);
	connpool_release(f->pool, b.conn, true);
	assert_int_equal(connpool_nr_open(f->pool), 1);
}

static void test_a_name_with_a_dead_address_is_reached_at_the_other(void **state)
{
	struct fixture *f = *state;
	struct asker a;
	int i;

	f->target.host = "pair.example";
	for (i = 0; i < 4; i++) {
		a = get(f, true);
		assert_int_equal(a.error, 0);
		assert_non_null(strstr(conn_where(a.conn), "pair.example (127.0.0.1:"));
		connpool_release(f->pool, a.conn, false);
	}
}

static void test_all_addresses_of_a_name_are_used(void **state)
{
	struct fixture *f = *state;
	struct loopserver other;
	struct asker asked[4];
	unsigned nr_other = 0, i;

	loopserver_start(&other, "127.0.0.9", f->server.port, greet, NULL);
	f->target.host = "pair.example";
	for (i = 0; i < 4; i++) {
		asked[i] = get(f, false);
		nr_other += strstr(conn_where(asked[i].conn), "(127.0.0.9:") != NULL;
	}
	assert_int_equal(nr_other, 2);
	for (i = 0; i < 4; i++)
		connpool_release(f->pool, asked[i].conn, true);
	connpool_free(f->pool);
	f->pool = NULL;
	loopserver_stop(&other);
}

static void test_connections_leave_from_all_source_addresses(void **state)
{
	struct fixture *f = *state;
	struct source_set *sources = NULL;
	struct source_stats stats;
	struct asker asked[4];
	char err[200];
	unsigned i;

	assert_int_equal(source_set_parse("127.0.0.1,127.0.0.7", &sources, err, sizeof(err)), 0);
	f->target.sources = sources;
	for (i = 0; i < 4; i++)
		asked[i] = get(f, false);
	for (i = 0; i < 2; i++) {
		source_stats(sources, i, 0, &stats);
		assert_int_equal(stats.connections, 2);
		assert_int_equal(stats.in_flight, 2);
	}
	for (i = 0; i < 4; i++) {
		assert_non_null(strstr(conn_where(asked[i].conn), " from 127.0.0."));
		connpool_release(f->pool, asked[i].conn, true);
	}
	assert_int_equal(source_load(sources, 0) + source_load(sources, 1), 0);
	/* Used again, they are spread as well. */
	for (i = 0; i < 4; i++) {
		asked[i] = get(f, false);
		assert_true(asked[i].reused);
		if (i == 1)
			assert_int_equal(source_load(sources, 0), 1);
	}
	for (i = 0; i < 4; i++)
		connpool_release(f->pool, asked[i].conn, true);
	connpool_free(f->pool);
	f->pool = NULL;
	source_set_unref(sources);
}

static void test_sources_of_the_wrong_family_are_an_error_in_words(void **state)
{
	struct fixture *f = *state;
	struct source_set *sources = NULL;
	struct asker a;
	char err[200];

	assert_int_equal(source_set_parse("127.0.0.1", &sources, err, sizeof(err)), 0);
	f->target.host = "::1";
	f->target.sources = sources;
	a = get(f, false);
	assert_int_equal(a.error, -EADDRNOTAVAIL);
	assert_non_null(strstr(a.text, "its addresses are all IPv6"));
	connpool_free(f->pool);
	f->pool = NULL;
	source_set_unref(sources);
}

static void test_a_failure_names_both_ends_and_the_reason(void **state)
{
	struct fixture *f = *state;
	struct source_set *sources = NULL;
	struct asker a;
	char err[200];

	assert_int_equal(source_set_parse("127.0.0.7", &sources, err, sizeof(err)), 0);
	f->target.host = "127.0.0.77";
	f->target.sources = sources;
	a = get(f, false);
	assert_int_equal(a.error, -ECONNREFUSED);
	assert_non_null(strstr(a.text, "connect to 127.0.0.77 (127.0.0.77:"));
	assert_non_null(strstr(a.text, "from 127.0.0.7: Connection refused"));
	/* An answer came: the address we left from is not to blame. */
	assert_int_equal(source_load(sources, 0), 0);
	assert_int_equal(source_least_load(sources, SOURCE_INET, 0), 0);
	connpool_free(f->pool);
	f->pool = NULL;
	source_set_unref(sources);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(test_a_clean_connection_is_handed_out_again),
		STORY(test_the_most_recent_is_used_first),
		STORY(test_connections_are_for_one_host_only),
		STORY(test_at_the_bound_callers_wait_in_order),
		STORY(test_at_the_bound_an_idle_connection_of_another_host_makes_room),
		STORY(test_nothing_is_told_after_cancel),
		STORY(test_idle_connections_are_closed_in_time),
		STORY(test_a_connection_that_the_server_speaks_on_is_not_used_again),
		STORY(test_a_name_with_a_dead_address_is_reached_at_the_other),
		STORY(test_all_addresses_of_a_name_are_used),
		STORY(test_connections_leave_from_all_source_addresses),
		STORY(test_sources_of_the_wrong_family_are_an_error_in_words),
		STORY(test_a_failure_names_both_ends_and_the_reason),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
