#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <event2/event.h>

#include "daemon/base/log.h"
#include "daemon/base/worker.h"
#include "daemon/cache/cache.h"
#include "daemon/mount/mount.h"
#include "daemon/mount/mount_internal.h"

#define ALICE 61001u
#define BOB   61002u

/* Mounts whose first listing never begins, because the loop runs for no more than answers. */
struct fixture {
	struct worker *control;
	struct cache *cache;
	struct mounts *mounts;
	struct mount_attach *attaches[MOUNTS_OF_UID];
	unsigned nr;
	int error; /* of the attach that was answered last; 0: none was */
	char text[512];
};

static void on_attached(struct mount *m, int error, const char *text, void *arg)
{
	struct fixture *f = arg;

	assert_null(m);
	assert_int_not_equal(error, 0);
	f->error = error;
	snprintf(f->text, sizeof(f->text), "%s", text);
}

static int setup(void **state)
{
	const struct cache_conf cache = {
		.size = 16u << 20, .chunk_shift = 20, .max_objects = 4, .verify = VERIFY_OFF
	};
	const struct mounts_conf mounts = {
		.ranges_per_worker = 1, .nr_workers = 1, .list_concurrency = 1, .path_style = "path"
	};
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(worker_new("control", &f->control), 0);
	assert_int_equal(cache_new(&cache, &f->cache), 0);
	assert_int_equal(mounts_new(f->control, f->cache, &mounts, &f->mounts), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	while (f->nr > 0)
		mount_attach_cancel(f->attaches[--f->nr]);
	mounts_free(f->mounts);
	cache_free(f->cache);
	worker_free(f->control);
	free(f);
	return 0;
}

static struct mount_attach *attach(struct fixture *f, uid_t uid, unsigned prefix,
				   const char *sources)
{
	char path[64];
	const struct mount_spec spec = {
		.uid = uid,
		.oss_path = path,
		.endpoint = "http://127.0.0.1:1",
		.region = "cn-test",
		.sources = sources,
	};
	struct mount_attach *a = NULL;

	snprintf(path, sizeof(path), "oss://bucket/%u/", prefix);
	assert_int_equal(mount_attach(f->mounts, &spec, on_attached, f, &a), 0);
	return a;
}

static void expect_accepted(struct fixture *f, uid_t uid, unsigned prefix, const char *sources)
{
	assert_true(f->nr < MOUNTS_OF_UID);
	f->attaches[f->nr++] = attach(f, uid, prefix, sources);
}

/* A refusal is answered in the loop's next turn. */
static void expect_refused(struct fixture *f, uid_t uid, unsigned prefix, const char *sources,
			   int error)
{
	attach(f, uid, prefix, sources);
	f->error = 0;
	while (f->error == 0)
		event_base_loop(worker_base(f->control), EVLOOP_ONCE);
	assert_int_equal(f->error, error);
}

static const char *address(unsigned i, char buf[32])
{
	snprintf(buf, 32, "127.0.%u.%u", i / 200, 1 + i % 200);
	return buf;
}

static void test_a_user_has_so_many_mounts_and_no_more(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < MOUNTS_OF_UID; i++)
		expect_accepted(f, ALICE, i, "");
	expect_refused(f, ALICE, i, "", -EMFILE);
	assert_non_null(strstr(f->text, "umount"));
	/* What is there already can be shared, and others are not concerned. */
	mount_attach_cancel(attach(f, ALICE, 0, ""));
	mount_attach_cancel(attach(f, BOB, 0, ""));
	/* One that ends makes room. */
	mount_attach_cancel(f->attaches[--f->nr]);
	mount_attach_cancel(attach(f, ALICE, i, ""));
}

static void test_lists_of_addresses_that_nobody_uses_make_room(void **state)
{
	struct fixture *f = *state;
	char buf[32];
	unsigned i;

	for (i = 0; i < 2 * MOUNT_SOURCES_MOST; i++)
		mount_attach_cancel(attach(f, ALICE, i, address(i, buf)));
	assert_int_equal(f->mounts->nr_sources, MOUNT_SOURCES_MOST);
	assert_string_equal(f->mounts->sources[MOUNT_SOURCES_MOST - 1].list, address(i - 1, buf));
	assert_int_equal(f->error, 0);
}

static void test_one_user_cannot_take_all_lists_of_addresses(void **state)
{
	struct fixture *f = *state;
	char buf[32];
	unsigned i;

	for (i = 0; i < MOUNT_LISTS_OF_UID; i++)
		expect_accepted(f, ALICE, i, address(i, buf));
	expect_refused(f, ALICE, i, address(i, buf), -ENOSPC);
	assert_non_null(strstr(f->text, "HTTP_SOURCE_IP"));
	expect_accepted(f, BOB, i, address(i, buf));
	expect_accepted(f, ALICE, i + 1, address(0, buf));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_user_has_so_many_mounts_and_no_more),
		TEST(test_lists_of_addresses_that_nobody_uses_make_room),
		TEST(test_one_user_cannot_take_all_lists_of_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
