#include "daemon/cache/table.h"

#include "test/unit/cache_fixture.h"

#include <fcntl.h>
#include <stdio.h>

static int start(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	fixture_start(f, 8 * CHUNK, VERIFY_OFF);
	*state = f;
	return 0;
}

static int end(void **state)
{
	fixture_end(*state);
	free(*state);
	return 0;
}

static void test_a_client_finds_the_header(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(table_len(f->table), sizeof(struct chunktab));
	assert_int_equal(f->view->magic, CHUNKTAB_MAGIC);
	assert_int_equal(f->view->version, CHUNKTAB_VERSION);
	assert_int_equal(f->view->chunk_shift, SHIFT);
	assert_int_equal(f->view->snapshot_serial, 0);
	table_set_serial(f->table, 42);
	assert_int_equal(f->view->snapshot_serial, 42);
}

static void test_nobody_but_the_daemon_writes_words(void **state)
{
	struct fixture *f = *state;
	char path[32];
	int fd;

	assert_ptr_equal(mmap(NULL, table_len(f->table), PROT_READ | PROT_WRITE, MAP_SHARED,
			      table_client_fd(f->table), 0),
			 MAP_FAILED);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", table_client_fd(f->table));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd == -1) {
		assert_int_equal(errno, EACCES);
		return;
	}
	assert_int_equal(pwrite(fd, "x", 1, 4096), -1); /* root */
	assert_int_equal(errno, EPERM);
	close(fd);
}

static void test_rows_do_not_overlap_and_come_back(void **state)
{
	struct fixture *f = *state;
	uint32_t a, b, c, all;

	assert_int_equal(table_take(f->table, 10, &a), 0);
	assert_int_equal(table_take(f->table, 20, &b), 0);
	assert_int_equal(table_take(f->table, 30, &c), 0);
	assert_true(b >= a + 10 && c >= b + 20);
	assert_int_equal(table_take(f->table, CHUNKTAB_NR_WORDS, &all), -ENOSPC);
	table_give(f->table, b, 20);
	table_give(f->table, a, 10);
	table_give(f->table, c, 30);
	assert_int_equal(table_take(f->table, CHUNKTAB_NR_WORDS, &all), 0);
	assert_int_equal(all, 0);
	table_give(f->table, all, CHUNKTAB_NR_WORDS);
}

static void test_a_row_is_used_again_only_when_all_others_were(void **state)
{
	struct fixture *f = *state;
	uint32_t first, row, i, half = CHUNKTAB_NR_WORDS / 2 - 8;

	assert_int_equal(table_take(f->table, 8, &first), 0);
	table_give(f->table, first, 8);
	for (i = 0; i < 2; i++) {
		assert_int_equal(table_take(f->table, half, &row), 0);
		assert_true(row >= first + 8);
		table_give(f->table, row, half);
	}
	assert_int_equal(table_take(f->table, 16, &row), 0);
	assert_int_equal(row, first); /* round once */
	table_give(f->table, row, 16);
}

static void test_a_full_table_says_so(void **state)
{
	struct fixture *f = *state;
	struct object_spec spec = { .key = "k", .etag = "e", .size = CHUNK + 1 };
	struct object *o;
	uint32_t row;

	assert_int_equal(table_take(f->table, CHUNKTAB_NR_WORDS - 1, &row), 0);
	assert_int_equal(object_new(f->cache, f->table, &spec, &o), -ENOSPC);
	spec.size = CHUNK;
	assert_int_equal(object_new(f->cache, f->table, &spec, &o), 0);
	object_unref(o);
	table_give(f->table, row, CHUNKTAB_NR_WORDS - 1);
}

static void test_words_of_a_freed_object_are_empty_and_of_a_new_generation(void **state)
{
	struct fixture *f = *state;
	struct object *o = fixture_object(f, 2 * CHUNK);
	uint64_t first = object_first_word(o), before, after;

	assert_int_equal(load(o, 1, FETCH_DEMAND), 0);
	before = chunk_word_load(&f->view->words[first + 1]);
	assert_int_equal(chunk_word_state(before), CHUNK_READY);
	object_unref(o);
	after = chunk_word_load(&f->view->words[first + 1]);
	assert_int_equal(chunk_word_state(after), CHUNK_EMPTY);
	assert_false(chunk_word_still(before, after));
	/* The next owner of the word goes on from there. */
	o = fixture_object(f, CHUNK);
	*table_word(f->table, (uint32_t)object_first_word(o)) = chunk_word(77, 0, CHUNK_EMPTY);
	assert_int_equal(load(o, 0, FETCH_DEMAND), 0);
	assert_int_equal(chunk_word_generation(word_of(f, o, 0)), 77);
	object_unref(o);
}

#define TABLE_TEST(t) cmocka_unit_test_setup_teardown(t, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TABLE_TEST(test_a_client_finds_the_header),
		TABLE_TEST(test_nobody_but_the_daemon_writes_words),
		TABLE_TEST(test_rows_do_not_overlap_and_come_back),
		TABLE_TEST(test_a_row_is_used_again_only_when_all_others_were),
		TABLE_TEST(test_a_full_table_says_so),
		TABLE_TEST(test_words_of_a_freed_object_are_empty_and_of_a_new_generation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
