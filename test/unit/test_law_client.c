/*
 * What the laws ask of the client's core: versions never mix, hits are free,
 * every wait ends, and what a daemon says is believed only as far as it cannot
 * harm the program.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "libclient/core/file.h"
#include "libclient/core/link.h"
#include "libclient/core/view.h"
#include "libclient/core/viewstate.h"
#include "test/unit/fake_daemon.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define A_SIZE	(5 * FAKE_CHUNK + 123)
#define SKIPPED 77

struct fixture {
	struct fake *daemon;
	struct link *link;
	struct view *view;
	struct file *file; /* a.bin, once opened */
	unsigned char *buf;
};

static int setup(void **state)
{
	struct view_conf mount = { .oss_path = "oss://bucket/", .secret = "s", .wait_ms = 5000 };
	struct fixture *f = calloc(1, sizeof(*f));
	struct link_conf conf;

	f->buf = malloc(A_SIZE);
	f->daemon = fake_new();
	fake_start(f->daemon);
	conf = (struct link_conf){ .socket = f->daemon->path };
	*state = f;
	return link_new(&conf, &f->link) != 0 || view_new(f->link, &mount, &f->view) != 0;
}

static int setup_file(void **state)
{
	struct fixture *f;

	if (setup(state) != 0)
		return -1;
	f = *state;
	return view_attach(f->view) != 0 || file_open(f->view, "a.bin", 5, &f->file) != 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	file_put(f->file);
	view_free(f->view);
	link_free(f->link);
	fake_free(f->daemon);
	free(f->buf);
	free(f);
	return 0;
}

/* ---- one version ------------------------------------------------------------------------ */

static void test_a_new_version_is_another_file_than_the_one_that_is_open(void **state)
{
	struct fixture *f = *state;
	struct fake *d = f->daemon;
	struct file *fresh;

	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	pthread_mutex_lock(&d->lock);
	strcpy(d->files[0].etag, "A2");
	d->serial = 2;
	assert_int_equal(fake_build_snapshot(d), 0);
	__atomic_store_n(&d->table->snapshot_serial, 2, __ATOMIC_RELEASE);
	pthread_mutex_unlock(&d->lock);

	assert_int_equal(file_open(f->view, "a.bin", 5, &fresh), 0);
	assert_ptr_not_equal(fresh, f->file);
	assert_string_equal(file_etag(fresh), "A2");
	assert_string_equal(file_etag(f->file), "A1");
	/* Who had it open keeps its version, and what of it is there. */
	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	file_put(fresh);
}

/* In the same session: the daemon gave the object up, and made it anew for another open. */
static void test_a_claim_is_not_taken_for_one_on_other_memory(void **state)
{
	struct fixture *f = *state;
	struct fake_file *a = &f->daemon->files[0];
	struct pin pin;
	int fd;

	assert_int_equal(pin_take(f->file, 0, 10, &pin), 0);
	fd = file_memory_fd(f->file, &pin);
	assert_true(fd >= 0);
	close(fd);
	pthread_mutex_lock(&f->daemon->lock);
	close(a->fd);
	a->fd = memfd_create("fake-other", MFD_CLOEXEC);
	assert_int_equal(ftruncate(a->fd, (off_t)a->size), 0);
	pthread_mutex_unlock(&f->daemon->lock);
	assert_int_equal(file_memory_fd(f->file, &pin), -EAGAIN);
	pthread_mutex_lock(&f->daemon->lock);
	strcpy(a->etag, "A2");
	pthread_mutex_unlock(&f->daemon->lock);
	assert_int_equal(file_memory_fd(f->file, &pin), -ESTALE);
	pin_drop(f->file, &pin);
}

