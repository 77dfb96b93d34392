#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/base/log.h"
#include "daemon/oss/cred.h"

struct fixture {
	char dir[64], path[96], fresh[96];
	char err[512];
};

static int setup(void **state)
{
	static struct fixture f;

	strcpy(f.dir, "/tmp/test_cred.XXXXXX");
	if (mkdtemp(f.dir) == NULL)
		return -1;
	snprintf(f.path, sizeof(f.path), "%s/credentials", f.dir);
	snprintf(f.fresh, sizeof(f.fresh), "%s/fresh", f.dir);
	f.err[0] = '\0';
	log_set_level(LOG_LEVEL_ERROR);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->path);
	unlink(f->fresh);
	return rmdir(f->dir);
}

static void write_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_int_equal(fwrite(text, 1, strlen(text), file), strlen(text));
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0600), 0);
}

static void write_keys(const char *path, const char *id)
{
	char text[256];

	snprintf(text, sizeof(text), "{\"AccessKeyId\":\"%s\",\"AccessKeySecret\":\"s3cr3t\"}", id);
	write_text(path, text);
}

/* As a rotating program does it: the new file takes the old one's name. */
static void replace_keys(struct fixture *f, const char *id)
{
	write_keys(f->fresh, id);
	assert_int_equal(rename(f->fresh, f->path), 0);
}

static void assert_id(struct cred *c, const char *id)
{
	assert_string_equal(cred_id(c), id);
	cred_unref(c);
}

static struct cred_source *open_file(struct fixture *f)
{
	struct cred_source *s = NULL;

	if (cred_source_new_file(f->path, &s, f->err, sizeof(f->err)) != 0)
		fail_msg("%s", f->err);
	return s;
}

static void test_fixed_keys_never_change(void **state)
{
	struct fixture *f = *state;
	struct cred_source *s;

	assert_int_equal(
		cred_source_new_static("id", "secret", "token", &s, f->err, sizeof(f->err)), 0);
	assert_false(cred_source_can_change(s));
	assert_false(cred_source_refresh(s, NULL, true));
	assert_id(cred_source_get(s), "id");
	cred_source_unref(s);
}

static void test_no_keys_mean_anonymous(void **state)
{
	struct fixture *f = *state;
	struct cred_source *s;
	struct cred *c;

	assert_int_equal(cred_source_new_static("", NULL, "", &s, f->err, sizeof(f->err)), 0);
	c = cred_source_get(s);
	assert_true(cred_is_anonymous(c));
	assert_null(cred_token(c));
	cred_unref(c);
	cred_source_unref(s);
}

static void test_half_a_set_of_keys_is_refused_with_the_name_of_what_is_missing(void **state)
{
	static const struct {
		const char *id, *secret, *token, *part;
	} bad[] = {
		{ "id", "", NULL, "OSS_ACCESS_KEY_SECRET is not set" },
		{ NULL, "s3cr3t", NULL, "OSS_ACCESS_KEY_ID is not set" },
		{ "", "", "token", "OSS_SESSION_TOKEN is set without" },
		{ "id\n", "s3cr3t", NULL, "line end" },
		{ "id", "s3cr3t ", NULL, "blank" },
		{ "id", "s3cr3t", "t\xc3\xa9", "outside ASCII" },
	};
	struct fixture *f = *state;
	struct cred_source *s;
	size_t i;

	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		assert_int_equal(cred_source_new_static(bad[i].id, bad[i].secret, bad[i].token, &s,
							f->err, sizeof(f->err)),
				 -EINVAL);
		assert_non_null(strstr(f->err, bad[i].part));
		assert_null(strstr(f->err, "s3cr3t"));
	}
}

