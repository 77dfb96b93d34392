#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "common/snapshot.h"
#include "daemon/mount/inode.h"
#include "daemon/mount/snapmem.h"
#include "daemon/mount/tree.h"

struct fixture {
	struct tree *tree;
	struct snapmem *mem;
};

static void start(struct fixture *f, const char *prefix)
{
	assert_int_equal(tree_new(prefix, &f->tree), 0);
	f->mem = NULL;
}

static void add(struct fixture *f, const char *key, uint64_t size)
{
	struct tree_key k = {
		.key = key,
		.key_len = strlen(key),
		.size = size,
		.mtime = 1767323045,
		.etag = "D41D8CD98F00B204E9800998ECF8427E",
	};

	assert_int_equal(tree_add(f->tree, &k), 0);
}

static const struct snapshot *build(struct fixture *f)
{
	assert_int_equal(tree_build(f->tree, 7, &f->mem), 0);
	return snapmem_view(f->mem);
}

static void finish(struct fixture *f)
{
	tree_free(f->tree);
	snapmem_unref(f->mem);
}

static const struct snapshot_entry *find(const struct snapshot *s, const char *path)
{
	uint32_t e = snapshot_lookup(s, 0, path, strlen(path));

	return e == SNAPSHOT_NONE ? NULL : &s->entries[e];
}

static uint64_t nr_faults(const struct fixture *f)
{
	uint64_t nr = 0;
	int i;

	for (i = 0; i < TREE_NR_FAULTS; i++)
		nr += tree_counts(f->tree)->nr_faults[i];
	return nr;
}

static void test_directories_are_made_and_children_are_sorted_by_name(void **state)
{
	struct fixture f;
	const struct snapshot *s;
	const struct snapshot_entry *e, *dir;
	uint32_t i;

	(void)state;
	start(&f, "models/");
	/* In the store's order "a-b" comes before "a/x"; by name "a" comes first. */
	add(&f, "models/", 0);
	add(&f, "models/a-b", 1);
	add(&f, "models/a/x", 2);
	add(&f, "models/a/y/z", 3);
	add(&f, "models/a0", 4);
	add(&f, "models/empty/", 0);
	s = build(&f);

	assert_int_equal(s->header->serial, 7);
	assert_int_equal(s->header->nr_files, 4);
	assert_int_equal(s->header->total_bytes, 10);
	assert_int_equal(s->header->nr_entries, 8);
	assert_int_equal(find(s, "a/y/z")->size, 3);
	assert_true(snapshot_is_dir(find(s, "a")));
	assert_true(snapshot_is_dir(find(s, "empty")));
	assert_int_equal(find(s, "empty")->nr_children, 0);
	assert_null(find(s, "models"));
	e = find(s, "a-b");
	assert_int_equal(e->etag_len, 32);
	assert_memory_equal(s->strings + e->etag_off, "D41D8CD98F00B204E9800998ECF8427E", 32);
	assert_int_equal(e->mtime_ns, 1767323045000000000);
	assert_int_equal(find(s, "a")->mtime_ns, 1767323045000000000);

	dir = &s->entries[0];
	for (i = 1; i < dir->nr_children; i++) {
		const struct snapshot_entry *x = &s->entries[dir->first_child + i - 1];
		const struct snapshot_entry *y = x + 1;
		char a[256] = "", b[256] = "";

		memcpy(a, snapshot_name(s, x), x->name_len);
		memcpy(b, snapshot_name(s, y), y->name_len);
		assert_true(strcmp(a, b) < 0);
	}
	assert_int_equal(nr_faults(&f), 0);
	finish(&f);
}

static void test_keys_that_no_path_can_name_are_left_out_and_counted(void **state)
{
	char long_name[300] = "p/", key[1100];
	struct fixture f;
	const struct snapshot *s;
	struct tree_key nul = { .key = "p/a\0b", .key_len = 5 };
	struct tree_key link = { .key = "p/link", .key_len = 6, .is_link = true };
	struct tree_key huge = { .key = "p/huge", .key_len = 6, .size = UINT64_MAX };
	char etag[80];
	struct tree_key tagged = { .key = "p/tagged", .key_len = 8, .etag = etag };

	(void)state;
	memset(long_name + 2, 'x', 256);
	memset(etag, 'e', sizeof(etag));
	etag[72] = '\0';
	start(&f, "p/");
	add(&f, "p/../up", 1);
	add(&f, "p/./here", 1);
	add(&f, "p/a/..", 1);
	add(&f, "p//leading", 1);
	add(&f, "p/a//b", 1);
	add(&f, "p/a//", 0);
	add(&f, long_name, 1);
	assert_int_equal(tree_add(f.tree, &nul), 0);
	assert_int_equal(tree_add(f.tree, &link), 0);
	assert_int_equal(tree_add(f.tree, &huge), 0);
	assert_int_equal(tree_add(f.tree, &tagged), 0);
	add(&f, "other/key", 1);
	long_name[2 + 255] = '\0';
	add(&f, long_name, 5);
	add(&f, "p/ctl\001\f\t\n.bin", 6);
	add(&f, "p/...", 7);
	snprintf(key, sizeof(key), "p/%0*d", 250, 0);
	while (strlen(key) < 1023 - 2)
		strcat(key, "/k");
	add(&f, key, 8);
	s = build(&f);

	assert_int_equal(tree_counts(f.tree)->nr_keys, 15);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_DOTS], 3);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_EMPTY], 3);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_LONG], 1);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_NUL], 1);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_LINK], 1);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_SIZE], 1);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_ETAG], 1);
	assert_string_equal(tree_counts(f.tree)->example[TREE_DOTS], "p/../up");
	assert_int_equal(s->header->nr_files, 4);
	assert_int_equal(find(s, long_name + 2)->size, 5);
	assert_int_equal(find(s, "ctl\001\f\t\n.bin")->size, 6);
	assert_int_equal(s->entries[snapshot_child(s, 0, "...", 3)].size, 7);
	assert_int_equal(find(s, key + 2)->size, 8);
	finish(&f);
}

