#include "libclient/core/spawn.h"
#include "libclient/core/locate.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"

#include <poll.h>

#define PAGE	  4096u
#define SAID_MAX  16384 /* what a daemon may leave on its standard error */
#define NR_SIGNAL 64

#define WAIT_ALL  0x40000000 /* __WALL: children of any kind */

struct plan { /* all that the child needs, made before the fork */
	const char *program;
	char *const *argv;
	char *const *envp;
	int said;
	bool stays;	  /* in the program's session, with its terminal */
	uint32_t *report; /* [0] errno of exec, [1] pid of the daemon */
};

static void default_signals(void)
{
	struct { /* the kernel's sigaction */
		void *action;
		unsigned long flags;
		void *restorer;
		uint64_t mask;
	} plain = { 0 };
	int i;

	for (i = 1; i <= NR_SIGNAL; i++)
		sys_call4(__NR_rt_sigaction, i, &plain, NULL, sizeof(plain.mask));
	sys_restore_signals(0);
}

static void only_three_descriptors(int said)
{
	int null = sys_openat(AT_FDCWD, "/dev/null", O_RDWR | O_CLOEXEC, 0);
	int fd;

	/* Both above 2, so that neither is overwritten before it is copied. */
	null = sys_fcntl(null, F_DUPFD_CLOEXEC, 3);
	said = sys_fcntl(said, F_DUPFD_CLOEXEC, 3);
	sys_dup3(null, 0, 0);
	sys_dup3(null, 1, 0);
	sys_dup3(said, 2, 0);
	if (sys_call3(__NR_close_range, 3, ~0u, 0) < 0)
		for (fd = 3; fd < 65536; fd++)
			sys_close(fd);
}

static void __attribute__((noreturn)) leave(int code)
{
	for (;;)
		sys_call1(__NR_exit_group, code);
}

static int fork_quietly(void)
{
	/* No signal when the child ends: the program's SIGCHLD is its own. */
	return (int)sys_call5(__NR_clone, 0, 0, 0, 0, 0);
}

static void __attribute__((noreturn)) become_other(const struct plan *plan)
{
	int r;

	if (!plan->stays)
		sys_call0(__NR_setsid);
	r = fork_quietly();
	if (r != 0) {
		/* Here, not in the daemon itself: who waits for this process reads it next. */
		__atomic_store_n(&plan->report[r < 0 ? 0 : 1], (uint32_t)(r < 0 ? -r : r),
				 __ATOMIC_RELEASE);
		leave(0);
	}
	default_signals();
	only_three_descriptors(plan->said);
	sys_call1(__NR_chdir, "/");
	sys_call1(__NR_umask, 022);
	r = (int)sys_call3(__NR_execve, plan->program, plan->argv, plan->envp);
	__atomic_store_n(&plan->report[0], (uint32_t)-r, __ATOMIC_RELEASE);
	leave(127);
}

/* A bounded piece of memory for the daemon's standard error. */
static int said_open(void)
{
	int fd = sys_memfd_create("osscd-stderr", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return fd;
	if (sys_ftruncate(fd, SAID_MAX) == 0)
		sys_fcntl(fd, F_ADD_SEALS, F_SEAL_GROW);
	return fd;
}

static void wait_for_child(int pid)
{
	/* -ECHILD: somebody else has taken the status; it is not needed. */
	while (sys_call4(__NR_wait4, pid, NULL, WAIT_ALL, NULL) == -EINTR)
		;
}

/* The kernel starts nothing without a reaper that has stopped: bounded by what the child does. */
static int fork_twice(const struct plan *plan)
{
	uint64_t signals = sys_block_signals();
	int pid = fork_quietly();

	if (pid == 0)
		become_other(plan);
	if (pid > 0)
		wait_for_child(pid);
	sys_restore_signals(signals);
	return pid < 0 ? pid : 0;
}

static int find_program(const struct locations *p, char *buf, size_t cap, struct text *why)
{
	int r = locate_program(p, buf, cap);

	if (r == 0)
		return 0;
	if (p->program != NULL) {
		text_adds(why, "OSSC_DAEMON=");
		text_adds(why, p->program);
		text_adds(why, " names no program (an absolute path is wanted): correct it or "
			       "unset it");
	} else {
		text_adds(why,
			  "no daemon is running and the program osscd was not found beside the "
			  "library, in PATH or in /usr/local/bin: install it, or set OSSC_DAEMON");
	}
	return r;
}

/* Returns how many variables there are. */
static unsigned fill_environment(const struct locations *p, const char *socket, char **envp,
				 char variable[LOCATE_PATH_MAX + 16])
{
	struct text t;
	unsigned i;

	for (i = 0; i < p->nr_env; i++)
		envp[i] = p->env[i];
	text_init(&t, variable, LOCATE_PATH_MAX + 16);
	text_adds(&t, "OSSC_SOCKET=");
	text_adds(&t, socket);
	envp[i++] = variable;
	return i;
}

int spawn_start(const struct locations *p, const char *socket, struct spawned *ret,
		struct text *why)
{
	char program[1024], socket_variable[LOCATE_PATH_MAX + 16];
	const char *argv[] = { program, "--idle-exit", "120", "--socket", socket, NULL };
	char *envp[LOCATE_MAX_ENV + 2];
	struct plan plan = { .program = program, .argv = (char *const *)argv, .envp = envp };
	int r;

	r = find_program(p, program, sizeof(program), why);
	if (r != 0)
		return r;
	envp[fill_environment(p, socket, envp, socket_variable)] = NULL;

	*ret = (struct spawned){ .pidfd = -1, .said = said_open() };
	ret->report =
		sys_mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sys_is_error(ret->report)) {
		ret->report = NULL;
		spawn_release(ret);
		text_adds(why, "no memory to start the daemon");
		return -ENOMEM;
	}
	plan.said = ret->said;
	plan.report = ret->report;

	r = fork_twice(&plan);
	if (r != 0) {
		text_adds(why, "the daemon could not be started: fork failed with ");
		text_add_errno(why, r);
		spawn_release(ret);
		return r;
	}
	ret->pidfd = (int)sys_call2(__NR_pidfd_open,
				    __atomic_load_n(&ret->report[1], __ATOMIC_ACQUIRE), 0);
	return 0;
}

