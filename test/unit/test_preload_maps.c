/* Which memory shows store files, and when the claim on it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "libclient/preload/maps.c"

#define PAGE 4096u

/* A claim without a file that outlives its pieces: what the tree does with it is looked at. */
static struct hold *claim(void)
{
	struct pin none = { 0 };
	struct hold *h = hold_new(NULL, &none);

	assert_non_null(h);
	return h;
}

/* The test keeps a reference of its own. */
static struct hold *mapped(uintptr_t page, size_t pages)
{
	struct piece p = {
		.start = page * PAGE,
		.end = (page + pages) * PAGE,
		.off = page * PAGE,
		.hold = claim(),
	};

	ref(p.hold);
	assert_int_equal(maps_add(&p), 0);
	return p.hold;
}

static void cut(uintptr_t page, size_t pages)
{
	maps_cut_done(maps_cut(page * PAGE, pages * PAGE));
}

static bool has(uintptr_t page, size_t pages)
{
	return maps_has(page * PAGE, pages * PAGE);
}

static void test_a_whole_unmapping_ends_the_claim(void **state)
{
	struct hold *h = mapped(100, 10);

	(void)state;
	assert_true(has(105, 1));
	cut(110, 5);
	cut(90, 10);
	assert_int_equal(h->refs, 2);
	cut(100, 10);
	assert_int_equal(h->refs, 1);
	assert_false(maps_has(0, UINTPTR_MAX));
	hold_put(h);
}

static void test_a_hole_in_the_middle_leaves_two_pieces(void **state)
{
	struct hold *h = mapped(100, 10);
	struct piece p;

	(void)state;
	cut(103, 2);
	assert_false(has(103, 2));
	assert_true(has(102, 1));
	assert_true(maps_take(105 * PAGE, 106 * PAGE, &p));
	assert_int_equal(p.off, 105 * PAGE);
	hold_put(p.hold);
	cut(100, 3);
	assert_int_equal(h->refs, 2);
	cut(105, 5);
	assert_int_equal(h->refs, 1);
	hold_put(h);
}

static void test_ends_can_be_cut_off(void **state)
{
	struct hold *h = mapped(100, 10);

	(void)state;
	cut(95, 6);
	assert_false(has(100, 1));
	cut(108, 100);
	assert_false(has(108, 1));
	assert_true(has(101, 1));
	cut(101, 7);
	assert_int_equal(h->refs, 1);
	hold_put(h);
}

static void test_one_cut_may_end_several_claims(void **state)
{
	struct hold *h[] = { mapped(100, 10), mapped(120, 10), mapped(140, 10) };
	unsigned i;

	(void)state;
	cut(90, 45);
	assert_int_equal(h[0]->refs + h[1]->refs, 2);
	assert_int_equal(h[2]->refs, 2);
	cut(140, 10);
	assert_false(maps_has(0, UINTPTR_MAX));
	for (i = 0; i < 3; i++)
		hold_put(h[i]);
}

static void test_a_cut_can_be_undone_or_moved(void **state)
{
	struct hold *h = mapped(100, 10);
	struct piece p;

	(void)state;
	maps_cut_undo(maps_cut(103 * PAGE, 2 * PAGE));
	assert_true(has(103, 2));
	maps_cut_move(maps_cut(100 * PAGE, 10 * PAGE), 100 * PAGE);
	assert_false(has(100, 10));
	assert_true(maps_find(204 * PAGE, 205 * PAGE, &p));
	assert_int_equal(p.off + (204 * PAGE - p.start), 104 * PAGE);
	cut(200, 10);
	assert_int_equal(h->refs, 1);
	hold_put(h);
}

static void test_a_change_touches_its_range_alone(void **state)
{
	struct maps_change c = { .prot = 3, .set = MAPS_WRITABLE };
	struct hold *h = mapped(100, 10);
	struct piece p;

	(void)state;
	maps_change(104 * PAGE, 2 * PAGE, &c);
	assert_true(maps_find(103 * PAGE, 104 * PAGE, &p) && p.prot == 0 && p.flags == 0);
	assert_true(maps_find(105 * PAGE, 106 * PAGE, &p) && p.prot == 3);
	assert_int_equal(p.flags, MAPS_WRITABLE);
	assert_true(maps_find(106 * PAGE, 107 * PAGE, &p) && p.prot == 0);
	assert_int_equal(p.off, 106 * PAGE);
	cut(100, 10);
	assert_int_equal(h->refs, 1);
	hold_put(h);
}

