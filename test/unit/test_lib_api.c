/* The C API against a daemon that the test drives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/lib/ossc.h"
#include "test/unit/fake_daemon.h"

#define A_SIZE (5 * FAKE_CHUNK + 123)

struct fixture {
	struct fake *daemon;
	struct ossc *conn;
	struct ossc_mount *mount;
	struct ossc_file *file; /* a.bin */
	unsigned char *buf;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct ossc_options options = { .size = sizeof(options), .flags = OSSC_NO_START };
	struct ossc_mount_options mount = { .size = sizeof(mount), .oss_path = "oss://b/" };

	f->buf = malloc(A_SIZE);
	f->daemon = fake_new();
	fake_start(f->daemon);
	options.socket = f->daemon->path;
	*state = f;
	return ossc_connect(&options, &f->conn) != 0 ||
	       ossc_mount(f->conn, &mount, &f->mount) != 0 ||
	       ossc_open(f->mount, "a.bin", &f->file) != 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ossc_close(f->file);
	ossc_unmount(f->mount);
	ossc_disconnect(f->conn);
	fake_free(f->daemon);
	free(f->buf);
	free(f);
	return 0;
}

static void test_reads_in_flight_arrive_by_the_event_descriptor(void **state)
{
	struct fixture *f = *state;
	struct ossc_read reads[6];
	struct ossc_done done[6];
	struct pollfd p = { .fd = ossc_event_fd(f->conn), .events = POLLIN };
	unsigned nr = 0, seen = 0, i;

	assert_true(p.fd >= 0);
	for (i = 0; i < 6; i++)
		reads[i] = (struct ossc_read){
			.file = f->file,
			.buf = f->buf + i * FAKE_CHUNK,
			.len = FAKE_CHUNK,
			.off = i * FAKE_CHUNK,
			.user = &reads[i],
		};
	reads[5].len = 123;
	assert_int_equal(ossc_submit(f->conn, reads, 6), 6);
	while (nr < 6) {
		int r, k;

		assert_int_equal(poll(&p, 1, 20000), 1);
		r = ossc_complete(f->conn, done, 6, 0);
		assert_true(r >= 0);
		for (k = 0; k < r; k++) {
			const struct ossc_read *one = done[k].user;

			assert_int_equal(done[k].result, one->len);
			seen |= 1u << (one - reads);
		}
		nr += (unsigned)r;
	}
	assert_int_equal(seen, 0x3f);
	assert_true(fake_is_right(0, f->buf, A_SIZE, 0));
	/* Nothing is in flight: nothing to wait for, and the descriptor is quiet. */
	assert_int_equal(ossc_complete(f->conn, done, 6, -1), 0);
	assert_int_equal(poll(&p, 1, 0), 0);
}

static void test_a_read_of_what_is_there_is_ready_at_once(void **state)
{
	struct fixture *f = *state;
	struct ossc_read read = { .file = f->file, .buf = f->buf, .len = 10, .user = f };
	struct pollfd p = { .fd = ossc_event_fd(f->conn), .events = POLLIN };
	struct ossc_done done;
	unsigned before;

	assert_int_equal(ossc_pread(f->file, f->buf, 10, 0), 10);
	before = fake_count(f->daemon, nr_fetches);
	assert_int_equal(ossc_submit(f->conn, &read, 1), 1);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_int_equal(ossc_complete(f->conn, &done, 1, 0), 1);
	assert_ptr_equal(done.user, f);
	assert_int_equal(done.result, 10);
	assert_int_equal(fake_count(f->daemon, nr_fetches), before);
}

static void test_a_read_that_fails_gives_its_errno(void **state)
{
	struct fixture *f = *state;
	struct ossc_read read = { .file = f->file, .buf = f->buf, .len = 10 };
	struct ossc_done done;

	fake_plan(f->daemon, (struct fake_plan){ .fail = EACCES, .nr_fails = 3 });
	assert_int_equal(ossc_submit(f->conn, &read, 1), 1);
	assert_int_equal(ossc_complete(f->conn, &done, 1, 20000), 1);
	assert_int_equal(done.result, -EACCES);
}

static void test_the_daemons_death_ends_reads_in_flight(void **state)
{
	struct fixture *f = *state;
	struct ossc_read read = { .file = f->file, .buf = f->buf, .len = 10 };
	struct pollfd p = { .fd = ossc_event_fd(f->conn), .events = POLLIN };
	struct ossc_done done;

	fake_plan(f->daemon, (struct fake_plan){ .silent = true });
	assert_int_equal(ossc_submit(f->conn, &read, 1), 1);
	assert_int_equal(ossc_complete(f->conn, &done, 1, 0), 0);
	fake_stop(f->daemon, true);
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(ossc_complete(f->conn, &done, 1, 20000), 1);
	assert_int_equal(done.result, -EIO);
}