static void test_a_key_that_is_file_and_directory_is_shown_as_directory(void **state)
{
	struct fixture f;
	const struct snapshot *s;

	(void)state;
	start(&f, "");
	add(&f, "m/twice", 10);
	add(&f, "m/twice", 11);
	add(&f, "m/both", 5);
	add(&f, "m/both/inside", 6);
	s = build(&f);

	assert_true(snapshot_is_dir(find(s, "m/both")));
	assert_int_equal(find(s, "m/both/inside")->size, 6);
	assert_int_equal(find(s, "m/twice")->size, 11);
	assert_int_equal(tree_counts(f.tree)->nr_faults[TREE_SHADOWED], 1);
	assert_string_equal(tree_counts(f.tree)->example[TREE_SHADOWED], "m/both");
	assert_int_equal(s->header->nr_files, 2);
	assert_int_equal(s->header->nr_entries, 5);
	finish(&f);
}

static void test_the_order_of_the_listing_does_not_matter(void **state)
{
	static const char *const keys[] = { "z", "b/2", "a/1", "b/1", "a/0", "c/d/e", "b/3", "a" };
	struct fixture f, g;
	const struct snapshot *s, *t;
	const size_t nr = sizeof(keys) / sizeof(keys[0]);
	size_t i;

	(void)state;
	start(&f, "");
	start(&g, "");
	for (i = 0; i < nr; i++) {
		add(&f, keys[i], i);
		add(&g, keys[nr - 1 - i], nr - 1 - i);
	}
	s = build(&f);
	t = build(&g);

	assert_int_equal(s->header->nr_entries, t->header->nr_entries);
	for (i = 0; i < s->header->nr_entries; i++) {
		assert_int_equal(s->entries[i].ino, t->entries[i].ino);
		assert_int_equal(s->entries[i].size, t->entries[i].size);
		assert_int_equal(s->entries[i].parent, t->entries[i].parent);
	}
	finish(&f);
	finish(&g);
}

static void test_inodes_are_the_same_under_every_prefix_and_at_every_listing(void **state)
{
	struct fixture f, g;
	uint64_t file, dir;

	(void)state;
	start(&f, "");
	add(&f, "models/llama/config.json", 1);
	start(&g, "models/llama/");
	add(&g, "models/llama/config.json", 99);
	build(&f);
	build(&g);

	file = find(snapmem_view(f.mem), "models/llama/config.json")->ino;
	dir = find(snapmem_view(f.mem), "models/llama")->ino;
	assert_int_equal(find(snapmem_view(g.mem), "config.json")->ino, file);
	assert_int_equal(snapmem_view(g.mem)->entries[0].ino, dir);
	assert_int_not_equal(file, 0);
	assert_int_equal(file >> 63, 0);
	finish(&f);
	finish(&g);
}

static void test_equal_inodes_are_told_apart(void **state)
{
	struct snapshot_entry entries[4] = {
		{ .ino = 5 }, { .ino = 5 }, { .ino = 9 }, { .ino = 5 }
	};
	int i, j;

	(void)state;
	assert_int_equal(inode_make_unique(entries, 4), 0);
	assert_int_equal(entries[0].ino, 5);
	assert_int_equal(entries[2].ino, 9);
	for (i = 0; i < 4; i++)
		for (j = 0; j < i; j++)
			assert_int_not_equal(entries[i].ino, entries[j].ino);
}

