/*
 * run.c - actors do their steps: in threads of their own, or one after the other;
 * and a process of its own for a run, watched from outside.
 */
#include "test/refmodel/op_family.h"

#include <err.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void run_steps(struct actor *a, const struct sequence *s, uint32_t from)
{
	uint32_t i;

	for (i = from; i < s->nr; i++) {
		const struct step *step = &s->steps[i];
		bool done;

		if (step->actor != a->number)
			continue;
		a->step = step;
		a->step_number = i;
		__atomic_store_n(&board->step_number[a->number], i, __ATOMIC_RELAXED);
		done = step->op->run(a, step->arg);
		if (step->op->run == op_fork)
			i = fork_steps(a, s, i);
		if (done) {
			__atomic_fetch_add(&board->done[a->number], 1, __ATOMIC_RELAXED);
			__atomic_fetch_add(&board->by_op[step->op - op_table], 1, __ATOMIC_RELAXED);
		}
	}
}

void actor_close_all(struct actor *a)
{
	unsigned i;

	for (i = 0; i < NR_MAPS; i++)
		map_close(a, &a->maps[i]);
	for (i = 0; i < NR_STREAMS; i++)
		stream_close(a, &a->streams[i]);
	for (i = 0; i < NR_DIRS; i++)
		dir_close(a, &a->dirs[i]);
	for (i = 0; i < NR_FDS; i++)
		fd_close(a, &a->fds[i]);
}

/* ---- what an actor leaves behind ---------------------------------------------------------- */

static void remove_tree(int dirfd, const char *name)
{
	struct dirent *e;
	DIR *d;
	int fd;

	if (unlinkat(dirfd, name, 0) == 0)
		return;
	fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd == -1 ? NULL : fdopendir(fd);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			remove_tree(fd, e->d_name);
	if (d != NULL)
		closedir(d);
	unlinkat(dirfd, name, AT_REMOVEDIR);
}

static void clean_dir(const struct actor *a, const char *root, const char *rel)
{
	char path[PATH_SIZE];
	struct dirent *e;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", root, rel);
	d = opendir(path);
	while (d != NULL && (e = readdir(d)) != NULL)
		if (e->d_name[0] == '~' && !is_foreign(a, e->d_name))
			remove_tree(dirfd(d), e->d_name);
	if (d != NULL)
		closedir(d);
}

void actor_clean(struct actor *a)
{
	unsigned i;

	for (i = 0; i < world.nr_dirs; i++) {
		clean_dir(a, world.plain, world.nodes[world.dirs[i]].rel);
		clean_dir(a, world.model, world.nodes[world.dirs[i]].rel);
	}
}

/* ---- threads --------------------------------------------------------------------------------- */

struct thread {
	pthread_t id;
	struct actor actor;
	const struct sequence *sequence;
};

static void *act(void *arg)
{
	struct thread *t = arg;
	struct actor *a = &t->actor;
	static const struct step none = { .op = op_table };

	a->step = &none;
	a->buf_p = malloc(BUF_SIZE);
	a->buf_m = malloc(BUF_SIZE);
	if (a->buf_p == NULL || a->buf_m == NULL)
		err(2, "malloc");
	actor_clean(a);
	if (chdir(world.model) != 0)
		err(2, "%s", world.model);
	run_steps(a, t->sequence, 0);
	actor_close_all(a);
	actor_clean(a);
	free(a->buf_p);
	free(a->buf_m);
	return NULL;
}

static void *act_in_thread(void *arg)
{
	if (unshare(CLONE_FS) != 0)
		err(2, "unshare");
	return act(arg);
}

void run_all(const struct sequence *s, unsigned actors, bool threads)
{
	struct thread *t = calloc(MAX_ACTORS, sizeof(*t));
	unsigned i;

	world.threads = threads;
	for (i = 0; i < actors; i++) {
		t[i].actor.number = i;
		t[i].sequence = s;
		if (!threads)
			act(&t[i]);
		else if (pthread_create(&t[i].id, NULL, act_in_thread, &t[i]) != 0)
			err(2, "pthread_create");
	}
	for (i = 0; threads && i < actors; i++)
		pthread_join(t[i].id, NULL);
	free(t);
}

/* ---- watched from outside ------------------------------------------------------------------------ */

static uint64_t progress(void)
{
	uint64_t sum = board->children;
	unsigned i;

	for (i = 0; i < MAX_ACTORS; i++)
		sum += board->done[i] + board->step_number[i];
	return sum;
}

/* What each actor had in hand when the process died or stood still. */
static void say_where(const struct sequence *s, unsigned actors, const char *what)
{
	size_t n = (size_t)snprintf(board->words, sizeof(board->words), "%s", what);
	char text[256];
	unsigned i;

	for (i = 0; i < actors && n < sizeof(board->words); i++) {
		uint32_t at = board->step_number[i];

		if (at >= s->nr)
			continue;
		step_text(&s->steps[at], text, sizeof(text));
		n += (size_t)snprintf(board->words + n, sizeof(board->words) - n,
				      "\n  actor %u, operation %u: \"%s\"", i, at, text);
	}
}

static int end_of(const struct sequence *s, unsigned actors, int status)
{
	char what[128];

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 3 && board->differs != 0)
		return 1;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
		return 2; /* it could not begin, and has said why */
	if (WIFEXITED(status))
		snprintf(what, sizeof(what), "the process ended with %d", WEXITSTATUS(status));
	else
		snprintf(what, sizeof(what), "the process was ended by signal %d",
			 WTERMSIG(status));
	say_where(s, actors, what);
	return 1;
}

int run_watched(const struct sequence *s, unsigned actors, bool threads, unsigned stall_s)
{
	const struct timespec nap = { .tv_nsec = 5000000 };
	uint64_t last = 0, now;
	time_t since = time(NULL);
	int status;
	pid_t pid;

	memset(board, 0, sizeof(*board));
	pid = fork();
	if (pid == -1)
		err(2, "fork");
	if (pid == 0) {
		setpgid(0, 0);
		touch_start();
		world_start(world.plain, world.model, world.work, world.bare);
		run_all(s, actors, threads);
		_exit(0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		nanosleep(&nap, NULL);
		now = progress();
		if (now != last) {
			last = now;
			since = time(NULL);
		} else if (time(NULL) - since > (time_t)stall_s) {
			say_where(s, actors, "nothing has moved for too long");
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			return 1;
		}
	}
	return end_of(s, actors, status);
}
