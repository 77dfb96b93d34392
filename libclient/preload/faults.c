#include "libclient/preload/faults.h"

#include "libclient/core/epoch.h"
#include "libclient/core/lock.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/say.h"

#include <linux/sched.h>
#include <linux/userfaultfd.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>

/* Newer than the headers that this is built with. */
#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1
#endif
#ifndef USERFAULTFD_IOC_NEW
#define USERFAULTFD_IOC_NEW _IO(0xAA, 0x00)
#endif
#ifndef UFFDIO_POISON
struct uffdio_poison {
	struct uffdio_range range;
	uint64_t mode;
	int64_t updated;
};
#define UFFDIO_POISON _IOWR(UFFDIO, 0x08, struct uffdio_poison)
#endif
#define FEATURE_POISON (1u << 14)
#define FEATURES       (UFFD_FEATURE_MISSING_SHMEM | UFFD_FEATURE_MINOR_SHMEM)

#define PAGE	       4096u
#define STACK_LEN      (256u << 10)
#define FD_FLOOR       700 /* out of the way of programs that count on low numbers */

static struct {
	struct gate gate;
	uint32_t epoch; /* of the process whose the rest is */
	int fd;
	bool user_only;
	bool can_poison;
	char *stack; /* of the thread; a child's thread takes it over */
	faults_cb *on_faults;
} faults = { .fd = -1 };

/* ---- the descriptor ------------------------------------------------------------------------- */

static int ask_api(int fd, uint64_t features)
{
	struct uffdio_api api = { .api = UFFD_API, .features = features };

	return (int)sys_call3(__NR_ioctl, fd, UFFDIO_API, &api);
}

static int open_raw(bool user_only)
{
	int device, fd = (int)sys_call1(__NR_userfaultfd,
					O_CLOEXEC | (user_only ? UFFD_USER_MODE_ONLY : 0));

	if (fd >= 0 || user_only)
		return fd;
	/* The other door, whose permissions an administrator can set (6.1). */
	device = sys_openat(AT_FDCWD, "/dev/userfaultfd", O_RDWR | O_CLOEXEC, 0);
	if (device < 0)
		return fd;
	fd = (int)sys_call3(__NR_ioctl, device, USERFAULTFD_IOC_NEW, O_CLOEXEC);
	sys_close(device);
	return fd;
}

static int open_fd(bool user_only, bool *ret_can_poison)
{
	int fd = open_raw(user_only), high;

	if (fd < 0)
		return fd;
	*ret_can_poison = ask_api(fd, FEATURES | FEATURE_POISON) == 0;
	if (!*ret_can_poison) {
		/* Refused once, a descriptor is of no use any more. */
		sys_close(fd);
		fd = open_raw(user_only);
		if (fd < 0)
			return fd;
		if (ask_api(fd, FEATURES) != 0) {
			sys_close(fd);
			return -ENOSYS;
		}
	}
	high = sys_fcntl(fd, F_DUPFD_CLOEXEC, FD_FLOOR);
	if (high >= 0) {
		sys_close(fd);
		fd = high;
	}
	return fd;
}

/* ---- the thread ------------------------------------------------------------------------------- */

static void serve(void)
{
	struct uffd_msg messages[FAULTS_AT_ONCE];
	uintptr_t pages[FAULTS_AT_ONCE];
	unsigned nr, i;
	ssize_t n;

	sys_call5(__NR_prctl, PR_SET_NAME, "ossc-faults", 0, 0, 0);
	for (;;) {
		n = sys_read(faults.fd, messages, sizeof(messages));
		if (n == -EINTR || n == -EAGAIN)
			continue;
		if (n <= 0) {
			say("the descriptor that fills lazy mappings was closed behind the "
			    "library's back: set mmap: resident",
			    NULL);
			/* What was not filled yet would read as zeros. */
			sys_call2(__NR_kill, sys_getpid(), SIGKILL);
			return;
		}
		nr = 0;
		for (i = 0; i < (size_t)n / sizeof(messages[0]); i++)
			if (messages[i].event == UFFD_EVENT_PAGEFAULT)
				pages[nr++] = (uintptr_t)messages[i].arg.pagefault.address &
					      ~(uintptr_t)(PAGE - 1);
		if (nr > 0)
			faults.on_faults(pages, nr);
	}
}

/*
 * A thread without libc.  It gets a page of its own as thread-local storage, so
 * that nothing that looks there meets the maker's.
 */
static long make_thread(void *stack_top, void *tls, void (*run)(void))
{
	unsigned long flags = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD |
			      CLONE_SYSVSEM | CLONE_SETTLS;
#if defined(__x86_64__)
	register void *r8 __asm__("r8") = tls;
	register void (*r9)(void) __asm__("r9") = run;
	register long r10 __asm__("r10") = 0;
	long ret;

	__asm__ volatile("syscall\n\t"
			 "testq %%rax, %%rax\n\t"
			 "jnz 1f\n\t"
			 "xorl %%ebp, %%ebp\n\t"
			 "callq *%%r9\n\t"
			 "movl %[nr_exit], %%eax\n\t"
			 "xorl %%edi, %%edi\n\t"
			 "syscall\n\t"
			 "1:"
			 : "=a"(ret)
			 : "a"(__NR_clone), "D"(flags), "S"(stack_top), "d"(0), "r"(r10), "r"(r8),
			   "r"(r9), [nr_exit] "i"(__NR_exit)
			 : "rcx", "r11", "memory", "cc");
	return ret;
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = __NR_clone;
	register unsigned long x0 __asm__("x0") = flags;
	register void *x1 __asm__("x1") = stack_top;
	register long x2 __asm__("x2") = 0;
	register void *x3 __asm__("x3") = tls;
	register long x4 __asm__("x4") = 0;
	register void (*x9)(void) __asm__("x9") = run;

	__asm__ volatile("svc 0\n\t"
			 "cbnz x0, 1f\n\t"
			 "mov x29, xzr\n\t"
			 "blr x9\n\t"
			 "mov x8, %[nr_exit]\n\t"
			 "mov x0, xzr\n\t"
			 "svc 0\n\t"
			 "1:"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4),
			   "r"(x9), [nr_exit] "i"(__NR_exit)
			 : "memory", "cc", "x30");
	return (long)x0;
