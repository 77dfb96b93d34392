#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <event2/event.h>

#include "daemon/net/addr.h"
#include "daemon/net/hosts.h"
#include "daemon/net/resolve.h"

#define QUERY_A	   1
#define QUERY_AAAA 28

/* A name server on a loopback port: names say what it does. */
struct nameserver {
	int fd;
	uint16_t port;
	pthread_t thread;
	_Atomic unsigned nr_queries;
};

struct fixture {
	struct event_base *base;
	struct resolver *resolver;
	struct nameserver ns;
	char hosts[64];
	char resolv[64];
};

struct outcome {
	bool done;
	int error;
	size_t nr;
	struct addr addrs[RESOLVE_MAX];
	char text[400];
};

static size_t put(uint8_t *p, const void *bytes, size_t len)
{
	memcpy(p, bytes, len);
	return len;
}

/* An answer of one record for each address; the question is repeated as it came. */
static size_t make_answer(uint8_t *msg, size_t question_end, unsigned type,
			  const char *const *addrs)
{
	static const uint8_t record[] = { 0xc0, 12, 0, 0, 0, 1, 0, 0, 0, 30, 0, 0 };
	size_t len = question_end, addr_len = type == QUERY_A ? 4 : 16;
	unsigned nr;

	for (nr = 0; addrs[nr] != NULL; nr++) {
		len += put(msg + len, record, sizeof(record));
		msg[len - 9] = (uint8_t)type;
		msg[len - 1] = (uint8_t)addr_len;
		assert_int_equal(
			inet_pton(type == QUERY_A ? AF_INET : AF_INET6, addrs[nr], msg + len), 1);
		len += addr_len;
	}
	msg[2] = 0x81;
	msg[3] = 0x80;
	msg[7] = (uint8_t)nr;
	msg[8] = msg[9] = msg[10] = msg[11] = 0;
	return len;
}

/* The length of the answer to the query in msg; 0: say nothing. */
static size_t answer(uint8_t *msg, size_t len)
{
	static const char *const three[] = { "10.0.0.1", "10.0.0.2", "10.0.0.3", NULL };
	static const char *const one6[] = { "2001:db8::9", NULL };
	static const char *const none[] = { NULL };
	size_t end = 12;
	unsigned type, first_len = msg[12];
	const char *first = (const char *)msg + 13;

	while (end < len && msg[end] != 0)
		end += msg[end] + 1u;
	end += 5;
	if (end > len)
		return 0;
	type = msg[end - 3];
	if (first_len == 4 && memcmp(first, "dual", 4) == 0)
		return make_answer(msg, end, type, type == QUERY_A ? three : one6);
	if (first_len == 4 && memcmp(first, "four", 4) == 0)
		return make_answer(msg, end, type, type == QUERY_A ? three : none);
	if (first_len == 4 && memcmp(first, "half", 4) == 0)
		return type == QUERY_A ? make_answer(msg, end, type, three) : 0;
	if (first_len == 5 && memcmp(first, "empty", 5) == 0)
		return make_answer(msg, end, type, none);
	if (first_len == 6 && memcmp(first, "silent", 6) == 0)
		return 0;
	end = make_answer(msg, end, type, none);
	/* "broken": server failure.  All others do not exist. */
	msg[3] = first_len == 6 && memcmp(first, "broken", 6) == 0 ? 0x82 : 0x83;
	return end;
}

static void *nameserver_main(void *arg)
{
	struct nameserver *ns = arg;
	struct sockaddr_in peer;
	uint8_t msg[1500];
	socklen_t peer_len = sizeof(peer);
	ssize_t n;
	size_t len;

	/* An empty datagram ends it. */
	while ((n = recvfrom(ns->fd, msg, 600, 0, (struct sockaddr *)&peer, &peer_len)) > 12) {
		atomic_fetch_add(&ns->nr_queries, 1);
		len = answer(msg, (size_t)n);
		if (len > 0)
			sendto(ns->fd, msg, len, 0, (struct sockaddr *)&peer, peer_len);
		peer_len = sizeof(peer);
	}
	return NULL;
}

static void nameserver_start(struct nameserver *ns)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(in);

	ns->fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(ns->fd, (struct sockaddr *)&in, sizeof(in)), 0);
	assert_int_equal(getsockname(ns->fd, (struct sockaddr *)&in, &len), 0);
	ns->port = ntohs(in.sin_port);
	assert_int_equal(pthread_create(&ns->thread, NULL, nameserver_main, ns), 0);
}