static void test_a_fork_keeps_the_claims_of_that_moment(void **state)
{
	struct hold *before = mapped(100, 10), *after;

	(void)state;
	maps_before_fork();
	after = mapped(120, 10);
	assert_true(before->is_inherited);
	assert_false(after->is_inherited);
	cut(100, 30);
	hold_put(before);
	hold_put(after);
}

#define NR_PIECES 20000

/* Against an array of pages, drawn from a seed. */
static void test_any_order_of_pieces_and_cuts_is_right(void **state)
{
	static struct hold *shown[4096];
	unsigned seed = 7, i, page, len;
	struct piece p;

	(void)state;
	for (i = 0; i < NR_PIECES; i++) {
		page = (unsigned)rand_r(&seed) % 4000;
		len = 1 + (unsigned)rand_r(&seed) % 90;
		cut(1000 + page, len);
		memset(&shown[page], 0, len * sizeof(*shown));
		if (i % 3 == 0) {
			struct hold *h = mapped(1000 + page, len);

			h->refs--; /* the tree's alone */
			for (unsigned k = 0; k < len; k++)
				shown[page + k] = h;
		}
		page = (unsigned)rand_r(&seed) % 4096;
		assert_int_equal(has(1000 + page, 1), shown[page] != NULL);
		if (maps_find((1000 + page) * PAGE, (1001 + page) * PAGE, &p))
			assert_true(p.hold == shown[page] &&
				    p.off + ((1000 + page) * PAGE - p.start) ==
					    (1000 + page) * PAGE);
	}
	cut(1000, 4096);
	assert_false(maps_has(0, UINTPTR_MAX));
	assert_true(nr_spares < 64 * NR_RESERVED);
}

static uint32_t over;

static void *look_up(void *arg)
{
	uintptr_t page = 0;

	(void)arg;
	while (__atomic_load_n(&over, __ATOMIC_RELAXED) == 0) {
		struct piece p;

		page = (page + 7919) % (2 * NR_PIECES);
		/* Odd pages are always there, even ones come and go. */
		if (!maps_find((page | 1) * 4 * PAGE, ((page | 1) * 4 + 1) * PAGE, &p) ||
		    p.off != p.start)
			return (void *)1;
	}
	return NULL;
}

static void test_look_ups_without_a_lock_miss_nothing(void **state)
{
	struct hold *h = claim();
	struct piece p = { .hold = h };
	pthread_t threads[2];
	unsigned i, k;
	void *wrong;

	(void)state;
	for (i = 0; i < 2 * NR_PIECES; i++) {
		p.start = p.off = (uintptr_t)i * 4 * PAGE;
		p.end = p.start + PAGE;
		ref(h);
		assert_int_equal(maps_add(&p), 0);
	}
	for (i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look_up, NULL), 0);
	for (k = 0; k < 2; k++)
		for (i = 0; i < 2 * NR_PIECES; i += 2)
			maps_cut_undo(maps_cut((uintptr_t)i * 4 * PAGE, PAGE));
	__atomic_store_n(&over, 1, __ATOMIC_RELAXED);
	for (i = 0; i < 2; i++) {
		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
	maps_cut_done(maps_cut(0, (size_t)8 * NR_PIECES * PAGE));
	assert_int_equal(h->refs, 1);
	hold_put(h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_whole_unmapping_ends_the_claim),
		cmocka_unit_test(test_a_hole_in_the_middle_leaves_two_pieces),
		cmocka_unit_test(test_ends_can_be_cut_off),
		cmocka_unit_test(test_one_cut_may_end_several_claims),
		cmocka_unit_test(test_a_cut_can_be_undone_or_moved),
		cmocka_unit_test(test_a_change_touches_its_range_alone),
		cmocka_unit_test(test_a_fork_keeps_the_claims_of_that_moment),
		cmocka_unit_test(test_any_order_of_pieces_and_cuts_is_right),
		cmocka_unit_test(test_look_ups_without_a_lock_miss_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
