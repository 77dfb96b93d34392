#include "daemon/cache/memavail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define MIB ((uint64_t)1 << 20)
#define GIB ((uint64_t)1 << 30)

/* A directory that looks like a machine. */
struct fixture {
	char root[64];
};

static void put(const struct fixture *f, const char *name, const char *text)
{
	char path[512], *slash;
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", f->root, name);
	for (slash = path + strlen(f->root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
		*slash = '\0';
		if (mkdir(path, 0700) == -1)
			assert_int_equal(errno, EEXIST);
		*slash = '/';
	}
	file = fopen(path, "w");
	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->root, "/tmp/test_memavail.XXXXXX");
	if (mkdtemp(f->root) == NULL)
		return -1;
	*state = f;
	put(f, "/proc/meminfo",
	    "MemTotal:       16777216 kB\nMemFree:  1 kB\nMemAvailable:    8388608 kB\n");
	return 0;
}

static int remove_one(const char *path, const struct stat *st, int kind, struct FTW *walk)
{
	(void)st;
	(void)kind;
	(void)walk;
	return remove(path);
}

static int end(void **state)
{
	struct fixture *f = *state;
	int r = nftw(f->root, remove_one, 8, FTW_DEPTH | FTW_PHYS);

	free(f);
	return r;
}

#define MOUNT_2 "30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
#define MOUNT_1                                                                                    \
	"31 30 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"                              \
	"35 30 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"

static void test_without_cgroups_the_machine_counts(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(memavail_bytes(f->root), 8 * GIB);
}

static void test_nothing_readable_is_unlimited(void **state)
{
	(void)state;
	assert_true(memavail_bytes("/nowhere/at/all") == UINT64_MAX);
}

static void test_the_tightest_cgroup_up_the_tree_counts(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/self/cgroup", "0::/slice/pod/container\n");
	put(f, "/proc/self/mountinfo", MOUNT_2);
	put(f, "/sys/fs/cgroup/slice/memory.max", "6442450944\n");
	put(f, "/sys/fs/cgroup/slice/memory.current", "5368709120\n"); /* 1 GiB left */
	put(f, "/sys/fs/cgroup/slice/pod/memory.max", "max\n");
	put(f, "/sys/fs/cgroup/slice/pod/memory.current", "4294967296\n");
	put(f, "/sys/fs/cgroup/slice/pod/container/memory.max", "3221225472\n");
	put(f, "/sys/fs/cgroup/slice/pod/container/memory.current", "1073741824\n"); /* 2 GiB */
	assert_int_equal(memavail_bytes(f->root), GIB);
}

static void test_page_cache_of_files_counts_as_available(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/self/cgroup", "0::/box\n");
	put(f, "/proc/self/mountinfo", MOUNT_2);
	put(f, "/sys/fs/cgroup/box/memory.max", "1073741824\n");
	put(f, "/sys/fs/cgroup/box/memory.current", "943718400\n");
	/* `file` and `shmem` hold what cannot be dropped: the cache itself. */
	put(f, "/sys/fs/cgroup/box/memory.stat",
	    "anon 1\nfile 900000000\nshmem 500000000\ninactive_file 209715200\n"
	    "active_file 104857600\nslab_reclaimable 0\n");
	assert_int_equal(memavail_bytes(f->root), 1073741824 - 943718400 + 314572800);
}

static void test_memory_high_is_a_limit_too(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/self/cgroup", "0::/box\n");
	put(f, "/proc/self/mountinfo", MOUNT_2);
	put(f, "/sys/fs/cgroup/box/memory.max", "max\n");
	put(f, "/sys/fs/cgroup/box/memory.high", "2147483648\n");
	put(f, "/sys/fs/cgroup/box/memory.current", "0\n");
	assert_int_equal(memavail_bytes(f->root), 2 * GIB);
}

static void test_a_full_cgroup_leaves_nothing(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/self/cgroup", "0::/box\n");
	put(f, "/proc/self/mountinfo", MOUNT_2);
	put(f, "/sys/fs/cgroup/box/memory.max", "1000000\n");
	put(f, "/sys/fs/cgroup/box/memory.current", "1100000\n");
	assert_int_equal(memavail_bytes(f->root), 0);
}

