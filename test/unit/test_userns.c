#include "daemon/cache/userns.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/ossc-userns-XXXXXX";

static int make_dir(void **state)
{
	(void)state;
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	return mkdtemp(dir) == NULL ? -1 : 0;
}

static int drop_dir(void **state)
{
	(void)state;
	return rmdir(dir);
}

static int nr_descriptors(void)
{
	DIR *all = opendir("/proc/self/fd");
	int nr = 0;

	assert_non_null(all);
	while (readdir(all) != NULL)
		nr++;
	closedir(all);
	return nr;
}

static int mount_tmpfs(void *arg)
{
	if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700") == -1)
		return -errno;
	return *(int *)arg;
}

static int answer(void *arg)
{
	return *(int *)arg;
}

static int crash(void *arg)
{
	(void)arg;
	_exit(3);
}

/* Or the test ends here: containers and hardened kernels give no namespaces. */
static void make_or_skip(struct userns *ns)
{
	int wanted = 5, r = userns_make(mount_tmpfs, &wanted, dir, ns);

	if (r == -EPERM || r == -EACCES || r == -ENOSPC)
		skip();
	assert_int_equal(r, 5);
}

static void test_what_is_mounted_there_is_reached_from_here_alone(void **state)
{
	char path[64], byte = 0;
	struct stat here, there;
	struct userns ns;
	int fd, before = nr_descriptors();

	(void)state;
	make_or_skip(&ns);
	assert_int_equal(nr_descriptors(), before + 2);
	assert_int_equal(stat(dir, &here), 0);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", ns.dir_fd);
	assert_int_equal(stat(path, &there), 0);
	assert_int_not_equal(here.st_dev, there.st_dev);
	assert_int_equal(there.st_uid, geteuid());

	snprintf(path, sizeof(path), "/proc/self/fd/%d/file", ns.dir_fd);
	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0400);
	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, "x", 1), 1);
	snprintf(path, sizeof(path), "%s/file", dir);
	assert_int_equal(access(path, F_OK), -1);
	userns_close(&ns);
	assert_int_equal(nr_descriptors(), before + 1);
	assert_int_equal(pread(fd, &byte, 1, 0), 1);
	assert_int_equal(byte, 'x');
	close(fd);
}

static void test_nothing_is_held_of_what_failed(void **state)
{
	int before = nr_descriptors(), error = -ENOMEM, fine = 0;
	struct userns ns;

	(void)state;
	make_or_skip(&ns);
	userns_close(&ns);
	assert_int_equal(userns_make(answer, &error, dir, &ns), -ENOMEM);
	assert_int_equal(userns_make(answer, &fine, "/nonexistent", &ns), -ENOENT);
	assert_int_equal(userns_make(crash, NULL, dir, &ns), -EIO);
	assert_int_equal(nr_descriptors(), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_what_is_mounted_there_is_reached_from_here_alone, make_dir, drop_dir),
		cmocka_unit_test_setup_teardown(test_nothing_is_held_of_what_failed, make_dir,
						drop_dir),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
