#include "libclient/preload/placeholder.h"

#include "libclient/core/epoch.h"
#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/say.h"

#include <dirent.h>
#include <limits.h>
#include <linux/memfd.h>
#include <sys/resource.h>

#define MODE	  0222
#define NR_KEPT	  16
#define HIGH_MOST 4096u
#define KEPT_ROOM 64u /* below the limit on descriptors, where programs hardly look */

#define PREFIX	  "ossc:"
#define SHOWN	  "/memfd:" PREFIX
#define DELETED	  " (deleted)"

/* A placeholder kept open, under a high number, for the next open of the same object. */
struct kept {
	int fd; /* + 1; 0: none */
	uint64_t ino;
	uint64_t placeholder;
	uint64_t size;
	uint64_t etag; /* hash */
};

static struct kept kept[NR_KEPT];
static unsigned next_kept;
static uint32_t busy; /* epoch of the process whose thread is in here, or 0 */

/* Never waits: whoever finds it taken goes without. */
static bool enter(void)
{
	uint32_t now = epoch_now(), seen = 0;

	if (__atomic_compare_exchange_n(&busy, &seen, now, false, __ATOMIC_ACQUIRE,
					__ATOMIC_RELAXED))
		return true;
	/* Left behind by a parent's thread at fork. */
	return seen != now && __atomic_compare_exchange_n(&busy, &seen, now, false,
							  __ATOMIC_ACQUIRE, __ATOMIC_RELAXED);
}

static void leave(void)
{
	__atomic_store_n(&busy, 0, __ATOMIC_RELEASE);
}

static uint64_t hash(const char *s)
{
	uint64_t h = 14695981039346656037ull;

	while (*s != '\0')
		h = (h ^ (unsigned char)*s++) * 1099511628211ull;
	return h;
}

bool placeholder_name(const char *etag, const char *path, char *buf)
{
	struct text t;

	text_init(&t, buf, PLACEHOLDER_NAME);
	text_adds(&t, PREFIX);
	text_adds(&t, etag);
	text_addc(&t, ':');
	text_adds(&t, path);
	return !text_is_cut(&t);
}

static int reopen(int fd, int flags)
{
	char link[40];
	struct text t;

	text_init(&t, link, sizeof(link));
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, fd);
	return sys_openat(AT_FDCWD, link,
			  O_WRONLY | (flags & (O_CLOEXEC | O_PATH | O_APPEND | O_NONBLOCK)), 0);
}

