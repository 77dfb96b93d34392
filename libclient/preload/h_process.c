/*
 * h_process.c - hooks: fork and exec.  A forked child shares the offsets; what
 * becomes of store descriptors in another program is decided in depart.h.
 */
#include "libclient/core/sys.h"
#include "libclient/preload/carry.h"
#include "libclient/preload/depart.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/lazy.h"
#include "libclient/preload/maps.h"
#include "libclient/preload/next.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/process.h"
#include "libclient/preload/say.h"

#include <linux/sched.h>
#include <stdarg.h>
#include <unistd.h>

extern int clone(int (*run)(void *), void *stack, int flags, void *arg, ...);

/* What is between the two sides of a fork. */
struct forking {
	bool idle; /* nothing of ours was open */
	struct lazy_fork *lazy;
};

static int fork_begin(struct forking *f)
{
	int r;

	offset_fork_begins();
	f->idle = fds_end == 0 && maps_high == 0;
	if (f->idle)
		return 0;
	r = lazy_before_fork(&f->lazy);
	if (r != 0) {
		offset_fork_ended();
		return r == -ENOMEM ? r : -EAGAIN;
	}
	maps_before_fork();
	return 0;
}

/* In both processes.  pid as fork gave it. */
static void fork_end(struct forking *f, long pid)
{
	if (pid == 0 && !f->idle)
		lazy_keep_places(f->lazy);
	if (pid == 0)
		offset_in_child();
	else
		offset_fork_ended();
	if (pid == 0 && (!f->idle || fds_end != 0)) /* another thread's first one */
		fds_in_child();
	else if (pid == 0)
		fds_in_idle_child();
	if (f->idle)
		return;
	if (pid == 0)
		lazy_in_child(f->lazy);
	else
		lazy_in_parent(f->lazy);
}

typedef pid_t fork_function(void);

static pid_t fork_by(fork_function *libc)
{
	struct forking f;
	pid_t pid;
	int r = libc != NULL ? fork_begin(&f) : -ENOSYS;

	if (r != 0)
		return (pid_t)answer(r);
	pid = libc();
	fork_end(&f, pid);
	return pid;
}

EXPORT pid_t fork(void)
{
	return fork_by(NEXT(fork));
}
ALIAS(__fork, fork);

EXPORT pid_t _Fork(void)
{
	return fork_by(NEXT_LIKE(_Fork, fork));
}

/* ---- clone -------------------------------------------------------------------------------- */

/* A child with memory of its own, which goes on where its parent is, is a fork. */
static bool is_fork(long nr, const long a[6])
{
	const struct clone_args *c;

	switch (nr) {
#ifdef __NR_fork
	case __NR_fork:
		return true;
#endif
	case __NR_clone:
		return (a[0] & CLONE_VM) == 0 && a[1] == 0;
	case __NR_clone3:
		c = (const struct clone_args *)a[0];
		return c != NULL && (size_t)a[1] >= CLONE_ARGS_SIZE_VER0 &&
		       (c->flags & CLONE_VM) == 0 && c->stack == 0;
	}
	return false;
}

bool process_fork(long nr, const long a[6], long *ret)
{
	struct forking f;

	if (!is_fork(nr, a))
		return false;
	*ret = fork_begin(&f);
	if (*ret == 0) {
		*ret = sys_call6(nr, a[0], a[1], a[2], a[3], a[4], a[5]);
		fork_end(&f, *ret);
	}
	*ret = answer(*ret);
	return true;
}

struct start {
	int (*run)(void *);
	void *arg;
	struct forking forking;
};

static int start_child(void *arg)
{
	struct start *s = arg;

	fork_end(&s->forking, 0);
	return s->run(s->arg);
}

/* Threads, and children that share memory until they start a program, are libc's alone. */
EXPORT int clone(int (*run)(void *), void *stack, int flags, void *arg, ...)
{
	__typeof(&clone) libc = NEXT(clone);
	struct start s = { .run = run, .arg = arg };
	void *tid, *tls, *child_tid;
	va_list ap;
	int pid;

	va_start(ap, arg);
	tid = va_arg(ap, void *);
	tls = va_arg(ap, void *);
	child_tid = va_arg(ap, void *);
	va_end(ap);
	if (libc == NULL)
		return (int)answer(-ENOSYS);
	if ((flags & CLONE_VM) != 0 || run == NULL || stack == NULL)
		return libc(run, stack, flags, arg, tid, tls, child_tid);
	pid = fork_begin(&s.forking);
	if (pid != 0)
		return (int)answer(pid);
	pid = libc(start_child, stack, flags, &s, tid, tls, child_tid);
	fork_end(&s.forking, pid);
	return pid;
}
ALIAS(__clone, clone);

/* ---- exec --------------------------------------------------------------------------------- */

extern char **libc_environ __asm__("__environ") __attribute__((weak));

char **process_environ(void)
{
	return &libc_environ != NULL ? libc_environ : NULL;
}

int process_refuse(void)
{
	SAY_ONCE("programs cannot be run from the store: copy the file to a local disk first");
	return -EACCES;
}

bool process_is_store_program(int dirfd, const char *path, int flags)
{
	struct spot s;
	bool is;

	if (!paths_on() || path == NULL)
		return false;
	if (path[0] == '\0')
		return (flags & AT_EMPTY_PATH) != 0 && fds_is_ours(dirfd) && !fds_is_dir(dirfd);
	paths_look(&s, dirfd, path, 0);
	is = s.kind == SPOT_FILE;
	paths_done(&s);
	return is;
}

