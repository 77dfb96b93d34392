/*
 * op_process.c - other processes: forked ones that go on with the sequence, and
 * programs that are started with the descriptors.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_DEPTH 2

/* What programs look at; of the rest, a program that inherits a store file knows nothing. */
#define SEEN_BY_ALL (O_ACCMODE | O_APPEND | O_NONBLOCK)

extern char **environ;

/* ---- fork: the steps up to the join are the child's --------------------------------------- */

static uint32_t join_of(const struct sequence *s, uint32_t at, unsigned actor)
{
	unsigned open = 0;

	for (at++; at < s->nr; at++) {
		if (s->steps[at].actor != actor)
			continue;
		if (s->steps[at].op->run == op_fork)
			open++;
		else if (s->steps[at].op->run == op_join && open-- == 0)
			break;
	}
	return at;
}

/* Where a stream or a directory stream is, two processes cannot share. */
static void forget_streams(struct actor *a)
{
	memset(a->streams, 0, sizeof(a->streams));
	memset(a->dirs, 0, sizeof(a->dirs));
}

static void child(struct actor *a, const struct sequence *s, uint32_t from, uint32_t to)
{
	struct sequence part = { s->steps, to };

	a->depth++;
	forget_streams(a);
	__atomic_fetch_add(&board->children, 1, __ATOMIC_RELAXED);
	run_steps(a, &part, from);
	_exit(0);
}

static void wait_for(struct actor *a, const char *what, pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) == -1)
		if (errno != EINTR)
			differ(a, "waitpid: %s", error_name(errno));
	if (WIFSIGNALED(status))
		differ(a, "%s was ended by signal %d (after step %u)", what, WTERMSIG(status),
		       board->step_number[a->number]);
	if (WEXITSTATUS(status) == 3)
		_exit(3); /* it has said what differs */
	if (WEXITSTATUS(status) != 0)
		differ(a, "%s ended with %d", what, WEXITSTATUS(status));
}

static void check_all(struct actor *a)
{
	unsigned i;

	for (i = 0; i < NR_FDS; i++)
		fd_check(a, &a->fds[i]);
	for (i = 0; i < NR_MAPS; i++)
		if (a->maps[i].p != NULL)
			map_check(a, &a->maps[i], 0, 4);
}

uint32_t fork_steps(struct actor *a, const struct sequence *s, uint32_t at)
{
	uint32_t end = join_of(s, at, a->number);
	pid_t pid;

	if (a->depth >= MAX_DEPTH)
		return at;
	pid = fork();
	if (pid == -1 && judge(a, "fork", (struct outcome){ 0 },
			       (struct outcome){ .ret = -1, .err = errno }, 0) == STORE_FAILED)
		return end; /* what is mapped could not be made ready for a child */
	if (pid == 0)
		child(a, s, at + 1, end);
	wait_for(a, "a child", pid);
	a->step = &s->steps[at];
	a->step_number = at;
	a->local_changes++;
	check_all(a);
	return end;
}

/* Both are run.c's to do; this is for the table. */
OP(fork)
{
	(void)a;
	(void)arg;
	return true;
}

OP(join)
{
	(void)a;
	(void)arg;
	return false;
}

/* ---- programs ----------------------------------------------------------------------------------- */

static pid_t start(const char *path, char *const *argv, uint32_t how,
		   const posix_spawn_file_actions_t *actions)
{
	pid_t pid;

	if (actions != NULL || how % 3 == 0)
		return (errno = posix_spawnp(&pid, path, actions, NULL, argv, environ)) == 0 ? pid
											     : -1;
	pid = how % 3 == 1 ? vfork() : fork();
	if (pid == 0) {
		execvp(path, argv);
		_exit(99);
	}
	return pid;
}

