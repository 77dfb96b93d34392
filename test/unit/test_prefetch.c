#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "common/snapshot.h"
#include "daemon/mount/prefetch.h"
#include "daemon/mount/snapmem.h"
#include "daemon/mount/tree.h"

#define MIB   (1ull << 20)
#define SHIFT 23

struct file {
	const char *path;
	uint64_t size;
};

static const struct file model[] = {
	{ "config.json", 700 },
	{ "model-00001.safetensors", 100 * MIB },
	{ "model-00002.safetensors", 100 * MIB },
	{ "sub/empty", 0 },
	{ "sub/extra.bin", 50 * MIB },
	{ "tokenizer.json", 2 * MIB },
};

static const struct file bucket[] = {
	{ "a/config.json", 700 },
	{ "a/w.bin", 60 * MIB },
	{ "b/config.json", 700 },
	{ "b/deep/w.bin", 60 * MIB },
};

#define NR(files) (sizeof(files) / sizeof((files)[0]))

static struct snapmem *snapshot_of(const struct file *files, size_t nr)
{
	struct snapmem *mem;
	struct tree *t;
	size_t i;

	assert_int_equal(tree_new("", &t), 0);
	for (i = 0; i < nr; i++) {
		struct tree_key k = {
			.key = files[i].path,
			.key_len = strlen(files[i].path),
			.size = files[i].size,
		};

		assert_int_equal(tree_add(t, &k), 0);
	}
	assert_int_equal(tree_build(t, 1, &mem), 0);
	tree_free(t);
	return mem;
}

static uint32_t entry_of(const struct snapmem *mem, const char *path)
{
	uint32_t e = snapshot_lookup(snapmem_view(mem), 0, path, strlen(path));

	assert_int_not_equal(e, SNAPSHOT_NONE);
	return e;
}

/* The rest of the plan, as names one behind the other. */
static const char *rest_of(struct prefetch *p, const struct snapmem *mem)
{
	static char names[1024];
	uint32_t file;

	names[0] = '\0';
	while ((file = prefetch_next(p)) != SNAPSHOT_NONE) {
		size_t len = strlen(names);

		snapshot_path(snapmem_view(mem), file, names + len, sizeof(names) - len - 2);
		strcat(names, " ");
	}
	return names;
}

static void test_a_model_directory_that_fits_is_taken_whole_at_attach(void **state)
{
	struct snapmem *mem = snapshot_of(model, NR(model));

	(void)state;
	assert_true(prefetch_whole_mount(snapmem_view(mem), 300 * MIB));
	assert_false(prefetch_whole_mount(snapmem_view(mem), 200 * MIB));
	snapmem_unref(mem);
}

static void test_a_bucket_of_models_waits_for_the_first_open_and_takes_that_directory(void **state)
{
	struct snapmem *mem = snapshot_of(bucket, NR(bucket));
	struct prefetch *p;
	uint32_t dir;

	(void)state;
	assert_false(prefetch_whole_mount(snapmem_view(mem), 300 * MIB));
	dir = prefetch_directory(snapmem_view(mem), entry_of(mem, "b/config.json"));
	assert_int_equal(dir, entry_of(mem, "b"));
	assert_int_equal(prefetch_new(mem, dir, 300 * MIB, SHIFT, &p), 0);
	assert_int_equal(prefetch_bytes(p), 60 * MIB + 700);
	assert_true(prefetch_covers(p, entry_of(mem, "b/deep/w.bin")));
	assert_false(prefetch_covers(p, entry_of(mem, "a/w.bin")));
	assert_string_equal(rest_of(p, mem), "b/config.json b/deep/w.bin ");
	prefetch_free(p);
	snapmem_unref(mem);
}

static void test_small_files_come_first_then_all_by_name(void **state)
{
	struct snapmem *mem = snapshot_of(model, NR(model));
	struct prefetch *p;

	(void)state;
	assert_int_equal(prefetch_new(mem, 0, 300 * MIB, SHIFT, &p), 0);
	assert_false(prefetch_is_streaming(p));
	assert_string_equal(rest_of(p, mem), "config.json tokenizer.json model-00001.safetensors "
					     "model-00002.safetensors sub/extra.bin ");
	assert_int_equal(prefetch_next(p), SNAPSHOT_NONE);
	prefetch_free(p);
	snapmem_unref(mem);
}

static void test_what_does_not_fit_goes_on_behind_the_file_that_is_read(void **state)
{
	struct snapmem *mem = snapshot_of(model, NR(model));
	uint32_t second = entry_of(mem, "model-00002.safetensors");
	struct prefetch *p;

	(void)state;
	assert_int_equal(prefetch_new(mem, 0, 60 * MIB, SHIFT, &p), 0);
	assert_true(prefetch_is_streaming(p));
	assert_int_equal(prefetch_next(p), entry_of(mem, "config.json"));
	assert_true(prefetch_go_on_from(p, second));
	assert_false(prefetch_go_on_from(p, second));
	assert_int_equal(prefetch_next(p), second);
	prefetch_put_back(p, second);
	assert_string_equal(rest_of(p, mem), "sub/extra.bin tokenizer.json model-00001.safetensors "
					     "model-00002.safetensors ");
	prefetch_free(p);
	snapmem_unref(mem);
}

static void test_a_single_file_is_a_plan_too(void **state)
{
	struct snapmem *mem = snapshot_of(model, NR(model));
	struct prefetch *p;

	(void)state;
	assert_int_equal(prefetch_new(mem, entry_of(mem, "tokenizer.json"), 300 * MIB, SHIFT, &p),
			 0);
	assert_string_equal(rest_of(p, mem), "tokenizer.json ");
	prefetch_free(p);
	assert_int_equal(prefetch_new(mem, entry_of(mem, "sub/empty"), 300 * MIB, SHIFT, &p), 0);
	assert_string_equal(rest_of(p, mem), "");
	prefetch_free(p);
	snapmem_unref(mem);
}

static void test_an_empty_mount_has_an_empty_plan(void **state)
{
	struct snapmem *mem = snapshot_of(NULL, 0);
	struct prefetch *p;

	(void)state;
	assert_false(prefetch_whole_mount(snapmem_view(mem), 300 * MIB));
	assert_int_equal(prefetch_new(mem, 0, 300 * MIB, SHIFT, &p), 0);
	assert_int_equal(prefetch_next(p), SNAPSHOT_NONE);
	prefetch_free(p);
	snapmem_unref(mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_model_directory_that_fits_is_taken_whole_at_attach),
		cmocka_unit_test(
			test_a_bucket_of_models_waits_for_the_first_open_and_takes_that_directory),
		cmocka_unit_test(test_small_files_come_first_then_all_by_name),
		cmocka_unit_test(test_what_does_not_fit_goes_on_behind_the_file_that_is_read),
		cmocka_unit_test(test_a_single_file_is_a_plan_too),
		cmocka_unit_test(test_an_empty_mount_has_an_empty_plan),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
