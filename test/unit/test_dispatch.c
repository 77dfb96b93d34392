/* Messages that no honest client sends: answered or the end of that session, nothing worse. */
#include "test/unit/session_fixture.h"

static int setup(void **state)
{
	*state = fixture_new();
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

static const char *text_of(struct fixture *f)
{
	assert_int_equal(f->c.in.head.len, sizeof(struct wire_error));
	return f->c.in.error.text;
}

static void test_hello_brings_memory_kick_and_notify(void **state)
{
	struct fixture *f = *state;
	off_t size;

	assert_int_equal(client_hello(f), 0);
	assert_int_equal(f->c.in.hello.wire_version, WIRE_VERSION);
	assert_int_equal(f->c.in.hello.daemon_pid, getpid());
	size = lseek(f->c.fds[0], 0, SEEK_END);
	assert_int_equal(size, sizeof(struct wire_session));
	/* Neither side can cut it short under the other. */
	assert_int_equal(ftruncate(f->c.fds[0], 0), -1);
	assert_int_equal(sessions_count(f->ss), 1);
}

static void test_another_version_is_told_both(void **state)
{
	struct fixture *f = *state;
	struct wire_hello hello = {
		.head = wire_head(WIRE_HELLO, 9, sizeof(hello)),
		.wire_version = WIRE_VERSION + 6,
	};

	hello.head.version = WIRE_VERSION + 6;
	client_send_raw(&f->c, &hello, sizeof(hello));
	client_receive(f, &f->c);
	assert_int_equal(f->c.in.head.status, -EPROTO);
	assert_int_equal(f->c.in.head.seq, 9);
	assert_non_null(strstr(text_of(f), "version 1 of its protocol"));
	assert_non_null(strstr(text_of(f), "version 7"));
	/* What goes on after that is shut out. */
	client_send_raw(&f->c, &hello, sizeof(hello));
	assert_int_equal(client_receive(f, &f->c), 0);
}

static void test_a_longer_hello_of_the_future_is_understood_enough(void **state)
{
	struct fixture *f = *state;
	struct {
		struct wire_head head;
		uint32_t wire_version;
		char more[1000];
	} hello = { .head = wire_head(WIRE_HELLO, 1, sizeof(hello)), .wire_version = 2 };

	client_send_raw(&f->c, &hello, sizeof(hello));
	client_receive(f, &f->c);
	assert_int_equal(f->c.in.head.status, -EPROTO);
	assert_non_null(strstr(text_of(f), "version 2"));
}

static void test_requests_before_hello_are_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_head status = { 0 };

	assert_int_equal(ask(f, &status, WIRE_STATUS, sizeof(status)), -EPROTO);
	assert_non_null(strstr(text_of(f), "before HELLO"));
	assert_int_equal(client_hello(f), 0);
}

static void test_a_second_hello_is_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_hello hello = { .wire_version = WIRE_VERSION };

	assert_int_equal(client_hello(f), 0);
	assert_int_equal(ask(f, &hello.head, WIRE_HELLO, sizeof(hello)), -EPROTO);
}

static void test_rubbish_ends_the_session(void **state)
{
	struct fixture *f = *state;
	struct wire_head heads[] = {
		wire_head(WIRE_STATUS, 1, sizeof(struct wire_head)),
		wire_head(WIRE_STATUS, 1, sizeof(struct wire_head) - 1),
		wire_head(WIRE_STATUS, 1, UINT32_MAX),
	};
	char big[WIRE_MAX + 100] = { 0 };
	size_t i;

	heads[0].magic ^= 1;
	for (i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
		client_send_raw(&f->c, &heads[i], sizeof(heads[i]));
		assert_int_equal(client_receive(f, &f->c), 0);
		client_close(&f->c);
		client_connect(f, &f->c);
	}
	client_send_raw(&f->c, "x", 1);
	assert_int_equal(client_receive(f, &f->c), 0);
	client_close(&f->c);
	client_connect(f, &f->c);
	heads[0] = wire_head(WIRE_STATUS, 1, sizeof(big));
	memcpy(big, &heads[0], sizeof(heads[0]));
	client_send_raw(&f->c, big, sizeof(big));
	assert_int_equal(client_receive(f, &f->c), 0);
}

static void test_every_type_with_every_wrong_length_is_answered(void **state)
{
	struct fixture *f = *state;
	const uint32_t version = WIRE_VERSION;
	char message[256];
	uint16_t type;
	size_t len;

	assert_int_equal(client_hello(f), 0);
	for (type = 0; type < WIRE_NR_TYPES + 3; type++)
		for (len = sizeof(struct wire_head); len < 80; len++) {
			memset(message, 0xff, sizeof(message));
			if (type == WIRE_HELLO)
				memcpy(message + sizeof(struct wire_head), &version,
				       sizeof(version));
			ask(f, (struct wire_head *)message, type, len);
			if (type != WIRE_STATUS || len != sizeof(struct wire_head))
				assert_true(f->c.in.head.status < 0);
		}
	assert_int_equal(sessions_count(f->ss), 1);
	assert_int_equal(fake.nr_attached, 0);
}