/* A new one, open for reading and writing: never shown to a program. */
static int make(const struct file *f)
{
	char name[PLACEHOLDER_NAME];
	int fd, r;

	if (!placeholder_name(file_etag(f), file_path(f), name))
		name[sizeof(PREFIX) - 1] = '\0';
	fd = sys_memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	r = sys_ftruncate(fd, (int64_t)file_size(f));
	if (r == 0)
		r = sys_fcntl(fd, F_ADD_SEALS,
			      F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	if (r == 0)
		r = (int)sys_call2(__NR_fchmod, fd, MODE);
	if (r != 0) {
		sys_close(fd);
		return r;
	}
	return fd;
}

int placeholder_move_high(int fd)
{
	struct rlimit limit = { .rlim_cur = 1024 };
	int high;

	sys_call4(__NR_prlimit64, 0, RLIMIT_NOFILE, NULL, &limit);
	/* The kernel's table goes up to the highest one, and each fork copies it. */
	if (limit.rlim_cur > HIGH_MOST)
		limit.rlim_cur = HIGH_MOST;
	if (limit.rlim_cur < 4 * KEPT_ROOM)
		return fd;
	high = sys_fcntl(fd, F_DUPFD_CLOEXEC, (long)(limit.rlim_cur - KEPT_ROOM));
	if (high < 0)
		return fd;
	sys_close(fd);
	return high;
}

/* A kept one may have been closed by the program, and its number used again. */
static bool is_still(const struct kept *k)
{
	struct stat st;

	return sys_fstat(k->fd - 1, &st) == 0 && st.st_ino == k->placeholder &&
	       st.st_mode == (S_IFREG | MODE) && st.st_nlink == 0 &&
	       (uint64_t)st.st_size == k->size;
}

static int open_kept(const struct file *f, int flags, uint64_t *ret_ino)
{
	uint64_t etag = hash(file_etag(f));
	unsigned i;

	for (i = 0; i < NR_KEPT; i++) {
		struct kept *k = &kept[i];

		if (k->fd == 0 || k->ino != file_ino(f) || k->etag != etag ||
		    k->size != file_size(f))
			continue;
		if (!is_still(k)) {
			k->fd = 0;
			continue;
		}
		*ret_ino = k->placeholder;
		return reopen(k->fd - 1, flags);
	}
	return -ENOENT;
}

static void keep(const struct file *f, int fd, uint64_t placeholder)
{
	struct kept *k = &kept[next_kept++ % NR_KEPT];

	if (k->fd != 0 && is_still(k))
		sys_close(k->fd - 1);
	*k = (struct kept){
		.fd = fd + 1,
		.ino = file_ino(f),
		.placeholder = placeholder,
		.size = file_size(f),
		.etag = hash(file_etag(f)),
	};
}

int placeholder_open(const struct file *f, int flags, uint64_t *ret_ino, bool *ret_first)
{
	bool in = enter(), high;
	struct stat st;
	int fd = -ENOENT, master;

	if (in)
		fd = open_kept(f, flags, ret_ino);
	*ret_first = fd == -ENOENT;
	if (fd != -ENOENT)
		goto out;
	fd = make(f);
	if (fd < 0)
		goto out;
	master = placeholder_move_high(fd);
	high = master != fd;
	fd = sys_fstat(master, &st);
	if (fd == 0)
		fd = reopen(master, flags);
	if (fd == -ENOENT) {
		SAY_ONCE("/proc is not mounted: store files cannot be opened");
		fd = -EIO;
	}
	if (fd >= 0)
		*ret_ino = st.st_ino;
	if (fd >= 0 && in && high)
		keep(f, master, st.st_ino);
	else
		sys_close(master);
out:
	if (in)
		leave();
	return fd;
}

bool placeholder_owns_fd(int fd)
{
	unsigned i;

	for (i = 0; i < NR_KEPT; i++)
		if (__atomic_load_n(&kept[i].fd, __ATOMIC_RELAXED) == fd + 1)
			return is_still(&kept[i]);
	return false;
}

unsigned placeholder_next_own_fd(unsigned from)
{
	unsigned lowest = UINT_MAX, i;

	for (i = 0; i < NR_KEPT; i++) {
		int fd = __atomic_load_n(&kept[i].fd, __ATOMIC_RELAXED) - 1;

		if (fd >= 0 && (unsigned)fd >= from && (unsigned)fd < lowest && is_still(&kept[i]))
			lowest = (unsigned)fd;
	}
	return lowest;
}

/* Where `prefix` ends in s, or NULL. */
static char *after(char *s, const char *prefix)
{
	while (*prefix != '\0')
		if (*s++ != *prefix++)
			return NULL;
	return s;
}

bool placeholder_parse_link(const char *link, char *buf, const char **ret_etag,
			    const char **ret_path)
{
	const size_t tail = sizeof(DELETED) - 1;
	char *name, *colon;
	ssize_t n = sys_call4(__NR_readlinkat, AT_FDCWD, link, buf, PLACEHOLDER_NAME + 31);

	if (n < (ssize_t)(sizeof(SHOWN) - 1 + tail))
		return false;
	buf[n] = '\0';
	name = after(buf, SHOWN);
	if (name == NULL || !mem_equal(buf + n - tail, DELETED, tail))
		return false;
	buf[(size_t)n - tail] = '\0';
	for (colon = name; *colon != '\0' && *colon != ':'; colon++)
		;
	if (*colon == '\0') { /* its path did not fit */
		*ret_etag = "";
		*ret_path = "";
	} else {
		*colon = '\0';
		*ret_etag = name;
		*ret_path = colon + 1;
	}
	return true;
}

bool placeholder_parse(int fd, char *buf, const char **ret_etag, const char **ret_path,
		       uint64_t *ret_size)
{
	char link[40];
	struct stat st;
	struct text t;

	if (sys_fstat(fd, &st) != 0 || st.st_mode != (S_IFREG | MODE) || st.st_nlink != 0)
		return false;
	text_init(&t, link, sizeof(link));
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, fd);
	*ret_size = (uint64_t)st.st_size;
	return placeholder_parse_link(link, buf, ret_etag, ret_path);
}

bool placeholder_is(int fd)
{
	char buf[PLACEHOLDER_NAME + 32];
	const char *etag, *path;
	uint64_t size;

	return placeholder_parse(fd, buf, &etag, &path, &size);
}

/* A name of digits, or -1. */
static int number(const char *name)
{
	int n = 0;

	if (*name == '\0')
		return -1;
	for (; *name != '\0'; name++) {
		if (*name < '0' || *name > '9' || n > 100000000)
			return -1;
		n = n * 10 + (*name - '0');
	}
	return n;
}

void placeholder_each(void (*visit)(int fd, void *arg), void *arg)
{
	_Alignas(struct dirent64) char buf[1024];
	int dir = sys_openat(AT_FDCWD, "/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC, 0);
	ssize_t n, at;

	if (dir < 0)
		return;
	while ((n = sys_call3(__NR_getdents64, dir, buf, sizeof(buf))) > 0) {
		for (at = 0; at < n;) {
			const struct dirent64 *d = (const struct dirent64 *)(buf + at);
			int fd = number(d->d_name);

			if (fd >= 0 && fd != dir && !placeholder_owns_fd(fd) && placeholder_is(fd))
				visit(fd, arg);
			at += d->d_reclen;
		}
	}
	sys_close(dir);
}
