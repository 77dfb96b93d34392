/*
 * proc_start - processes made in every way, with store files open and mapped.
 *
 *	proc_start HOW STORE_FILE PLAIN_COPY
 *
 * Prints "right" when every process read the copy's bytes.
 */
#include "test/programs/proc.h"

#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>

#define STACK (256u << 10)

extern char **environ;

static const char *self, *store, *plain;
static int open_fd;
static const char *mapped;

/* What every kind of child does: the open file, the mapping, and a path anew. */
static int child(void *arg)
{
	(void)arg;
	check_all("child, open file", open_fd);
	check_bytes("child, mapping", mapped, 0, right_len);
	check_path("child, path", store);
	return 0;
}

/*
 * A process that lives in its parent's memory cannot be told from a vfork child, which must not
 * change what its parent remembers: what it opens itself may be refused, but reads nothing wrong.
 */
static int child_in_memory(void *arg)
{
	char byte;
	int fd;

	(void)arg;
	check_all("child, open file", open_fd);
	check_bytes("child, mapping", mapped, 0, right_len);
	fd = open(store, O_RDONLY);
	if (fd == -1)
		wrong("child, open: %s", strerror(errno));
	if (read(fd, &byte, 1) == 1)
		check_all("child, path", fd);
	else if (errno != EBADF)
		wrong("child, read: %s", strerror(errno));
	close(fd);
	return 0;
}

static void by_fork(void)
{
	pid_t pid = fork();

	if (pid == 0)
		_exit(child(NULL));
	await("fork", pid);
}

/* As the kernel's own call gives it: no libc wrapper runs. */
static void by_raw_fork(void)
{
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0);

	if (pid == 0)
		_exit(child(NULL));
	await("clone by syscall()", pid);
}

static void by_clone(const char *what, int flags)
{
	char *stack = malloc(STACK);
	int (*run)(void *) = (flags & CLONE_VM) != 0 ? child_in_memory : child;

	await(what, clone(run, stack + STACK, flags, NULL));
	free(stack);
}

static char *const check_argv[] = { (char *)"proc_start", (char *)"check", NULL, NULL, NULL, NULL };

/* The same program again, with the open file at its number. */
static char **arguments(void)
{
	static char number[16];
	static char *argv[6];

	memcpy(argv, check_argv, sizeof(check_argv));
	snprintf(number, sizeof(number), "%d", open_fd);
	argv[2] = (char *)(uintptr_t)store;
	argv[3] = (char *)(uintptr_t)plain;
	argv[4] = number;
	return argv;
}

static void by_vfork(void)
{
	char **argv = arguments();
	pid_t pid = vfork();

	if (pid == 0) {
		/* What shells and Python do there: the parent must not notice. */
		int other = dup(open_fd);

		close(other);
		dup2(open_fd, 0);
		execv(self, argv);
		_exit(127);
	}
	await("vfork", pid);
}

static int exec_again(void *argv)
{
	execv(self, argv);
	return 127;
}

static void by_clone_vfork(void)
{
	char *stack = malloc(STACK);

	await("clone(CLONE_VM | CLONE_VFORK)",
	      clone(exec_again, stack + STACK, CLONE_VM | CLONE_VFORK | SIGCHLD, arguments()));
	free(stack);
}

static void by_spawn(void)
{
	posix_spawn_file_actions_t actions;
	pid_t pid = -1;
	int r;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, open_fd, 0);
	r = posix_spawn(&pid, self, &actions, NULL, arguments(), environ);
	if (r != 0)
		wrong("posix_spawn: %s", strerror(r));
	await("posix_spawn", pid);
	posix_spawn_file_actions_destroy(&actions);
}

static void by_exec(void)
{
	execv(self, arguments());
	wrong("execv: %s", strerror(errno));
}

/* As services do: two forks, no terminal, no descriptors, another directory. */
static void by_daemon(const char *closing)
{
	int report[2], other;
	char answer;
	pid_t pid;

	if (pipe(report) == -1)
		wrong("pipe: %s", strerror(errno));
	pid = fork();
	if (pid == 0) {
		setsid();
		if (fork() != 0)
			_exit(0);
		if (chdir("/") == -1)
			_exit(1);
		/* The report is moved out of the way of what follows. */
		dup2(report[1], 900);
		for (other = 0; other < 900; other++)
			if (strcmp(closing, "raw") == 0)
				raw_close(other);
			else
				close(other);
		if (strcmp(closing, "closefrom") == 0)
			closefrom(901);
		else if (strcmp(closing, "range") == 0)
			close_range(901, ~0u, 0);
		else
			for (other = 901; other < 2000; other++)
				if (strcmp(closing, "raw") == 0)
					raw_close(other);
				else
					close(other);
		if (open("/dev/null", O_RDWR) != 0 || dup(0) != 1 || dup(0) != 2)
			_exit(1);
		dup2(900, 1); /* where wrong() writes */
		check_bytes("service, mapping", mapped, 0, right_len);
		check_path("service, path", store);
		check_bytes("service, mapping after", mapped, 0, right_len);
		if (write(900, "", 1) != 1)
			_exit(1);
		_exit(0);
	}
	await("service", pid);
	close(report[1]);
	if (read(report[0], &answer, 1) != 1)
		wrong("the service said nothing");
	if (answer != '\0') {
		char rest[200];
		ssize_t n = read(report[0], rest, sizeof(rest) - 1);

		rest[n > 0 ? n : 0] = '\0';
		wrong("%c%s", answer, rest);
	}
}

static void start(const char *how)
{
	if (strcmp(how, "fork") == 0)
		by_fork();
	else if (strcmp(how, "raw-fork") == 0)
		by_raw_fork();
	else if (strcmp(how, "clone") == 0)
		by_clone("clone(SIGCHLD)", SIGCHLD);
	else if (strcmp(how, "clone-vm") == 0)
		by_clone("clone(CLONE_VM)", CLONE_VM | SIGCHLD);
	else if (strcmp(how, "clone-files") == 0)
		by_clone("clone(CLONE_FILES)", CLONE_FILES | SIGCHLD);
	else if (strcmp(how, "clone-vm-files") == 0)
		by_clone("clone(CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND)",
			 CLONE_VM | CLONE_FILES | CLONE_FS | CLONE_SIGHAND | SIGCHLD);
	else if (strcmp(how, "clone-vfork") == 0)
		by_clone_vfork();
	else if (strcmp(how, "vfork") == 0)
		by_vfork();
	else if (strcmp(how, "spawn") == 0)
		by_spawn();
	else if (strcmp(how, "exec") == 0)
		by_exec();
	else if (strncmp(how, "daemon-", 7) == 0)
		by_daemon(how + 7);
	else
		wrong("how is %s?", how);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	self = "/proc/self/exe";
	store = argv[2];
	plain = argv[3];
	load_right(plain);
	if (strcmp(argv[1], "check") == 0) {
		check_all("started program, open file", atoi(argv[4]));
		check_path("started program, path", store);
		done();
	}
	open_fd = open(store, O_RDONLY);
	if (open_fd == -1)
		wrong("%s: %s", store, strerror(errno));
	mapped = mmap(NULL, right_len, PROT_READ, MAP_SHARED, open_fd, 0);
	if (mapped == MAP_FAILED)
		wrong("mmap: %s", strerror(errno));
	start(argv[1]);
	/* Whatever the child did, ours is as it was. */
	child(NULL);
	done();
}