#endif
}

static int start_thread(void)
{
	uint64_t signals;
	long r;

	if (faults.stack == NULL) {
		/* The lowest page stays out of reach; the highest is the thread's storage. */
		char *stack = sys_mmap(NULL, STACK_LEN, PROT_READ | PROT_WRITE,
				       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

		if (sys_is_error(stack))
			return (int)(long)stack;
		sys_call3(__NR_mprotect, stack, PAGE, PROT_NONE);
		faults.stack = stack;
	}
	signals = sys_block_signals();
	r = make_thread(faults.stack + STACK_LEN - PAGE, faults.stack + STACK_LEN - PAGE, serve);
	sys_restore_signals(signals);
	return r < 0 ? (int)r : 0;
}

static int start(faults_cb *on_faults, bool whole)
{
	bool user_only = false;
	int r;

	faults.fd = -1;
	r = open_fd(false, &faults.can_poison);
	if (r < 0 && !whole) {
		user_only = true;
		r = open_fd(true, &faults.can_poison);
	}
	if (r < 0)
		return r;
	faults.fd = r;
	faults.user_only = user_only;
	faults.on_faults = on_faults;
	r = start_thread();
	if (r != 0) {
		sys_close(faults.fd);
		faults.fd = -1;
	}
	return r;
}

int faults_start(faults_cb *on_faults, bool whole)
{
	int r = 0;

	/* Acquire pairs with the release below. */
	if (__atomic_load_n(&faults.epoch, __ATOMIC_ACQUIRE) != epoch_now()) {
		if (gate_enter(&faults.gate, 10000) != 0)
			return -EAGAIN;
		if (faults.epoch != epoch_now()) {
			r = start(on_faults, whole);
			if (r == 0)
				__atomic_store_n(&faults.epoch, epoch_now(), __ATOMIC_RELEASE);
		}
		gate_leave(&faults.gate);
	}
	return r != 0 ? r : whole && faults.user_only ? -EPERM : 0;
}

bool faults_are_user_only(void)
{
	return faults.user_only;
}

void faults_after_fork(void)
{
	/* Ours is a copy: the parent's stays. */
	if (faults.fd >= 0)
		sys_close(faults.fd);
	faults.fd = -1;
}

int faults_fd(void)
{
	return faults.fd;
}

/* ---- requests ----------------------------------------------------------------------------------- */

static int request(unsigned long nr, void *arg)
{
	return (int)sys_call3(__NR_ioctl, faults.fd, nr, arg);
}

int faults_register(uintptr_t start, size_t len, bool own)
{
	struct uffdio_register r = {
		.range = { start, len },
		.mode = UFFDIO_REGISTER_MODE_MISSING | (own ? 0 : UFFDIO_REGISTER_MODE_MINOR),
	};

	return request(UFFDIO_REGISTER, &r);
}

int faults_unregister(uintptr_t start, size_t len)
{
	struct uffdio_range r = { start, len };

	return request(UFFDIO_UNREGISTER, &r);
}

void faults_wake(uintptr_t start, size_t len)
{
	struct uffdio_range r = { start, len };

	(void)request(UFFDIO_WAKE, &r);
}

/* One more step through a range: `moved` bytes went well, or the first page failed with r. */
static int step(uintptr_t *at, int64_t moved, int r)
{
	if (moved > 0)
		*at += (uintptr_t)moved;
	else if (r == -EEXIST)
		*at += PAGE; /* there already */
	else if (r != 0 && r != -EAGAIN)
		return r;
	return 0;
}

int faults_continue(uintptr_t start, size_t len)
{
	uintptr_t at = start, end = start + len;
	int r = 0;

	while (at < end && r == 0) {
		struct uffdio_continue c = { .range = { at, end - at } };

		r = request(UFFDIO_CONTINUE, &c);
		r = step(&at, r == 0 ? (int64_t)(end - at) : c.mapped, r);
	}
	/* Those who wait at a page that was there already. */
	faults_wake(start, len);
	return r;
}

int faults_copy(uintptr_t start, const void *bytes, size_t len)
{
	uintptr_t at = start, end = start + len;
	int r = 0;

	while (at < end && r == 0) {
		struct uffdio_copy c = {
			.dst = at,
			.src = (uintptr_t)bytes + (at - start),
			.len = end - at,
		};

		r = request(UFFDIO_COPY, &c);
		r = step(&at, r == 0 ? (int64_t)(end - at) : c.copy, r);
	}
	faults_wake(start, len);
	return r;
}

int faults_poison(uintptr_t page)
{
	struct uffdio_poison p = { .range = { page, PAGE } };

	return faults.can_poison ? request(UFFDIO_POISON, &p) : -EOPNOTSUPP;
}