static void test_a_snapshot_cannot_be_written_through_its_descriptor(void **state)
{
	struct fixture f;
	char path[40];
	int fd;

	(void)state;
	start(&f, "");
	add(&f, "a", 1);
	build(&f);

	assert_int_equal(fcntl(snapmem_fd(f.mem), F_GETFL) & O_ACCMODE, O_RDONLY);
	assert_true(mmap(NULL, snapmem_len(f.mem), PROT_READ | PROT_WRITE, MAP_SHARED,
			 snapmem_fd(f.mem), 0) == MAP_FAILED);
	/* Root may reopen it; the seals still hold. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", snapmem_fd(f.mem));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd != -1) {
		assert_int_equal(pwrite(fd, "x", 1, 0), -1);
		assert_int_equal(errno, EPERM);
		assert_int_equal(ftruncate(fd, 0), -1);
		close(fd);
	}
	finish(&f);
}

static void test_an_unchanged_listing_is_recognised(void **state)
{
	struct fixture f, g, h;

	(void)state;
	start(&f, "");
	start(&g, "");
	start(&h, "");
	/* Pages come in another order each time. */
	assert_int_equal(tree_begin_run(f.tree, "dir/a"), 0);
	add(&f, "dir/a", 1);
	assert_int_equal(tree_begin_run(f.tree, "dir/b"), 0);
	add(&f, "dir/b", 3);
	assert_int_equal(tree_begin_run(g.tree, "dir/b"), 0);
	add(&g, "dir/b", 3);
	assert_int_equal(tree_begin_run(g.tree, "dir/a"), 0);
	add(&g, "dir/a", 1);
	add(&h, "dir/a", 2);
	add(&h, "dir/b", 3);
	build(&f);
	build(&g);
	build(&h);
	assert_true(snapmem_is_same(f.mem, g.mem));
	assert_false(snapmem_is_same(f.mem, h.mem));
	finish(&f);
	finish(&g);
	finish(&h);
}

static void test_a_directory_whose_names_are_not_known_is_told_from_an_empty_one(void **state)
{
	const struct tree_key far = { .key = "m/far/", .key_len = 6, .is_unlisted = true };
	struct fixture f;
	const struct snapshot *s;
	uint32_t last;

	(void)state;
	start(&f, "m/");
	add(&f, "m/file", 1);
	add(&f, "m/empty/", 0);
	assert_int_equal(tree_add(f.tree, &far), 0);
	s = build(&f);

	assert_true(snapshot_is_dir(find(s, "far")));
	assert_true(snapshot_is_unlisted(s, snapshot_lookup(s, 0, "far", 3)));
	assert_int_equal(snapshot_find(s, 0, "far/x/y", 7, &last), SNAPSHOT_NONE);
	assert_true(snapshot_is_unlisted(s, last));
	assert_int_equal(snapshot_find(s, 0, "empty/x", 7, &last), SNAPSHOT_NONE);
	assert_ptr_equal(&s->entries[last], find(s, "empty"));
	assert_false(snapshot_is_unlisted(s, last));
	assert_int_equal(snapshot_find(s, 0, "file/x", 6, &last), SNAPSHOT_NONE);
	assert_false(snapshot_is_unlisted(s, last));
	finish(&f);
}

static void test_an_empty_listing_is_an_empty_directory(void **state)
{
	struct fixture f;
	const struct snapshot *s;

	(void)state;
	start(&f, "nothing/");
	s = build(&f);
	assert_int_equal(s->header->nr_entries, 1);
	assert_int_equal(s->entries[0].nr_children, 0);
	assert_int_equal(tree_counts(f.tree)->nr_keys, 0);
	finish(&f);
}

static size_t heap_in_use(void)
{
	struct mallinfo2 m = mallinfo2();

	return m.uordblks + m.hblkhd;
}

static void test_a_million_keys_take_bounded_memory(void **state)
{
	const unsigned nr = 1000000;
	size_t before = heap_in_use(), held;
	struct fixture f;
	const struct snapshot *s;
	char key[128];
	unsigned i;

	(void)state;
	start(&f, "datasets/");
	for (i = 0; i < nr; i++) {
		snprintf(key, sizeof(key), "datasets/part-%03u/shard-%08u-of-01000000.parquet",
			 i / 1000, i);
		add(&f, key, i);
	}
	held = heap_in_use() - before;
	s = build(&f);

	assert_int_equal(s->header->nr_files, nr);
	assert_true(snapmem_len(f.mem) / nr <= 200);
	/* While it is built; instrumented builds have an allocator that does not tell. */
	assert_true(held / nr <= 400);
	assert_int_equal(find(s, "part-777/shard-00777123-of-01000000.parquet")->size, 777123);
	assert_null(find(s, "part-777/shard-00778123-of-01000000.parquet"));
	finish(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_directories_are_made_and_children_are_sorted_by_name),
		cmocka_unit_test(test_keys_that_no_path_can_name_are_left_out_and_counted),
		cmocka_unit_test(test_a_key_that_is_file_and_directory_is_shown_as_directory),
		cmocka_unit_test(test_the_order_of_the_listing_does_not_matter),
		cmocka_unit_test(test_inodes_are_the_same_under_every_prefix_and_at_every_listing),
		cmocka_unit_test(test_equal_inodes_are_told_apart),
		cmocka_unit_test(test_a_snapshot_cannot_be_written_through_its_descriptor),
		cmocka_unit_test(test_an_unchanged_listing_is_recognised),
		cmocka_unit_test(
			test_a_directory_whose_names_are_not_known_is_told_from_an_empty_one),
		cmocka_unit_test(test_an_empty_listing_is_an_empty_directory),
		cmocka_unit_test(test_a_million_keys_take_bounded_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
