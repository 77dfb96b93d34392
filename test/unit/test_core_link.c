/* Sessions and mounts: what may go wrong on the way to the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/core/dir.h"
#include "libclient/core/link.h"
#include "libclient/core/view.h"
#include "test/unit/fake_daemon.h"

#include <sys/wait.h>

struct fixture {
	struct fake *daemon;
	struct link *link;
	struct view *view;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->daemon = fake_new();
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	view_free(f->view);
	link_free(f->link);
	fake_free(f->daemon);
	free(f);
	return 0;
}

static void make(struct fixture *f, uint32_t flags, unsigned wait_ms)
{
	struct link_conf conf = { .socket = f->daemon->path };
	struct view_conf mount = { .oss_path = "oss://bucket/",
				   .flags = flags,
				   .wait_ms = wait_ms };

	assert_int_equal(link_new(&conf, &f->link), 0);
	assert_int_equal(view_new(f->link, &mount, &f->view), 0);
}

static void expect_text(struct fixture *f, const char *part)
{
	char text[LINK_TEXT];

	link_error_text(f->link, text, sizeof(text));
	if (strstr(text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", text, part);
}

static void test_no_daemon_names_the_socket(void **state)
{
	struct fixture *f = *state;

	make(f, 0, 1000);
	assert_int_equal(link_connect(f->link), -ENOENT);
	expect_text(f, f->daemon->path);
	expect_text(f, "start osscd");
	assert_int_equal(link_serial(f->link), 0);
}

static void test_another_version_is_refused_with_both_numbers(void **state)
{
	struct fixture *f = *state;

	f->daemon->plan.hello_version = WIRE_VERSION + 41;
	fake_start(f->daemon);
	make(f, 0, 1000);
	assert_int_equal(link_connect(f->link), -EPROTO);
	expect_text(f, "version 42");
	expect_text(f, "same release");
}

static void test_a_directory_that_others_may_write_is_not_trusted(void **state)
{
	struct fixture *f = *state;

	fake_start(f->daemon);
	assert_int_equal(chmod(f->daemon->dir, 0777), 0);
	make(f, 0, 1000);
	assert_int_equal(link_connect(f->link), -EACCES);
	expect_text(f, "not trusted");
	assert_int_equal(fake_count(f->daemon, nr_hellos), 0);
}

static void test_a_socket_that_is_not_for_this_user_says_so(void **state)
{
	struct fixture *f = *state;
	int status = -1;
	pid_t pid;

	if (geteuid() != 0)
		skip(); /* only root can become somebody else */
	fake_start(f->daemon);
	assert_int_equal(chmod(f->daemon->dir, 0711), 0);
	assert_int_equal(chmod(f->daemon->path, 0600), 0);
	make(f, 0, 1000);
	pid = fork();
	if (pid == 0) {
		char text[LINK_TEXT];

		if (setuid(65534) != 0 || link_connect(f->link) != -EACCES)
			_exit(1);
		link_error_text(f->link, text, sizeof(text));
		_exit(strstr(text, "may not be used by this user") != NULL ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_a_socket_path_that_is_too_long_is_refused(void **state)
{
	char path[300];
	struct link_conf conf = { .socket = path };
	struct link *l;

	(void)state;
	memset(path, 'x', sizeof(path) - 1);
	path[sizeof(path) - 1] = '\0';
	assert_int_equal(link_new(&conf, &l), -ENAMETOOLONG);
}

static void test_descriptors_are_out_of_the_programs_way(void **state)
{
	struct fixture *f = *state;
	int before, after;

	fake_start(f->daemon);
	before = dup(0);
	close(before);
	make(f, 0, 5000);
	assert_int_equal(view_attach(f->view), 0);
	after = dup(0);
	close(after);
	/* The fake's own descriptors of the session are low; ours are not. */
	assert_true(link_socket_fd(f->link) >= 100);
	assert_true(link_notify_fd(f->link) >= 100);
	assert_true(after - before <= 5);
}

static void test_a_secondary_gives_up_after_its_time(void **state)
{
	struct fixture *f = *state;

	fake_plan(f->daemon, (struct fake_plan){ .no_mount = true });
	fake_start(f->daemon);
	make(f, WIRE_MOUNT_SECONDARY, 300);
	assert_int_equal(view_attach(f->view), -ENOENT);
	assert_true(fake_count(f->daemon, nr_mounts) > 1);
}

static void *allow_mounts(void *arg)
{
	struct fake *d = arg;

	while (fake_count(d, nr_mounts) == 0)
		sched_yield();
	fake_plan(d, (struct fake_plan){ 0 });
	return NULL;
}

static void test_a_secondary_waits_for_its_primary(void **state)
{
	struct fixture *f = *state;
	pthread_t thread;

	fake_plan(f->daemon, (struct fake_plan){ .no_mount = true });
	fake_start(f->daemon);
	make(f, WIRE_MOUNT_SECONDARY, 20000);
	assert_int_equal(pthread_create(&thread, NULL, allow_mounts, f->daemon), 0);
	assert_int_equal(view_attach(f->view), 0);
	pthread_join(thread, NULL);
}

static void test_a_primary_is_told_the_daemons_reason(void **state)
{
	struct fixture *f = *state;

	fake_plan(f->daemon, (struct fake_plan){ .no_mount = true });
	fake_start(f->daemon);
	make(f, 0, 5000);
	assert_int_equal(view_attach(f->view), -ENOENT);
	expect_text(f, "the fake refuses request 2");
	assert_int_equal(fake_count(f->daemon, nr_mounts), 1);
}

static void test_a_daemon_that_does_not_answer_is_a_time_out(void **state)
{
	struct fixture *f = *state;

	fake_plan(f->daemon, (struct fake_plan){ .answer_nothing = true });
	fake_start(f->daemon);
	make(f, 0, 300);
	assert_int_equal(view_attach(f->view), -ETIMEDOUT);
	expect_text(f, "did not answer");
}

static void test_a_mount_asked_for_early_is_awaited_later(void **state)
{
	struct fixture *f = *state;

	fake_start(f->daemon);
	make(f, 0, 5000);
	assert_int_equal(view_start(f->view), 0);
	assert_int_equal(view_attach(f->view), 0);
	assert_int_equal(fake_count(f->daemon, nr_mounts), 1);
}

static void test_a_newer_snapshot_is_followed_and_the_old_one_stays(void **state)
{
	struct fixture *f = *state;
	struct snap *old;
	struct dir_entry e;
	struct dir d;
	unsigned nr = 0;

	fake_start(f->daemon);
	make(f, 0, 5000);
	assert_int_equal(view_attach(f->view), 0);
	old = view_snap(f->view);
	assert_int_equal(dir_stat(old, "new", 3, &e), -ENOENT);

	pthread_mutex_lock(&f->daemon->lock);
	f->daemon->serial = 2;
	assert_int_equal(fake_build_snapshot(f->daemon), 0);
	__atomic_store_n(&f->daemon->table->snapshot_serial, 2, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&f->daemon->lock);

	assert_int_equal(dir_open(f->view, "", 0, &d), 0);
	while (dir_next(&d, &e) == 1)
		nr++;
	dir_close(&d);
	assert_int_equal(nr, 4);
	assert_int_equal(fake_count(f->daemon, nr_snapshots), 1);
	assert_int_equal(dir_stat(old, "a.bin", 5, &e), 0);
	assert_int_equal(e.name_len, 5);
	assert_int_equal(dir_stat(old, "new", 3, &e), -ENOENT);
	snap_put(old);
}

static void test_directories_list_names_in_order(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = { "a.bin", "dir", "empty" };
	struct dir_entry e;
	struct dir d;
	unsigned i;

	fake_start(f->daemon);
	make(f, 0, 5000);
	assert_int_equal(view_attach(f->view), 0);
	assert_int_equal(dir_open(f->view, "/", 1, &d), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(dir_next(&d, &e), 1);
		assert_int_equal(e.name_len, strlen(names[i]));
		assert_memory_equal(e.name, names[i], e.name_len);
		assert_int_equal(e.is_dir, i == 1);
	}
	assert_int_equal(dir_next(&d, &e), 0);
	dir_rewind(&d);
	assert_int_equal(dir_next(&d, &e), 1);
	dir_close(&d);
	assert_int_equal(dir_open(f->view, "a.bin", 5, &d), -ENOTDIR);
	assert_int_equal(dir_open(f->view, "nowhere", 7, &d), -ENOENT);
}

static void *look_all_the_time(void *arg)
{
	struct fixture *f = arg;
	unsigned i;

	for (i = 0; i < 2000; i++) {
		struct snap *s = view_snap(f->view);
		struct dir_entry e;
		bool found = dir_stat(s, "dir/b.bin", 9, &e) == 0 && e.size == 300;

		snap_put(s);
		if (!found)
			return f;
	}
	return NULL;
}

static void test_snapshots_change_under_readers(void **state)
{
	struct fixture *f = *state;
	pthread_t threads[2];
	void *failed;
	unsigned i;

	fake_start(f->daemon);
	make(f, 0, 5000);
	assert_int_equal(view_attach(f->view), 0);
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_all_the_time, f), 0);
	for (i = 0; i < 50; i++)
		assert_int_equal(view_refresh(f->view), 0);
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
}