/* Nobody holds the parent's objects for its child: their words may become another object's. */
static void test_a_forked_child_reads_even_hits_in_a_session_of_its_own(void **state)
{
	struct fixture *f = *state;
	int status = -1;
	pid_t pid;

	assert_int_equal(file_read(f->file, f->buf, 100, 0), 100);
	pid = fork();
	if (pid == 0) {
		memset(f->buf, 0, 100);
		if (file_read(f->file, f->buf, 100, 0) != 100)
			_exit(1);
		_exit(fake_is_right(0, f->buf, 100, 0) ? 0 : 2);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(fake_count(f->daemon, nr_hellos), 2);
	assert_int_equal(fake_count(f->daemon, nr_opens), 2);
}

/* ---- hits are free ---------------------------------------------------------------------- */

/* A sanitizer makes calls of its own, when and where it likes. */
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED 0
#endif

/* From here on any system call but the end of the process kills it. */
static bool forbid_system_calls(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_exit_group, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
	};
	const struct sock_fprog program = { .len = 4, .filter = code };

	return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
	       prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) == 0;
}

static void read_without_system_calls(struct fixture *f)
{
	unsigned i;

	if (file_read(f->file, f->buf, A_SIZE, 0) != (ssize_t)A_SIZE)
		_exit(1);
	if (!forbid_system_calls())
		_exit(SKIPPED);
	for (i = 0; i < 5000; i++) {
		uint64_t off = (uint64_t)i * 104729 % (A_SIZE - 5000);

		/* From chunk to chunk, and across their borders. */
		if (file_read(f->file, f->buf, 5000, off) != 5000)
			_exit(2);
		if (!fake_is_right(0, f->buf, 64, off))
			_exit(3);
	}
	if (file_read(f->file, f->buf, A_SIZE, 0) != (ssize_t)A_SIZE)
		_exit(4);
	_exit(0);
}

static void test_a_hit_makes_no_system_call(void **state)
{
	struct fixture *f = *state;
	int status = -1;
	pid_t pid;

	if (IS_SANITIZED)
		skip();
	pid = fork();
	if (pid == 0)
		read_without_system_calls(f);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED)
		skip();
	assert_int_equal(status, 0);
}

static bool is_kicked(const struct fake_session *s)
{
	struct pollfd kick = { .fd = s->kick, .events = POLLIN };

	return poll(&kick, 1, 0) == 1;
}

/* The first chunk of a.bin goes and is there again. */
static void come_again(struct fake *d)
{
	fake_evict_locked(d, &d->files[0], 0);
	fake_fill(d, &d->files[0], 0);
}

static void test_a_hit_asks_for_nothing_and_wakes_nobody(void **state)
{
	struct fixture *f = *state;
	struct fake *d = f->daemon;
	struct fake_session *s = &d->sessions[0];
	bool quiet, quiet_again, told;
	uint32_t tail;

	assert_int_equal(file_read(f->file, f->buf, A_SIZE, 0), A_SIZE);
	/* Answered after all that was in the ring; then the daemon sleeps. */
	assert_int_equal(view_prefetch(f->view, "", 0), 0);
	pthread_mutex_lock(&d->lock);
	quiet = !is_kicked(s);
	tail = s->memory->submit.tail;
	file_read(f->file, f->buf, A_SIZE, 0);
	file_read(f->file, f->buf, 5000, FAKE_CHUNK - 2500);
	/* The first touch of a chunk that came again. */
	come_again(d);
	file_read(f->file, f->buf, 10, 0);
	quiet_again = !is_kicked(s) && s->memory->submit.tail == tail;
	/* The one exception: a full cache wants to hear of it. */
	s->memory->want_touch = 1;
	come_again(d);
	file_read(f->file, f->buf, 10, 0);
	told = is_kicked(s);
	pthread_mutex_unlock(&d->lock);
	assert_true(quiet);
	assert_true(quiet_again);
	assert_true(told);
}

/* ---- every wait ends -------------------------------------------------------------------- */

static void test_a_daemon_that_lives_and_brings_nothing_is_a_time_out(void **state)
{
	struct fixture *f = *state;
	char text[LINK_TEXT];

	fake_plan(f->daemon, (struct fake_plan){ .silent = true });
	file_stall_ms = 700;
	assert_int_equal(file_read(f->file, f->buf, 10, 0), -ETIMEDOUT);
	link_error_text(f->link, text, sizeof(text));
	assert_non_null(strstr(text, "a.bin"));
	file_stall_ms = FILE_STALL_MS;
}

