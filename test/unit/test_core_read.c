/* The read protocol against a daemon that the test drives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/core/dir.h"
#include "libclient/core/file.h"
#include "libclient/core/link.h"
#include "libclient/core/view.h"
#include "test/unit/fake_daemon.h"

#include <sys/wait.h>

#define A_SIZE (5 * FAKE_CHUNK + 123)

struct fixture {
	struct fake *daemon;
	struct link *link;
	struct view *view;
	struct file *file; /* a.bin */
	unsigned char *buf;
};

static int open_all(struct fixture *f, uint32_t flags)
{
	struct view_conf mount = { .oss_path = "oss://bucket/", .flags = flags, .wait_ms = 20000 };
	struct link_conf conf = { .socket = f->daemon->path };

	return link_new(&conf, &f->link) != 0 || view_new(f->link, &mount, &f->view) != 0;
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->buf = malloc(A_SIZE + 1);
	f->daemon = fake_new();
	fake_start(f->daemon);
	*state = f;
	return open_all(f, 0) != 0 || view_attach(f->view) != 0 ||
	       file_open(f->view, "a.bin", 5, &f->file) != 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	file_put(f->file);
	view_free(f->view);
	link_free(f->link);
	fake_free(f->daemon);
	free(f->buf);
	free(f);
	return 0;
}

static void test_a_read_across_chunks_gets_the_objects_bytes(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_read(f->file, f->buf, A_SIZE, 0), A_SIZE);
	assert_true(fake_is_right(0, f->buf, A_SIZE, 0));
	assert_int_equal(file_read(f->file, f->buf, 5000, FAKE_CHUNK - 1000), 5000);
	assert_true(fake_is_right(0, f->buf, 5000, FAKE_CHUNK - 1000));
}

static void test_a_read_is_short_only_at_the_end_of_the_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_read(f->file, f->buf, 1000, A_SIZE - 10), 10);
	assert_true(fake_is_right(0, f->buf, 10, A_SIZE - 10));
	assert_int_equal(file_read(f->file, f->buf, 1000, A_SIZE), 0);
	assert_int_equal(file_read(f->file, f->buf, 1000, UINT64_MAX), 0);
	assert_int_equal(file_read(f->file, f->buf, 0, 0), 0);
}

static void test_a_hit_asks_the_daemon_for_nothing(void **state)
{
	struct fixture *f = *state;
	unsigned before, i;

	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	before = fake_count(f->daemon, nr_fetches);
	for (i = 0; i < 1000; i++)
		assert_int_equal(file_read(f->file, f->buf, 4096, i * 64), 4096);
	assert_int_equal(fake_count(f->daemon, nr_fetches), before);
}

static void test_a_reader_needs_only_the_watermark(void **state)
{
	struct fixture *f = *state;
	uint32_t chunk;

	fake_plan(f->daemon, (struct fake_plan){ .watermark = 2 });
	assert_int_equal(file_read(f->file, f->buf, 8192, 0), 8192);
	assert_true(fake_is_right(0, f->buf, 8192, 0));
	assert_int_equal(file_read_try(f->file, f->buf, 1, 8191, &chunk), 1);
	assert_int_equal(file_read_try(f->file, f->buf, 2, 8191, &chunk), -EAGAIN);
	assert_int_equal(chunk, 0);
}

static void test_a_failed_chunk_is_tried_once_more(void **state)
{
	struct fixture *f = *state;

	fake_plan(f->daemon, (struct fake_plan){ .fail = EIO, .nr_fails = 1 });
	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	assert_true(fake_is_right(0, f->buf, 100, 0));
	assert_int_equal(fake_count(f->daemon, nr_retries), 1);
}