/* A copy of this program compares the descriptors that it inherits. */
OP(spawn_self)
{
	char *argv[NR_FDS + 6], list[NR_FDS][32], word[1024] = "--allow", names[1024] = "";
	char number[32];
	unsigned i, n = 0;
	pid_t pid;

	argv[n++] = world.self;
	argv[n++] = (char[]){ "--inherited" };
	snprintf(number, sizeof(number), "%u", arg[1]);
	argv[n++] = number;
	for (i = 0; i < world.nr_allowed; i++)
		snprintf(names + strlen(names), sizeof(names) - strlen(names), "%s%s",
			 i > 0 ? "," : "", error_name(world.allowed[i]));
	argv[n++] = names;
	(void)word;
	for (i = 0; i < NR_FDS; i++) {
		const struct fdpair *f = &a->fds[i];

		if (!f->open || f->dir || f->path_only || (fcntl(f->p, F_GETFD) & FD_CLOEXEC) != 0)
			continue;
		snprintf(list[i], sizeof(list[i]), "%d:%d", f->p, f->m);
		argv[n++] = list[i];
	}
	argv[n] = NULL;
	if (n == 4)
		return false;
	pid = start(world.self, argv, arg[0], NULL);
	if (pid == -1 && judge(a, "starting a program", (struct outcome){ 0 },
			       (struct outcome){ .ret = -1, .err = errno }, 0) == STORE_FAILED)
		return true;
	wait_for(a, "a program that inherited descriptors", pid);
	check_all(a);
	return true;
}

struct ran {
	int out;
	int status;
};

static struct ran run_program(struct actor *a, char *const *argv, int in, const char *in_path,
			      const char *dir)
{
	struct ran r = { .out = memfd_create("refmodel", MFD_CLOEXEC) };
	posix_spawn_file_actions_t actions;
	int failed = 0;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	if (dir != NULL)
		posix_spawn_file_actions_addchdir_np(&actions, dir);
	if (in != -1)
		posix_spawn_file_actions_adddup2(&actions, in, 0);
	else if (in_path != NULL)
		failed = posix_spawn_file_actions_addopen(&actions, 0, in_path, O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, r.out, 1);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	pid = failed == 0 ? start(argv[0], argv, 0, &actions) : -1;
	posix_spawn_file_actions_destroy(&actions);
	if (pid == -1) {
		r.status = -1; /* an action failed: the file could not be opened */
		return r;
	}
	while (waitpid(pid, &r.status, 0) == -1)
		if (errno != EINTR)
			differ(a, "waitpid: %s", error_name(errno));
	return r;
}

static bool same_output(struct actor *a, const char *what, struct ran *p, struct ran *m)
{
	struct stat x, y;
	off_t at;

	fstat(p->out, &x);
	fstat(m->out, &y);
	if (m->status != p->status && world.nr_allowed > 0)
		return false;
	same_number(a, "the program's end", p->status, m->status);
	same_number(a, "the length of the program's output", x.st_size, y.st_size);
	for (at = 0; at < x.st_size; at += BUF_SIZE) {
		ssize_t n = pread(p->out, a->buf_p, BUF_SIZE, at);

		if (pread(m->out, a->buf_m, BUF_SIZE, at) != n || n <= 0)
			differ(a, "the output cannot be read");
		same_bytes(a, what, a->buf_p, a->buf_m, (size_t)n);
	}
	return true;
}

/*
 * Only where no other thread is: while a descriptor is replaced by a copy for a
 * program without the library, no other thread may close it and open another.
 */
static const char *static_program(void)
{
	static const char path[] = "/bin/busybox";

	return !world.threads && access(path, X_OK) == 0 ? path : NULL;
}

/* A program reads a descriptor, a path, or a name in its directory. */
OP(spawn_cat)
{
	char *cat[] = { (char[]){ "cat" }, NULL, NULL };
	char *head[] = { (char[]){ "head" }, (char[]){ "-c" }, (char[]){ "3000" }, NULL };
	char *bare[] = { NULL, (char[]){ "cat" }, NULL };
	char *const *argv = arg[2] % 3 == 0 ? head : cat;
	struct fdpair *f = fd_of_file(a, arg[0]);
	const struct node *n = &world.nodes[world.files[arg[1] % world.nr_files]];
	char path_p[PATH_SIZE], path_m[PATH_SIZE];
	struct ran p, m;
	bool by_fd = arg[3] % 2 == 0, fixed = arg[2] % 4 == 1 && static_program() != NULL;

	if (by_fd && (f == NULL || f->node == NULL))
		return false;
	if (fixed) {
		a->has_copies = !world.bare;
		bare[0] = (char *)(uintptr_t)static_program();
		argv = bare;
	}
	snprintf(path_p, sizeof(path_p), "%s/%s", world.plain, n->rel);
	snprintf(path_m, sizeof(path_m), "%s/%s", world.model, n->rel);
	if (by_fd) {
		p = run_program(a, argv, f->p, NULL, NULL);
		m = run_program(a, argv, f->m, NULL, NULL);
	} else if (arg[4] % 3 == 0) {
		p = run_program(a, argv, -1, path_p, NULL);
		m = run_program(a, argv, -1, path_m, NULL);
	} else {
		char *name = strrchr(path_p, '/');

		cat[1] = name + 1;
		*name = '\0';
		*strrchr(path_m, '/') = '\0';
		p = run_program(a, cat, -1, NULL, path_p);
		m = run_program(a, cat, -1, NULL, path_m);
	}
	/* A program without the library reads a copy: where it stopped is its own affair. */
	if (!same_output(a, "a program's output", &p, &m) || (by_fd && fixed)) {
		if (by_fd)
			fd_put_back(f, lseek(f->m, 0, SEEK_CUR));
	} else if (by_fd) {
		fd_check(a, f);
	}
	close(p.out);
	close(m.out);
	return true;
}