static void test_a_chunk_that_goes_before_the_copy_is_asked_for_again(void **state)
{
	struct fixture *f = *state;
	struct ossc_read read = { .file = f->file, .buf = f->buf, .len = 10 };
	struct ossc_done done;

	fake_plan(f->daemon, (struct fake_plan){ .evict_after = true });
	assert_int_equal(ossc_submit(f->conn, &read, 1), 1);
	assert_int_equal(ossc_complete(f->conn, &done, 1, 20), 0);
	fake_plan(f->daemon, (struct fake_plan){ 0 });
	assert_int_equal(ossc_complete(f->conn, &done, 1, 20000), 1);
	assert_int_equal(done.result, 10);
	assert_true(fake_is_right(0, f->buf, 10, 0));
}

static void test_reads_in_flight_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct ossc_read *reads = calloc(OSSC_MAX_READS + 1, sizeof(*reads));
	struct ossc_done *done = calloc(OSSC_MAX_READS, sizeof(*done));
	unsigned i, nr = 0;

	for (i = 0; i <= OSSC_MAX_READS; i++)
		reads[i] = (struct ossc_read){ .file = f->file, .buf = f->buf, .len = 1 };
	assert_int_equal(ossc_submit(f->conn, reads, OSSC_MAX_READS + 1), OSSC_MAX_READS);
	assert_int_equal(ossc_submit(f->conn, reads, 1), -EAGAIN);
	while (nr < OSSC_MAX_READS) {
		int r = ossc_complete(f->conn, done, OSSC_MAX_READS, 20000);

		assert_true(r > 0);
		nr += (unsigned)r;
	}
	free(reads);
	free(done);
}

static void test_mapped_bytes_are_pinned_until_they_are_unmapped(void **state)
{
	struct fixture *f = *state;
	struct ossc_mapping *mapping;
	const void *bytes;

	assert_int_equal(ossc_map(f->file, 1000, A_SIZE - 1000, &bytes, &mapping), 0);
	assert_true(fake_is_right(0, bytes, A_SIZE - 1000, 1000));
	assert_int_equal(fake_count(f->daemon, files[0].nr_pins), 1);
	ossc_unmap(mapping);
	assert_int_equal(fake_count(f->daemon, files[0].nr_pins), 0);
	assert_int_equal(ossc_map(f->file, 1, A_SIZE, &bytes, &mapping), -EINVAL);
}

/*
 * Numbers of objects are given anew.  What the daemon has closed is not open again because another
 * mount's object lies in its slot, under its number.
 */
static void test_what_another_mount_leaves_open_is_not_taken_for_ones_own(void **state)
{
	struct fixture *f = *state;
	struct ossc_mount_options options = { .size = sizeof(options), .oss_path = "oss://b/" };
	struct wire_session *memory;
	struct ossc_mount *other;
	struct ossc_file *file;
	unsigned nr_opens;

	assert_int_equal(ossc_mount(f->conn, &options, &other), 0);
	pthread_mutex_lock(&f->daemon->lock);
	memory = f->daemon->sessions[0].memory;
	pthread_mutex_unlock(&f->daemon->lock);
	__atomic_store_n(&memory->takes_idle, 1, __ATOMIC_SEQ_CST);
	ossc_close(f->file);
	nr_opens = fake_count(f->daemon, nr_opens);
	/* Left there, and taken again without a word. */
	assert_int_not_equal(memory->idle[0], 0);
	assert_int_equal(ossc_open(f->mount, "a.bin", &f->file), 0);
	assert_int_equal(fake_count(f->daemon, nr_opens), nr_opens);
	ossc_close(f->file);
	/* The daemon closes it, and gives the other mount's object its number. */
	__atomic_store_n(&memory->idle[0], 0, __ATOMIC_SEQ_CST);
	assert_int_equal(ossc_open(other, "a.bin", &file), 0);
	ossc_close(file);
	assert_int_equal(fake_count(f->daemon, nr_opens), nr_opens + 1);
	assert_int_not_equal(memory->idle[0], 0);
	assert_int_equal(ossc_open(f->mount, "a.bin", &f->file), 0);
	assert_int_equal(fake_count(f->daemon, nr_opens), nr_opens + 2);
	/* It is still the other's. */
	assert_int_equal(ossc_open(other, "a.bin", &file), 0);
	assert_int_equal(fake_count(f->daemon, nr_opens), nr_opens + 2);
	ossc_close(file);
	ossc_unmount(other);
}

struct names {
	char text[200];
	int stop_after;
};

static int add_name(const char *path, const struct ossc_stat *st, void *arg)
{
	struct names *n = arg;

	strcat(n->text, path);
	strcat(n->text, st->is_dir ? "/ " : " ");
	return --n->stop_after == 0 ? 5 : 0;
}

