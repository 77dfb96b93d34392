/* The log: one line a message, nothing that breaks a line, rotation while writing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define LOG_MODULE "test"
#include "daemon/base/log.h"

struct fixture {
	char dir[64], path[96], rotated[96];
	char text[65536];
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	strcpy(f->dir, "/tmp/ossc-test-log-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/log", f->dir);
	snprintf(f->rotated, sizeof(f->rotated), "%s/log.1", f->dir);
	assert_int_equal(log_open(f->path, LOG_LEVEL_INFO), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	log_close();
	unlink(f->path);
	unlink(f->rotated);
	rmdir(f->dir);
	free(f);
	return 0;
}

static const char *contents(struct fixture *f, const char *path)
{
	FILE *in = fopen(path, "re");
	size_t n;

	assert_non_null(in);
	n = fread(f->text, 1, sizeof(f->text) - 1, in);
	f->text[n] = '\0';
	fclose(in);
	return f->text;
}

static void test_a_line_has_time_level_module_and_text(void **state)
{
	struct fixture *f = *state;
	int year, month, day, hour, minute, second, ms, n = 0;

	log_warn("%d things", 3);
	assert_int_equal(sscanf(contents(f, f->path), "%4d-%2d-%2dT%2d:%2d:%2d.%3dZ%n", &year,
				&month, &day, &hour, &minute, &second, &ms, &n),
			 7);
	assert_int_equal(n, 24);
	assert_string_equal(f->text + n, " WARN test: 3 things\n");
}

static void test_control_characters_cannot_make_a_line_of_their_own(void **state)
{
	struct fixture *f = *state;

	log_error("%s", "a\nERROR fake\r\t\x1b[31m\x7f");
	assert_non_null(
		strstr(contents(f, f->path), "ERROR test: a\\nERROR fake\\r\\t\\x1b[31m\\x7f\n"));
	assert_ptr_equal(strchr(f->text, '\n'), f->text + strlen(f->text) - 1);
}

static void test_what_is_below_the_level_is_not_written(void **state)
{
	struct fixture *f = *state;

	log_debug("no");
	log_info("yes");
	log_set_level(LOG_LEVEL_ERROR);
	log_warn("no");
	assert_null(strstr(contents(f, f->path), "no"));
	assert_non_null(strstr(f->text, "yes"));
}

static void test_a_long_message_is_cut_and_still_one_line(void **state)
{
	struct fixture *f = *state;
	char *mine = malloc(100000);

	memset(mine, '\n', 99999);
	mine[99999] = '\0';
	log_info("%s", mine);
	free(mine);
	contents(f, f->path);
	assert_in_range(strlen(f->text), 1000, 4200);
	assert_ptr_equal(strchr(f->text, '\n'), f->text + strlen(f->text) - 1);
}

static void test_reopen_follows_a_rotation(void **state)
{
	struct fixture *f = *state;

	log_info("before");
	assert_int_equal(rename(f->path, f->rotated), 0);
	log_info("still the old file");
	assert_int_equal(log_reopen(), 0);
	log_info("after");
	assert_non_null(strstr(contents(f, f->rotated), "still the old file"));
	assert_null(strstr(f->text, "after"));
	assert_non_null(strstr(contents(f, f->path), "after"));
}

static void test_a_path_that_cannot_be_opened_keeps_the_old_one(void **state)
{
	struct fixture *f = *state;

	assert_true(log_open("/nonexistent/dir/log", LOG_LEVEL_ERROR) < 0);
	log_info("here");
	assert_non_null(strstr(contents(f, f->path), "here"));
}

static void test_a_storm_is_one_line_a_second_and_a_count(void **state)
{
	struct log_limit limit = { 0 };
	unsigned suppressed = 99;
	int i;

	(void)state;
	assert_true(log_limit_pass(&limit, &suppressed));
	assert_int_equal(suppressed, 0);
	for (i = 0; i < 5; i++)
		assert_false(log_limit_pass(&limit, &suppressed));
	limit.last_ms -= 1000; /* a second goes by */
	assert_true(log_limit_pass(&limit, &suppressed));
	assert_int_equal(suppressed, 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_a_line_has_time_level_module_and_text),
		TEST(test_control_characters_cannot_make_a_line_of_their_own),
		TEST(test_what_is_below_the_level_is_not_written),
		TEST(test_a_long_message_is_cut_and_still_one_line),
		TEST(test_reopen_follows_a_rotation),
		TEST(test_a_path_that_cannot_be_opened_keeps_the_old_one),
		TEST(test_a_storm_is_one_line_a_second_and_a_count),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
