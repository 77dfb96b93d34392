/*
 * proc_threads - threads that open at once, are cancelled, are interrupted by
 * signals and fork.
 *
 *	proc_threads HOW STORE_FILE PLAIN_COPY [FURTHER_FILES...]
 *
 * Prints "right" when every byte was.
 */
#include "test/programs/proc.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <time.h>

#define NR_THREADS 64

static const char *store;
static pthread_barrier_t barrier;
static atomic_bool stop;
static atomic_uint nr_handled;

/* ---- opening at once ----------------------------------------------------------- */

static void *open_and_read(void *path)
{
	pthread_barrier_wait(&barrier);
	check_path("thread", path);
	return NULL;
}

/* One file in all threads, or each its own: the rest of the arguments are copies of one another. */
static void at_once(char **paths, int nr)
{
	pthread_t threads[NR_THREADS];
	int i;

	pthread_barrier_init(&barrier, NULL, NR_THREADS);
	for (i = 0; i < NR_THREADS; i++)
		if (pthread_create(&threads[i], NULL, open_and_read, paths[i % nr]) != 0)
			wrong("pthread_create");
	for (i = 0; i < NR_THREADS; i++)
		pthread_join(threads[i], NULL);
}

/* ---- forking among readers -------------------------------------------------------- */

static void *busy(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	int fd = open(store, O_RDONLY);

	while (!atomic_load(&stop)) {
		size_t off = (size_t)rand_r(&seed) % right_len;

		check_pread("busy thread", fd, off, 10000);
		if (rand_r(&seed) % 8 == 0)
			check_path("busy thread, path", store);
		if (rand_r(&seed) % 8 == 0) {
			void *mem = mmap(NULL, right_len, PROT_READ, MAP_PRIVATE, fd, 0);

			if (mem == MAP_FAILED)
				wrong("mmap in a thread: %s", strerror(errno));
			check_bytes("mapping of a thread", mem, 0, right_len);
			munmap(mem, right_len);
		}
	}
	close(fd);
	return NULL;
}

static void fork_among(int nr_forks)
{
	pthread_t threads[6];
	int fd = open(store, O_RDONLY), i;
	const void *mem = mmap(NULL, right_len, PROT_READ, MAP_SHARED, fd, 0);

	for (i = 0; i < 6; i++)
		pthread_create(&threads[i], NULL, busy, (void *)(uintptr_t)(i + 1));
	for (i = 0; i < nr_forks; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			check_pread("forked child", fd, (size_t)i * 4096 % right_len, 65536);
			check_path("forked child, path", store);
			check_bytes("forked child, mapping", mem, 0, right_len);
			_exit(0);
		}
		await("forked child", pid);
	}
	atomic_store(&stop, true);
	for (i = 0; i < 6; i++)
		pthread_join(threads[i], NULL);
}

/* ---- signals ----------------------------------------------------------------------- */

static int handler_fd;

/* Only calls that a handler may make. */
static void on_signal(int number)
{
	static _Thread_local bool inside;
	int before = errno, fd;
	struct stat st;
	char buf[4096];

	(void)number;
	if (inside)
		return;
	inside = true;
	if (pread(handler_fd, buf, sizeof(buf), 8192) != (ssize_t)sizeof(buf) ||
	    memcmp(buf, right + 8192, sizeof(buf)) != 0)
		wrong("pread in a handler: %s", strerror(errno));
	if (stat(store, &st) == -1 || (size_t)st.st_size != right_len)
		wrong("stat in a handler: %s", strerror(errno));
	fd = open(store, O_RDONLY);
	if (fd == -1)
		wrong("open in a handler: %s", strerror(errno));
	if (read(fd, buf, sizeof(buf)) != (ssize_t)sizeof(buf) ||
	    memcmp(buf, right, sizeof(buf)) != 0)
		wrong("read in a handler: %s", strerror(errno));
	close(fd);
	atomic_fetch_add(&nr_handled, 1);
	errno = before;
	inside = false;
}

