/* What the client core stands on: bytes, texts, memory, locks, epochs, places. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "libclient/core/arena.h"
#include "libclient/core/epoch.h"
#include "libclient/core/locate.h"
#include "libclient/core/lock.h"
#include "libclient/core/mem.h"
#include "libclient/core/text.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void test_copies_of_every_length_and_offset_are_exact(void **state)
{
	static unsigned char from[6000], to[6200], want[6200];
	size_t len, shift, i;

	(void)state;
	for (i = 0; i < sizeof(from); i++)
		from[i] = (unsigned char)(i * 37 + (i >> 8));
	for (len = 0; len < 5500; len += len < 600 ? 1 : 97) {
		for (shift = 0; shift < 20; shift += 3) {
			memset(to, 0xee, sizeof(to));
			memset(want, 0xee, sizeof(want));
			memcpy(want + shift, from + (shift * 5) % 16, len);
			mem_copy(to + shift, from + (shift * 5) % 16, len);
			assert_memory_equal(to, want, sizeof(to));
		}
	}
}

static void test_moves_within_one_area_are_exact(void **state)
{
	unsigned char area[700], want[700];
	size_t len, i;
	int shift;

	(void)state;
	for (len = 0; len < 500; len += 7) {
		for (shift = -90; shift <= 90; shift += 9) {
			for (i = 0; i < sizeof(area); i++)
				area[i] = want[i] = (unsigned char)(i * 11);
			memmove(want + 100 + shift, want + 100, len);
			mem_move(area + 100 + shift, area + 100, len);
			assert_memory_equal(area, want, sizeof(area));
		}
	}
}

static void test_fills_and_comparisons(void **state)
{
	unsigned char a[5000], b[5000];

	(void)state;
	memset(a, 1, sizeof(a));
	memset(b, 1, sizeof(b));
	mem_fill(a + 3, 0x5a, 4001);
	memset(b + 3, 0x5a, 4001);
	assert_memory_equal(a, b, sizeof(a));
	assert_true(mem_equal(a, b, sizeof(a)));
	b[4999] = 200;
	assert_true(mem_compare(a, b, sizeof(a)) < 0);
	assert_true(mem_compare(b, a, sizeof(a)) > 0);
	assert_int_equal(mem_compare(a, b, 4999), 0);
}

static void test_texts_are_cut_and_say_so(void **state)
{
	char buf[24];
	struct text t;
	uint64_t n;

	(void)state;
	text_init(&t, buf, sizeof(buf));
	text_adds(&t, "a ");
	text_addi(&t, -9223372036854775807ll - 1);
	assert_string_equal(buf, "a -9223372036854775808");
	assert_false(text_is_cut(&t));
	text_adds(&t, "xyz");
	assert_true(text_is_cut(&t));
	assert_string_equal(buf, "a -9223372036854775808x");
	text_init(&t, buf, sizeof(buf));
	text_add_errno(&t, -ENOENT);
	assert_string_equal(buf, "ENOENT (2)");
	assert_int_equal(text_number("18446744073709551615", &n), 0);
	assert_true(n == UINT64_MAX);
	assert_int_equal(text_number("18446744073709551616", &n), -EINVAL);
	assert_int_equal(text_number("", &n), -EINVAL);
	assert_int_equal(text_number("1 ", &n), -EINVAL);
}

static void test_an_empty_variable_counts_as_absent(void **state)
{
	char *envp[] = { (char[]){ "AB=1" }, (char[]){ "A=2" }, (char[]){ "E=" }, NULL };

	(void)state;
	assert_string_equal(text_env(envp, "A"), "2");
	assert_null(text_env(envp, "E"));
	assert_null(text_env(envp, "B"));
	assert_null(text_env(NULL, "A"));
}

static void test_memory_comes_back_zeroed_and_is_used_again(void **state)
{
	static const size_t sizes[] = { 1, 48, 49, 1000, 65520, 65521, 1u << 20 };
	unsigned char *p, *again;
	size_t i, k;

	(void)state;
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		p = arena_alloc(sizes[i]);
		assert_non_null(p);
		assert_int_equal((uintptr_t)p % 16, 0);
		memset(p, 0xff, sizes[i]);
		arena_free(p);
		again = arena_alloc(sizes[i]);
		for (k = 0; k < sizes[i]; k++)
			assert_int_equal(again[k], 0);
		if (sizes[i] <= 65520)
			assert_ptr_equal(p, again);
		arena_free(again);
	}
	arena_free(NULL);
	assert_null(arena_alloc(SIZE_MAX - 100));
}

static struct {
	struct lock lock;
	struct gate gate;
	unsigned by_lock, by_gate;
} counted;

static void *count(void *arg)
{
	unsigned i;

	for (i = 0; i < 20000; i++) {
		uint64_t signals = lock_enter(&counted.lock);

		counted.by_lock++;
		lock_leave(&counted.lock, signals);
		if (gate_enter(&counted.gate, 60000) != 0)
			return arg;
		counted.by_gate++;
		gate_leave(&counted.gate);
	}
	return NULL;
}

static void test_locks_exclude(void **state)
{
	pthread_t threads[4];
	void *failed;
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, count, &counted), 0);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &failed);
		assert_null(failed);
	}
	assert_int_equal(counted.by_lock, 80000);
	assert_int_equal(counted.by_gate, 80000);
}

static void test_a_gate_knows_its_own_thread(void **state)
{
	struct gate g = { 0 };

	(void)state;
	assert_int_equal(gate_enter(&g, 1000), 0);
	assert_int_equal(gate_enter(&g, 1000), -EDEADLK);
	assert_int_equal(gate_try(&g), -EDEADLK);
	gate_leave(&g);
	assert_int_equal(gate_try(&g), 0);
	gate_leave(&g);
}

static void *try_gate(void *arg)
{
	int r = gate_enter(arg, 10);

	return (void *)(intptr_t)r;
}

static void test_a_gate_that_stays_shut_times_out(void **state)
{
	struct gate g = { 0 };
	pthread_t thread;
	void *r;

	(void)state;
	assert_int_equal(gate_enter(&g, 1000), 0);
	assert_int_equal(pthread_create(&thread, NULL, try_gate, &g), 0);
	pthread_join(thread, &r);
	assert_int_equal((int)(intptr_t)r, -ETIMEDOUT);
	gate_leave(&g);
}

static void test_locks_that_a_parent_held_are_free_in_the_child(void **state)
{
	struct gate g = { 0 };
	struct lock l = { 0 };
	uint64_t signals = lock_enter(&l);
	uint32_t epoch = epoch_now();
	int status = -1;
	pid_t pid;

	(void)state;
	assert_int_equal(gate_enter(&g, 1000), 0);
	pid = fork();
	if (pid == 0) {
		if (epoch_now() == epoch || epoch_now() != epoch_now())
			_exit(1);
		lock_leave(&l, lock_enter(&l));
		_exit(gate_enter(&g, 1000) == 0 ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(epoch_now(), epoch);
	lock_leave(&l, signals);
	gate_leave(&g);
}

static void test_sockets_are_looked_for_in_order(void **state)
{
	char *envp[] = { (char[]){ "XDG_RUNTIME_DIR=/run/user/7" }, (char[]){ "LD_PRELOAD=x" },
			 (char[]){ "OSS_ACCESS_KEY_SECRET=s" }, (char[]){ "HOME=/h" }, NULL };
	char path[LOCATE_PATH_MAX], want[64];
	struct locations p;

	(void)state;
	assert_int_equal(locate_read(&p, envp, NULL), 0);
	assert_int_equal(locate_socket(&p, 0, path), 0);
	assert_string_equal(path, "/run/oss-connector/osscd.sock");
	assert_int_equal(locate_socket(&p, 1, path), 0);
	assert_string_equal(path, "/run/user/7/oss-connector/osscd.sock");
	assert_int_equal(locate_socket(&p, 2, path), 0);
	snprintf(want, sizeof(want), "/tmp/ossc-%u/osscd.sock", geteuid());
	assert_string_equal(path, want);
	assert_int_equal(locate_socket(&p, 3, path), -ENOENT);
	/* A daemon that we start sees no key and no preload. */
	assert_int_equal(p.nr_env, 2);
	assert_string_equal(p.env[0], "XDG_RUNTIME_DIR=/run/user/7");
	assert_string_equal(p.env[1], "HOME=/h");
	locate_fini(&p);

	envp[0] = NULL;
	assert_int_equal(locate_read(&p, envp, "/x/y.sock"), 0);
	assert_int_equal(locate_socket(&p, 0, path), 0);
	assert_string_equal(path, "/x/y.sock");
	assert_int_equal(locate_socket(&p, 1, path), -ENOENT);
	locate_fini(&p);
}

