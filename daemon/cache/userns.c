#include "daemon/cache/userns.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

struct answer {
	int made;
	struct userns ns;
};

static int write_line(const char *path, const char *line)
{
	ssize_t n;
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd == -1)
		return -errno;
	n = write(fd, line, strlen(line));
	close(fd);
	return n == (ssize_t)strlen(line) ? 0 : -EPERM;
}

/*
 * The user stays who he is: the daemon outside makes files there.  These files of a process that is
 * not dumpable, as the daemon is for the keys in its memory, are root's: for a moment it is again.
 */
static int keep_ids(uid_t uid, gid_t gid)
{
	char users[32], groups[32];
	int r;

	prctl(PR_SET_DUMPABLE, 1);
	snprintf(users, sizeof(users), "%u %u 1", uid, uid);
	snprintf(groups, sizeof(groups), "%u %u 1", gid, gid);
	r = write_line("/proc/self/setgroups", "deny");
	if (r == 0)
		r = write_line("/proc/self/uid_map", users);
	if (r == 0)
		r = write_line("/proc/self/gid_map", groups);
	prctl(PR_SET_DUMPABLE, 0);
	return r;
}

static int enter(void)
{
	uid_t uid = geteuid();
	gid_t gid = getegid();
	int r;

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == -1)
		return -errno;
	r = keep_ids(uid, gid);
	/* What others unmount goes here too; what is mounted here stays here. */
	if (r == 0 && mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == -1)
		r = -errno;
	return r;
}

static int hold(const char *dir, struct userns *ret_ns)
{
	ret_ns->dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (ret_ns->dir_fd == -1)
		return -errno;
	ret_ns->ns_fd = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	if (ret_ns->ns_fd == -1) {
		close(ret_ns->dir_fd);
		return -errno;
	}
	return 0;
}

static struct answer answer_of(int (*make)(void *arg), void *arg, const char *dir)
{
	struct answer a = { .made = enter() };
	int r;

	if (a.made == 0)
		a.made = make(arg);
	if (a.made < 0)
		return a;
	r = hold(dir, &a.ns);
	if (r != 0)
		a.made = r;
	return a;
}

int userns_make(int (*make)(void *arg), void *arg, const char *dir, struct userns *ret_ns)
{
	struct answer a = { .made = -EIO };
	int ends[2], status;
	pid_t pid;

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) == -1)
		return -errno;
	/* A fork, but with one table of descriptors: what it opens is open here. */
	pid = (pid_t)syscall(SYS_clone, CLONE_FILES | SIGCHLD, 0, 0, 0, 0);
	if (pid == 0) {
		a = answer_of(make, arg, dir);
		_exit(write(ends[1], &a, sizeof(a)) == sizeof(a) ? 0 : 1);
	}
	if (pid == -1)
		a.made = -errno;
	else
		while (waitpid(pid, &status, 0) == -1 && errno == EINTR)
			;
	if (pid != -1 && read(ends[0], &a, sizeof(a)) != sizeof(a))
		a.made = -EIO;
	close(ends[0]);
	close(ends[1]);
	*ret_ns = a.ns;
	return a.made;
}

void userns_close(struct userns *ns)
{
	close(ns->dir_fd);
	close(ns->ns_fd);
}
