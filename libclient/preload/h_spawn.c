/*
 * h_spawn.c - hooks: posix_spawn and its file actions, system and popen.  libc
 * forks and runs the program inside itself, so all is made ready in the parent.
 */
#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/actions.h"
#include "libclient/preload/carry.h"
#include "libclient/preload/depart.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/open.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/process.h"
#include "libclient/preload/store.h"

#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>

typedef int spawn_function(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions,
			   const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);

/* ---- PATH --------------------------------------------------------------------------------- */

const char *process_search_path(const char *file)
{
	char **environ = process_environ();
	const char *c;

	for (c = file; *c != '\0'; c++)
		if (*c == '/')
			return "";
	for (; environ != NULL && *environ != NULL; environ++)
		if (mem_len(*environ) >= 5 && mem_equal(*environ, "PATH=", 5))
			return *environ + 5;
	return "/bin:/usr/bin";
}

size_t process_search_room(const char *list, const char *file)
{
	return mem_len(list) + mem_len(file) + 2;
}

/* ---- posix_spawn -------------------------------------------------------------------------- */

/* What the new program will be, and what it will hold; then libc's own. */
static int spawn(spawn_function *libc, struct departure *d, pid_t *ret, const char *name,
		 const posix_spawnattr_t *attr, char *const argv[])
{
	const posix_spawn_file_actions_t *actions = d->actions;
	char *const *envp = d->envp;
	int r;

	if (process_is_store_program(d->dirfd, d->path, 0))
		return -process_refuse();
	if (depart_begin(d)) {
		if (depart_carries(d))
			d->envp =
				carry_add(envp, depart_mark(d), __builtin_alloca(carry_room(envp)));
		depart_go(d);
	}
	r = libc(ret, name, actions, attr, argv, d->envp);
	if (r == 0 && ret != NULL)
		trace_spawn(*ret, d->path);
	return r;
}

static bool is_on(void)
{
	return paths_on() || fds_end != 0;
}

static int spawn_path(spawn_function *libc, pid_t *ret, const char *path,
		      const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
		      char *const argv[], char *const envp[])
{
	struct departure d = {
		.dirfd = is_on() && actions != NULL ? actions_dirfd(actions) : AT_FDCWD,
		.path = path,
		.envp = envp,
		.actions = actions,
	};

	if (!is_on())
		return libc(ret, path, actions, attr, argv, envp);
	return spawn(libc, &d, ret, path, attr, argv);
}

static int spawn_search(spawn_function *libc, pid_t *ret, const char *file,
			const posix_spawn_file_actions_t *actions, const posix_spawnattr_t *attr,
			char *const argv[], char *const envp[])
{
	struct departure d = { .envp = envp, .actions = actions };
	const char *list;
	size_t cap;
	char *path;

	if (!is_on())
		return libc(ret, file, actions, attr, argv, envp);
	list = process_search_path(file);
	cap = process_search_room(list, file);
	path = __builtin_alloca(cap);
	d.dirfd = actions != NULL ? actions_dirfd(actions) : AT_FDCWD;
	/* Not found: libc says so; nothing has to be ready then. */
	if (target_search(d.dirfd, list, file, path, cap) != 0)
		return libc(ret, file, actions, attr, argv, envp);
	d.path = path;
	return spawn(libc, &d, ret, file, attr, argv);
}