static void test_numbers_of_nothing_are_refused(void **state)
{
	static const uint32_t numbers[] = { 0, 1, 64, 65, 65536, UINT32_MAX };
	struct fixture *f = *state;
	size_t i;

	assert_int_equal(client_hello(f), 0);
	for (i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_int_equal(ask_open(f, numbers[i], "file"), -EBADF);
		assert_int_equal(ask_path(f, WIRE_PREFETCH, numbers[i], ""), -EBADF);
		assert_int_equal(ask_path(f, WIRE_UMOUNT, numbers[i], ""), -EBADF);
		assert_int_equal(ask_object(f, WIRE_CLOSE, numbers[i]), -EBADF);
		assert_int_equal(ask_object(f, WIRE_VERIFY, numbers[i]), -EBADF);
		assert_int_equal(ask_pin(f, WIRE_PIN, numbers[i], 0, 1), -EBADF);
		assert_int_equal(ask_pin(f, WIRE_UNPIN, numbers[i], 0, 1), -EBADF);
	}
}

static void test_strings_that_do_not_fill_the_message_are_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_mount mount = { .len = { 1000 } };
	struct wire_open open = { .mount = 1, .path_len = 5 };
	union {
		struct wire_mount msg;
		char bytes[sizeof(struct wire_mount) + 4];
	} nul = { .msg.len = { 4 } };

	assert_int_equal(client_hello(f), 0);
	assert_int_equal(ask(f, &mount.head, WIRE_MOUNT, sizeof(mount)), -EPROTO);
	assert_int_equal(ask(f, &open.head, WIRE_OPEN, sizeof(open)), -EPROTO);
	assert_int_equal(ask(f, &nul.msg.head, WIRE_MOUNT, sizeof(nul)), -EINVAL);
	mount = (struct wire_mount){ .flags = 0x80000000u };
	assert_int_equal(ask(f, &mount.head, WIRE_MOUNT, sizeof(mount)), -EINVAL);
	assert_int_equal(fake.nr_attached, 0);
}

static void test_descriptors_that_a_client_sends_are_dropped(void **state)
{
	struct fixture *f = *state;
	struct wire_head status = wire_head(WIRE_STATUS, 1, sizeof(status));
	union {
		struct cmsghdr head;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { .head = { .cmsg_len = CMSG_LEN(sizeof(int)),
				.cmsg_level = SOL_SOCKET,
				.cmsg_type = SCM_RIGHTS } };
	struct iovec iov = { &status, sizeof(status) };
	struct msghdr msg = { .msg_iov = &iov,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control) };
	int pipe_fds[2];
	char byte;

	assert_int_equal(client_hello(f), 0);
	assert_int_equal(pipe(pipe_fds), 0);
	memcpy(CMSG_DATA(&control.head), &pipe_fds[1], sizeof(int));
	assert_int_equal(sendmsg(f->c.fd, &msg, 0), sizeof(status));
	client_receive(f, &f->c);
	assert_int_equal(f->c.in.head.status, 0);
	close(pipe_fds[1]);
	/* Nobody else holds the writing end. */
	assert_int_equal(read(pipe_fds[0], &byte, 1), 0);
	close(pipe_fds[0]);
}

static void test_who_does_not_read_loses_its_session(void **state)
{
	struct fixture *f = *state;
	struct wire_head status = wire_head(WIRE_STATUS, 1, sizeof(status));
	unsigned i;

	assert_int_equal(client_hello(f), 0);
	for (i = 0; i < 100000 && sessions_count(f->ss) == 1; i++) {
		if (send(f->c.fd, &status, sizeof(status), MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
			assert_true(errno == EAGAIN || errno == EPIPE);
		turn(f);
	}
	assert_int_equal(sessions_count(f->ss), 0);
}

static void test_answers_that_waited_come_in_order(void **state)
{
	struct fixture *f = *state;
	struct wire_head status;
	unsigned sent = 0, i;

	assert_int_equal(client_hello(f), 0);
	/* More than the socket takes, less than the outbox refuses. */
	for (i = 0; i < 400; i++) {
		status = wire_head(WIRE_STATUS, i, sizeof(status));
		if (send(f->c.fd, &status, sizeof(status), MSG_DONTWAIT | MSG_NOSIGNAL) == -1)
			break;
		sent++;
		turn(f);
	}
	assert_in_range(sent, 100, 400);
	for (i = 0; i < sent; i++) {
		assert_true(client_receive(f, &f->c) > 0);
		assert_int_equal(f->c.in.head.seq, i);
		assert_int_equal(f->c.nr_fds, 1);
	}
}

static void test_too_many_clients_are_told_so(void **state)
{
	struct fixture *f = *state;
	struct client first = f->c, more[2];
	unsigned i;

	for (i = 0; i < 2; i++)
		client_connect(f, &more[i]);
	client_connect(f, &f->c); /* the fourth of one user, where three may be */
	assert_int_equal(client_hello(f), -EBUSY);
	assert_non_null(strstr(text_of(f), "maxSessionsPerUser 3"));
	client_close(&f->c);
	client_close(&more[0]);
	turn(f);
	turn(f);
	client_connect(f, &f->c);
	assert_int_equal(client_hello(f), 0);
	client_close(&more[1]);
	client_close(&first);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_hello_brings_memory_kick_and_notify),
		TEST(test_another_version_is_told_both),
		TEST(test_a_longer_hello_of_the_future_is_understood_enough),
		TEST(test_requests_before_hello_are_refused),
		TEST(test_a_second_hello_is_refused),
		TEST(test_rubbish_ends_the_session),
		TEST(test_every_type_with_every_wrong_length_is_answered),
		TEST(test_numbers_of_nothing_are_refused),
		TEST(test_strings_that_do_not_fill_the_message_are_refused),
		TEST(test_descriptors_that_a_client_sends_are_dropped),
		TEST(test_who_does_not_read_loses_its_session),
		TEST(test_answers_that_waited_come_in_order),
		TEST(test_too_many_clients_are_told_so),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
