#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/strbuf.h"
#include "daemon/base/worker.h"
#include "daemon/cache/cache.h"
#include "daemon/config/settings.h"
#include "daemon/mount/mount.h"
#include "daemon/session/session.h"
#include "daemon/status/report.h"

#define ALICE 61001u
#define BOB   61002u

/* A daemon without a store: mounts that wait for their first listing are mounts all the same. */
struct fixture {
	struct worker *control;
	struct cache *cache;
	struct mounts *mounts;
	struct sessions *sessions;
	struct settings *settings;
	struct mount_attach *attaches[2];
	struct strbuf out;
};

static void on_attached(struct mount *m, int error, const char *text, void *arg)
{
	(void)m;
	(void)error;
	(void)text;
	(void)arg;
	fail_msg("the loop does not run");
}

static int no_report(uid_t viewer, struct strbuf *out, void *arg)
{
	(void)viewer;
	(void)out;
	(void)arg;
	return -ENOSYS;
}

static void attach(struct fixture *f, uid_t uid, const char *oss_path, struct mount_attach **ret)
{
	const struct mount_spec spec = {
		.uid = uid,
		.oss_path = oss_path,
		.endpoint = "http://127.0.0.1:1",
		.region = "cn-test",
		.access_key = "LTAIexampleOfTheTest",
		.secret = "secret-of-the-test",
	};

	assert_int_equal(mount_attach(f->mounts, &spec, on_attached, f, ret), 0);
}

static int setup(void **state)
{
	const struct cache_conf cache = {
		.size = 16u << 20, .chunk_shift = 20, .max_objects = 4, .verify = VERIFY_ON
	};
	const struct mounts_conf mounts = {
		.ranges_per_worker = 1, .nr_workers = 1, .list_concurrency = 1, .path_style = "path"
	};
	const struct sessions_conf sessions = { .max_sessions = 1,
						.max_per_user = 1,
						.on_report = no_report };
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(worker_new("control", &f->control), 0);
	assert_int_equal(cache_new(&cache, &f->cache), 0);
	assert_int_equal(mounts_new(f->control, f->cache, &mounts, &f->mounts), 0);
	assert_int_equal(sessions_new(f->control, f->cache, f->mounts, &sessions, &f->sessions), 0);
	f->settings = settings_new();
	attach(f, ALICE, "oss://bucket/of-alice/", &f->attaches[0]);
	attach(f, BOB, "oss://bucket/of-bob/", &f->attaches[1]);
	strbuf_init(&f->out, 1u << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	strbuf_fini(&f->out);
	mount_attach_cancel(f->attaches[0]);
	mount_attach_cancel(f->attaches[1]);
	sessions_shut(f->sessions, "the test ends");
	mounts_free(f->mounts);
	sessions_free(f->sessions);
	cache_free(f->cache);
	worker_free(f->control);
	settings_free(f->settings);
	free(f);
	return 0;
}

static const char *report_to(struct fixture *f, uid_t viewer)
{
	const struct report_sources from = {
		.settings = f->settings,
		.cache = f->cache,
		.mounts = f->mounts,
		.sessions = f->sessions,
		.socket_path = "/run/test.sock",
		.config_path = "/etc/test.yaml",
	};

	strbuf_reset(&f->out);
	assert_int_equal(report_write(&from, viewer, &f->out), 0);
	return strbuf_str(&f->out);
}

static void expect(const char *text, const char *part, bool is_there)
{
	if ((strstr(text, part) != NULL) != is_there)
		fail_msg("%s: %s in %s", part, is_there ? "is not" : "is", text);
}

static void test_root_and_the_daemons_own_user_see_every_mount(void **state)
{
	const uid_t viewers[] = { 0, geteuid() };
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < 2; i++) {
		const char *text = report_to(f, viewers[i]);

		expect(text, "oss://bucket/of-alice/", true);
		expect(text, "oss://bucket/of-bob/", true);
		expect(text, "\"config\":", true);
	}
}

static void test_others_see_their_own_mounts_and_the_nodes_downloads(void **state)
{
	struct fixture *f = *state;
	const char *text = report_to(f, BOB);

	expect(text, "\"mounts\":[{\"oss_path\":\"oss://bucket/of-bob/\"", true);
	expect(text, "of-alice", false);
	expect(text, "\"sources\":[", true);
	expect(text, "\"fetch\":{", true);
	expect(text, "\"config\":", false);

	text = report_to(f, BOB + 1);
	expect(text, "\"mounts\":[]", true);
	expect(text, "\"fetch\":{", true);
}

static void test_no_key_is_in_a_report(void **state)
{
	const char *text = report_to(*state, 0);

	expect(text, "LTAIexampleOfTheTest", false);
	expect(text, "secret-of-the-test", false);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_root_and_the_daemons_own_user_see_every_mount),
		TEST(test_others_see_their_own_mounts_and_the_nodes_downloads),
		TEST(test_no_key_is_in_a_report),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