EXPORT int posix_spawn(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn_path(NEXT(posix_spawn), ret, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *ret, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	return spawn_search(NEXT(posix_spawnp), ret, file, actions, attr, argv, envp);
}

/* Since glibc 2.39.  Where libc has none: the child is there, unwaited for, so its pid is it. */
static int open_pidfd(int r, pid_t pid, int *ret)
{
	if (r != 0)
		return r;
	r = (int)sys_call2(__NR_pidfd_open, pid, 0);
	if (r < 0)
		return -r;
	*ret = r;
	return 0;
}

EXPORT int pidfd_spawn(int *ret, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int pidfd_spawn(int *ret, const char *path, const posix_spawn_file_actions_t *actions,
		const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	spawn_function *libc = NEXT_LIKE(pidfd_spawn, posix_spawn);
	pid_t pid;
	int r;

	if (libc != NULL)
		return spawn_path(libc, ret, path, actions, attr, argv, envp);
	r = posix_spawn(&pid, path, actions, attr, argv, envp);
	return open_pidfd(r, pid, ret);
}

EXPORT int pidfd_spawnp(int *ret, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[]);
int pidfd_spawnp(int *ret, const char *file, const posix_spawn_file_actions_t *actions,
		 const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	spawn_function *libc = NEXT_LIKE(pidfd_spawnp, posix_spawnp);
	pid_t pid;
	int r;

	if (libc != NULL)
		return spawn_search(libc, ret, file, actions, attr, argv, envp);
	r = posix_spawnp(&pid, file, actions, attr, argv, envp);
	return open_pidfd(r, pid, ret);
}

/* ---- file actions ---------------------------------------------------------------------------- */

EXPORT int posix_spawn_file_actions_init(posix_spawn_file_actions_t *actions)
{
	__typeof(&posix_spawn_file_actions_init) libc = NEXT(posix_spawn_file_actions_init);

	actions_forget(actions);
	return libc(actions);
}

EXPORT int posix_spawn_file_actions_destroy(posix_spawn_file_actions_t *actions)
{
	__typeof(&posix_spawn_file_actions_destroy) libc = NEXT(posix_spawn_file_actions_destroy);

	actions_forget(actions);
	return libc(actions);
}

EXPORT int posix_spawn_file_actions_adddup2(posix_spawn_file_actions_t *actions, int fd, int to)
{
	__typeof(&posix_spawn_file_actions_adddup2) libc = NEXT(posix_spawn_file_actions_adddup2);

	if (is_on())
		actions_note_duplicate(actions, fd);
	return libc(actions, fd, to);
}

/* A descriptor of a copy of the store file there; -ENOENT when there is none. */
static int open_copy(int dirfd, const char *path, int flags)
{
	struct file *f = NULL;
	struct spot s;
	int r = -ENOENT;

	paths_look(&s, dirfd, path, (flags & O_NOFOLLOW) != 0 ? PATHS_NOFOLLOW : 0);
	if (s.kind == SPOT_NONE && sys_call3(__NR_faccessat, dirfd, path, 0) == -ENOENT)
		(void)paths_again(&s);
	if (s.kind == SPOT_FILE && (flags & (O_ACCMODE | O_TRUNC | O_DIRECTORY | O_EXCL)) == 0)
		r = store_open(s.snap, s.entry, &f);
	else if (s.kind == SPOT_FILE)
		r = -EROFS;
	paths_done(&s);
	if (r == 0) {
		r = escape_open(f);
		file_put(f);
	}
	return r;
}

EXPORT int posix_spawn_file_actions_addopen(posix_spawn_file_actions_t *actions, int fd,
					    const char *path, int flags, mode_t mode)
{
	__typeof(&posix_spawn_file_actions_addopen) libc = NEXT(posix_spawn_file_actions_addopen);
	char link[40];
	struct text t;
	int copy;

	if (!paths_on())
		return libc(actions, fd, path, flags, mode);
	copy = open_copy(actions_dirfd(actions), path, flags);
	if (copy == -ENOENT)
		return libc(actions, fd, path, flags, mode);
	if (copy >= 0)
		copy = actions_keep(actions, copy);
	if (copy < 0)
		return -copy;
	text_init(&t, link, sizeof(link));
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, copy);
	return libc(actions, fd, link, flags & ~(O_CREAT | O_NOFOLLOW), mode);
}

typedef int chdir_function(posix_spawn_file_actions_t *actions, const char *path);
typedef int fchdir_function(posix_spawn_file_actions_t *actions, int fd);

static int add_chdir(chdir_function *libc, posix_spawn_file_actions_t *actions, const char *path)
{
	int dir;

	if (libc == NULL)
		return ENOSYS;
	if (paths_on()) {
		/* Makes the directory on disk, where the child will look for it. */
		dir = open_at(actions_dirfd(actions), path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		if (dir >= 0)
			fds_forget(dir);
		actions_enter(actions, dir);
	}
	return libc(actions, path);
}

static int add_fchdir(fchdir_function *libc, posix_spawn_file_actions_t *actions, int fd)
{
	if (libc == NULL)
		return ENOSYS;
	if (paths_on())
		actions_enter(actions, sys_fcntl(fd, F_DUPFD_CLOEXEC, 0));
	return libc(actions, fd);
}

EXPORT int posix_spawn_file_actions_addchdir_np(posix_spawn_file_actions_t *actions,
						const char *path)
{
	return add_chdir(NEXT(posix_spawn_file_actions_addchdir_np), actions, path);
}
ALIAS(posix_spawn_file_actions_addchdir, posix_spawn_file_actions_addchdir_np);

EXPORT int posix_spawn_file_actions_addfchdir_np(posix_spawn_file_actions_t *actions, int fd)
{
	return add_fchdir(NEXT(posix_spawn_file_actions_addfchdir_np), actions, fd);
}
ALIAS(posix_spawn_file_actions_addfchdir, posix_spawn_file_actions_addfchdir_np);

/* ---- the shell -------------------------------------------------------------------------------- */

static void before_shell(void)
{
	struct departure d = {
		.dirfd = AT_FDCWD,
		.path = "/bin/sh",
		.envp = process_environ(),
	};

	/*
	 * libc hands the program's own environment on, which is not ours to change while other
	 * threads read it: what that lacks stays away, and the shell gets copies.
	 */
	if (is_on() && depart_begin(&d))
		depart_go(&d);
}

EXPORT int system(const char *command)
{
	__typeof(&system) libc = NEXT(system);

	before_shell();
	return libc(command);
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	__typeof(&popen) libc = NEXT(popen);

	before_shell();
	return libc(command, mode);
}
ALIAS(_IO_popen, popen);