static void storm(unsigned nr_rounds, bool restart)
{
	struct sigaction sa = { .sa_handler = on_signal, .sa_flags = restart ? SA_RESTART : 0 };
	struct sigevent event = { .sigev_notify = SIGEV_SIGNAL, .sigev_signo = SIGALRM };
	struct itimerspec every = { .it_value = { .tv_nsec = 1 },
				    .it_interval = { .tv_nsec = 200000 } };
	timer_t timer;
	unsigned i;

	handler_fd = open(store, O_RDONLY);
	sigaction(SIGALRM, &sa, NULL);
	if (handler_fd == -1 || timer_create(CLOCK_MONOTONIC, &event, &timer) == -1)
		wrong("timer_create: %s", strerror(errno));
	timer_settime(timer, 0, &every, NULL);
	for (i = 0; i < nr_rounds || atomic_load(&nr_handled) < 50; i++) {
		struct stat st;
		void *mem;
		int fd;

		check_path("among signals", store);
		fd = open(store, O_RDONLY);
		errno = 4711;
		check_pread("among signals", fd, (size_t)i * 7919 % right_len, 20000);
		if (fstat(fd, &st) == -1 || stat(store, &st) == -1)
			wrong("stat among signals: %s", strerror(errno));
		if (errno != 4711)
			wrong("errno was changed to %d", errno);
		mem = mmap(NULL, right_len, PROT_READ, MAP_PRIVATE, fd, 0);
		if (mem == MAP_FAILED)
			wrong("mmap among signals: %s", strerror(errno));
		check_bytes("mapping among signals", mem, 0, right_len);
		munmap(mem, right_len);
		close(fd);
	}
	timer_delete(timer);
}

/* ---- cancellation --------------------------------------------------------------------- */

static void *read_forever(void *arg)
{
	char buf[4096];
	size_t off = 0;
	int fd = open(store, O_RDONLY);

	if (arg != NULL)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, NULL);
	pthread_barrier_wait(&barrier);
	for (;; off = (off + 4096) % (right_len - 4096))
		if (pread(fd, buf, sizeof(buf), (off_t)off) == -1)
			return (void *)(uintptr_t)errno;
}

/* Readers are cancelled; they end, and the others go on. */
static void cancel(bool asynchronous, bool cold)
{
	pthread_t threads[4];
	void *result;
	int i;

	if (!cold)
		check_path("before", store);
	pthread_barrier_init(&barrier, NULL, 5);
	for (i = 0; i < 4; i++)
		pthread_create(&threads[i], NULL, read_forever, asynchronous ? threads : NULL);
	pthread_barrier_wait(&barrier);
	for (i = 0; i < 4; i++)
		pthread_cancel(threads[i]);
	for (i = 0; i < 4; i++) {
		pthread_join(threads[i], &result);
		if (result != PTHREAD_CANCELED)
			wrong("thread %d was not cancelled, it ended with %s", i,
			      strerror((int)(uintptr_t)result));
	}
	if (cold) {
		/* Whoever stalls the store ends that now. */
		if (write(1, "cancelled\n", 10) != 10 || getchar() == EOF)
			wrong("nobody said go on");
	}
	check_path("after", store);
}

int main(int argc, char **argv)
{
	const char *how = argv[1];

	if (argc < 4)
		return 2;
	store = argv[2];
	load_right(argv[3]);
	if (strcmp(how, "one") == 0)
		at_once(argv + 2, 1);
	else if (strcmp(how, "many") == 0)
		at_once(argv + 4, argc - 4);
	else if (strcmp(how, "fork") == 0)
		fork_among(40);
	else if (strcmp(how, "signals") == 0)
		storm(150, true);
	else if (strcmp(how, "signals-interrupting") == 0)
		storm(150, false);
	else if (strcmp(how, "cancel") == 0)
		cancel(false, false);
	else if (strcmp(how, "cancel-async") == 0)
		cancel(true, false);
	else if (strcmp(how, "cancel-cold") == 0)
		cancel(false, true);
	else if (strcmp(how, "cancel-cold-async") == 0)
		cancel(true, true);
	else
		return 2;
	done();
}