static size_t read_pipe(const char *command, unsigned char *buf, int *ret_status)
{
	FILE *f = popen(command, "re");
	size_t n;

	if (f == NULL)
		return 0;
	n = fread(buf, 1, BUF_SIZE, f);
	*ret_status = pclose(f);
	return n;
}

OP(popen)
{
	const struct node *n = &world.nodes[world.files[arg[0] % world.nr_small]];
	char command[PATH_SIZE + 32];
	int x = -1, y = -1;
	size_t p, m;

	/* libc's lock of popen is not made free in a child of a process with threads. */
	if (world.nr_small == 0 || a->depth > 0 || strchr(n->rel, '\'') != NULL)
		return false;
	snprintf(command, sizeof(command), "exec cat '%s/%s' 2>/dev/null", world.plain, n->rel);
	p = read_pipe(command, a->buf_p, &x);
	snprintf(command, sizeof(command), "exec cat '%s/%s' 2>/dev/null", world.model, n->rel);
	m = read_pipe(command, a->buf_m, &y);
	if (x != y && world.nr_allowed > 0)
		return true;
	same_number(a, "popen's end", x, y);
	same_number(a, "popen's output", (long long)p, (long long)m);
	same_bytes(a, "popen's output", a->buf_p, a->buf_m, p);
	return true;
}

/* ---- in the program that inherits ------------------------------------------------------------------ */

static void inherited_pair(struct actor *a, int p, int m, uint32_t x)
{
	struct fdpair f = { .open = true, .p = p, .m = m };
	size_t len = x % 5000;
	struct outcome r, s;
	struct stat st, tt;
	off_t before;

	same_number(a, "F_GETFL", fcntl(p, F_GETFL) & SEEN_BY_ALL, fcntl(m, F_GETFL) & SEEN_BY_ALL);
	fd_check(a, &f);
	if (judge(a, "fstat", TRY(fstat(p, &st)), TRY(fstat(m, &tt)), 0) == BOTH_DID) {
		same_number(a, "st_size", st.st_size, tt.st_size);
		same_number(a, "st_mode", st.st_mode, tt.st_mode);
	}
	before = lseek(p, 0, SEEK_CUR);
	r = TRY(read(p, a->buf_p, len));
	s = TRY(read(m, a->buf_m, len));
	if (judge(a, "read", r, s, 0) == STORE_FAILED)
		fd_put_back(&f, before);
	else if (r.ret > 0)
		same_bytes(a, "read", a->buf_p, a->buf_m, (size_t)r.ret);
	r = TRY(pread(p, a->buf_p, len, x % 100000));
	s = TRY(pread(m, a->buf_m, len, x % 100000));
	if (judge(a, "pread", r, s, 0) == BOTH_DID && r.ret > 0)
		same_bytes(a, "pread", a->buf_p, a->buf_m, (size_t)r.ret);
	fd_check(a, &f);
}

/* --inherited NUMBER ALLOWED P:M… */
int inherited_main(int argc, char **argv)
{
	static struct actor a;
	static struct step step;
	uint32_t number = (uint32_t)strtoul(argv[2], NULL, 10);
	int i, p, m;

	step.op = op_find("spawn_self");
	a.step = &step;
	a.buf_p = malloc(BUF_SIZE);
	a.buf_m = malloc(BUF_SIZE);
	board = calloc(1, sizeof(*board));
	if (a.buf_p == NULL || a.buf_m == NULL || board == NULL)
		return 2;
	allow(argv[3]);
	atexit_words();
	for (i = 4; i < argc; i++)
		if (sscanf(argv[i], "%d:%d", &p, &m) == 2)
			inherited_pair(&a, p, m, number + (uint32_t)i * 777);
	return 0;
}
