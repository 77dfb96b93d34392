#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/mount/fetch.h"
#include "daemon/mount/lister.h"
#include "daemon/mount/snapmem.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/list.h"

#define PREFIX	     "m/"
#define PAGE	     100 /* keys */
#define NR_KEYS	     60000
#define NR_AT_A_TIME 16

/*
 * A store of sorted keys that takes one tick for a page, however many are asked
 * for at a time: so how well a listing is divided is a number, without a clock.
 */
struct oss_list {
	struct oss_list *next;
	struct oss_list_events events;
	void *arg;
	size_t at;
	char last[1100];
	unsigned due;
	bool in_order, is_cancelled;
};

static struct store {
	int (*compare)(const char *a, const char *b); /* its own order */
	char **keys;
	size_t nr, cap;
	struct oss_list *queue, **tail;
	unsigned now, nr_requests, nr_in_flight, most_in_flight;
	struct snapmem *snapshot;
	bool is_done;
} store;

static void ask(struct oss_list *l)
{
	l->due = store.now + 1;
	l->next = NULL;
	*store.tail = l;
	store.tail = &l->next;
	store.nr_requests++;
	store.nr_in_flight++;
	if (store.nr_in_flight > store.most_in_flight)
		store.most_in_flight = store.nr_in_flight;
}

