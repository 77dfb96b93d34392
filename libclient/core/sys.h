/*
 * sys.h - raw system calls for x86-64 and arm64.  No errno, no libc, no
 * cancellation point: the kernel's own answer, a negative errno on failure.
 *
 * Threads: any; from signal handlers and vfork children as well.
 */
#ifndef LIBCLIENT_CORE_SYS_H
#define LIBCLIENT_CORE_SYS_H

#include <asm/unistd.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#if defined(__x86_64__)

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

#elif defined(__aarch64__)

static inline long sys_call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}

#else
#error "raw system calls are written for x86-64 and arm64"
#endif

#define sys_call0(nr)		  sys_call6((nr), 0, 0, 0, 0, 0, 0)
#define sys_call1(nr, a)	  sys_call6((nr), (long)(a), 0, 0, 0, 0, 0)
#define sys_call2(nr, a, b)	  sys_call6((nr), (long)(a), (long)(b), 0, 0, 0, 0)
#define sys_call3(nr, a, b, c)	  sys_call6((nr), (long)(a), (long)(b), (long)(c), 0, 0, 0)
#define sys_call4(nr, a, b, c, d) sys_call6((nr), (long)(a), (long)(b), (long)(c), (long)(d), 0, 0)
#define sys_call5(nr, a, b, c, d, e)                                                               \
	sys_call6((nr), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), 0)

/* ---- descriptors --------------------------------------------------------------- */

static inline int sys_openat(int dirfd, const char *path, int flags, unsigned mode)
{
	return (int)sys_call4(__NR_openat, dirfd, path, flags, mode);
}

static inline int sys_close(int fd)
{
	return (int)sys_call1(__NR_close, fd);
}

static inline ssize_t sys_read(int fd, void *buf, size_t len)
{
	return sys_call3(__NR_read, fd, buf, len);
}

static inline ssize_t sys_pread(int fd, void *buf, size_t len, int64_t off)
{
	return sys_call4(__NR_pread64, fd, buf, len, off);
}

static inline ssize_t sys_write(int fd, const void *buf, size_t len)
{
	return sys_call3(__NR_write, fd, buf, len);
}

static inline int sys_fcntl(int fd, int cmd, long arg)
{
	return (int)sys_call3(__NR_fcntl, fd, cmd, arg);
}

static inline int sys_fstat(int fd, struct stat *ret)
{
	return (int)sys_call2(__NR_fstat, fd, ret);
}

static inline int sys_fstatat(int dirfd, const char *path, struct stat *ret, int flags)
{
	return (int)sys_call4(__NR_newfstatat, dirfd, path, ret, flags);
}

static inline int sys_mkdirat(int dirfd, const char *path, unsigned mode)
{
	return (int)sys_call3(__NR_mkdirat, dirfd, path, mode);
}

static inline int sys_dup3(int fd, int to, int flags)
{
	return (int)sys_call3(__NR_dup3, fd, to, flags);
}

static inline int sys_ftruncate(int fd, int64_t len)
{
	return (int)sys_call2(__NR_ftruncate, fd, len);
}

static inline int sys_memfd_create(const char *name, unsigned flags)
{
	return (int)sys_call2(__NR_memfd_create, name, flags);
}

/* ---- memory -------------------------------------------------------------------- */

/* A failed map is a negative errno in the pointer: see sys_is_error(). */
static inline void *sys_mmap(void *addr, size_t len, int prot, int flags, int fd, int64_t off)
{
	return (void *)sys_call6(__NR_mmap, (long)addr, (long)len, prot, flags, fd, off);
}

static inline int sys_is_error(const void *map)
{
	return (unsigned long)map >= (unsigned long)-4095L;
}

static inline int sys_munmap(void *addr, size_t len)
{
	return (int)sys_call2(__NR_munmap, addr, len);
}

static inline void *sys_mremap(void *addr, size_t old_len, size_t len, int flags, void *to)
{
	return (void *)sys_call5(__NR_mremap, addr, old_len, len, flags, to);
}

static inline int sys_madvise(void *addr, size_t len, int advice)
{
	return (int)sys_call3(__NR_madvise, addr, len, advice);
}

/* ---- sockets and waiting ------------------------------------------------------- */

static inline int sys_socket(int family, int type, int protocol)
{
	return (int)sys_call3(__NR_socket, family, type, protocol);
}

static inline int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
	return (int)sys_call3(__NR_connect, fd, addr, len);
}

static inline int sys_getsockopt(int fd, int level, int name, void *val, socklen_t *len)
{
	return (int)sys_call5(__NR_getsockopt, fd, level, name, val, len);
}

static inline ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	return sys_call3(__NR_sendmsg, fd, msg, flags);
}

static inline ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
	return sys_call3(__NR_recvmsg, fd, msg, flags);
}

struct pollfd;
static inline int sys_poll(struct pollfd *fds, unsigned nr, unsigned timeout_ms)
{
	struct timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};

	return (int)sys_call5(__NR_ppoll, fds, nr, &ts, NULL, 0);
}

/* Returns 0, -EAGAIN (the word differs), -ETIMEDOUT or -EINTR. */
static inline int sys_futex_wait(const uint32_t *word, uint32_t value, unsigned timeout_ms)
{
	struct timespec ts = {
		.tv_sec = timeout_ms / 1000,
		.tv_nsec = (long)(timeout_ms % 1000) * 1000000,
	};

	return (int)sys_call4(__NR_futex, word, FUTEX_WAIT, value, &ts);
}

static inline void sys_futex_wake(uint32_t *word, int nr)
{
	sys_call3(__NR_futex, word, FUTEX_WAKE, nr);
}

static inline uint64_t sys_now_ms(void)
{
	struct timespec ts = { 0 };

	sys_call2(__NR_clock_gettime, CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static inline void sys_sleep_ms(unsigned ms)
{
	struct timespec ts = { .tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000 };

	sys_call2(__NR_nanosleep, &ts, NULL);
}

/* ---- who we are ---------------------------------------------------------------- */

static inline int sys_getpid(void)
{
	return (int)sys_call0(__NR_getpid);
}

static inline int sys_gettid(void)
{
	return (int)sys_call0(__NR_gettid);
}

static inline uid_t sys_geteuid(void)
{
	return (uid_t)sys_call0(__NR_geteuid);
}

/* The kernel's signal set: 64 bits. */
static inline uint64_t sys_block_signals(void)
{
	uint64_t all = ~0ull, old = 0;

	sys_call4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &all, &old, sizeof(all));
	return old;
}

static inline void sys_restore_signals(uint64_t old)
{
	sys_call4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &old, NULL, sizeof(old));
}

#endif
