/* The socket's place: whose directory, one daemon, stale files; and clients that connect there. */
#include "test/unit/session_fixture.h"

#include <pthread.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "daemon/session/place.h"

struct where {
	char dir[64], path[96], lock[112];
	struct place place, second;
	char err[512];
};

static int setup(void **state)
{
	struct where *w = calloc(1, sizeof(*w));

	snprintf(w->dir, sizeof(w->dir), "/tmp/ossc-test-place-XXXXXX");
	assert_non_null(mkdtemp(w->dir));
	snprintf(w->path, sizeof(w->path), "%s/s.sock", w->dir);
	snprintf(w->lock, sizeof(w->lock), "%s.lock", w->path);
	unsetenv("OSSC_SOCKET");
	w->place.lock_fd = -1;
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct where *w = *state;

	place_release(&w->place);
	unlink(w->path);
	unlink(w->lock);
	rmdir(w->dir);
	free(w);
	return 0;
}

static int claim(struct where *w, struct place *p, const char *path)
{
	const struct place_wish wish = { .option = path };

	w->err[0] = '\0';
	return place_claim(p, &wish, w->err, sizeof(w->err));
}

static void test_option_before_environment_before_configuration(void **state)
{
	struct where *w = *state;
	struct place_wish wish = { .configured = w->path };
	char other[96];

	assert_int_equal(place_claim(&w->place, &wish, w->err, sizeof(w->err)), 0);
	assert_string_equal(w->place.path, w->path);
	place_release(&w->place);

	snprintf(other, sizeof(other), "%s/env.sock", w->dir);
	setenv("OSSC_SOCKET", other, 1);
	assert_int_equal(place_claim(&w->place, &wish, w->err, sizeof(w->err)), 0);
	assert_string_equal(w->place.path, other);
	place_release(&w->place);

	wish.option = w->path;
	assert_int_equal(place_claim(&w->place, &wish, w->err, sizeof(w->err)), 0);
	assert_string_equal(w->place.path, w->path);
}

static void test_a_second_daemon_is_told_who_serves(void **state)
{
	struct where *w = *state;
	struct place second;
	char said[256];
	int fd;

	assert_int_equal(claim(w, &w->place, w->path), 0);
	fd = place_listen(&w->place, 0600, w->err, sizeof(w->err));
	assert_true(fd >= 0);
	assert_int_equal(claim(w, &second, w->path), -EADDRINUSE);
	snprintf(said, sizeof(said), "another osscd (pid %d) serves %s", (int)getpid(), w->path);
	assert_string_equal(w->err, said);
	close(fd);
	place_release(&w->place);
	assert_int_equal(claim(w, &w->place, w->path), 0);
}

static void *claim_second(void *arg)
{
	struct where *w = arg;
	const struct place_wish wish = { .option = w->path };
	char err[256];

	return (void *)(intptr_t)place_claim(&w->second, &wish, err, sizeof(err));
}

/* Until somebody has looked at the lock for the second time. */
static void wait_for_two_looks(int watch)
{
	const char *name = ".lock";
	char buf[4096] __attribute__((aligned(8)));
	unsigned nr = 0;

	while (nr < 2) {
		ssize_t n = read(watch, buf, sizeof(buf)), at = 0;

		assert_true(n > 0);
		while (at < n) {
			const struct inotify_event *e = (const void *)(buf + at);

			nr += e->len > 0 && strstr(e->name, name) != NULL;
			at += (ssize_t)(sizeof(*e) + e->len);
		}
	}
}

static void test_one_that_is_ending_is_waited_for(void **state)
{
	struct where *w = *state;
	int watch = inotify_init1(IN_CLOEXEC);
	pthread_t thread;
	void *r;

	assert_int_equal(claim(w, &w->place, w->path), 0);
	assert_true(watch >= 0 && inotify_add_watch(watch, w->dir, IN_OPEN) >= 0);
	assert_int_equal(pthread_create(&thread, NULL, claim_second, w), 0);
	wait_for_two_looks(watch);
	place_release(&w->place);
	assert_int_equal(pthread_join(thread, &r), 0);
	assert_int_equal((intptr_t)r, 0);
	place_release(&w->second);
	close(watch);
}