static void test_a_chunk_that_fails_again_gives_its_errno(void **state)
{
	struct fixture *f = *state;
	char text[LINK_TEXT];

	fake_plan(f->daemon, (struct fake_plan){ .fail = ESTALE, .nr_fails = 2 });
	assert_int_equal(file_read(f->file, f->buf, 100, 0), -ESTALE);
	assert_int_equal(fake_count(f->daemon, nr_retries), 1);
	link_error_text(f->link, text, sizeof(text));
	assert_non_null(strstr(text, "a.bin"));
	/* Not for ever: the next read asks again. */
	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
}

struct reader {
	struct fixture *f;
	ssize_t result;
	unsigned char buf[100];
};

static void *read_first_bytes(void *arg)
{
	struct reader *r = arg;

	r->result = file_read(r->f->file, r->buf, sizeof(r->buf), 0);
	return NULL;
}

static void test_a_daemon_that_dies_in_mid_wait_gives_an_error(void **state)
{
	struct fixture *f = *state;

	fake_plan(f->daemon, (struct fake_plan){ .die_on_fetch = true });
	assert_int_equal(file_read(f->file, f->buf, 100, 0), -EIO);
	fake_stop(f->daemon, false);
}

static void test_bytes_that_are_there_outlive_the_daemon(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	fake_stop(f->daemon, true);
	memset(f->buf, 0, 100);
	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	assert_true(fake_is_right(0, f->buf, 100, 0));
}

static void test_a_reader_goes_on_with_the_next_daemon(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	fake_stop(f->daemon, true);
	fake_start(f->daemon);
	assert_int_equal(file_read(f->file, f->buf, 100, 3 * FAKE_CHUNK), 100);
	assert_true(fake_is_right(0, f->buf, 100, 3 * FAKE_CHUNK));
	/* What was present before is not in the new daemon's memory: fetched, not zeros. */
	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	assert_true(fake_is_right(0, f->buf, 100, 0));
	assert_int_equal(fake_count(f->daemon, nr_hellos), 2);
}

static void test_another_version_after_the_daemons_death_is_stale(void **state)
{
	struct fixture *f = *state;

	fake_stop(f->daemon, true);
	strcpy(f->daemon->files[0].etag, "A2");
	fake_start(f->daemon);
	assert_int_equal(file_read(f->file, f->buf, 100, 0), -ESTALE);
}

struct evictor {
	struct fixture *f;
	bool stop;
};

static void *evict_all_the_time(void *arg)
{
	struct evictor *e = arg;
	uint32_t chunk = 0;

	while (!__atomic_load_n(&e->stop, __ATOMIC_RELAXED)) {
		fake_evict(e->f->daemon, 0, chunk++ % 2);
		sched_yield();
	}
	return NULL;
}

static void test_readers_that_race_eviction_see_no_zero(void **state)
{
	struct fixture *f = *state;
	struct evictor e = { .f = f };
	pthread_t thread;
	unsigned i;

	assert_int_equal(pthread_create(&thread, NULL, evict_all_the_time, &e), 0);
	for (i = 0; i < 300; i++) {
		uint64_t off = (uint64_t)i * 6151 % FAKE_CHUNK;

		memset(f->buf, 0, 65536);
		assert_int_equal(file_read(f->file, f->buf, 65536, off), 65536);
		assert_true(fake_is_right(0, f->buf, 65536, off));
	}
	__atomic_store_n(&e.stop, true, __ATOMIC_RELAXED);
	pthread_join(thread, NULL);
}

static void test_a_full_ring_only_delays(void **state)
{
	struct fixture *f = *state;
	struct reader r = { .f = f };
	pthread_t thread;
	unsigned i;

	fake_plan(f->daemon, (struct fake_plan){ .sleepy = true });
	for (i = 0; i < WIRE_NR_SUBMISSIONS; i++)
		file_advise(f->file, 0, 1, WIRE_ADVISE_RANDOM);
	assert_int_equal(file_fetch(f->file, 0, 1, 0), -EAGAIN);
	assert_int_equal(pthread_create(&thread, NULL, read_first_bytes, &r), 0);
	fake_plan(f->daemon, (struct fake_plan){ 0 });
	/* Its control loop comes round at any request. */
	assert_int_equal(view_prefetch(f->view, "", 0), 0);
	pthread_join(thread, NULL);
	assert_int_equal(r.result, 100);
	assert_true(fake_is_right(0, r.buf, 100, 0));
}

