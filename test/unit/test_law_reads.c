/*
 * The first law where it is thinnest: a copy that is under way when the bytes
 * below it change.  Pages that the reader copies into are out of reach at
 * first; each fault stops the copy in its middle, and there the test does what
 * an eviction, or another daemon, does.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/core/file.h"
#include "libclient/core/link.h"
#include "libclient/core/view.h"
#include "test/unit/fake_daemon.h"

#include <signal.h>

#define PAGE 4096u
#define LEN  (4 * PAGE) /* of which the last two pages cannot be written at first */

struct fixture {
	struct fake *daemon;
	struct link *link;
	struct view *view;
	struct file *file; /* a.bin */
	unsigned char *buf;
	void (*in_mid_copy)(struct fixture *f); /* called at each fault */
	unsigned nr_faults;
};

static struct fixture *faulting; /* for the signal's sake */

static int setup(void **state)
{
	struct view_conf mount = { .oss_path = "oss://bucket/", .wait_ms = 20000 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct link_conf conf;

	f->daemon = fake_new();
	fake_start(f->daemon);
	conf = (struct link_conf){ .socket = f->daemon->path };
	f->buf = mmap(NULL, LEN, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	*state = f;
	return f->buf == MAP_FAILED || link_new(&conf, &f->link) != 0 ||
	       view_new(f->link, &mount, &f->view) != 0 || view_attach(f->view) != 0 ||
	       file_open(f->view, "a.bin", 5, &f->file) != 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	file_put(f->file);
	view_free(f->view);
	link_free(f->link);
	fake_free(f->daemon);
	munmap(f->buf, LEN);
	free(f);
	return 0;
}

/*
 * The fault comes from a load in the middle of the copy, never from inside libc:
 * what it runs may allocate, which TSan cannot know.  Nobody else calls this.
 */
const char *__tsan_default_options(void);
const char *__tsan_default_options(void)
{
	return "report_signal_unsafe=0";
}

/* The reader itself is here, between two of its stores. */
static void on_fault(int signal, siginfo_t *fault, void *context)
{
	struct fixture *f = faulting;
	unsigned char *at = fault->si_addr;

	(void)context;
	if (f == NULL || at < f->buf || at >= f->buf + LEN) {
		/* A fault of somebody else's: let it kill us. */
		sigaction(signal, &(struct sigaction){ .sa_handler = SIG_DFL }, NULL);
		return;
	}
	f->nr_faults++;
	mprotect(at - (uintptr_t)at % PAGE, PAGE, PROT_READ | PROT_WRITE);
	f->in_mid_copy(f);
}

/* Read the start of a.bin, which is there, while `in_mid_copy` happens. */
static ssize_t read_while(struct fixture *f, void (*in_mid_copy)(struct fixture *f))
{
	struct sigaction act = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO }, before;
	ssize_t n;

	assert_int_equal(file_read(f->file, f->buf, LEN, 0), LEN);
	memset(f->buf, 0, LEN);
	f->in_mid_copy = in_mid_copy;
	faulting = f;
	assert_int_equal(sigaction(SIGSEGV, &act, &before), 0);
	assert_int_equal(mprotect(f->buf + LEN / 2, LEN / 2, PROT_NONE), 0);
	n = file_read(f->file, f->buf, LEN, 0);
	sigaction(SIGSEGV, &before, NULL);
	faulting = NULL;
	assert_int_equal(f->nr_faults, 2);
	return n;
}

static void evict(struct fixture *f)
{
	if (f->nr_faults == 1)
		fake_evict(f->daemon, 0, 0);
}

static void test_a_chunk_evicted_in_mid_copy_is_copied_again(void **state)
{
	struct fixture *f = *state;
	unsigned before = fake_count(f->daemon, nr_fetches);

	assert_int_equal(read_while(f, evict), LEN);
	assert_true(fake_is_right(0, f->buf, LEN, 0));
	assert_int_equal(fake_count(f->daemon, nr_fetches), before + 2);
}

/* One page is copied out of the hole; at the end the chunk is there as before. */
static void evict_then_refill(struct fixture *f)
{
	struct fake *d = f->daemon;

	evict(f);
	if (f->nr_faults != 2)
		return;
	pthread_mutex_lock(&d->lock);
	fake_fill(d, &d->files[0], 0);
	pthread_mutex_unlock(&d->lock);
}

static void test_a_chunk_that_went_and_came_in_mid_copy_is_copied_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_while(f, evict_then_refill), LEN);
	assert_true(fake_is_right(0, f->buf, LEN, 0));
}

static void *read_elsewhere(void *arg)
{
	struct fixture *f = arg;
	unsigned char byte = 0;

	if (file_read(f->file, &byte, 1, 3 * FAKE_CHUNK) != 1)
		abort();
	return NULL;
}

/* Another daemon, and another thread whose read puts its memory, still empty, in the old one's place. */
static void change_daemons(struct fixture *f)
{
	pthread_t thread;

	if (f->nr_faults != 1)
		return;
	fake_stop(f->daemon, true);
	fake_start(f->daemon);
	if (pthread_create(&thread, NULL, read_elsewhere, f) != 0)
		abort();
	pthread_join(thread, NULL);
}

static void test_memory_exchanged_in_mid_copy_is_copied_again(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(read_while(f, change_daemons), LEN);
	assert_true(fake_is_right(0, f->buf, LEN, 0));
}

static void test_an_error_behind_bytes_is_an_error_and_no_short_read(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(file_read(f->file, f->buf, 1, 0), 1);
	fake_plan(f->daemon, (struct fake_plan){ .fail = EIO, .nr_fails = 2 });
	assert_int_equal(file_read(f->file, f->buf, 200, FAKE_CHUNK - 100), -EIO);
}

/* What one load of the word before the copy and one after it say together. */
static void test_a_copy_is_good_only_under_one_generation_that_is_not_going(void **state)
{
	const uint64_t ready = chunk_word(7, 256, CHUNK_READY);
	const uint64_t loading = chunk_word(7, 2, CHUNK_LOADING);

	(void)state;
	assert_true(chunk_word_still(ready, ready));
	assert_true(chunk_word_still(loading, chunk_word(7, 5, CHUNK_LOADING)));
	assert_true(chunk_word_still(loading, ready));
	assert_false(chunk_word_still(ready, chunk_word(8, 256, CHUNK_READY)));
	assert_false(chunk_word_still(ready, chunk_word(8, 0, CHUNK_EVICTING)));
	assert_false(chunk_word_still(ready, chunk_word(7, 0, CHUNK_EVICTING)));
	assert_true(chunk_word_covers(ready, 1u << 20));
	assert_true(chunk_word_covers(loading, 8192));
	assert_false(chunk_word_covers(loading, 8193));
	assert_false(chunk_word_covers(chunk_word(7, 256, CHUNK_FAILED), 1));
	assert_false(chunk_word_covers(chunk_word(7, 256, CHUNK_EVICTING), 1));
	assert_false(chunk_word_covers(chunk_word(7, 256, CHUNK_EMPTY), 1));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_chunk_evicted_in_mid_copy_is_copied_again),
		TEST(test_a_chunk_that_went_and_came_in_mid_copy_is_copied_again),
		TEST(test_memory_exchanged_in_mid_copy_is_copied_again),
		TEST(test_an_error_behind_bytes_is_an_error_and_no_short_read),
		cmocka_unit_test(test_a_copy_is_good_only_under_one_generation_that_is_not_going),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