static void test_the_daemons_program_is_found_beside_us_or_in_path(void **state)
{
	char dir[] = "/tmp/ossc-test-XXXXXX", program[64], variable[80], found[1024];
	char *envp[] = { variable, NULL };
	struct locations p;
	FILE *out;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(program, sizeof(program), "%s/osscd", dir);
	snprintf(variable, sizeof(variable), "OSSC_DAEMON=%s", program);
	assert_int_equal(locate_read(&p, envp, NULL), 0);
	assert_int_equal(locate_program(&p, found, sizeof(found)), -ENOENT);
	out = fopen(program, "w");
	assert_non_null(out);
	fclose(out);
	assert_int_equal(locate_program(&p, found, sizeof(found)), -ENOENT);
	assert_int_equal(chmod(program, 0700), 0);
	assert_int_equal(locate_program(&p, found, sizeof(found)), 0);
	assert_string_equal(found, program);
	locate_fini(&p);
	unlink(program);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies_of_every_length_and_offset_are_exact),
		cmocka_unit_test(test_moves_within_one_area_are_exact),
		cmocka_unit_test(test_fills_and_comparisons),
		cmocka_unit_test(test_texts_are_cut_and_say_so),
		cmocka_unit_test(test_an_empty_variable_counts_as_absent),
		cmocka_unit_test(test_memory_comes_back_zeroed_and_is_used_again),
		cmocka_unit_test(test_locks_exclude),
		cmocka_unit_test(test_a_gate_knows_its_own_thread),
		cmocka_unit_test(test_a_gate_that_stays_shut_times_out),
		cmocka_unit_test(test_locks_that_a_parent_held_are_free_in_the_child),
		cmocka_unit_test(test_sockets_are_looked_for_in_order),
		cmocka_unit_test(test_the_daemons_program_is_found_beside_us_or_in_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
