#include "libclient/cli/get.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NR_THREADS  4u
#define PROGRESS_MS 200

/* Everything that is to be fetched. */
struct plan {
	struct target from;
	char *to;
	struct get_job *jobs;
	size_t nr_jobs, cap;
	uint64_t bytes;
	size_t top; /* bytes of a path that belong to SRC itself */
	struct get_counters counters;
	atomic_size_t next;
	atomic_uint running;
	atomic_bool failed;
};

/* ---- what and where to ------------------------------------------------------------------- */

static int make_directory(const char *path)
{
	struct stat st;

	if (mkdir(path, 0777) == 0)
		return 0;
	if (errno == EEXIST && stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return 0;
	return errno == EEXIST ? -ENOTDIR : -errno;
}

static int add_job(struct plan *p, const char *path, const char *to, const struct ossc_stat *st)
{
	struct get_job *jobs = p->jobs;

	if (p->nr_jobs == p->cap) {
		size_t cap = p->cap > 0 ? 2 * p->cap : 64;

		jobs = realloc(p->jobs, cap * sizeof(*jobs));
		if (jobs == NULL)
			return -ENOMEM;
		p->jobs = jobs;
		p->cap = cap;
	}
	jobs[p->nr_jobs] = (struct get_job){
		.from = &p->from,
		.path = strdup(path),
		.to = strdup(to),
		.st = *st,
		.counters = &p->counters,
	};
	if (jobs[p->nr_jobs].path == NULL || jobs[p->nr_jobs].to == NULL)
		return -ENOMEM;
	p->nr_jobs++;
	p->bytes += st->file_size;
	return 0;
}

static int plan_entry(const char *path, const struct ossc_stat *st, void *arg)
{
	struct plan *p = arg;
	char *to;
	int r;

	if (asprintf(&to, "%s/%s", p->to, path + p->top) == -1)
		return -ENOMEM;
	r = st->is_dir ? make_directory(to) : add_job(p, path, to, st);
	if (r != 0)
		fail("%s: %s", to, strerror(-r));
	free(to);
	return r;
}

static const char *last_name(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash != NULL ? slash + 1 : path;
}

/* A single file: DST is its name, or a directory in which it goes under its own. */
static int plan_file(struct plan *p, const struct ossc_stat *st)
{
	size_t len = strlen(p->to);
	struct stat local;
	char *to = NULL;
	int r;

	if ((len > 0 && p->to[len - 1] == '/') ||
	    (stat(p->to, &local) == 0 && S_ISDIR(local.st_mode))) {
		while (len > 1 && p->to[len - 1] == '/')
			len--;
		if (asprintf(&to, "%.*s/%s", (int)len, p->to, last_name(p->from.path)) == -1)
			return fail("memory is short");
	}
	r = add_job(p, p->from.path, to != NULL ? to : p->to, st);
	free(to);
	return r == 0 ? EXIT_DONE : fail("memory is short");
}

static int make_plan(struct plan *p)
{
	struct ossc_stat st = { .size = sizeof(st) };
	int r = ossc_stat(p->from.mount, p->from.path, &st);

	if (r != 0)
		return target_fail(&p->from, p->from.path, r);
	if (!st.is_dir)
		return plan_file(p, &st);
	r = make_directory(p->to);
	if (r != 0)
		return fail("%s: %s", p->to, strerror(-r));
	p->top = strlen(p->from.path);
	if (p->top > 0)
		p->top++; /* and the slash behind it */
	r = ossc_list(p->from.mount, p->from.path, OSSC_LIST_RECURSIVE, plan_entry, p);
	return r == 0 ? EXIT_DONE : EXIT_FAILED;
}

/* ---- the work ------------------------------------------------------------------------------- */

static void *work(void *arg)
{
	struct plan *p = arg;
	size_t i;

	while (!p->counters.stop && (i = p->next++) < p->nr_jobs) {
		if (get_file(&p->jobs[i]) != EXIT_DONE) {
			p->failed = true;
			p->counters.stop = true;
		}
	}
	if (--p->running == 0)
		kill(getpid(), SIGUSR1); /* watch() need not sleep its tick out */
	return NULL;
}

static void print_progress(const struct plan *p, double seconds)
{
	uint64_t done = p->counters.bytes, received = p->counters.received;
	double rate = seconds > 0 ? (double)received / seconds : 0;
	uint64_t left = p->bytes > done ? p->bytes - done : 0;
	char buf[4][32];

	fprintf(stderr, "\r%u of %zu files, %s of %s, %s/s, %s left\033[K",
		(unsigned)p->counters.files, p->nr_jobs, human_bytes(done, buf[0]),
		human_bytes(p->bytes, buf[1]), human_bytes((uint64_t)rate, buf[2]),
		rate > 0 ? human_seconds((uint64_t)((double)left / rate), buf[3]) : "?");
}

/* Wait for the workers; SIGINT and SIGTERM end the program where it stands, SIGUSR1 is theirs. */
static int watch(struct plan *p, const sigset_t *signals)
{
	const struct timespec tick = { .tv_nsec = PROGRESS_MS * 1000000l };
	bool terminal = isatty(STDERR_FILENO) == 1;
	double start = now_seconds();

	while (p->running > 0) {
		int sig = sigtimedwait(signals, NULL, &tick);

		if (sig == SIGINT || sig == SIGTERM) {
			if (terminal)
				fputc('\n', stderr);
			fail("interrupted; run the same command again to go on");
			/* Every partial file is whole up to its end: nothing is to be tidied. */
			_exit(sig == SIGINT ? EXIT_INTERRUPTED : 128 + sig);
		}
		if (terminal)
			print_progress(p, now_seconds() - start);
	}
	if (terminal) {
		print_progress(p, now_seconds() - start);
		fputc('\n', stderr);
	}
	return p->failed ? EXIT_FAILED : EXIT_DONE;
}

static int fetch_all(struct plan *p)
{
	unsigned nr = p->nr_jobs < NR_THREADS ? (unsigned)p->nr_jobs : NR_THREADS, i, started = 0;
	pthread_t threads[NR_THREADS];
	sigset_t signals;
	int code;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	p->running = nr;
	for (i = 0; i < nr; i++) {
		if (pthread_create(&threads[started], NULL, work, p) == 0)
			started++;
		else
			p->running--;
	}
	if (started == 0 && nr > 0)
		return fail("no thread could be started: see ulimit -u");
	code = watch(p, &signals);
	for (i = 0; i < started; i++)
		pthread_join(threads[i], NULL);
	return code;
}

static void free_plan(struct plan *p)
{
	size_t i;

	for (i = 0; i < p->nr_jobs; i++) {
		free((void *)(uintptr_t)p->jobs[i].path);
		free((void *)(uintptr_t)p->jobs[i].to);
	}
	free(p->jobs);
	free(p->to);
	target_close(&p->from);
}

static int run(int argc, char **argv)
{
	struct plan p = { 0 };
	int code, first = argc > 1 && strcmp(argv[1], "-r") == 0 ? 2 : 1;

	if (first < argc && argv[first][0] == '-')
		return fail_usage(&cmd_get, "get: unknown option %s", argv[first]);
	if (argc - first != 2)
		return fail_usage(&cmd_get, "get: which SRC, and which DST?");
	code = target_open(&p.from, argv[first], OSSC_REFRESH);
	if (code == EXIT_DONE) {
		p.to = strdup(argv[first + 1]);
		code = p.to != NULL ? make_plan(&p) : fail("memory is short");
	}
	if (code == EXIT_DONE)
		code = fetch_all(&p);
	free_plan(&p);
	return code;
}

const struct cmd cmd_get = {
	.name = "get",
	.synopsis = "SRC DST",
	.summary = "copy a file or directory to the local disk, checked and resumable",
	.help = "A directory is copied with everything below it, several files at a time.  Files\n"
		"arrive as NAME.part; run again after an interruption, the same command goes on\n"
		"where it stopped.  Each file's CRC-64 is compared with the store's before it "
		"gets\n"
		"its name.  Files that are there with the same size and time are skipped.\n",
	.run = run,
};
