/* Which memory shows store files, and when the claim on it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/preload/maps.c"

#define PAGE 4096u

/* A claim without a file: what the list does with it is all that is looked at. */
static struct hold *claim(void)
{
	struct pin none = { 0 };
	struct hold *h = hold_new(NULL, &none);

	assert_non_null(h);
	return h;
}

static struct hold *mapped(uintptr_t page, size_t pages)
{
	struct hold *h = claim();

	assert_int_equal(maps_add(page * PAGE, pages * PAGE, h), 0);
	return h;
}

static struct hold *cut(uintptr_t page, size_t pages)
{
	return maps_cut(page * PAGE, pages * PAGE);
}

static void test_a_whole_unmapping_ends_the_claim(void **state)
{
	struct hold *h = mapped(100, 10);

	(void)state;
	assert_true(maps_has(105 * PAGE, PAGE));
	assert_null(cut(110, 5));
	assert_null(cut(90, 10));
	assert_ptr_equal(cut(100, 10), h);
	assert_false(maps_has(0, UINTPTR_MAX));
	hold_drop_all(h);
}

static void test_a_hole_in_the_middle_leaves_two_pieces(void **state)
{
	struct hold *h = mapped(100, 10);

	(void)state;
	assert_null(cut(103, 2));
	assert_false(maps_has(103 * PAGE, 2 * PAGE));
	assert_true(maps_has(102 * PAGE, PAGE));
	assert_true(maps_has(105 * PAGE, PAGE));
	assert_null(cut(100, 3));
	assert_ptr_equal(cut(105, 5), h);
	hold_drop_all(h);
}

static void test_ends_can_be_cut_off(void **state)
{
	struct hold *h = mapped(100, 10);

	(void)state;
	assert_null(cut(95, 6));
	assert_false(maps_has(100 * PAGE, PAGE));
	assert_null(cut(108, 100));
	assert_false(maps_has(108 * PAGE, PAGE));
	assert_true(maps_has(101 * PAGE, PAGE));
	assert_ptr_equal(cut(101, 7), h);
	hold_drop_all(h);
}

static void test_one_cut_may_end_several_claims(void **state)
{
	struct hold *list;
	unsigned nr = 0;

	(void)state;
	mapped(100, 10);
	mapped(120, 10);
	mapped(140, 10);
	list = cut(90, 45);
	for (struct hold *h = list; h != NULL; h = h->next)
		nr++;
	assert_int_equal(nr, 2);
	hold_drop_all(list);
	hold_drop_all(cut(140, 10));
	assert_false(maps_has(0, UINTPTR_MAX));
}

static void test_a_fork_keeps_the_claims_of_that_moment(void **state)
{
	struct hold *before = mapped(100, 10), *after;

	(void)state;
	maps_before_fork();
	after = mapped(120, 10);
	assert_true(before->shared);
	assert_false(after->shared);
	hold_drop_all(cut(100, 30));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_unmapping_ends_the_claim),
		cmocka_unit_test(test_a_hole_in_the_middle_leaves_two_pieces),
		cmocka_unit_test(test_ends_can_be_cut_off),
		cmocka_unit_test(test_one_cut_may_end_several_claims),
		cmocka_unit_test(test_a_fork_keeps_the_claims_of_that_moment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