static void test_many_threads_read_one_file(void **state)
{
	struct fixture *f = *state;
	struct reader r[8];
	pthread_t threads[8];
	unsigned i;

	for (i = 0; i < 8; i++) {
		r[i].f = f;
		assert_int_equal(pthread_create(&threads[i], NULL, read_first_bytes, &r[i]), 0);
	}
	for (i = 0; i < 8; i++) {
		pthread_join(threads[i], NULL);
		assert_int_equal(r[i].result, 100);
		assert_true(fake_is_right(0, r[i].buf, 100, 0));
	}
}

static void test_a_forked_child_reads_in_a_session_of_its_own(void **state)
{
	struct fixture *f = *state;
	int status = -1;
	pid_t pid;

	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	pid = fork();
	if (pid == 0) {
		memset(f->buf, 0, 200);
		if (file_read(f->file, f->buf, 200, FAKE_CHUNK - 100) != 200)
			_exit(1);
		_exit(fake_is_right(0, f->buf, 200, FAKE_CHUNK - 100) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fake_count(f->daemon, nr_hellos), 2);
	/* The parent's session is untouched. */
	assert_int_equal(file_read(f->file, f->buf, 100, 4 * FAKE_CHUNK), 100);
	assert_int_equal(fake_count(f->daemon, nr_hellos), 2);
}

static void test_the_link_survives_closefrom(void **state)
{
	struct fixture *f = *state;
	int status = -1, report[2];
	char result = 0;
	pid_t pid;

	assert_int_equal(pipe(report), 0);
	pid = fork();
	if (pid == 0) {
		bool good = file_read(f->file, f->buf, 100, 0) == 100;

		dup2(report[1], 3);
		close_range(4, ~0u, 0);
		good = good && file_read(f->file, f->buf, 100, 2 * FAKE_CHUNK) == 100 &&
		       fake_is_right(0, f->buf, 100, 2 * FAKE_CHUNK);
		result = good ? 'y' : 'n';
		_exit(write(3, &result, 1) == 1 ? 0 : 1);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(read(report[0], &result, 1), 1);
	assert_int_equal(result, 'y');
	close(report[0]);
	close(report[1]);
}

static void test_moving_to_another_chunk_is_told(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	assert_int_equal(file_read(f->file, f->buf, A_SIZE, 0), A_SIZE);
	for (i = 0; i < 100; i++)
		assert_int_equal(file_read(f->file, f->buf, 10, i), 10);
	/* Any ring entry makes the fake look. */
	assert_int_equal(file_fetch(f->file, 0, 1, 0), 0);
	assert_int_equal(view_prefetch(f->view, "", 0), 0);
	assert_int_equal(fake_count(f->daemon, nr_touches), 6);
}

static void test_a_chunk_that_came_again_is_told_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	fake_evict(f->daemon, 0, 0);
	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	assert_int_equal(file_read(f->file, f->buf, 100, 50), 100);
	assert_int_equal(view_prefetch(f->view, "", 0), 0);
	assert_int_equal(fake_count(f->daemon, nr_touches), 2);
}

static void test_pinned_bytes_are_mapped_and_counted(void **state)
{
	struct fixture *f = *state;
	struct pin_range range;
	struct pin pin;
	int fd;

	assert_int_equal(pin_take(f->file, FAKE_CHUNK - 5, 10, &pin), 0);
	assert_int_equal(pin.nr_chunks, 2);
	assert_int_equal(pin_map(f->file, &pin, FAKE_CHUNK - 5, 10, &range), 0);
	assert_true(fake_is_right(0, range.bytes, 10, FAKE_CHUNK - 5));
	fd = file_memory_fd(f->file, &pin);
	assert_true(fd >= 0);
	assert_int_equal(pread(fd, f->buf, 10, FAKE_CHUNK - 5), 10);
	assert_true(fake_is_right(0, f->buf, 10, FAKE_CHUNK - 5));
	close(fd);
	/* The mapping is its own: another daemon's memory does not come in its place. */
	fake_stop(f->daemon, true);
	fake_start(f->daemon);
	assert_int_equal(file_read(f->file, f->buf, 100, 4 * FAKE_CHUNK), 100);
	assert_true(fake_is_right(0, range.bytes, 10, FAKE_CHUNK - 5));
	assert_int_equal(pin_map(f->file, &pin, 0, 10, &(struct pin_range){ 0 }), -EAGAIN);
	munmap(range.base, range.base_len);
	pin_drop(f->file, &pin);
}

static void test_a_refused_pin_says_so(void **state)
{
	struct fixture *f = *state;
	struct pin pin;

	fake_plan(f->daemon, (struct fake_plan){ .pin_error = -ENOSPC });
	assert_int_equal(pin_take(f->file, 0, 10, &pin), -ENOSPC);
	assert_int_equal(pin.serial, 0);
}

static void test_an_object_is_opened_once_in_a_process(void **state)
{
	struct fixture *f = *state;
	struct file *again, *empty;

	assert_int_equal(file_open(f->view, "dir/../a.bin", 12, &again), 0);
	assert_ptr_equal(again, f->file);
	file_put(again);
	assert_int_equal(fake_count(f->daemon, nr_opens), 1);
	assert_int_equal(file_open(f->view, "empty", 5, &empty), 0);
	assert_int_equal(file_size(empty), 0);
	assert_int_equal(file_read(empty, f->buf, 10, 0), 0);
	file_put(empty);
	assert_int_equal(fake_count(f->daemon, nr_opens), 1);
	assert_int_equal(file_open(f->view, "dir", 3, &again), -EISDIR);
	assert_int_equal(file_open(f->view, "no", 2, &again), -ENOENT);
	assert_int_equal(file_open(f->view, "a.bin/x", 7, &again), -ENOTDIR);
}

static void test_the_last_close_tells_the_daemon(void **state)
{
	struct fixture *f = *state;
	struct file *b;

	assert_int_equal(file_open(f->view, "dir/b.bin", 9, &b), 0);
	assert_int_equal(file_read(b, f->buf, 1000, 0), 300);
	assert_true(fake_is_right(1, f->buf, 300, 0));
	file_put(b);
	assert_int_equal(fake_count(f->daemon, nr_closes), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_a_read_across_chunks_gets_the_objects_bytes),
		TEST(test_a_read_is_short_only_at_the_end_of_the_file),
		TEST(test_a_hit_asks_the_daemon_for_nothing),
		TEST(test_a_reader_needs_only_the_watermark),
		TEST(test_a_failed_chunk_is_tried_once_more),
		TEST(test_a_chunk_that_fails_again_gives_its_errno),
		TEST(test_a_daemon_that_dies_in_mid_wait_gives_an_error),
		TEST(test_bytes_that_are_there_outlive_the_daemon),
		TEST(test_a_reader_goes_on_with_the_next_daemon),
		TEST(test_another_version_after_the_daemons_death_is_stale),
		TEST(test_readers_that_race_eviction_see_no_zero),
		TEST(test_a_full_ring_only_delays),
		TEST(test_many_threads_read_one_file),
		TEST(test_a_forked_child_reads_in_a_session_of_its_own),
		TEST(test_the_link_survives_closefrom),
		TEST(test_moving_to_another_chunk_is_told),
		TEST(test_a_chunk_that_came_again_is_told_again),
		TEST(test_pinned_bytes_are_mapped_and_counted),
		TEST(test_a_refused_pin_says_so),
		TEST(test_an_object_is_opened_once_in_a_process),
		TEST(test_the_last_close_tells_the_daemon),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