static long call_kernel(int dirfd, const char *path, char *const argv[], char *const envp[],
			int flags)
{
	if (dirfd == AT_FDCWD && flags == 0)
		return sys_call3(__NR_execve, path, argv, envp);
	return sys_call5(__NR_execveat, dirfd, path, argv, envp, flags);
}

/* Returns only with a negative errno. */
static int run(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	struct departure d = {
		.dirfd = dirfd,
		.path = path,
		.flags = flags,
		.envp = envp,
	};
	int r;

	if (process_is_store_program(dirfd, path, flags))
		return process_refuse();
	if (depart_begin(&d)) {
		if (depart_carries(&d))
			d.envp = carry_add(envp, depart_mark(&d),
					   __builtin_alloca(carry_room(envp)));
		depart_go(&d);
	}
	trace_exec(path);
	r = (int)call_kernel(dirfd, path, argv, d.envp, flags);
	trace_exec_failed(path, r);
	return r;
}

/* The same for a path that the program itself names: its directory may be MODEL_DIR by another name. */
static int run_named(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	int r = run(dirfd, path, argv, envp, flags);
	struct spot s;

	if (r != -ENOENT || !paths_on())
		return r;
	paths_look(&s, dirfd, path, 0);
	if (paths_again(&s) && s.kind == SPOT_FILE)
		r = process_refuse();
	paths_done(&s);
	return r;
}

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	return (int)answer(run_named(AT_FDCWD, path, argv, envp, 0));
}

EXPORT int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	return (int)answer(run_named(dirfd, path, argv, envp, flags));
}

EXPORT int execv(const char *path, char *const argv[])
{
	return (int)answer(run_named(AT_FDCWD, path, argv, process_environ(), 0));
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	if (fd < 0)
		return (int)answer(-EINVAL);
	return (int)answer(run(fd, "", argv, envp, AT_EMPTY_PATH));
}

/* A file that the kernel does not know how to run is a script of the shell's. */
static int run_or_interpret(const char *path, char *const argv[], char *const envp[])
{
	int r = run(AT_FDCWD, path, argv, envp, 0);
	size_t nr = 0, i;
	char **shell;

	if (r != -ENOEXEC)
		return r;
	while (argv[nr] != NULL)
		nr++;
	shell = __builtin_alloca((nr + 3) * sizeof(*shell));
	shell[0] = (char *)"/bin/sh";
	shell[1] = (char *)path;
	for (i = 1; i <= nr; i++)
		shell[i + 1] = argv[i];
	if (nr == 0)
		shell[2] = NULL;
	return run(AT_FDCWD, shell[0], shell, envp, 0);
}

/* Go on to the next directory of the search? */
static bool is_elsewhere(int error)
{
	switch (error) {
	case -EACCES:
	case -ENOENT:
	case -ENOTDIR:
	case -ESTALE:
	case -ENODEV:
	case -ETIMEDOUT:
		return true;
	}
	return false;
}

/* As libc's: the search goes by this process's own PATH. */
static int search(const char *file, char *const argv[], char *const envp[])
{
	const char *list = process_search_path(file);
	size_t cap = process_search_room(list, file);
	char *path = __builtin_alloca(cap);
	int error = -ENOENT, r;

	if (file[0] == '\0')
		return -ENOENT;
	while (list != NULL) {
		r = target_candidate(&list, file, path, cap);
		if (r == 0)
			r = run_or_interpret(path, argv, envp);
		if (!is_elsewhere(r))
			return r;
		if (r == -EACCES || error != -EACCES)
			error = r;
	}
	return error;
}

/* While nothing is ours, libc's own. */
static bool is_on(void)
{
	return paths_on() || fds_end != 0;
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	__typeof(&execvpe) libc = NEXT(execvpe);

	if (!is_on() && libc != NULL)
		return libc(file, argv, envp);
	return (int)answer(search(file, argv, envp));
}

EXPORT int execvp(const char *file, char *const argv[])
{
	__typeof(&execvp) libc = NEXT(execvp);

	if (!is_on() && libc != NULL)
		return libc(file, argv);
	return (int)answer(search(file, argv, process_environ()));
}

/* Arguments given one by one: a vector of them on the stack, then `call`. */
#define WITH_VECTOR(first, call)                                                                   \
	do {                                                                                       \
		va_list ap;                                                                        \
		size_t nr = 1, i;                                                                  \
		char **argv;                                                                       \
		va_start(ap, first);                                                               \
		while (va_arg(ap, char *) != NULL)                                                 \
			nr++;                                                                      \
		va_end(ap);                                                                        \
		argv = __builtin_alloca((nr + 1) * sizeof(*argv));                                 \
		va_start(ap, first);                                                               \
		argv[0] = (char *)(first);                                                         \
		for (i = 1; i <= nr; i++)                                                          \
			argv[i] = va_arg(ap, char *);                                              \
		call;                                                                              \
		va_end(ap);                                                                        \
	} while (0)

EXPORT int execl(const char *path, const char *first, ...)
{
	int r;

	WITH_VECTOR(first, r = execv(path, argv));
	return r;
}

EXPORT int execlp(const char *file, const char *first, ...)
{
	int r;

	WITH_VECTOR(first, r = execvp(file, argv));
	return r;
}

EXPORT int execle(const char *path, const char *first, ...)
{
	int r;

	WITH_VECTOR(first, r = execve(path, argv, va_arg(ap, char *const *)));
	return r;
}