static size_t first_behind(const char *key)
{
	size_t low = 0, high = store.nr, mid;

	while (low < high) {
		mid = (low + high) / 2;
		if (store.compare(store.keys[mid], key) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

int oss_list_start(struct event_base *base, struct http_client *client, struct oss_bucket *bucket,
		   const struct oss_list_conf *conf, const struct oss_list_events *events,
		   void *arg, struct oss_list **ret_list)
{
	struct oss_list *l = calloc(1, sizeof(*l));

	(void)base;
	(void)client;
	(void)bucket;
	assert_non_null(l);
	l->events = *events;
	l->arg = arg;
	l->in_order = conf->in_order;
	l->at = first_behind(conf->start_after != NULL ? conf->start_after : "");
	snprintf(l->last, sizeof(l->last), "%s", conf->last != NULL ? conf->last : "");
	ask(l);
	*ret_list = l;
	return 0;
}

int oss_list_set_last(struct oss_list *l, const char *last)
{
	snprintf(l->last, sizeof(l->last), "%s", last);
	return 0;
}

void oss_list_cancel(struct oss_list *l)
{
	if (l != NULL)
		l->is_cancelled = true;
}

struct worker *fetch_thread(struct fetch *f, unsigned i)
{
	(void)f;
	(void)i;
	return NULL;
}

struct oss_bucket *oss_bucket_ref(struct oss_bucket *b)
{
	return b;
}

void oss_bucket_unref(struct oss_bucket *b)
{
	(void)b;
}

const char *oss_bucket_name(const struct oss_bucket *b)
{
	(void)b;
	return "bucket";
}

static void end(struct oss_list *l, int error)
{
	const struct oss_result res = { .error = error,
					.action = error != 0 ? OSS_FATAL : OSS_DONE };

	l->events.on_done(&res, l->arg);
	free(l);
}

/* As the true one: keys that are out of order end it, those beyond the last one are cut off. */
static void serve(struct oss_list *l)
{
	struct list_entry entries[PAGE];
	struct list_page page = { .entries = entries, .next_token = "on" };
	size_t i, nr = 0;
	int r;

	for (; nr < PAGE && l->at < store.nr; l->at++)
		entries[nr++] = (struct list_entry){
			.key = store.keys[l->at],
			.key_len = strlen(store.keys[l->at]),
			.size = 1,
			.etag = "0123456789ABCDEF",
			.type = "Normal",
		};
	for (i = 1; l->in_order && i < nr; i++)
		if (strcmp(entries[i - 1].key, entries[i].key) >= 0) {
			end(l, -EBADMSG);
			return;
		}
	page.is_truncated = l->at < store.nr;
	while (l->last[0] != '\0' && nr > 0 && strcmp(entries[nr - 1].key, l->last) > 0) {
		page.beyond = entries[--nr].key;
		page.is_truncated = false;
	}
	page.nr_entries = nr;
	r = l->events.on_page(&page, l->arg);
	if (r == 0 && page.is_truncated)
		ask(l);
	else
		end(l, r);
}

static void on_listed(int error, const char *text, struct snapmem *snapshot, void *arg)
{
	(void)arg;
	if (error != 0)
		fail_msg("%s", text);
	store.snapshot = snapshot;
	store.is_done = true;
}

static void list_all(void)
{
	uint64_t serial = 0;
	const struct lister_conf conf = {
		.serial = &serial,
		.prefix = PREFIX,
		.oss_path = "oss://bucket/" PREFIX,
		.concurrency = NR_AT_A_TIME,
	};
	struct lister *lister;

	assert_int_equal(lister_start(&conf, on_listed, NULL, &lister), 0);
	while (!store.is_done) {
		struct oss_list *l = store.queue;

		assert_non_null(l);
		store.queue = l->next;
		if (store.queue == NULL)
			store.tail = &store.queue;
		store.now = l->due;
		store.nr_in_flight--;
		if (l->is_cancelled)
			free(l);
		else
			serve(l);
	}
	assert_null(store.queue);
}

static void put(const char *format, ...) __attribute__((format(printf, 1, 2)));

static void put(const char *format, ...)
{
	char key[256] = PREFIX;
	va_list args;

	va_start(args, format);
	vsnprintf(key + strlen(PREFIX), sizeof(key) - strlen(PREFIX), format, args);
	va_end(args);
	if (store.nr == store.cap) {
		store.cap = store.cap == 0 ? 1024 : store.cap * 2;
		store.keys = realloc(store.keys, store.cap * sizeof(*store.keys));
		assert_non_null(store.keys);
	}
	store.keys[store.nr++] = strdup(key);
}

static uint64_t random_number(void)
{
	static uint64_t x = 88172645463325252u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

static void put_even(int i)
{
	put("dir-%07d/file-%09d.bin", i / 60, i);
}

static void put_flat(int i)
{
	put("file-%09d.bin", i);
}

static void put_hashes(int i)
{
	put("%016llx-%d", (unsigned long long)random_number(), i);
}

static void put_nine_tenths_in_one(int i)
{
	if (i % 10 != 0)
		put("big/file-%09d.bin", i);
	else
		put("small-%04d/file-%d", i / 10 % 500, i);
}

static void put_deep(int i)
{
	char path[13] = "a/a/a/a/a/a/";
	unsigned j;

	for (j = 0; j < 6; j++)
		path[2 * j] += (char)(random_number() % 3);
	put("%s%d", path, i);
}

static void put_by_date(int i)
{
	put("2024/%02d/%02d/%02d/part-%05d-%08x.parquet", 1 + i / (NR_KEYS / 12 + 1),
	    1 + (int)(random_number() % 28), (int)(random_number() % 24), i % 200,
	    (unsigned)random_number());
}

static void put_one_name_of_wide_letters(int i)
{
	put("模型-%02d/文件-%07d", i / (NR_KEYS / 64), i);
}

static void put_wide_letters(int i)
{
	uint64_t x = random_number();

	put("\xe6%c%c\xe5%c%c-%07d", 0x80 + (int)(x % 64), 0x80 + (int)(x / 64 % 64),
	    0x80 + (int)(x / 4096 % 64), 0x80 + (int)(x / 262144 % 64), i);
}

static void put_words(int i)
{
	static const char *const words[] = { "train", "test", "val",   "imagenet", "coco",
					     "audio", "text", "model", "layer",	   "shard" };
	uint64_t x = random_number();

	put("%s/%s/n%08d/img_%06d.jpg", words[x % 100 < 60 ? 0 : x / 100 % 10],
	    words[x / 1000 % 10], (int)(x / 10000 % 1000) * 7919, i);
}

static int compare(const void *a, const void *b)
{
	return store.compare(*(char *const *)a, *(char *const *)b);
}

static unsigned rank(char c)
{
	return c == '/' ? 1 : c == '\0' ? 0 : (unsigned char)c + 1u;
}

/* As a walk through a file system finds them: all of a directory before what begins with its name. */
static int compare_paths(const char *a, const char *b)
{
	for (; *a != '\0' && *a == *b; a++, b++)
		;
	return (int)rank(*a) - (int)rank(*b);
}

static const struct shape {
	const char *name;
	void (*put)(int i);
	double requests, ticks; /* at most so many times what cannot be less */
} shapes[] = {
	{ "even", put_even, 1.3, 1.6 },
	{ "flat", put_flat, 1.2, 1.4 },
	{ "hashes", put_hashes, 1.2, 1.4 },
	{ "nine tenths in one directory", put_nine_tenths_in_one, 1.4, 1.7 },
	{ "deep", put_deep, 1.2, 1.4 },
	{ "by date", put_by_date, 1.3, 1.5 },
	{ "one name of wide letters", put_one_name_of_wide_letters, 1.3, 1.5 },
	{ "wide letters", put_wide_letters, 1.3, 1.5 },
	{ "words", put_words, 1.9, 2.1 },
};

static void open_store(int (*order)(const char *a, const char *b))
{
	memset(&store, 0, sizeof(store));
	store.tail = &store.queue;
	store.compare = order;
}

/* Lists all that was put, finds each key, and forgets the store. */
static void list_and_check(const char *name)
{
	size_t i;

	qsort(store.keys, store.nr, sizeof(*store.keys), compare);
	list_all();
	for (i = 0; i < store.nr; i++) {
		const char *path = store.keys[i] + strlen(PREFIX);
		uint32_t entry =
			snapshot_lookup(snapmem_view(store.snapshot), 0, path, strlen(path));

		if (entry == SNAPSHOT_NONE)
			fail_msg("%s: %s is not there", name, path);
		free(store.keys[i]);
	}
	free(store.keys);
	assert_int_equal(snapmem_view(store.snapshot)->header->nr_files, store.nr);
	snapmem_unref(store.snapshot);
}

static void list_shape(const struct shape *shape)
{
	double pages = NR_KEYS / PAGE, requests, ticks;
	size_t i;

	open_store(strcmp);
	for (i = 0; i < NR_KEYS; i++)
		shape->put((int)i);
	list_and_check(shape->name);
	assert_true(store.most_in_flight <= NR_AT_A_TIME);
	requests = store.nr_requests / pages;
	ticks = store.now / (pages / NR_AT_A_TIME);
	print_message("%s: %.2f x the requests, %.2f x the time\n", shape->name, requests, ticks);
	assert_true(requests <= shape->requests);
	assert_true(ticks <= shape->ticks);
}

static void test_a_listing_of_any_shape_is_divided_well_and_whole(void **state)
{
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
		list_shape(&shapes[i]);
}

/* A guessed point may fall between a name and its slash: before all of the directory by the bytes,
 * behind it in the walk.
 */
static void test_a_store_that_lists_like_a_file_system_loses_no_key(void **state)
{
	static const struct {
		const char *deep, *flat;
		int nr_deep, nr_flat;
	} trees[] = {
		{ "model-7b_x", "model copy", 6951, 994 },
		{ "model0", "model copy.5", 2017, 7271 },
		{ "ckpt-7b copy", "ckpt.bak", 6439, 4629 },
		{ "a-instruct", "a+x", 5000, 5000 },
		{ "run", "run-2", 5000, 5000 },
	};
	size_t t;
	int i;

	(void)state;
	for (t = 0; t < sizeof(trees) / sizeof(trees[0]); t++) {
		open_store(compare_paths);
		for (i = 0; i < trees[t].nr_deep; i++)
			put("%s/sub%d/x%d", trees[t].deep, i % 7, i);
		for (i = 0; i < trees[t].nr_flat; i++)
			put("%s/part-%05d.bin", trees[t].flat, i);
		list_and_check(trees[t].deep);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_store_that_lists_like_a_file_system_loses_no_key),
		cmocka_unit_test(test_a_listing_of_any_shape_is_divided_well_and_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