bool spawn_has_ended(const struct spawned *s)
{
	struct pollfd p = { .fd = s->pidfd, .events = POLLIN };

	if (__atomic_load_n(&s->report[0], __ATOMIC_ACQUIRE) != 0)
		return true;
	if (s->pidfd == -ESRCH)
		return true; /* gone before we looked */
	if (s->pidfd < 0)
		return false; /* cannot tell: the time-out will */
	return sys_poll(&p, 1, 0) > 0;
}

bool spawn_lost_race(const struct spawned *s)
{
	static const char words[] = "another osscd"; /* daemon/session/place.c says so */
	char line[400];
	ssize_t n = s->said >= 0 ? sys_pread(s->said, line, sizeof(line), 0) : 0, i;
	size_t k;

	for (i = 0; i + (ssize_t)sizeof(words) - 1 <= n; i++) {
		for (k = 0; words[k] != '\0' && line[i + (ssize_t)k] == words[k]; k++)
			;
		if (words[k] == '\0')
			return true;
	}
	return false;
}

void spawn_reason(const struct spawned *s, struct text *why)
{
	uint32_t error = __atomic_load_n(&s->report[0], __ATOMIC_ACQUIRE);
	char line[400];
	ssize_t n, i;

	if (error != 0) {
		text_adds(why, "the daemon's program could not be executed: ");
		text_add_errno(why, (int)error);
		return;
	}
	n = s->said >= 0 ? sys_pread(s->said, line, sizeof(line), 0) : 0;
	for (i = 0; i < n && line[i] != '\0' && line[i] != '\n'; i++)
		;
	text_adds(why, "the daemon was started and ended at once");
	if (i > 0) {
		text_adds(why, ": ");
		text_addn(why, line, (size_t)i);
	} else {
		text_adds(why, "; run `osscd` by hand to see why");
	}
}

void spawn_release(struct spawned *s)
{
	if (s->pidfd >= 0)
		sys_close(s->pidfd);
	if (s->said >= 0)
		sys_close(s->said);
	if (s->report != NULL)
		sys_munmap(s->report, PAGE);
	*s = (struct spawned){ .pidfd = -1, .said = -1 };
}

/* The program `ossc` in the daemon's directory. */
static int find_ossc(const struct locations *p, char *buf, size_t cap)
{
	int r = locate_program(p, buf, cap);
	struct text t;
	size_t len;

	if (r != 0)
		return r;
	for (len = mem_len(buf); len > 0 && buf[len - 1] != '/'; len--)
		;
	text_init(&t, buf + len, cap - len);
	text_adds(&t, "ossc");
	return text_is_cut(&t) ? -ENAMETOOLONG : 0;
}

int spawn_progress(const struct locations *p, const char *socket, const char *const *more)
{
	char program[1024], socket_variable[LOCATE_PATH_MAX + 16], pid[16];
	const char *argv[] = { program, "progress", "--of", pid, NULL };
	char *envp[LOCATE_MAX_ENV + SPAWN_MORE + 2];
	uint32_t unheard[2];
	struct plan plan = {
		.program = program,
		.argv = (char *const *)argv,
		.envp = envp,
		.said = 2,
		.stays = true,
		.report = unheard,
	};
	struct text t;
	unsigned nr;
	int r;

	r = find_ossc(p, program, sizeof(program));
	if (r != 0)
		return r;
	text_init(&t, pid, sizeof(pid));
	text_addu(&t, (uint64_t)sys_getpid());
	nr = fill_environment(p, socket, envp, socket_variable);
	for (; *more != NULL; more++)
		envp[nr++] = (char *)(uintptr_t)*more;
	envp[nr] = NULL;
	return fork_twice(&plan);
}