static void test_a_replaced_file_is_seen_within_a_second_of_use(void **state)
{
	struct fixture *f = *state;
	struct cred_source *s;

	write_keys(f->path, "first");
	s = open_file(f);
	assert_id(cred_source_get_at(s, 10000), "first");
	replace_keys(f, "second");
	assert_id(cred_source_get_at(s, 10999), "first");
	assert_id(cred_source_get_at(s, 11000), "second");
	cred_source_unref(s);
}

static void test_a_forced_look_sees_a_file_written_in_place(void **state)
{
	struct fixture *f = *state;
	struct cred_source *s;
	struct cred *used;

	write_keys(f->path, "first");
	s = open_file(f);
	used = cred_source_get(s);
	assert_false(cred_source_refresh(s, used, true));
	write_keys(f->path, "other");
	assert_true(cred_source_refresh(s, used, true));
	/* Who comes later with the old keys learns that there are others, without a new look. */
	assert_true(cred_source_refresh(s, used, false));
	assert_id(cred_source_get(s), "other");
	assert_string_equal(cred_id(used), "first");
	cred_unref(used);
	assert_true(cred_source_can_change(s));
	cred_source_unref(s);
}

static void test_a_bad_file_keeps_the_last_good_keys(void **state)
{
	struct fixture *f = *state;
	struct cred_source *s;

	write_keys(f->path, "first");
	s = open_file(f);
	write_text(f->path, "{\"AccessKeyId\":\"hal");
	assert_false(cred_source_refresh(s, NULL, true));
	assert_id(cred_source_get_at(s, 5000), "first");
	assert_int_equal(unlink(f->path), 0);
	assert_false(cred_source_refresh(s, NULL, true));
	assert_id(cred_source_get_at(s, 7000), "first");
	write_keys(f->path, "second");
	assert_id(cred_source_get_at(s, 9000), "second");
	cred_source_unref(s);
}

static void test_at_the_start_a_bad_file_is_an_error_that_names_it(void **state)
{
	struct fixture *f = *state;
	struct cred_source *s = NULL;

	assert_int_equal(cred_source_new_file(f->path, &s, f->err, sizeof(f->err)), -ENOENT);
	assert_non_null(strstr(f->err, f->path));
	assert_non_null(strstr(f->err, "No such file"));
	write_text(f->path, "{\"AccessKeyId\":\"id\"}");
	assert_int_equal(cred_source_new_file(f->path, &s, f->err, sizeof(f->err)), -EINVAL);
	assert_non_null(strstr(f->err, "no AccessKeySecret"));
	assert_int_equal(cred_source_new_file(f->dir, &s, f->err, sizeof(f->err)), -EINVAL);
	assert_non_null(strstr(f->err, "not a regular file"));
	assert_int_equal(mkfifo(f->fresh, 0600), 0);
	assert_int_equal(cred_source_new_file(f->fresh, &s, f->err, sizeof(f->err)), -EINVAL);
	assert_null(s);
}

static void test_digests_and_comparison_tell_keys_apart(void **state)
{
	unsigned char da[CRED_DIGEST_LEN], db[CRED_DIGEST_LEN];
	struct cred *a, *b, *c, *d;

	(void)state;
	assert_int_equal(cred_new("id", "secret", "t1", 0, &a), 0);
	assert_int_equal(cred_new("id", "secret", "t2", 5, &b), 0);
	assert_int_equal(cred_new("idse", "cret", NULL, 0, &c), 0);
	assert_int_equal(cred_new("id", "secret", "t1", 9, &d), 0);
	assert_true(cred_equal(a, d));
	assert_false(cred_equal(a, b));
	assert_false(cred_equal(a, c));
	assert_int_equal(cred_digest(a, da), 0);
	assert_int_equal(cred_digest(b, db), 0);
	assert_memory_equal(da, db, sizeof(da)); /* a renewed token is the same user */
	assert_int_equal(cred_digest(c, db), 0);
	assert_memory_not_equal(da, db, sizeof(da));
	cred_unref(a);
	cred_unref(b);
	cred_unref(c);
	cred_unref(d);
}

