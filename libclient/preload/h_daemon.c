/*
 * h_daemon.c - hooks: daemon, forkpty and login_tty, which fork or replace the
 * descriptors 0 to 2 inside libc, where neither is seen: done step by step with
 * the hooked calls.
 */
#include "libclient/core/sys.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <pty.h>
#include <stdlib.h>
#include <unistd.h>
#include <utmp.h>

/* Nothing of the store is held: libc's own does as well. */
static bool is_idle(void)
{
	return !paths_on() && fds_end == 0;
}

/* /dev/null for input, output and errors.  A negative errno. */
static int turn_away(void)
{
	int fd = sys_openat(AT_FDCWD, "/dev/null", O_RDWR, 0), i, r = 0;

	if (fd < 0)
		return fd;
	for (i = 0; i <= 2 && r >= 0; i++)
		if (i != fd)
			r = dup2(fd, i) == -1 ? -errno_get() : 0;
	if (fd > 2)
		sys_close(fd);
	return r;
}

EXPORT int daemon(int stay, int keep_output)
{
	__typeof(&daemon) libc = NEXT(daemon);
	long r;

	if (is_idle())
		return libc(stay, keep_output);
	switch (fork()) {
	case -1:
		return -1;
	case 0:
		break;
	default:
		for (;;)
			sys_call1(__NR_exit_group, 0);
	}
	r = sys_call0(__NR_setsid);
	if (r < 0)
		return (int)answer(r);
	if (!stay)
		(void)chdir("/");
	return keep_output ? 0 : (int)answer(turn_away());
}

EXPORT int login_tty(int fd)
{
	__typeof(&login_tty) libc = NEXT(login_tty);
	int r = libc != NULL ? libc(fd) : (int)answer(-ENOSYS), i;

	/* They are the terminal now. */
	for (i = 0; r == 0 && i <= 2; i++)
		fds_forget(i);
	if (r == 0 && fd > 2)
		fds_forget(fd);
	return r;
}

EXPORT pid_t forkpty(int *ret_fd, char *name, const struct termios *termios,
		     const struct winsize *size)
{
	__typeof(&forkpty) libc = NEXT(forkpty);
	__typeof(&openpty) open_pair = NEXT(openpty);
	int fd, terminal;
	pid_t pid;

	if (is_idle() || open_pair == NULL)
		return libc != NULL ? libc(ret_fd, name, termios, size) : (pid_t)answer(-ENOSYS);
	if (open_pair(&fd, &terminal, name, termios, size) != 0)
		return -1;
	fds_forget(fd);
	fds_forget(terminal);
	pid = fork();
	if (pid == 0) {
		sys_close(fd);
		if (login_tty(terminal) != 0)
			sys_call1(__NR_exit_group, 1);
	} else {
		sys_close(terminal);
		if (pid > 0)
			*ret_fd = fd;
		else
			sys_close(fd);
	}
	return pid;
}
