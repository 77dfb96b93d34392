/*
 * h_process.c - hooks: fork, exec and spawn.  A forked child shares the offsets;
 * a program that is started finds them in the kernel (offset.h).
 */
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/maps.h"
#include "libclient/preload/next.h"
#include "libclient/preload/preload.h"

#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

typedef pid_t fork_function(void);

static pid_t fork_by(fork_function *libc)
{
	pid_t pid;

	if (libc == NULL)
		return (pid_t)answer(-ENOSYS);
	if (fds_end == 0 && maps_high == 0)
		return libc();
	fds_before_fork();
	maps_before_fork();
	pid = libc();
	if (pid == 0)
		fds_own();
	else if (pid < 0)
		fds_fork_failed();
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

/* ---- exec --------------------------------------------------------------------------------- */

EXPORT int execve(const char *path, char *const argv[], char *const envp[])
{
	fds_before_exec(false);
	return (int)answer(sys_call3(__NR_execve, path, argv, envp));
}

EXPORT int execveat(int dirfd, const char *path, char *const argv[], char *const envp[], int flags)
{
	fds_before_exec(false);
	return (int)answer(sys_call5(__NR_execveat, dirfd, path, argv, envp, flags));
}

EXPORT int execv(const char *path, char *const argv[])
{
	__typeof(&execv) libc = NEXT(execv);

	fds_before_exec(false);
	return libc(path, argv);
}

EXPORT int execvp(const char *file, char *const argv[])
{
	__typeof(&execvp) libc = NEXT(execvp);

	fds_before_exec(false);
	return libc(file, argv);
}

EXPORT int execvpe(const char *file, char *const argv[], char *const envp[])
{
	__typeof(&execvpe) libc = NEXT(execvpe);

	fds_before_exec(false);
	return libc(file, argv, envp);
}

EXPORT int fexecve(int fd, char *const argv[], char *const envp[])
{
	__typeof(&fexecve) libc = NEXT(fexecve);

	fds_before_exec(false);
	return libc(fd, argv, envp);
}

/* Arguments given one by one: a vector of them on the stack, then `run`. */
#define WITH_VECTOR(first, run)                                                                    \
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
		run;                                                                               \
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

/* ---- spawn ---------------------------------------------------------------------------------- */

EXPORT int posix_spawn(pid_t *ret, const char *path, const posix_spawn_file_actions_t *actions,
		       const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	__typeof(&posix_spawn) libc = NEXT(posix_spawn);

	fds_before_exec(true);
	return libc(ret, path, actions, attr, argv, envp);
}

EXPORT int posix_spawnp(pid_t *ret, const char *file, const posix_spawn_file_actions_t *actions,
			const posix_spawnattr_t *attr, char *const argv[], char *const envp[])
{
	__typeof(&posix_spawnp) libc = NEXT(posix_spawnp);

	fds_before_exec(true);
	return libc(ret, file, actions, attr, argv, envp);
}

EXPORT int system(const char *command)
{
	__typeof(&system) libc = NEXT(system);

	fds_before_exec(false);
	return libc(command);
}

EXPORT FILE *popen(const char *command, const char *mode)
{
	__typeof(&popen) libc = NEXT(popen);

	fds_before_exec(false);
	return libc(command, mode);
}
ALIAS(_IO_popen, popen);
