#include "daemon/cache/memfile.h"

#include "daemon/base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define LEN (1u << 20)

static void fill(const struct memfile *m, uint64_t offset, size_t len)
{
	char *buf = malloc(len);

	assert_non_null(buf);
	memset(buf, 7, len);
	assert_int_equal(pwrite(m->fd, buf, len, (off_t)offset), len);
	free(buf);
}

static char byte_at(const struct memfile *m, uint64_t offset)
{
	char byte = -1;

	assert_int_equal(pread(m->client_fd, &byte, 1, (off_t)offset), 1);
	return byte;
}

static int reopen(int fd, int flags)
{
	char path[32];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	return again == -1 ? -errno : again;
}

static void test_a_memfd_has_its_size_and_keeps_it(void **state)
{
	struct memfile m;
	struct stat st;

	(void)state;
	assert_int_equal(memfile_new(NULL, LEN + 3, &m), 0);
	assert_int_equal(fstat(m.client_fd, &st), 0);
	assert_int_equal(st.st_size, LEN + 3);
	assert_int_equal(st.st_mode & 07777, 0400);
	assert_int_equal(memfile_used(&m), 0);
	assert_int_equal(ftruncate(m.fd, LEN), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(ftruncate(m.fd, LEN * 2), -1);
	assert_int_equal(errno, EPERM);
	assert_int_equal(fcntl(m.fd, F_ADD_SEALS, F_SEAL_WRITE), -1); /* nobody freezes it either */
	assert_int_equal(fcntl(m.fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fcntl(m.client_fd, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	memfile_close(&m);
	assert_int_equal(m.fd, -1);
	assert_int_equal(memfile_new(NULL, 0, &m), -EFBIG);
}

static void test_punching_works_in_spite_of_the_seals(void **state)
{
	struct memfile m;

	(void)state;
	assert_int_equal(memfile_new(NULL, LEN, &m), 0);
	fill(&m, 0, LEN);
	assert_int_equal(memfile_used(&m), LEN);
	assert_int_equal(memfile_punch(&m, 65536, 65536), 0);
	assert_int_equal(memfile_used(&m), LEN - 65536);
	assert_int_equal(byte_at(&m, 65535), 7);
	assert_int_equal(byte_at(&m, 65536), 0);
	assert_int_equal(byte_at(&m, 131072), 7);
	memfile_close(&m);
}

static void test_the_last_partial_page_is_punched_as_a_whole(void **state)
{
	struct memfile m;

	(void)state;
	assert_int_equal(memfile_new(NULL, LEN + 100, &m), 0);
	fill(&m, LEN, 100);
	assert_int_equal(memfile_used(&m), 4096);
	assert_int_equal(memfile_punch(&m, LEN, 4096), 0);
	assert_int_equal(memfile_used(&m), 0);
	memfile_close(&m);
}

static void test_the_clients_descriptor_cannot_write(void **state)
{
	struct memfile m;

	(void)state;
	assert_int_equal(memfile_new(NULL, LEN, &m), 0);
	assert_int_equal(pwrite(m.client_fd, "x", 1, 0), -1);
	assert_int_equal(errno, EBADF);
	assert_ptr_equal(mmap(NULL, LEN, PROT_WRITE, MAP_SHARED, m.client_fd, 0), MAP_FAILED);
	assert_int_equal(errno, EACCES);
	assert_int_equal(
		fallocate(m.client_fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
	assert_int_equal(errno, EBADF);
	memfile_close(&m);
}

static void test_a_reader_that_touches_a_hole_makes_a_page(void **state)
{
	struct memfile m;
	const volatile char *map;

	(void)state;
	assert_int_equal(memfile_new(NULL, LEN, &m), 0);
	map = mmap(NULL, LEN, PROT_READ, MAP_SHARED, m.client_fd, 0);
	assert_true(map != MAP_FAILED);
	assert_int_equal(map[8192], 0);
	assert_int_equal(memfile_used(&m), 4096); /* why stray.c exists */
	assert_int_equal(memfile_punch(&m, 0, LEN), 0);
	assert_int_equal(memfile_used(&m), 0);
	munmap((void *)map, LEN);
	memfile_close(&m);
}

static void test_mapped_memory_is_written_through_its_mapping_only(void **state)
{
	struct memfile m;
	void *map;
	int again;

	(void)state;
	assert_int_equal(memfile_new_mapped(LEN, &m, &map), 0);
	((char *)map)[5000] = 9;
	assert_int_equal(byte_at(&m, 5000), 9);
	/* Not even root, who may reopen it. */
	again = reopen(m.client_fd, O_RDWR);
	if (again >= 0) {
		assert_int_equal(pwrite(again, "x", 1, 0), -1);
		assert_int_equal(errno, EPERM);
		assert_ptr_equal(mmap(NULL, LEN, PROT_WRITE, MAP_SHARED, again, 0), MAP_FAILED);
		assert_int_equal(
			fallocate(again, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, 4096), -1);
		close(again);
	} else {
		assert_int_equal(again, -EACCES);
	}
	munmap(map, LEN);
	memfile_close(&m);
}

/* ---- a tmpfs of the daemon's own ---------------------------------------------------- */

/* In a mount namespace of its own, so that nothing is left behind.  False: not allowed here. */
static bool enter_own_mounts(void)
{
	if (unshare(CLONE_NEWNS) == -1)
		return false;
	return mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
}

static char dir[] = "/tmp/test_memfile.XXXXXX";

static int make_mount(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	if (mkdtemp(dir) == NULL)
		return -1;
	return 0;
}

static int drop_mount(void **state)
{
	char path[64];

	(void)state;
	memfile_unmount(dir);
	snprintf(path, sizeof(path), "%s/rw", dir);
	rmdir(path);
	snprintf(path, sizeof(path), "%s/ro", dir);
	rmdir(path);
	return rmdir(dir);
}

static void test_files_of_the_tmpfs_cannot_be_reopened_for_writing(void **state)
{
	struct memfile m;

	(void)state;
	if (!enter_own_mounts())
		skip();
	assert_int_equal(memfile_mount(dir, 4 * LEN, MEMFILE_SMALL), MEMFILE_SMALL);
	assert_int_equal(memfile_new(dir, LEN, &m), 0);
	fill(&m, 0, LEN);
	assert_int_equal(byte_at(&m, LEN - 1), 7);
	assert_int_equal(memfile_used(&m), LEN);
	assert_int_equal(reopen(m.client_fd, O_RDWR), -EROFS);
	assert_int_equal(reopen(m.client_fd, O_WRONLY), -EROFS);
	assert_int_equal(fchmod(m.client_fd, 0666), -1);
	assert_int_equal(errno, EROFS);
	assert_int_equal(memfile_punch(&m, 0, LEN), 0);
	assert_int_equal(memfile_used(&m), 0);
	memfile_close(&m);
}

static void test_the_tmpfs_is_a_hard_bound_that_can_be_moved(void **state)
{
	struct memfile m;

	(void)state;
	if (!enter_own_mounts())
		skip();
	assert_int_equal(memfile_mount(dir, LEN, MEMFILE_SMALL), MEMFILE_SMALL);
	assert_int_equal(memfile_new(dir, 4 * LEN, &m), 0);
	fill(&m, 0, LEN / 2);
	fill(&m, LEN, LEN / 2);
	assert_int_equal(pwrite(m.fd, "x", 1, 2 * LEN), -1);
	assert_int_equal(errno, ENOSPC);
	assert_int_equal(memfile_resize(dir, 2 * LEN), 0);
	fill(&m, 2 * LEN, LEN / 2);
	assert_int_equal(reopen(m.client_fd, O_RDWR), -EROFS);
	memfile_close(&m);
}

static void test_what_a_dead_daemon_left_mounted_is_replaced(void **state)
{
	struct memfile old, new;

	(void)state;
	if (!enter_own_mounts())
		skip();
	assert_int_equal(memfile_mount(dir, LEN, MEMFILE_SMALL), MEMFILE_SMALL);
	assert_int_equal(memfile_new(dir, LEN, &old), 0);
	fill(&old, 0, LEN);
	assert_int_equal(memfile_mount(dir, LEN, MEMFILE_SMALL), MEMFILE_SMALL);
	assert_int_equal(memfile_new(dir, LEN, &new), 0);
	fill(&new, 0, LEN); /* the old one's pages do not count */
	assert_int_equal(byte_at(&old, 0), 7);
	memfile_close(&old);
	memfile_close(&new);
}

static void test_a_view_that_is_not_read_only_is_refused(void **state)
{
	struct memfile m;
	char rw[64], ro[64];

	(void)state;
	if (!enter_own_mounts())
		skip();
	log_open("/dev/null", LOG_LEVEL_ERROR);
	assert_int_equal(memfile_mount(dir, LEN, MEMFILE_SMALL), MEMFILE_SMALL);
	snprintf(rw, sizeof(rw), "%s/rw", dir);
	snprintf(ro, sizeof(ro), "%s/ro", dir);
	assert_int_equal(umount(ro), 0);
	assert_int_equal(memfile_new(dir, LEN, &m), -ENOENT); /* no view at all */
	assert_int_equal(mount(rw, ro, NULL, MS_BIND, NULL), 0);
	assert_int_equal(memfile_new(dir, LEN, &m), -EROFS);
	log_close();
}

/* A tmpfs with large pages and a file on it, or the test ends here: they take Linux 6.17. */
static void start_large(uint64_t len, struct memfile *m)
{
	int pages;

	if (!enter_own_mounts())
		skip();
	pages = memfile_mount(dir, 16 * LEN, MEMFILE_LARGE);
	assert_true(pages == MEMFILE_LARGE || pages == MEMFILE_SMALL);
	if (pages == MEMFILE_SMALL)
		skip();
	assert_int_equal(memfile_new(dir, len, m), 0);
}

static void test_large_pages_are_no_huge_ones(void **state)
{
	const int64_t page = sysconf(_SC_PAGESIZE);
	struct memfile m;

	(void)state;
	start_large(5 * LEN + LEN / 4, &m);
	memfile_lay_large(&m, 0, 5 * LEN + LEN / 4);
	assert_int_equal(memfile_used(&m), 5 * LEN / 2); /* the last quarter is no whole half */
	assert_int_equal(byte_at(&m, LEN / 4), 0);
	fill(&m, 0, 1);
	assert_in_range(memfile_used(&m), 5 * LEN / 2 + page + 1, 5 * LEN / 2 + LEN / 4);
	fill(&m, LEN / 4, 1);
	assert_in_range(memfile_used(&m), 5 * LEN / 2 + page + 1, 5 * LEN / 2 + LEN / 4);
	assert_int_equal(byte_at(&m, LEN / 4), 7);
	assert_int_equal(byte_at(&m, LEN / 4 - 1), 0);
	assert_int_equal(byte_at(&m, LEN / 4 + 1), 0);
	fill(&m, 0, 5 * LEN);
	assert_int_equal(memfile_used(&m), 5 * LEN);
	assert_int_equal(memfile_punch(&m, 2 * LEN, 2 * LEN), 0);
	assert_int_equal(memfile_used(&m), 3 * LEN);
	assert_int_equal(byte_at(&m, 2 * LEN - 1), 7);
	assert_int_equal(byte_at(&m, 2 * LEN), 0);
	assert_int_equal(byte_at(&m, 4 * LEN), 7);
	memfile_close(&m);
}

static void test_laying_out_leaves_others_alone(void **state)
{
	struct memfile m;

	(void)state;
	start_large(4 * LEN, &m);
	fill(&m, 0, 2 * LEN);
	memfile_lay_large(&m, 2 * LEN - 1, LEN / 2); /* no whole half in it */
	assert_int_equal(memfile_used(&m), 2 * LEN);
	memfile_lay_large(&m, 2 * LEN - 1, LEN / 2 + 1);
	assert_int_equal(memfile_used(&m), 2 * LEN + LEN / 4);
	assert_int_equal(byte_at(&m, 0), 7);
	assert_int_equal(byte_at(&m, 2 * LEN - 1), 7);
	memfile_close(&m);
}

/* No SIGBUS for the page that there is no memory for. */
static void test_laying_out_without_memory_does_nothing(void **state)
{
	struct memfile m;

	(void)state;
	start_large(32 * LEN, &m);
	fill(&m, 0, 16 * LEN);
	memfile_lay_large(&m, 16 * LEN, 16 * LEN);
	assert_int_equal(memfile_used(&m), 16 * LEN);
	assert_int_equal(byte_at(&m, 16 * LEN - 1), 7);
	memfile_close(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_memfd_has_its_size_and_keeps_it),
		cmocka_unit_test(test_punching_works_in_spite_of_the_seals),
		cmocka_unit_test(test_the_last_partial_page_is_punched_as_a_whole),
		cmocka_unit_test(test_the_clients_descriptor_cannot_write),
		cmocka_unit_test(test_a_reader_that_touches_a_hole_makes_a_page),
		cmocka_unit_test(test_mapped_memory_is_written_through_its_mapping_only),
		cmocka_unit_test_setup_teardown(
			test_files_of_the_tmpfs_cannot_be_reopened_for_writing, make_mount,
			drop_mount),
		cmocka_unit_test_setup_teardown(test_the_tmpfs_is_a_hard_bound_that_can_be_moved,
						make_mount, drop_mount),
		cmocka_unit_test_setup_teardown(test_what_a_dead_daemon_left_mounted_is_replaced,
						make_mount, drop_mount),
		cmocka_unit_test_setup_teardown(test_large_pages_are_no_huge_ones, make_mount,
						drop_mount),
		cmocka_unit_test_setup_teardown(test_laying_out_leaves_others_alone, make_mount,
						drop_mount),
		cmocka_unit_test_setup_teardown(test_laying_out_without_memory_does_nothing,
						make_mount, drop_mount),
		cmocka_unit_test_setup_teardown(test_a_view_that_is_not_read_only_is_refused,
						make_mount, drop_mount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
