#include "libclient/preload/skeleton.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"

#include <limits.h>

static const char *dir START_DATA;
static size_t dir_len START_DATA;

/* Where MODEL_DIR lies.  Written by whoever finds it, then never changed. */
struct found {
	dev_t device;
	size_t len;
	char path[PATH_MAX]; /* free of symbolic links */
};

static struct found *found START_DATA; /* NULL: not found yet; released when whole */
static uint32_t has_looked START_DATA;

ssize_t skeleton_name(int fd, char *buf, size_t cap)
{
	char link[40];
	struct text t;
	ssize_t n;

	text_init(&t, link, sizeof(link));
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, fd);
	n = sys_call4(__NR_readlinkat, AT_FDCWD, link, buf, cap - 1);
	if (n >= 0)
		buf[n] = '\0';
	return n;
}

/* Two threads may do it at a time: the first that is ready wins. */
static void find(void)
{
	struct found *f, *none = NULL;
	bool good = false;
	struct stat st;
	ssize_t n;
	int fd;

	fd = sys_openat(AT_FDCWD, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd < 0)
		return;
	f = sys_mmap(NULL, sizeof(*f), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (!sys_is_error(f)) {
		n = skeleton_name(fd, f->path, sizeof(f->path));
		if (n > 1 && f->path[0] == '/' && sys_fstat(fd, &st) == 0) {
			f->len = (size_t)n;
			f->device = st.st_dev;
			/* Release pairs with the acquire in now(). */
			good = __atomic_compare_exchange_n(&found, &none, f, false,
							   __ATOMIC_RELEASE, __ATOMIC_RELAXED);
		}
		if (!good)
			sys_munmap(f, sizeof(*f));
	}
	sys_close(fd);
}

void skeleton_search(void)
{
	if (__atomic_load_n(&found, __ATOMIC_RELAXED) == NULL)
		find();
	__atomic_store_n(&has_looked, 1, __ATOMIC_RELEASE);
}

void skeleton_start(const char *model_dir, size_t len)
{
	dir = model_dir;
	dir_len = len;
}

static const struct found *now(void)
{
	if (__atomic_load_n(&has_looked, __ATOMIC_ACQUIRE) == 0)
		skeleton_search();
	return __atomic_load_n(&found, __ATOMIC_ACQUIRE);
}

const char *skeleton_real(size_t *ret_len)
{
	const struct found *f = now();

	*ret_len = f != NULL ? f->len : 0;
	return f != NULL ? f->path : NULL;
}

static void say_no_directory(void)
{
	struct stat st;

	if (sys_fstatat(AT_FDCWD, dir, &st, 0) == 0 && !S_ISDIR(st.st_mode))
		SAY_ONCE("MODEL_DIR (", dir, ") is not a directory: remove it or set another");
}

dev_t skeleton_device(void)
{
	const struct found *f = now();

	if (f == NULL) {
		skeleton_make(dir, dir_len);
		f = now();
		if (f == NULL)
			say_no_directory();
	}
	return f != NULL ? f->device : 0;
}

bool skeleton_is_on(dev_t dev)
{
	const struct found *f = now();

	return f != NULL && f->device == dev;
}

static const char *remedy_for(int error)
{
	switch (error) {
	case -ENOSPC:
	case -EDQUOT:
		return "; make room on its disk, or set MODEL_DIR to another";
	case -EACCES:
	case -EPERM:
	case -EROFS:
		return "; make it beforehand, or set MODEL_DIR to a directory that this user may "
		       "write to";
	}
	return "; see MODEL_DIR";
}

/* With the directories above it.  The first that fails tells why. */
static int make_all(const char *path, size_t len)
{
	char buf[PATH_MAX];
	int r = -ENOENT;
	struct stat st;
	size_t i;

	if (len >= sizeof(buf))
		return -ENAMETOOLONG;
	mem_copy(buf, path, len + 1);
	for (i = 1; i <= len; i++) {
		if (buf[i] != '/' && buf[i] != '\0')
			continue;
		buf[i] = '\0';
		r = sys_mkdirat(AT_FDCWD, buf, 0755);
		if (r != 0 && r != -EEXIST && sys_fstatat(AT_FDCWD, buf, &st, 0) != 0)
			break;
		if (i < len)
			buf[i] = '/';
	}
	return r;
}

int skeleton_make(const char *path, size_t len)
{
	const char *name;
	int r = sys_mkdirat(AT_FDCWD, path, 0755);

	if (r == -ENOENT)
		r = make_all(path, len);
	if (r == 0 || r == -EEXIST) {
		skeleton_search();
		return r == 0;
	}
	name = text_errno_name(r);
	SAY_ONCE("cannot make the directory ", path, " (", name != NULL ? name : "?", ")",
		 remedy_for(r));
	return r;
}

bool skeleton_rest(int fd, char *buf, size_t cap, const char **ret_rest)
{
	const char *top;
	size_t top_len;
	ssize_t n;

	top = skeleton_real(&top_len);
	if (top == NULL) {
		/* Another process may have made it since: this one could open it by its text. */
		skeleton_search();
		top = skeleton_real(&top_len);
	}
	if (top == NULL)
		return false;
	if (fd == AT_FDCWD)
		n = sys_call2(__NR_getcwd, buf, cap);
	else
		n = skeleton_name(fd, buf, cap);
	return n > 0 && pathtext_below(top, top_len, buf, ret_rest);
}