static void test_version_1_is_understood(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/self/cgroup", "5:cpu,cpuacct:/x\n4:hugetlb,memory:/box/in\n0::/\n");
	put(f, "/proc/self/mountinfo", MOUNT_2 MOUNT_1);
	put(f, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put(f, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "99999999999\n");
	put(f, "/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "1073741824\n");
	put(f, "/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "536870912\n");
	put(f, "/sys/fs/cgroup/memory/box/memory.stat",
	    "inactive_file 1\ntotal_inactive_file 1048576\ntotal_active_file 1048576\n");
	assert_int_equal(memavail_bytes(f->root), 514 * MIB);
}

static void test_a_container_sees_its_own_cgroup_at_the_mount(void **state)
{
	struct fixture *f = *state;

	put(f, "/proc/self/cgroup", "4:memory:/docker/abc/deeper\n");
	put(f, "/proc/self/mountinfo",
	    "35 30 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
	put(f, "/sys/fs/cgroup/memory/memory.limit_in_bytes", "1073741824\n");
	put(f, "/sys/fs/cgroup/memory/memory.usage_in_bytes", "0\n");
	put(f, "/sys/fs/cgroup/memory/deeper/memory.limit_in_bytes", "536870912\n");
	put(f, "/sys/fs/cgroup/memory/deeper/memory.usage_in_bytes", "0\n");
	assert_int_equal(memavail_bytes(f->root), 512 * MIB);
	/* And where the name makes no sense here, the mount itself. */
	put(f, "/proc/self/cgroup", "4:memory:/../../elsewhere\n");
	assert_int_equal(memavail_bytes(f->root), 1024 * MIB);
}

static void test_the_reserve_is_a_tenth_or_4_gib_but_at_most_a_fifth(void **state)
{
	(void)state;
	assert_int_equal(memavail_reserve(1024 * GIB), 1024 * GIB / 10);
	assert_int_equal(memavail_reserve(32 * GIB), 4 * GIB);
	assert_int_equal(memavail_reserve(10 * GIB), 2 * GIB);
	assert_int_equal(memavail_reserve(0), 0);
	/* A model of 664 GB fits a node of 1 TiB. */
	assert_true(1024 * GIB - memavail_reserve(1024 * GIB) > 664000000000);
}

static void test_a_balloon_that_reports_free_pages_is_seen(void **state)
{
	struct fixture *f = *state;

	assert_false(memavail_is_taken_back(f->root));
	/* Another device with that bit, and a balloon without it. */
	put(f, "/sys/bus/virtio/devices/virtio0/device", "0x0001\n");
	put(f, "/sys/bus/virtio/devices/virtio0/features", "11111111000000001000\n");
	put(f, "/sys/bus/virtio/devices/virtio1/device", "0x0005\n");
	put(f, "/sys/bus/virtio/devices/virtio1/features", "11111011000000001000\n");
	assert_false(memavail_is_taken_back(f->root));
	put(f, "/sys/bus/virtio/devices/virtio1/features", "01100101000000001000\n");
	assert_true(memavail_is_taken_back(f->root));
}

#define MACHINE_TEST(t) cmocka_unit_test_setup_teardown(t, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MACHINE_TEST(test_without_cgroups_the_machine_counts),
		cmocka_unit_test(test_nothing_readable_is_unlimited),
		MACHINE_TEST(test_the_tightest_cgroup_up_the_tree_counts),
		MACHINE_TEST(test_page_cache_of_files_counts_as_available),
		MACHINE_TEST(test_memory_high_is_a_limit_too),
		MACHINE_TEST(test_a_full_cgroup_leaves_nothing),
		MACHINE_TEST(test_version_1_is_understood),
		MACHINE_TEST(test_a_container_sees_its_own_cgroup_at_the_mount),
		MACHINE_TEST(test_a_balloon_that_reports_free_pages_is_seen),
		cmocka_unit_test(test_the_reserve_is_a_tenth_or_4_gib_but_at_most_a_fifth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