static void test_a_stale_socket_is_removed_and_other_files_are_not(void **state)
{
	struct where *w = *state;
	int fd;

	assert_int_equal(claim(w, &w->place, w->path), 0);
	fd = place_listen(&w->place, 0600, w->err, sizeof(w->err));
	assert_true(fd >= 0);
	close(fd);
	close(w->place.lock_fd); /* as if killed: socket and lock stay behind */
	assert_int_equal(claim(w, &w->place, w->path), 0);
	assert_int_equal(access(w->path, F_OK), -1);
	place_release(&w->place);

	fd = open(w->path, O_WRONLY | O_CREAT, 0600);
	close(fd);
	assert_int_equal(claim(w, &w->place, w->path), -EEXIST);
	assert_non_null(strstr(w->err, "is no socket"));
	assert_int_equal(access(w->path, F_OK), 0);
	assert_int_equal(access(w->lock, F_OK), -1);
}

static void test_the_file_has_its_mode_from_the_start(void **state)
{
	struct where *w = *state;
	struct stat st;
	int fd;

	assert_int_equal(claim(w, &w->place, w->path), 0);
	fd = place_listen(&w->place, 0640, w->err, sizeof(w->err));
	assert_true(fd >= 0);
	assert_int_equal(stat(w->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0640);
	close(fd);
}

static void test_places_that_cannot_be(void **state)
{
	struct where *w = *state;
	char deep[96], file[96], longest[200] = "/tmp/";
	int fd;

	snprintf(deep, sizeof(deep), "%s/no/such/s.sock", w->dir);
	assert_int_equal(claim(w, &w->place, deep), -ENOENT);
	assert_non_null(strstr(w->err, "--socket or OSSC_SOCKET"));

	snprintf(file, sizeof(file), "%s/file", w->dir);
	fd = open(file, O_WRONLY | O_CREAT, 0600);
	close(fd);
	snprintf(deep, sizeof(deep), "%s/file/s.sock", w->dir);
	assert_int_equal(claim(w, &w->place, deep), -ENOTDIR);
	unlink(file);

	assert_int_equal(claim(w, &w->place, "relative.sock"), -EINVAL);
	assert_int_equal(claim(w, &w->place, "/tmp/"), -EINVAL);
	memset(longest + 5, 'x', 150);
	assert_int_equal(claim(w, &w->place, longest), -ENAMETOOLONG);
}

static void test_a_directory_of_somebody_else_is_refused(void **state)
{
	struct where *w = *state;
	char sub[80], path[96];

	if (geteuid() != 0)
		skip(); /* only root can give a directory away */
	snprintf(sub, sizeof(sub), "%s/sub", w->dir);
	snprintf(path, sizeof(path), "%s/s.sock", sub);
	assert_int_equal(mkdir(sub, 0700), 0);
	assert_int_equal(chown(sub, 4321, 0), 0);
	assert_int_equal(claim(w, &w->place, path), -EPERM);
	assert_non_null(strstr(w->err, "belongs to somebody else (uid 4321)"));
	rmdir(sub);
}

static void test_clients_connect_and_are_known(void **state)
{
	struct where *w = *state;
	struct fixture *f = fixture_new();
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	struct strbuf report;
	char pid[32];
	int fd;

	assert_int_equal(claim(w, &w->place, w->path), 0);
	fd = place_listen(&w->place, 0600, w->err, sizeof(w->err));
	assert_int_equal(sessions_listen(f->ss, fd), 0);

	client_close(&f->c);
	f->c.fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	memcpy(addr.sun_path, w->path, strlen(w->path));
	assert_int_equal(connect(f->c.fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(client_hello(f), 0);
	assert_int_equal(sessions_count(f->ss), 1);

	strbuf_init(&report, 65536);
	sessions_report(f->ss, getuid(), &report);
	snprintf(pid, sizeof(pid), "\"pid\":%d,", (int)getpid());
	assert_non_null(strstr(strbuf_str(&report), pid));
	assert_non_null(strstr(strbuf_str(&report), "test_listener\""));
	strbuf_reset(&report);
	sessions_report(f->ss, getuid() + 1, &report);
	if (getuid() + 1 != 0)
		assert_null(strstr(strbuf_str(&report), pid));
	strbuf_fini(&report);

	sessions_shut(f->ss, "the daemon ends");
	assert_int_equal(client_receive(f, &f->c), 0);
	assert_int_equal(sessions_count(f->ss), 0);
	fixture_free(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_option_before_environment_before_configuration),
		TEST(test_a_second_daemon_is_told_who_serves),
		TEST(test_one_that_is_ending_is_waited_for),
		TEST(test_a_stale_socket_is_removed_and_other_files_are_not),
		TEST(test_the_file_has_its_mode_from_the_start),
		TEST(test_places_that_cannot_be),
		TEST(test_a_directory_of_somebody_else_is_refused),
		TEST(test_clients_connect_and_are_known),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