struct reader {
	struct fixture *f;
	pthread_t thread;
	ssize_t result;
	pid_t tid; /* atomic; 0: not yet begun */
};

static void *read_first_bytes(void *arg)
{
	struct reader *r = arg;

	__atomic_store_n(&r->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
	r->result = file_read(r->f->file, r->f->buf, 100, 0);
	return NULL;
}

/* Is the thread in the middle of a wait, or gone? */
static bool sleeps(pid_t tid)
{
	char path[64], text[128] = "", *end;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", (int)tid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd == -1)
		return true;
	if (read(fd, text, sizeof(text) - 1) <= 0)
		text[0] = '\0';
	close(fd);
	end = strrchr(text, ')');
	return end == NULL || strncmp(end, ") R", 3) != 0;
}

/* Returns when it waits. */
static void start_reader(struct reader *r, struct fixture *f)
{
	pid_t tid;

	*r = (struct reader){ .f = f };
	assert_int_equal(pthread_create(&r->thread, NULL, read_first_bytes, r), 0);
	while ((tid = __atomic_load_n(&r->tid, __ATOMIC_ACQUIRE)) == 0 || !sleeps(tid))
		sched_yield();
}

static void assert_read(struct reader *r)
{
	pthread_join(r->thread, NULL);
	assert_int_equal(r->result, 100);
	assert_true(fake_is_right(0, r->f->buf, 100, 0));
}

static void test_a_request_that_was_lost_is_made_again(void **state)
{
	struct fixture *f = *state;
	struct reader r;

	fake_plan(f->daemon, (struct fake_plan){ .silent = true });
	start_reader(&r, f);
	while (fake_count(f->daemon, nr_fetches) == 0)
		sched_yield();
	fake_plan(f->daemon, (struct fake_plan){ 0 });
	assert_read(&r);
	assert_int_equal(fake_count(f->daemon, nr_fetches), 2);
}

static void test_a_failure_that_nobody_takes_back_is_the_answer(void **state)
{
	struct fixture *f = *state;
	struct fake *d = f->daemon;

	fake_plan(d, (struct fake_plan){ .silent = true });
	pthread_mutex_lock(&d->lock);
	fake_set_word(d, &d->files[0], 0, chunk_word(1, EACCES, CHUNK_FAILED));
	pthread_mutex_unlock(&d->lock);
	assert_int_equal(file_read(f->file, f->buf, 100, 0), -EACCES);
	assert_int_equal(fake_count(d, nr_retries), 1);
}

static void test_a_reader_that_meets_a_full_ring_waits(void **state)
{
	struct fixture *f = *state;
	struct fake *d = f->daemon;
	struct reader r;

	/* The daemon is held up; nobody takes entries out. */
	pthread_mutex_lock(&d->lock);
	while (file_fetch_now(f->file, 1, 1, 0) == 0)
		;
	assert_int_equal(file_fetch_now(f->file, 1, 1, 0), -EAGAIN);
	start_reader(&r, f);
	pthread_mutex_unlock(&d->lock);
	assert_read(&r);
}

/* ---- believed only so far --------------------------------------------------------------- */

static void test_memory_shorter_than_its_object_is_not_mapped(void **state)
{
	struct fixture *f = *state;
	struct file *b = NULL;

	pthread_mutex_lock(&f->daemon->lock);
	assert_int_equal(ftruncate(f->daemon->files[1].fd, 0), 0);
	pthread_mutex_unlock(&f->daemon->lock);
	assert_int_equal(file_open(f->view, "dir/b.bin", 9, &b), -EPROTO);
}

static void test_words_outside_of_the_table_are_not_looked_at(void **state)
{
	struct fixture *f = *state;
	struct file *c = NULL;

	/* Its last word would be one too many. */
	pthread_mutex_lock(&f->daemon->lock);
	f->daemon->files[2].first_word = CHUNKTAB_NR_WORDS - 2;
	pthread_mutex_unlock(&f->daemon->lock);
	assert_int_equal(file_open(f->view, "dir/c.bin", 9, &c), -EPROTO);
	pthread_mutex_lock(&f->daemon->lock);
	f->daemon->files[2].first_word = UINT64_MAX - 1;
	pthread_mutex_unlock(&f->daemon->lock);
	assert_int_equal(file_open(f->view, "dir/c.bin", 9, &c), -EPROTO);
}

static void test_a_snapshot_shorter_than_it_says_is_not_mapped(void **state)
{
	struct fixture *f = *state;

	pthread_mutex_lock(&f->daemon->lock);
	f->daemon->snapshot_len += 1u << 20;
	pthread_mutex_unlock(&f->daemon->lock);
	assert_int_equal(view_attach(f->view), -EPROTO);
}

static void test_a_daemon_of_another_user_gets_no_credentials(void **state)
{
	struct fixture *f = *state;
	char text[LINK_TEXT];

	if (geteuid() != 0)
		skip();
	/* SO_PEERCRED names who called listen(). */
	assert_int_equal(seteuid(65534), 0);
	assert_int_equal(listen(f->daemon->listen_fd, 16), 0);
	assert_int_equal(seteuid(0), 0);
	assert_int_equal(view_attach(f->view), -EACCES);
	link_error_text(f->link, text, sizeof(text));
	assert_non_null(strstr(text, "65534"));
	assert_int_equal(fake_count(f->daemon, nr_hellos), 0);
	assert_int_equal(fake_count(f->daemon, nr_mounts), 0);
}

static void test_the_request_with_the_keys_stays_out_of_core_files(void **state)
{
	struct fixture *f = *state;
	char line[512], want[32];
	bool ours = false;
	FILE *smaps = fopen("/proc/self/smaps", "re");

	if (smaps == NULL)
		skip();
	snprintf(want, sizeof(want), "%lx-", (unsigned long)(uintptr_t)f->view->request);
	while (fgets(line, sizeof(line), smaps) != NULL) {
		if (strchr(line, '-') != NULL && strncmp(line, want, strlen(want)) == 0)
			ours = true;
		if (ours && strncmp(line, "VmFlags:", 8) == 0)
			break;
	}
	fclose(smaps);
	assert_true(ours);
	assert_non_null(strstr(line, " dd"));
}

#define WITH_FILE(name)	   cmocka_unit_test_setup_teardown(name, setup_file, teardown)
#define WITHOUT_FILE(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_FILE(test_a_new_version_is_another_file_than_the_one_that_is_open),
		WITH_FILE(test_a_claim_is_not_taken_for_one_on_other_memory),
		WITH_FILE(test_a_forked_child_reads_even_hits_in_a_session_of_its_own),
		WITH_FILE(test_a_hit_makes_no_system_call),
		WITH_FILE(test_a_hit_asks_for_nothing_and_wakes_nobody),
		WITH_FILE(test_a_daemon_that_lives_and_brings_nothing_is_a_time_out),
		WITH_FILE(test_a_request_that_was_lost_is_made_again),
		WITH_FILE(test_a_failure_that_nobody_takes_back_is_the_answer),
		WITH_FILE(test_a_reader_that_meets_a_full_ring_waits),
		WITH_FILE(test_memory_shorter_than_its_object_is_not_mapped),
		WITH_FILE(test_words_outside_of_the_table_are_not_looked_at),
		WITHOUT_FILE(test_a_snapshot_shorter_than_it_says_is_not_mapped),
		WITHOUT_FILE(test_a_daemon_of_another_user_gets_no_credentials),
		WITHOUT_FILE(test_the_request_with_the_keys_stays_out_of_core_files),
	};

	/* What a broken client does is wait for ever. */
	alarm(60);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
