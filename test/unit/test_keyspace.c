#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <wchar.h>

#include "daemon/mount/keyspace.h"

static struct keyspace of(const char *prefix, const char *const *keys)
{
	struct keyspace k = { .prefix_len = strlen(prefix) };

	for (; *keys != NULL; keys++)
		keyspace_see(&k, *keys);
	return k;
}

static unsigned divide(const struct keyspace *k, const char *from, const char *to, unsigned nr,
		       char (*points)[KEYSPACE_KEY])
{
	unsigned found = keyspace_divide(k, from, to, nr, points), i;
	const char *before = from, *c;

	assert_true(found <= nr);
	for (i = 0; i < found; i++) {
		assert_true(strcmp(before, points[i]) < 0);
		assert_int_equal(strncmp(points[i], from, k->prefix_len), 0);
		for (c = points[i] + k->prefix_len; *c != '\0'; c++)
			assert_true((unsigned char)*c >= 0x20 || (unsigned char)*c >= 0x80);
		before = points[i];
	}
	assert_true(to == NULL || strcmp(before, to) < 0 || found == 0);
	return found;
}

static void test_points_lie_between_in_order_and_evenly(void **state)
{
	const char *const keys[] = { "m/d-000/f", "m/d-123/f", "m/d-456/f", "m/d-789/f", NULL };
	const struct keyspace k = of("m/", keys);
	char points[9][KEYSPACE_KEY];

	(void)state;
	assert_int_equal(divide(&k, "m/d-000/f", "m/d-900/f", 9, points), 9);
	/* The middle one is near the middle. */
	assert_true(points[4][4] == '4');
	assert_true(keyspace_share(&k, "m/d-000/f", points[4], "m/d-900/f") > 0.4);
	assert_true(keyspace_share(&k, "m/d-000/f", points[4], "m/d-900/f") < 0.6);
}

static void test_an_open_end_is_that_of_the_prefix(void **state)
{
	const char *const keys[] = { "m/abc", "m/xyz", NULL };
	const struct keyspace k = of("m/", keys);
	char points[4][KEYSPACE_KEY];

	(void)state;
	assert_true(divide(&k, "m/abc", NULL, 4, points) >= 3);
	assert_int_equal(keyspace_share(&k, "m/abc", "m/abc", NULL), 0);
	assert_true(keyspace_share(&k, "m/abc", "m/z", NULL) > 0.5);
}

static void test_where_nothing_lies_between_there_is_no_point(void **state)
{
	const char *const keys[] = { "a", "b", NULL };
	const struct keyspace k = of("", keys);
	const struct keyspace none = of("", (const char *const[]){ NULL });
	char points[4][KEYSPACE_KEY];

	(void)state;
	assert_int_equal(divide(&none, "a", NULL, 4, points), 0);
	assert_int_equal(divide(&k, "b", "a", 4, points), 0);
	assert_int_equal(divide(&k, "a", "a", 4, points), 0);
}

/* Every character whole: a point goes into a URL as text. */
static void assert_is_text(const char *key)
{
	mbstate_t start = { 0 };
	size_t n;

	n = mbsrtowcs(NULL, &key, 0, &start);
	assert_true(n != (size_t)-1);
}

static void test_text_stays_text(void **state)
{
	/* Two characters that share their first byte: a point must not end in it. */
	const char *const near[] = { "gr\xc3\xa4", "gr\xc3\xbc", "abz", NULL };
	const char *const far[] = { "\xc3\xa4", "\xe6\xa8\xa1", "\xf0\x9f\x98\x80", "z", NULL };
	const struct keyspace n = of("", near), f = of("", far);
	char points[64][KEYSPACE_KEY];
	unsigned nr, i;

	(void)state;
	assert_non_null(setlocale(LC_CTYPE, "C.UTF-8"));
	nr = divide(&n, "gr\xc3\xa4", "gr\xc3\xbc", 8, points);
	assert_true(nr > 0);
	for (i = 0; i < nr; i++)
		assert_is_text(points[i]);
	/* From letters to an emoji, and none of the surrogates that lie between. */
	nr = divide(&f, "a", NULL, 64, points);
	assert_true(nr > 32);
	for (i = 0; i < nr; i++)
		assert_is_text(points[i]);
}

static void test_letters_are_those_of_their_place(void **state)
{
	const char *const keys[] = { "m/run-07/weights.bin", "m/run-11/weights.bin", NULL };
	const struct keyspace k = of("m/", keys);
	char points[3][KEYSPACE_KEY];

	(void)state;
	assert_int_equal(divide(&k, "m/run-00/weights.bin", "m/run-99/x", 3, points), 3);
	assert_int_equal(strncmp(points[0], "m/run-2", 7), 0);
	assert_int_equal(strncmp(points[1], "m/run-5", 7), 0);
	assert_int_equal(strncmp(points[2], "m/run-7", 7), 0);
}

/* Whatever the keys: what divide() asserts holds, and shares grow with the place. */
static void test_random_keys(void **state)
{
	uint64_t x = 88172645463325252u;
	char keys[64][24], points[16][KEYSPACE_KEY];
	unsigned round, i, j, len;

	(void)state;
	for (round = 0; round < 2000; round++) {
		struct keyspace k = { .prefix_len = 2 };
		const char *low, *high;

		for (i = 0; i < 64; i++) {
			x ^= x << 13, x ^= x >> 7, x ^= x << 17;
			len = 1 + x % 20;
			memcpy(keys[i], "p/", 2);
			for (j = 0; j < len; j++) {
				x ^= x << 13, x ^= x >> 7, x ^= x << 17;
				keys[i][2 + j] = (char)(x % 40 == 0 ? 0xc3 : 'a' + x % 7);
			}
			keys[i][2 + len] = '\0';
			keyspace_see(&k, keys[i]);
		}
		low = strcmp(keys[0], keys[1]) < 0 ? keys[0] : keys[1];
		high = low == keys[0] ? keys[1] : keys[0];
		divide(&k, low, high, 1 + round % 16, points);
		divide(&k, low, NULL, 1 + round % 16, points);
		assert_true(keyspace_share(&k, low, keys[2], high) >= 0);
		assert_true(keyspace_share(&k, low, keys[2], high) <= 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_points_lie_between_in_order_and_evenly),
		cmocka_unit_test(test_an_open_end_is_that_of_the_prefix),
		cmocka_unit_test(test_where_nothing_lies_between_there_is_no_point),
		cmocka_unit_test(test_text_stays_text),
		cmocka_unit_test(test_letters_are_those_of_their_place),
		cmocka_unit_test(test_random_keys),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