/* A program that is no daemon. */
static void test_a_daemon_that_ends_at_once_is_named(void **state)
{
	struct fixture *f = *state;
	char script[160], variable[200];
	char *envp[] = { variable, NULL };
	struct link_conf conf = { .socket = f->daemon->path, .spawn = true, .envp = envp };
	FILE *out;

	snprintf(script, sizeof(script), "%s/osscd", f->daemon->dir);
	snprintf(variable, sizeof(variable), "OSSC_DAEMON=%s", script);
	out = fopen(script, "w");
	assert_non_null(out);
	fputs("#!/bin/sh\necho \"bad: $#:$1:$2:$3:${LD_PRELOAD}${SECRET}\" >&2\nexit 1\n", out);
	fclose(out);
	assert_int_equal(chmod(script, 0755), 0);

	assert_int_equal(link_new(&conf, &f->link), 0);
	assert_int_equal(link_connect(f->link), -ECONNREFUSED);
	expect_text(f, "ended at once: bad: 4:--idle-exit:120:--socket:");
	unlink(script);
}

static void test_a_daemon_that_cannot_be_executed_is_named(void **state)
{
	struct fixture *f = *state;
	char *envp[] = { (char[]){ "OSSC_DAEMON=/nonexistent/osscd" }, NULL };
	struct link_conf conf = { .socket = f->daemon->path, .spawn = true, .envp = envp };

	assert_int_equal(link_new(&conf, &f->link), 0);
	assert_int_equal(link_connect(f->link), -ENOENT);
	expect_text(f, "/nonexistent/osscd");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_no_daemon_names_the_socket),
		TEST(test_another_version_is_refused_with_both_numbers),
		TEST(test_a_directory_that_others_may_write_is_not_trusted),
		TEST(test_a_socket_that_is_not_for_this_user_says_so),
		TEST(test_a_socket_path_that_is_too_long_is_refused),
		TEST(test_descriptors_are_out_of_the_programs_way),
		TEST(test_a_secondary_gives_up_after_its_time),
		TEST(test_a_secondary_waits_for_its_primary),
		TEST(test_a_primary_is_told_the_daemons_reason),
		TEST(test_a_daemon_that_does_not_answer_is_a_time_out),
		TEST(test_a_mount_asked_for_early_is_awaited_later),
		TEST(test_a_newer_snapshot_is_followed_and_the_old_one_stays),
		TEST(test_directories_list_names_in_order),
		TEST(test_snapshots_change_under_readers),
		TEST(test_a_daemon_that_ends_at_once_is_named),
		TEST(test_a_daemon_that_cannot_be_executed_is_named),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