/* smaps says "dd" for a mapping that no core file will hold. */
static void test_keys_stay_out_of_core_files(void **state)
{
	char line[512], want[32];
	bool ours = false, found = false;
	struct cred *c;
	FILE *file;

	(void)state;
	assert_int_equal(cred_new("id", "secret", "token", 0, &c), 0);
	snprintf(want, sizeof(want), "%lx-", (unsigned long)cred_id(c) & ~4095ul);
	file = fopen("/proc/self/smaps", "re");
	if (file == NULL) {
		cred_unref(c);
		skip();
	}
	while (fgets(line, sizeof(line), file) != NULL) {
		if (strchr(line, '-') != NULL && strncmp(line, want, strlen(want)) == 0)
			ours = true;
		if (ours && strncmp(line, "VmFlags:", 8) == 0) {
			found = strstr(line, " dd") != NULL;
			break;
		}
	}
	fclose(file);
	assert_true(ours);
	assert_true(found);
	cred_unref(c);
}

#define NR_READERS 4
#define NR_CHANGES 60

struct reader {
	pthread_t thread;
	struct cred_source *source;
	atomic_bool *stop;
	unsigned long nr_reads;
	bool is_wrong;
};

/* Each set of keys has a secret that follows from its id. */
static void *read_keys(void *arg)
{
	struct reader *r = arg;
	char want[64];

	while (!atomic_load(r->stop)) {
		struct cred *c = cred_source_get(r->source);

		snprintf(want, sizeof(want), "secret-of-%s", cred_id(c));
		r->is_wrong = r->is_wrong || strcmp(cred_secret(c), want) != 0;
		r->nr_reads++;
		cred_unref(c);
	}
	return NULL;
}

static void write_pair(struct fixture *f, unsigned i)
{
	char text[256];

	snprintf(text, sizeof(text),
		 "{\"AccessKeyId\":\"id%u\",\"AccessKeySecret\":\"secret-of-id%u\"}", i, i);
	write_text(f->fresh, text);
	assert_int_equal(rename(f->fresh, f->path), 0);
}

static void test_readers_never_see_half_of_a_change(void **state)
{
	struct fixture *f = *state;
	struct reader readers[NR_READERS];
	atomic_bool stop = false;
	struct cred_source *s;
	unsigned i;

	write_pair(f, 0);
	s = open_file(f);
	for (i = 0; i < NR_READERS; i++) {
		readers[i] = (struct reader){ .source = s, .stop = &stop };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_keys, &readers[i]),
				 0);
	}
	for (i = 1; i <= NR_CHANGES; i++) {
		write_pair(f, i);
		(void)cred_source_refresh(s, NULL, true); /* or a reader was first */
	}
	atomic_store(&stop, true);
	for (i = 0; i < NR_READERS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		assert_false(readers[i].is_wrong);
	}
	assert_id(cred_source_get(s), "id60");
	cred_source_unref(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_fixed_keys_never_change, setup, teardown),
		cmocka_unit_test_setup_teardown(test_no_keys_mean_anonymous, setup, teardown),
		cmocka_unit_test_setup_teardown(
			test_half_a_set_of_keys_is_refused_with_the_name_of_what_is_missing, setup,
			teardown),
		cmocka_unit_test_setup_teardown(test_a_replaced_file_is_seen_within_a_second_of_use,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_forced_look_sees_a_file_written_in_place,
						setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_bad_file_keeps_the_last_good_keys, setup,
						teardown),
		cmocka_unit_test_setup_teardown(
			test_at_the_start_a_bad_file_is_an_error_that_names_it, setup, teardown),
		cmocka_unit_test_setup_teardown(test_readers_never_see_half_of_a_change, setup,
						teardown),
		cmocka_unit_test(test_digests_and_comparison_tell_keys_apart),
		cmocka_unit_test(test_keys_stay_out_of_core_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
