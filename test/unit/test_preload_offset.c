/* File offsets that dup and fork share, and exec finds in the kernel. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/preload/offset.c"

#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* Any descriptor with an offset of its own. */
static int some_file(void)
{
	char name[] = "/tmp/test_preload_offset.XXXXXX";
	int fd = mkstemp(name);

	assert_int_not_equal(fd, -1);
	unlink(name);
	return fd;
}

static void test_readers_take_one_after_the_other_up_to_the_end(void **state)
{
	struct cell *c = offset_new();
	uint64_t len;

	(void)state;
	assert_non_null(c);
	assert_int_equal(offset_take(c, -1, 60, 100, &len), 0);
	assert_int_equal(len, 60);
	assert_int_equal(offset_take(c, -1, 60, 100, &len), 60);
	assert_int_equal(len, 40);
	assert_int_equal(offset_take(c, -1, 60, 100, &len), 100);
	assert_int_equal(len, 0);
	offset_set(c, -1, 500);
	assert_int_equal(offset_take(c, -1, 1, 100, &len), 500);
	assert_int_equal(len, 0);
	assert_true(offset_put(c));
}

static void test_a_failed_read_gives_its_bytes_back_unless_others_went_on(void **state)
{
	struct cell *c = offset_new();
	uint64_t len;

	(void)state;
	offset_take(c, -1, 10, 100, &len);
	offset_untake(c, -1, 0, 10);
	assert_int_equal(offset_get(c, -1), 0);
	offset_take(c, -1, 10, 100, &len);
	offset_take(c, -1, 10, 100, &len);
	offset_untake(c, -1, 0, 10);
	assert_int_equal(offset_get(c, -1), 20);
	assert_true(offset_put(c));
}

static void test_a_forked_child_moves_its_parents_offset(void **state)
{
	struct cell *c = offset_new();
	uint64_t len;
	int status;
	pid_t pid;

	(void)state;
	offset_fork_begins();
	pid = fork();
	if (pid == 0) {
		offset_in_child();
		offset_take(c, -1, 30, 100, &len);
		/* Not the maker's: a child may not use the cell again. */
		_exit(offset_put(c) ? 1 : 0);
	}
	offset_fork_ended();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(offset_get(c, -1), 30);
	assert_false(offset_put(c)); /* the child may have it still */
}

static void test_what_is_open_while_a_fork_is_under_way_is_not_used_again(void **state)
{
	struct cell *before = offset_new(), *during, *after;

	(void)state;
	offset_fork_begins();
	assert_false(offset_put(before));
	during = offset_new();
	assert_false(offset_put(during));
	offset_fork_ended();
	assert_false(offset_put(before));
	assert_false(offset_put(during));
	after = offset_new();
	assert_true(offset_put(after));
}

static void *to_kernel(void *arg)
{
	struct cell *c = ((void **)arg)[0];

	offset_to_kernel(c, *(int *)((void **)arg)[1]);
	return NULL;
}

/* What a reader does between the two must not be undone by the second. */
static void test_two_who_hand_an_offset_to_the_kernel_leave_readers_alone(void **state)
{
	int fd = some_file(), round;
	uint64_t len;

	(void)state;
	for (round = 0; round < 2000; round++) {
		struct cell *c = offset_new();
		void *arg[] = { c, &fd };
		pthread_t one, two;

		offset_set(c, fd, 100);
		pthread_create(&one, NULL, to_kernel, arg);
		pthread_create(&two, NULL, to_kernel, arg);
		assert_int_equal(offset_take(c, fd, 10, 1000, &len), 100);
		assert_int_equal(offset_take(c, fd, 10, 1000, &len), 110);
		pthread_join(one, NULL);
		pthread_join(two, NULL);
		assert_int_equal(offset_get(c, fd), 120);
	}
	close(fd);
}

static void test_a_childs_new_cells_are_its_own(void **state)
{
	int status;
	pid_t pid;

	(void)state;
	pid = fork();
	if (pid == 0) {
		struct cell *mine = offset_new();

		offset_set(mine, -1, 77);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(offset_get(offset_new(), -1), 0);
}

static void test_once_in_the_kernel_it_stays_there(void **state)
{
	struct cell *c = offset_new();
	int fd = some_file();
	uint64_t len;

	(void)state;
	offset_set(c, fd, 40);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 0);
	offset_to_kernel(c, fd);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 40);
	assert_int_equal(offset_take(c, fd, 25, 100, &len), 40);
	assert_int_equal(lseek(fd, 0, SEEK_CUR), 65);
	lseek(fd, 90, SEEK_SET);
	assert_int_equal(offset_take(c, fd, 25, 100, &len), 90);
	assert_int_equal(len, 10);
	offset_untake(c, fd, 90, 10);
	assert_int_equal(offset_get(c, fd), 90);
	close(fd);
}

static void test_more_cells_than_a_region_holds_are_all_different(void **state)
{
	struct cell *cells[600];
	unsigned i;

	(void)state;
	for (i = 0; i < 600; i++) {
		cells[i] = offset_new();
		assert_non_null(cells[i]);
		offset_set(cells[i], -1, i);
	}
	for (i = 0; i < 600; i++)
		assert_int_equal(offset_get(cells[i], -1), i);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers_take_one_after_the_other_up_to_the_end),
		cmocka_unit_test(test_a_failed_read_gives_its_bytes_back_unless_others_went_on),
		cmocka_unit_test(test_a_forked_child_moves_its_parents_offset),
		cmocka_unit_test(test_what_is_open_while_a_fork_is_under_way_is_not_used_again),
		cmocka_unit_test(test_two_who_hand_an_offset_to_the_kernel_leave_readers_alone),
		cmocka_unit_test(test_a_childs_new_cells_are_its_own),
		cmocka_unit_test(test_once_in_the_kernel_it_stays_there),
		cmocka_unit_test(test_more_cells_than_a_region_holds_are_all_different),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