static void nameserver_stop(struct nameserver *ns)
{
	struct sockaddr_in in = { .sin_family = AF_INET,
				  .sin_port = htons(ns->port),
				  .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	sendto(ns->fd, "", 0, 0, (struct sockaddr *)&in, sizeof(in));
	pthread_join(ns->thread, NULL);
	close(ns->fd);
}

static void write_file(char *path, const char *text)
{
	int fd = mkstemp(path);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct resolver_conf conf = { .timeout_ms = 400 };
	char text[64];

	nameserver_start(&f->ns);
	snprintf(f->hosts, sizeof(f->hosts), "/tmp/test_resolve_hosts.XXXXXX");
	write_file(f->hosts, "127.0.0.1 localhost\n10.9.9.9 Written.Example alias # nobody\n"
			     "::1 localhost\n");
	snprintf(f->resolv, sizeof(f->resolv), "/tmp/test_resolve_conf.XXXXXX");
	snprintf(text, sizeof(text), "nameserver 127.0.0.1:%u\n", f->ns.port);
	write_file(f->resolv, text);
	conf.hosts_file = f->hosts;
	conf.resolv_conf = f->resolv;
	f->base = event_base_new();
	assert_int_equal(resolver_new(f->base, &conf, &f->resolver), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	resolver_free(f->resolver);
	event_base_free(f->base);
	nameserver_stop(&f->ns);
	unlink(f->hosts);
	unlink(f->resolv);
	free(f);
	return 0;
}

static void on_done(int error, const struct addr *addrs, size_t nr, const char *text, void *arg)
{
	struct outcome *o = arg;

	assert_false(o->done);
	o->done = true;
	o->error = error;
	o->nr = nr;
	memcpy(o->addrs, addrs, nr * sizeof(*addrs));
	snprintf(o->text, sizeof(o->text), "%s", text);
}

static struct resolve *start(struct fixture *f, const char *host, struct outcome *o)
{
	struct resolve *r = NULL;

	memset(o, 0, sizeof(*o));
	assert_int_equal(resolve_start(f->resolver, host, on_done, o, &r), 0);
	assert_false(o->done);
	return r;
}

static void finish(struct fixture *f, const struct outcome *o)
{
	while (!o->done)
		assert_int_not_equal(
			event_base_loop(f->base, EVLOOP_ONCE | EVLOOP_NO_EXIT_ON_EMPTY), -1);
}

static struct outcome resolve(struct fixture *f, const char *host)
{
	struct outcome o;

	start(f, host, &o);
	finish(f, &o);
	return o;
}

static void expect_addr(const struct outcome *o, size_t i, const char *expected)
{
	char text[ADDR_TEXT_LEN];

	assert_true(i < o->nr);
	assert_string_equal(addr_text(&o->addrs[i], text), expected);
}

static void test_literals_and_files_need_no_dns(void **state)
{
	struct fixture *f = *state;
	struct outcome o;

	o = resolve(f, "192.0.2.1");
	assert_int_equal(o.nr, 1);
	expect_addr(&o, 0, "192.0.2.1");
	o = resolve(f, "2001:db8::1");
	expect_addr(&o, 0, "2001:db8::1");
	o = resolve(f, "localhost");
	assert_int_equal(o.nr, 2);
	expect_addr(&o, 0, "127.0.0.1");
	expect_addr(&o, 1, "::1");
	o = resolve(f, "written.example");
	assert_int_equal(o.nr, 1);
	expect_addr(&o, 0, "10.9.9.9");
	o = resolve(f, "bucket.localhost");
	expect_addr(&o, 0, "127.0.0.1");
	assert_int_equal(atomic_load(&f->ns.nr_queries), 0);
}

static void test_all_addresses_of_both_families_are_used(void **state)
{
	struct fixture *f = *state;
	struct outcome o = resolve(f, "dual.example.com");
	bool found6 = false;
	size_t i;

	assert_int_equal(o.error, 0);
	assert_int_equal(o.nr, 4);
	for (i = 0; i < 4; i++)
		found6 |= o.addrs[i].sa.sa_family == AF_INET6;
	assert_true(found6);
}

static void test_an_answer_is_remembered_and_asked_for_once(void **state)
{
	struct fixture *f = *state;
	struct outcome a, b, again;

	start(f, "four.example.com", &a);
	start(f, "FOUR.example.com", &b);
	finish(f, &a);
	finish(f, &b);
	assert_int_equal(a.nr, 3);
	assert_int_equal(b.nr, 3);
	again = resolve(f, "four.example.com");
	expect_addr(&again, 2, "10.0.0.3");
	assert_int_equal(atomic_load(&f->ns.nr_queries), 2);
	resolver_forget(f->resolver, "four.example.com");
	again = resolve(f, "four.example.com");
	assert_int_equal(again.nr, 3);
	assert_int_equal(atomic_load(&f->ns.nr_queries), 4);
}

static void test_one_family_without_an_answer_does_not_hold_up_the_other(void **state)
{
	struct fixture *f = *state;
	struct outcome o = resolve(f, "half.example.com");

	assert_int_equal(o.error, 0);
	assert_int_equal(o.nr, 3);
}

static void test_names_that_do_not_exist_say_so(void **state)
{
	struct fixture *f = *state;
	struct outcome o = resolve(f, "absent.example.com");

	assert_int_equal(o.error, -ENOENT);
	assert_non_null(strstr(o.text, "absent.example.com"));
	assert_non_null(strstr(o.text, "no such host"));
	o = resolve(f, "empty.example.com");
	assert_int_equal(o.error, -ENOENT);
	assert_non_null(strstr(o.text, "no address"));
}

static void test_a_dns_that_fails_or_is_silent_is_no_missing_name(void **state)
{
	struct fixture *f = *state;
	struct outcome o = resolve(f, "broken.example.com");

	assert_int_equal(o.error, -ETIMEDOUT);
	assert_non_null(strstr(o.text, "broken.example.com: DNS failed"));
	o = resolve(f, "silent.example.com");
	assert_int_equal(o.error, -ETIMEDOUT);
	assert_non_null(strstr(o.text, "silent.example.com"));
}

static void test_what_is_not_a_name_is_refused(void **state)
{
	static const char *const bad[] = { "", "a b", "a/b", ".example", "x\ny", "10.0.0.1:80" };
	struct fixture *f = *state;
	char longest[300];
	struct outcome o;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		o = resolve(f, bad[i]);
		assert_int_equal(o.error, -EINVAL);
		assert_non_null(strstr(o.text, "not a host name"));
	}
	memset(longest, 'a', sizeof(longest) - 1);
	longest[sizeof(longest) - 1] = '\0';
	o = resolve(f, longest);
	assert_int_equal(o.error, -EINVAL);
}

static void test_nothing_is_told_after_cancel(void **state)
{
	struct fixture *f = *state;
	struct outcome waits, ready, other;

	resolve_cancel(start(f, "silent.example.com", &waits));
	resolve_cancel(start(f, "10.0.0.1", &ready));
	start(f, "10.0.0.2", &other);
	finish(f, &other);
	assert_false(waits.done);
	assert_false(ready.done);
	/* teardown: the resolver goes while DNS still has its question. */
}

static void test_a_changed_resolv_conf_is_read_again(void **state)
{
	struct fixture *f = *state;
	struct nameserver second = { 0 };
	struct outcome o = resolve(f, "four.example.com");
	char text[64], path[64];

	assert_int_equal(o.error, 0);
	nameserver_start(&second);
	snprintf(text, sizeof(text), "nameserver 127.0.0.1:%u\n", second.port);
	snprintf(path, sizeof(path), "/tmp/test_resolve_conf.XXXXXX");
	write_file(path, text);
	assert_int_equal(rename(path, f->resolv), 0);
	o = resolve(f, "dual.example.com");
	assert_int_equal(o.nr, 4);
	assert_int_equal(atomic_load(&second.nr_queries), 2);
	nameserver_stop(&second);
}

static void test_hosts_files_are_read_as_hosts_5_says(void **state)
{
	static const char text[] = "# 10.0.0.9 commented\n"
				   "10.0.0.1\tstore store.example\r\n"
				   "  10.0.0.2  other STORE#no\n"
				   "10.0.0.1 store\n"
				   "not-an-address store\n"
				   "fe80::1%nosuchnic0 store\n"
				   "10.0.0.3\n"
				   "::5 last";
	struct addr found[4];
	char buf[ADDR_TEXT_LEN];

	(void)state;
	assert_int_equal(hosts_find(text, sizeof(text) - 1, "store", found, 4), 2);
	assert_string_equal(addr_text(&found[0], buf), "10.0.0.1");
	assert_string_equal(addr_text(&found[1], buf), "10.0.0.2");
	assert_int_equal(hosts_find(text, sizeof(text) - 1, "store", found, 1), 1);
	assert_int_equal(hosts_find(text, sizeof(text) - 1, "last", found, 4), 1);
	assert_int_equal(hosts_find(text, sizeof(text) - 1, "commented", found, 4), 0);
	assert_int_equal(hosts_find(text, sizeof(text) - 1, "no", found, 4), 0);
	assert_int_equal(hosts_find(text, sizeof(text) - 1, "10.0.0.3", found, 4), 0);
	assert_int_equal(hosts_find("", 0, "store", found, 4), 0);
	assert_int_equal(hosts_find_in_file("/nonexistent/hosts", "store", found, 4), 0);
	assert_int_equal(hosts_find_in_file("/dev/null", "store", found, 4), 0);
}

#define STORY(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORY(test_literals_and_files_need_no_dns),
		STORY(test_all_addresses_of_both_families_are_used),
		STORY(test_an_answer_is_remembered_and_asked_for_once),
		STORY(test_one_family_without_an_answer_does_not_hold_up_the_other),
		STORY(test_names_that_do_not_exist_say_so),
		STORY(test_a_dns_that_fails_or_is_silent_is_no_missing_name),
		STORY(test_what_is_not_a_name_is_refused),
		STORY(test_nothing_is_told_after_cancel),
		STORY(test_a_changed_resolv_conf_is_read_again),
		cmocka_unit_test(test_hosts_files_are_read_as_hosts_5_says),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
