/* What a path's text says about a mount's tree. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/preload/pathtext.c"

#include <string.h>

/* root: a/ (b/ (f), g), top, u/ of which nothing is known */
static const struct snapshot_entry entries[] = {
	[0] = { .parent = 0, .first_child = 1, .nr_children = 3, .flags = SNAPSHOT_DIR },
	[1] = { .name_off = 0,
		.name_len = 1,
		.parent = 0,
		.first_child = 4,
		.nr_children = 2,
		.flags = SNAPSHOT_DIR },
	[2] = { .name_off = 1, .name_len = 3, .parent = 0, .size = 3 },
	[3] = { .name_off = 7,
		.name_len = 1,
		.parent = 0,
		.flags = SNAPSHOT_DIR | SNAPSHOT_UNLISTED },
	[4] = { .name_off = 4,
		.name_len = 1,
		.parent = 1,
		.first_child = 6,
		.nr_children = 1,
		.flags = SNAPSHOT_DIR },
	[5] = { .name_off = 5, .name_len = 1, .parent = 1, .size = 2 },
	[6] = { .name_off = 6, .name_len = 1, .parent = 4, .size = 1 },
};

static const struct snapshot_header header = { .nr_entries = 7, .strings_len = 8 };
static const struct snapshot tree = { &header, entries, "atopbgfu" };

static enum pathtext_found walk(const char *path, uint32_t *entry)
{
	*entry = UINT32_MAX;
	return pathtext_walk(&tree, 0, path, entry);
}

static void test_a_directory_contains_itself_and_what_is_below(void **state)
{
	static const struct {
		const char *dir, *path, *rest; /* rest NULL: not below */
	} cases[] = {
		{ "/m/d", "/m/d", "" },	 { "/m/d", "/m/d//x/y", "x/y" }, { "/m/d", "/m/dx", NULL },
		{ "/m/d", "/m/", NULL }, { "/m/d", "/m/e/d", NULL },	 { "", "/m", NULL },
		{ "/m/d", "/m/d/", "" },
	};
	const char *rest;
	unsigned i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		bool is = pathtext_below(cases[i].dir, strlen(cases[i].dir), cases[i].path, &rest);

		assert_int_equal(is, cases[i].rest != NULL);
		if (is)
			assert_string_equal(rest, cases[i].rest);
	}
}

static void test_names_of_the_store_are_found(void **state)
{
	uint32_t entry;

	(void)state;
	assert_int_equal(walk("", &entry), PATHTEXT_DIR);
	assert_int_equal(entry, 0);
	assert_int_equal(walk("a/b/f", &entry), PATHTEXT_FILE);
	assert_int_equal(entry, 6);
	assert_int_equal(walk("./a//b/./f", &entry), PATHTEXT_FILE);
	assert_int_equal(entry, 6);
	assert_int_equal(walk("a/b/", &entry), PATHTEXT_DIR);
	assert_int_equal(entry, 4);
}

static void test_a_file_is_no_directory(void **state)
{
	uint32_t entry;

	(void)state;
	assert_int_equal(walk("top/", &entry), PATHTEXT_NOT_A_DIR);
	assert_int_equal(walk("a/g/x", &entry), PATHTEXT_NOT_A_DIR);
}

static void test_other_names_are_local_below_the_deepest_directory(void **state)
{
	uint32_t entry;

	(void)state;
	assert_int_equal(walk("a/b/lock/x", &entry), PATHTEXT_ABSENT);
	assert_int_equal(entry, 4);
	assert_int_equal(walk("none", &entry), PATHTEXT_ABSENT);
	assert_int_equal(entry, 0);
}

static void test_what_is_not_listed_yet_is_not_absent(void **state)
{
	uint32_t entry;

	(void)state;
	assert_int_equal(walk("u", &entry), PATHTEXT_DIR);
	assert_int_equal(walk("u/x/y", &entry), PATHTEXT_UNLISTED);
	assert_int_equal(entry, 3);
	assert_int_equal(walk("u/x/../y", &entry), PATHTEXT_UNLISTED);
	assert_int_equal(walk("u/../top", &entry), PATHTEXT_UNKNOWN);
}

static void test_climbing_is_left_to_the_kernel(void **state)
{
	uint32_t entry;

	(void)state;
	assert_int_equal(walk("a/../top", &entry), PATHTEXT_UNKNOWN);
	assert_int_equal(entry, 1);
	assert_int_equal(walk("none/../top", &entry), PATHTEXT_UNKNOWN);
	assert_int_equal(walk("none/..x/top", &entry), PATHTEXT_ABSENT);
}

static void test_the_last_component_starts_behind_the_last_slash(void **state)
{
	(void)state;
	assert_int_equal(pathtext_last("a/b/c", 5), 4);
	assert_int_equal(pathtext_last("name", 4), 0);
	assert_int_equal(pathtext_last("/x", 2), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_directory_contains_itself_and_what_is_below),
		cmocka_unit_test(test_names_of_the_store_are_found),
		cmocka_unit_test(test_a_file_is_no_directory),
		cmocka_unit_test(test_other_names_are_local_below_the_deepest_directory),
		cmocka_unit_test(test_what_is_not_listed_yet_is_not_absent),
		cmocka_unit_test(test_climbing_is_left_to_the_kernel),
		cmocka_unit_test(test_the_last_component_starts_behind_the_last_slash),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