static void test_listings_come_in_the_order_of_paths(void **state)
{
	struct fixture *f = *state;
	struct names n = { "", -1 };

	assert_int_equal(ossc_list(f->mount, "", 0, add_name, &n), 0);
	assert_string_equal(n.text, "a.bin dir/ empty ");
	n = (struct names){ "", -1 };
	assert_int_equal(ossc_list(f->mount, "", OSSC_LIST_RECURSIVE, add_name, &n), 0);
	assert_string_equal(n.text, "a.bin dir/ dir/b.bin dir/c.bin empty ");
	n = (struct names){ "", -1 };
	assert_int_equal(
		ossc_list(f->mount, "dir", OSSC_LIST_RECURSIVE | OSSC_LIST_FAST, add_name, &n), 0);
	assert_string_equal(n.text, "dir/b.bin dir/c.bin ");
	n = (struct names){ "", 2 };
	assert_int_equal(ossc_list(f->mount, "", 0, add_name, &n), 5);
	assert_string_equal(n.text, "a.bin dir/ ");
	assert_int_equal(ossc_list(f->mount, "a.bin", 0, add_name, &n), -ENOTDIR);
}

static void test_a_stat_tells_size_etag_and_kind(void **state)
{
	struct fixture *f = *state;
	struct ossc_stat st = { .size = sizeof(st) };

	assert_int_equal(ossc_stat(f->mount, "dir/b.bin", &st), 0);
	assert_int_equal(st.file_size, 300);
	assert_string_equal(st.etag, "B1");
	assert_false(st.is_dir);
	assert_int_equal(st.size, sizeof(st));
	/* A caller that knows fewer fields gets no more than those. */
	st = (struct ossc_stat){ .size = offsetof(struct ossc_stat, mtime_ns), .ino = 77 };
	assert_int_equal(ossc_stat(f->mount, "dir", &st), 0);
	assert_int_equal(st.ino, 77);
	st.size = 0;
	assert_int_equal(ossc_stat(f->mount, "dir", &st), -EINVAL);
}

static void test_options_of_a_newer_caller_are_not_ignored(void **state)
{
	struct {
		struct ossc_options known;
		int unknown;
	} o = { .known.size = sizeof(o), .unknown = 1 };
	struct fixture *f = *state;
	struct ossc *conn;

	o.known.socket = f->daemon->path;
	o.known.flags = OSSC_NO_START;
	assert_int_equal(ossc_connect(&o.known, &conn), -EINVAL);
	o.unknown = 0;
	assert_int_equal(ossc_connect(&o.known, &conn), 0);
	ossc_disconnect(conn);
}

static void test_a_failed_connect_is_explained(void **state)
{
	char text[300] = "";
	struct ossc_options o = {
		.size = sizeof(o),
		.socket = "/nonexistent/d.sock",
		.flags = OSSC_NO_START,
		.error = text,
		.error_len = sizeof(text),
	};
	struct ossc *conn;

	(void)state;
	assert_int_equal(ossc_connect(&o, &conn), -ENOENT);
	assert_non_null(strstr(text, "/nonexistent/d.sock"));
}

static void test_scattered_reads_status_and_verify(void **state)
{
	struct fixture *f = *state;
	struct iovec iov[2] = { { f->buf, 100 }, { f->buf + 200, 100 } };
	uint64_t crc;
	char *json;
	int known;

	assert_int_equal(ossc_preadv(f->file, iov, 2, A_SIZE - 150), 150);
	assert_true(fake_is_right(0, f->buf, 100, A_SIZE - 150));
	assert_true(fake_is_right(0, f->buf + 200, 50, A_SIZE - 50));
	assert_int_equal(ossc_status(f->conn, &json), 0);
	assert_string_equal(json, "{\"fake\": true}");
	free(json);
	assert_int_equal(ossc_verify(f->file, &crc, &known), 0);
	assert_int_equal(crc, 0x1234);
	assert_true(known);
	assert_true(ossc_crc64(0, "123456789", 9) == 0x995dc9bbdf1939faull);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_reads_in_flight_arrive_by_the_event_descriptor),
		TEST(test_a_read_of_what_is_there_is_ready_at_once),
		TEST(test_a_read_that_fails_gives_its_errno),
		TEST(test_the_daemons_death_ends_reads_in_flight),
		TEST(test_a_chunk_that_goes_before_the_copy_is_asked_for_again),
		TEST(test_reads_in_flight_are_bounded),
		TEST(test_mapped_bytes_are_pinned_until_they_are_unmapped),
		TEST(test_what_another_mount_leaves_open_is_not_taken_for_ones_own),
		TEST(test_listings_come_in_the_order_of_paths),
		TEST(test_a_stat_tells_size_etag_and_kind),
		TEST(test_options_of_a_newer_caller_are_not_ignored),
		TEST(test_a_failed_connect_is_explained),
		TEST(test_scattered_reads_status_and_verify),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
