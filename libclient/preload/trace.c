/*
 * trace.c - lines for `ossc trace`.  One datagram each, fields between tabs:
 * PID, KIND, CALL, RESULT, PATH.  The socket is opened, used and closed for every
 * line: slow, and in nobody's way.
 */
#include "libclient/preload/trace.h"

#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/paths.h"

#include <poll.h>
#include <sys/un.h>

#define NR_NOTES 64u /* threads inside a call that concerns us, at a time */
#define NOTE_LEN 1000u
#define LINE_LEN 2048u
#define WAIT_MS	 1000u /* for a reader that is slow; then the line is lost */

struct note {
	uint32_t tid;	   /* 0: never used */
	uint32_t decision; /* 0: nothing is noted */
	char path[NOTE_LEN];
};

uint32_t trace_is_on;
static struct sockaddr_un address;
static struct note notes[NR_NOTES];

/* This thread's; another's when there are too many threads. */
static struct note *own_note(void)
{
	uint32_t tid = (uint32_t)sys_gettid(), i;

	for (i = 0; i < NR_NOTES; i++) {
		struct note *n = &notes[(tid + i) % NR_NOTES];
		uint32_t owner = __atomic_load_n(&n->tid, __ATOMIC_RELAXED);

		if (owner == 0 && __atomic_compare_exchange_n(&n->tid, &owner, tid, false,
							      __ATOMIC_RELAXED, __ATOMIC_RELAXED))
			return n;
		if (owner == tid)
			return n;
	}
	__atomic_store_n(&notes[tid % NR_NOTES].tid, tid, __ATOMIC_RELAXED);
	return &notes[tid % NR_NOTES];
}

static int transmit(int fd, const struct text *line)
{
	struct iovec iov = { .iov_base = line->buf, .iov_len = line->len };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	struct pollfd p = { .fd = fd, .events = POLLOUT };
	uint64_t deadline = sys_now_ms() + WAIT_MS;
	int r;

	do {
		r = (int)sys_sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
		if (r != -EAGAIN && r != -EINTR)
			return r;
		sys_poll(&p, 1, WAIT_MS / 10);
	} while (sys_now_ms() < deadline);
	return r;
}

static void send_text(const struct text *line)
{
	int fd = sys_socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return;
	r = sys_connect(fd, (const struct sockaddr *)&address, sizeof(address));
	if (r == 0)
		transmit(fd, line);
	else
		__atomic_store_n(&trace_is_on, 0, __ATOMIC_RELAXED); /* nobody listens any more */
	sys_close(fd);
}

/* What separates fields and lines may stand in a path. */
static void add_plain(struct text *t, const char *s)
{
	for (; s != NULL && *s != '\0'; s++)
		text_addc(t, *s == '\t' || *s == '\n' ? '?' : *s);
}

static void send_fields(pid_t pid, const char *kind, const char *call, long result,
			const char *path)
{
	char buf[LINE_LEN];
	struct text t;

	text_init(&t, buf, sizeof(buf));
	text_addu(&t, (uint64_t)pid);
	text_addc(&t, '\t');
	text_adds(&t, kind);
	text_addc(&t, '\t');
	text_adds(&t, call);
	text_addc(&t, '\t');
	text_addi(&t, result);
	text_addc(&t, '\t');
	add_plain(&t, path);
	send_text(&t);
}

/* The directory that a descriptor is, or the working directory, and a slash. */
static void add_dir(struct text *t, int dirfd)
{
	char name[40], dir[NOTE_LEN];
	struct text link;
	long len;

	text_init(&link, name, sizeof(name));
	if (dirfd == AT_FDCWD) {
		text_adds(&link, "/proc/self/cwd");
	} else {
		text_adds(&link, "/proc/self/fd/");
		text_addi(&link, dirfd);
	}
	len = sys_call4(__NR_readlinkat, AT_FDCWD, name, dir, sizeof(dir));
	text_addn(t, dir, len > 0 ? (size_t)len : 0);
	text_addc(t, '/');
}

void trace_note(enum trace_decision decision, int dirfd, const char *path)
{
	struct note *n = own_note();
	struct text t;

	text_init(&t, n->path, sizeof(n->path));
	if (dirfd != TRACE_AS_IT_IS && path != NULL && path[0] != '/')
		add_dir(&t, dirfd);
	text_adds(&t, path);
	n->decision = decision;
}

void trace_note_file(const struct file *f)
{
	struct note *n = own_note();
	struct text t;

	text_init(&t, n->path, sizeof(n->path));
	text_adds(&t, paths_dir());
	text_addc(&t, '/');
	text_adds(&t, file_path(f));
	n->decision = TRACE_STORE;
}

void trace_forget(void)
{
	own_note()->decision = 0;
}

void trace_send(const char *call, long result)
{
	static const char *const kinds[] = { "", "store", "local", "forwarded", "refused" };
	struct note *n = own_note();
	uint32_t decision = n->decision;

	n->decision = 0;
	if (decision == 0)
		return;
	if (result == -EROFS)
		decision = TRACE_REFUSED;
	send_fields((pid_t)sys_getpid(), kinds[decision], call, result, n->path);
}

void trace_send_event(const char *kind, pid_t pid, const char *text, long result)
{
	send_fields(pid != 0 ? pid : (pid_t)sys_getpid(), kind, "", result, text);
}

void trace_start(const char *socket, const char *role)
{
	char exe[1024];
	ssize_t len;

	if (__builtin_expect(socket == NULL, 1) || mem_len(socket) >= sizeof(address.sun_path))
		return;
	address.sun_family = AF_UNIX;
	mem_copy(address.sun_path, socket, mem_len(socket) + 1);
	__atomic_store_n(&trace_is_on, 1, __ATOMIC_RELAXED);
	len = sys_call4(__NR_readlinkat, AT_FDCWD, "/proc/self/exe", exe, sizeof(exe) - 1);
	exe[len > 0 ? len : 0] = '\0';
	send_fields((pid_t)sys_getpid(), "start", role != NULL ? role : "", 0, exe);
}
