/* Reading figures out of the kernel's texts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/preload/memory.c"

static const char meminfo[] = "MemTotal:       16314480 kB\n"
			      "MemFree:          213004 kB\n"
			      "MemAvailable:   12019352 kB\n";

static const char stat_text[] = "anon 4096\n"
				"inactive_file 8192\n"
				"active_file 1\n";

static void test_a_field_is_found_by_its_whole_name(void **state)
{
	(void)state;
	assert_int_equal(memory_field(meminfo, "MemAvailable"), 12019352);
	assert_int_equal(memory_field(meminfo, "MemTotal"), 16314480);
	assert_int_equal(memory_field(stat_text, "inactive_file"), 8192);
	assert_int_equal(memory_field(stat_text, "active_file"), 1);
}

static void test_what_is_not_there_is_no_number(void **state)
{
	(void)state;
	assert_true(memory_field(meminfo, "Mem") == UINT64_MAX);
	assert_true(memory_field(stat_text, "file") == UINT64_MAX);
	assert_true(memory_field("", "file") == UINT64_MAX);
	assert_true(digits("max\n") == UINT64_MAX);
}

static void test_some_memory_is_available_here(void **state)
{
	uint64_t n = memory_available();

	(void)state;
	assert_true(n > 0 && n < UINT64_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_field_is_found_by_its_whole_name),
		cmocka_unit_test(test_what_is_not_there_is_no_number),
		cmocka_unit_test(test_some_memory_is_available_here),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
