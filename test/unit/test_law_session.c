/*
 * What the laws ask of a session: keys do not stay where a message was, one
 * user's keys serve no other, what a dead client claimed is free, and each
 * thing that a client can have more of has a bound.
 */
#include "test/unit/session_fixture.h"

#include "daemon/session/session_internal.h"

#define SECRET "a-secret-that-nobody-repeats"

static int setup(void **state)
{
	struct fixture *f = fixture_new();

	assert_int_equal(client_hello(f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static struct session *session_of(const struct fixture *f)
{
	return LIST_FIRST(&f->ss->list);
}

static void assert_wiped(const struct fixture *f)
{
	assert_null(memmem(f->ss->message, sizeof(f->ss->message), SECRET, strlen(SECRET)));
}

static void test_no_key_stays_where_its_message_was(void **state)
{
	struct fixture *f = *state;
	struct wire_head head;

	assert_int_equal(ask_mount(f, "oss://bucket/models/", "id", SECRET, 0), 0);
	assert_string_equal(fake.last_secret, SECRET);
	assert_wiped(f);
	assert_int_equal(ask_mount(f, "oss://bad/", "id", SECRET, 0), -EACCES);
	assert_wiped(f);
	/* Flags that nobody knows: refused before anything is done with the strings. */
	assert_int_equal(ask_mount(f, "oss://bucket/", "id", SECRET, 1u << 31), -EINVAL);
	assert_wiped(f);
	/* And a message that is none of ours. */
	head = wire_head(WIRE_MOUNT, 1, sizeof(head));
	head.magic++;
	memcpy(f->c.in.bytes, &head, sizeof(head));
	strcpy(f->c.in.bytes + sizeof(head), SECRET);
	client_send_raw(&f->c, f->c.in.bytes, sizeof(head) + sizeof(SECRET));
	while (sessions_count(f->ss) != 0)
		turn(f);
	assert_wiped(f);
}

static void test_the_daemons_keys_are_for_its_own_user_only(void **state)
{
	struct fixture *f = *state;
	uid_t other = geteuid() == 0 ? 1 : 0; /* a daemon that is not root serves root as well */
	int pair[2];

	client_close(&f->c);
	f->c = (struct client){ .fd = -1, .kick = -1, .notify = -1 };
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	f->c.fd = pair[0];
	session_new(f->ss, pair[1], other, getpid());
	assert_int_equal(client_hello(f), 0);
	assert_int_equal(ask_mount(f, "oss://bucket/models/", "", "", 0), 0);
	assert_string_equal(fake.last_key, "");
	assert_string_equal(fake.last_secret, "");
	assert_int_equal(fake.last_uid, other);
}

static void test_pins_of_a_dead_client_are_given_back_while_others_read(void **state)
{
	struct fixture *f = *state;
	struct cache_stats st;
	struct object *o;

	assert_int_equal(ask_mount(f, "oss://bucket/models/", "", "", 0), 0);
	assert_int_equal(ask_open(f, 1, "file"), 0);
	o = fake.last_object; /* as another client has it */
	object_ref(o);
	object_use(o);
	assert_int_equal(ask_pin(f, WIRE_PIN, f->c.in.open.object, 0, 3), 0);
	client_close(&f->c);
	while (sessions_count(f->ss) != 0)
		turn(f);
	cache_stats(f->cache, &st);
	assert_int_equal(st.objects, 1);
	assert_int_equal(st.pinned, 0);
	object_unuse(o);
	object_unref(o);
}

/* ---- hits are free -------------------------------------------------------------------- */

static bool wants_touch(const struct fixture *f)
{
	return __atomic_load_n(&f->c.mem->want_touch, __ATOMIC_RELAXED) != 0;
}

static void test_touches_need_not_be_told_before_the_cache_is_full(void **state)
{
	const struct object_spec spec = { .key = "big", .etag = "e1", .size = FAKE_CHUNK * 20 };
	struct fixture *f = *state;
	struct fill *fills[20];
	struct object *o;
	unsigned i, nr = 0, waited;

	assert_int_equal(object_new(f->cache, fake.mount.table, &spec, &o), 0);
	object_use(o);
	for (i = 0; i < 8; i++)
		assert_int_equal(fill_begin(o, nr, FETCH_READAHEAD, &fills[nr]), 0), nr++;
	/* Any request makes the daemon look at its cache. */
	for (i = 0; i < 100; i++) {
		assert_int_equal(ask_path(f, WIRE_PREFETCH, 9, ""), -EBADF);
		assert_false(wants_touch(f));
	}
	while (fill_begin(o, nr, FETCH_READAHEAD, &fills[nr]) == 0)
		nr++;
	assert_int_equal(nr, 16);
	for (waited = 0; waited < PATIENCE_MS && !wants_touch(f); waited++) {
		turn(f);
		(void)poll(NULL, 0, 1);
	}
	assert_true(wants_touch(f));
	for (i = 0; i < nr; i++)
		assert_int_equal(fill_finish(fills[i], -EAGAIN), -EAGAIN);
	object_unuse(o);
	object_unref(o);
}

/* ---- bounds ----------------------------------------------------------------------------- */

static void test_open_files_of_a_session_are_bounded(void **state)
{
	struct fixture *f = *state;
	uint32_t number = 0, i;

	for (i = 0; i < SESSION_OBJECTS_MAX; i++)
		assert_int_equal(session_hold(session_of(f), 1, NULL, &number), 0);
	assert_int_equal(session_hold(session_of(f), 1, NULL, &number), -EMFILE);
	/* Told to the client, whose mount is not the worse for it. */
	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
	assert_int_equal(ask_open(f, 1, "file"), -EMFILE);
	assert_int_equal(ask_object(f, WIRE_CLOSE, number), 0);
	assert_int_equal(ask_open(f, 1, "file"), 0);
	assert_int_equal(f->c.in.open.object, number);
}

static void test_requests_that_wait_are_bounded(void **state)
{
	struct fixture *f = *state;
	union {
		struct wire_mount msg;
		char bytes[1024];
	} m = { .msg.flags = 0 };
	struct wire_str strings[WIRE_MOUNT_NR_STRINGS] = { { "oss://wait/", 11 } };
	int len = wire_pack(&m, sizeof(m), offsetof(struct wire_mount, strings), m.msg.len, strings,
			    WIRE_MOUNT_NR_STRINGS);
	unsigned i;

	for (i = 0; i < SESSION_PENDING_MAX; i++) {
		m.msg.head = wire_head(WIRE_MOUNT, 100 + i, (uint32_t)len);
		client_send_raw(&f->c, &m, (size_t)len);
		turn(f);
	}
	assert_int_equal(session_of(f)->nr_pending, SESSION_PENDING_MAX);
	assert_int_equal(ask(f, &m.msg.head, WIRE_MOUNT, (size_t)len), -EAGAIN);
	assert_int_equal(session_of(f)->nr_pending, SESSION_PENDING_MAX);
}

static void test_answers_that_nobody_reads_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct wire_object request;
	unsigned i, most = 0;

	for (i = 0; i < 100000 && sessions_count(f->ss) == 1; i++) {
		request = (struct wire_object){ .head = wire_head(WIRE_CLOSE, i, sizeof(request)) };
		(void)!send(f->c.fd, &request, sizeof(request), MSG_DONTWAIT | MSG_NOSIGNAL);
		turn(f);
		if (sessions_count(f->ss) == 1 && session_of(f)->nr_parcels > most)
			most = session_of(f)->nr_parcels;
	}
	assert_int_equal(sessions_count(f->ss), 0);
	assert_int_equal(most, SESSION_OUTBOX_MAX);
}

static void test_pins_of_a_session_are_bounded(void **state)
{
	const uint64_t most = 1u << 22;
	struct fixture *f = *state;
	uint32_t number;

	assert_int_equal(ask_mount(f, "oss://bucket/models/", "", "", 0), 0);
	assert_int_equal(ask_open(f, 1, "file"), 0);
	number = f->c.in.open.object;
	/* As if it had them on other objects. */
	session_of(f)->nr_pins = most - 2;
	assert_int_equal(ask_pin(f, WIRE_PIN, number, 0, 3), -ENOSPC);
	assert_int_equal(ask_pin(f, WIRE_PIN, number, 0, 2), 0);
	assert_int_equal(session_of(f)->nr_pins, most);
	session_of(f)->nr_pins = 2;
}

static void test_sessions_are_bounded_and_so_are_those_that_are_told(void **state)
{
	struct fixture *f = *state;
	struct client first = f->c, over[64];
	int pair[2];
	unsigned i;

	sessions_set_bounds(f->ss, 1, 100);
	for (i = 0; i < 64; i++)
		client_connect(f, &over[i]);
	assert_int_equal(
		socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair), 0);
	assert_int_equal(sessions_adopt(f->ss, pair[1]), -EUSERS);
	close(pair[0]);
	f->c = over[0];
	assert_true(client_hello(f) < 0);
	over[0] = f->c;
	for (i = 0; i < 64; i++)
		client_close(&over[i]);
	while (sessions_count(f->ss) != 1)
		turn(f);
	f->c = first;
	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_key_stays_where_its_message_was),
		TEST(test_the_daemons_keys_are_for_its_own_user_only),
		TEST(test_pins_of_a_dead_client_are_given_back_while_others_read),
		TEST(test_touches_need_not_be_told_before_the_cache_is_full),
		TEST(test_open_files_of_a_session_are_bounded),
		TEST(test_requests_that_wait_are_bounded),
		TEST(test_answers_that_nobody_reads_are_bounded),
		TEST(test_pins_of_a_session_are_bounded),
		TEST(test_sessions_are_bounded_and_so_are_those_that_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
