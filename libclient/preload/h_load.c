/*
 * h_load.c - hooks: dlopen and dlmopen.  The loader opens and maps inside itself;
 * for a library in the store it gets the path of a private copy's descriptor.
 * All other calls are passed on as jumps: the loader looks at the return address
 * to know whose search path counts.
 */
#include "libclient/preload/load.h"

#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/escape.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"
#include "libclient/preload/store.h"

#include <dlfcn.h>
#include <limits.h>

#define NR_LOADED 256
#define LINK	  40

/* One library: the loader remembers it by the number in its path, so that is never another's. */
struct loaded {
	uint32_t state; /* 0: free, 1: being written, 2: readable */
	int fd;
	uint64_t copy; /* inode of the copy */
	uint64_t ino;
	uint64_t size;
	char etag[72];
};

static struct loaded loaded[NR_LOADED];

static bool is_readable(const struct loaded *l)
{
	/* Acquire pairs with the release in remember(). */
	return __atomic_load_n(&l->state, __ATOMIC_ACQUIRE) == 2;
}

static bool is_still(const struct loaded *l)
{
	struct stat st;

	return sys_fstat(l->fd, &st) == 0 && st.st_ino == l->copy && st.st_nlink == 0;
}

bool load_owns_fd(int fd)
{
	unsigned i;

	for (i = 0; i < NR_LOADED && loaded[i].state != 0; i++)
		if (is_readable(&loaded[i]) && loaded[i].fd == fd)
			return is_still(&loaded[i]);
	return false;
}

unsigned load_next_own_fd(unsigned from)
{
	unsigned lowest = UINT_MAX, i;

	for (i = 0; i < NR_LOADED && loaded[i].state != 0; i++) {
		const struct loaded *l = &loaded[i];

		if (is_readable(l) && (unsigned)l->fd >= from && (unsigned)l->fd < lowest &&
		    is_still(l))
			lowest = (unsigned)l->fd;
	}
	return lowest;
}

static int find(const struct file *f)
{
	const char *etag = file_etag(f);
	unsigned i;

	for (i = 0; i < NR_LOADED && loaded[i].state != 0; i++) {
		const struct loaded *l = &loaded[i];

		if (is_readable(l) && l->ino == file_ino(f) && l->size == file_size(f) &&
		    mem_equal(l->etag, etag, mem_len(etag) + 1) && is_still(l))
			return l->fd;
	}
	return -ENOENT;
}

/* Was this number the name of another library, whose descriptor was closed behind our back? */
static bool is_burnt(int fd)
{
	unsigned i;

	for (i = 0; i < NR_LOADED && loaded[i].state != 0; i++)
		if (is_readable(&loaded[i]) && loaded[i].fd == fd)
			return true;
	return false;
}

static void remember(const struct file *f, int fd)
{
	struct stat st = { 0 };
	uint32_t none;
	unsigned i;

	sys_fstat(fd, &st);
	for (i = 0; i < NR_LOADED; i++) {
		struct loaded *l = &loaded[i];

		none = 0;
		if (!__atomic_compare_exchange_n(&l->state, &none, 1, false, __ATOMIC_RELAXED,
						 __ATOMIC_RELAXED))
			continue;
		l->fd = fd;
		l->copy = st.st_ino;
		l->ino = file_ino(f);
		l->size = file_size(f);
		mem_copy(l->etag, file_etag(f), mem_len(file_etag(f)) + 1);
		__atomic_store_n(&l->state, 2, __ATOMIC_RELEASE);
		return;
	}
	/* It stays open all the same: its number is a name. */
}

/* The descriptor of a copy, the same for each time the library is loaded. */
static int copy_of(const struct spot *s)
{
	struct file *f;
	int fd, next;

	fd = store_open(s->snap, s->entry, &f);
	if (fd != 0)
		return fd;
	fd = find(f);
	if (fd == -ENOENT) {
		fd = escape_open(f);
		if (fd >= 0)
			fd = placeholder_move_high(fd);
		while (fd >= 0 && is_burnt(fd)) {
			next = sys_fcntl(fd, F_DUPFD_CLOEXEC, fd + 1);
			sys_close(fd);
			fd = next;
		}
		if (fd >= 0)
			remember(f, fd);
	}
	file_put(f);
	return fd;
}

/* The path that the loader shall open; false: the program's own. */
static bool path_of_copy(const char *path, char *link)
{
	struct text t;
	struct spot s;
	int fd = -ENOENT;

	paths_look(&s, AT_FDCWD, path, 0);
	if (s.kind == SPOT_NONE && sys_call3(__NR_faccessat, AT_FDCWD, path, 0) == -ENOENT)
		(void)paths_again(&s);
	if (s.kind == SPOT_FILE)
		fd = copy_of(&s);
	paths_done(&s);
	if (fd < 0) {
		/* The loader finds nothing there, and dlerror() says so. */
		if (s.kind == SPOT_FILE)
			SAY_ONCE("a library in the store cannot be loaded: ", path);
		return false;
	}
	text_init(&t, link, LINK);
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, fd);
	return true;
}

/* A name without a slash is searched for, by the loader alone. */
static bool may_be_ours(const char *path)
{
	if (!paths_on() || path == NULL)
		return false;
	while (*path != '\0' && *path != '/')
		path++;
	return *path == '/';
}

static __attribute__((noinline)) bool is_ours(const char *path)
{
	char link[LINK];

	return path_of_copy(path, link);
}

static __attribute__((noinline)) void *load(__typeof(&dlopen) libc, const char *path, int flags)
{
	char link[LINK];

	return libc(path_of_copy(path, link) ? link : path, flags & ~RTLD_DEEPBIND);
}

EXPORT void *dlopen(const char *path, int flags)
{
	__typeof(&dlopen) libc = NEXT_LATE(dlopen);

	if (libc == NULL)
		return NULL;
	if (may_be_ours(path) && is_ours(path))
		return load(libc, path, flags);
	return libc(path, flags);
}

static __attribute__((noinline)) void *load_apart(__typeof(&dlmopen) libc, Lmid_t space,
						  const char *path, int flags)
{
	char link[LINK];

	return libc(space, path_of_copy(path, link) ? link : path, flags & ~RTLD_DEEPBIND);
}

EXPORT void *dlmopen(Lmid_t space, const char *path, int flags)
{
	__typeof(&dlmopen) libc = NEXT_LATE(dlmopen);

	if (libc == NULL)
		return NULL;
	if (may_be_ours(path) && is_ours(path))
		return load_apart(libc, space, path, flags);
	return libc(space, path, flags);
}
