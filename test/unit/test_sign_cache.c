#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/oss/cred.h"
#include "daemon/oss/sigcache.h"

struct fixture {
	struct sigcache *cache;
	struct cred *cred, *other;
};

static int setup(void **state)
{
	static struct fixture f;

	if (sigcache_new(&f.cache) != 0 || cred_new("a", "b", NULL, 0, &f.cred) != 0 ||
	    cred_new("a", "b", NULL, 0, &f.other) != 0)
		return -1;
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sigcache_free(f->cache);
	cred_unref(f->cred);
	cred_unref(f->other);
	return 0;
}

static void put(struct fixture *f, const char *key, const char *value, uint64_t now_ms)
{
	struct signature s = { .nr_headers = 0 };
	struct sig_entry *e;

	assert_int_equal(signature_add(&s, "Authorization", value), 0);
	assert_int_equal(sigcache_put(f->cache, key, f->cred, now_ms, &s, &e), 0);
	assert_int_equal(s.nr_headers, 0);
	sig_entry_unref(e);
}

static void assert_value(struct fixture *f, const char *key, uint64_t now_ms, const char *value)
{
	struct sig_entry *e = sigcache_get(f->cache, key, f->cred, now_ms);

	if (value == NULL) {
		assert_null(e);
		return;
	}
	assert_non_null(e);
	assert_string_equal(sig_entry_signature(e)->headers[0].value, value);
	sig_entry_unref(e);
}

static void test_a_signature_serves_for_a_minute(void **state)
{
	struct fixture *f = *state;

	assert_value(f, "k", 1000, NULL);
	put(f, "k", "v1", 1000);
	assert_value(f, "k", 1000, "v1");
	assert_value(f, "k", 60999, "v1");
	assert_value(f, "k", 61000, NULL);
	put(f, "k", "v2", 61000);
	assert_value(f, "k", 61001, "v2");
}

static void test_other_keys_and_other_objects_have_signatures_of_their_own(void **state)
{
	struct fixture *f = *state;

	put(f, "k", "v1", 1000);
	assert_value(f, "kk", 1000, NULL);
	assert_null(sigcache_get(f->cache, "k", f->other, 1000));
}

static void test_a_refused_signature_is_forgotten_and_others_are_not(void **state)
{
	struct fixture *f = *state;

	put(f, "k", "v1", 1000);
	put(f, "l", "v2", 1000);
	sigcache_drop(f->cache, "k");
	sigcache_drop(f->cache, "never there");
	assert_value(f, "k", 1000, NULL);
	assert_value(f, "l", 1000, "v2");
	sigcache_clear(f->cache);
	assert_value(f, "l", 1000, NULL);
}

static void test_a_signature_in_use_outlives_its_place(void **state)
{
	struct fixture *f = *state;
	struct sig_entry *e;

	put(f, "k", "v1", 1000);
	e = sigcache_get(f->cache, "k", f->cred, 1000);
	put(f, "k", "v2", 2000);
	sigcache_clear(f->cache);
	assert_string_equal(sig_entry_signature(e)->headers[0].value, "v1");
	sig_entry_unref(e);
}

struct user {
	pthread_t thread;
	struct fixture *f;
	unsigned seed;
	bool is_wrong;
};

/* Puts, takes and drops; what it takes must be what some thread put there. */
static void *use(void *arg)
{
	struct user *u = arg;
	unsigned i;

	for (i = 0; i < 3000; i++) {
		struct signature s = { .nr_headers = 0 };
		struct sig_entry *e;
		char key[16], value[24];

		u->seed = u->seed * 1103515245u + 12345u;
		snprintf(key, sizeof(key), "k%u", u->seed >> 16 & 7);
		snprintf(value, sizeof(value), "for %s", key);
		e = sigcache_get(u->f->cache, key, u->f->cred, 1000);
		if (e == NULL) {
			if (signature_add(&s, "Authorization", value) != 0 ||
			    sigcache_put(u->f->cache, key, u->f->cred, 1000, &s, &e) != 0)
				break;
		}
		if (strcmp(sig_entry_signature(e)->headers[0].value, value) != 0)
			u->is_wrong = true;
		sig_entry_unref(e);
		if (i % 5 == 0)
			sigcache_drop(u->f->cache, key);
	}
	return NULL;
}

static void test_threads_share_it(void **state)
{
	struct user users[4];
	unsigned i;

	for (i = 0; i < 4; i++) {
		users[i] = (struct user){ .f = *state, .seed = i };
		assert_int_equal(pthread_create(&users[i].thread, NULL, use, &users[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(users[i].thread, NULL), 0);
		assert_false(users[i].is_wrong);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_signature_serves_for_a_minute),
		TEST(test_other_keys_and_other_objects_have_signatures_of_their_own),
		TEST(test_a_refused_signature_is_forgotten_and_others_are_not),
		TEST(test_a_signature_in_use_outlives_its_place),
		TEST(test_threads_share_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
