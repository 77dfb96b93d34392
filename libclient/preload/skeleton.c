#include "libclient/preload/skeleton.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/say.h"
#include "libclient/preload/shadow.h"

#include <limits.h>

static const char *dir;
static size_t dir_len;

/* Found once MODEL_DIR exists. */
static char real[PATH_MAX];
static size_t real_len; /* 0: not known yet; released after real[] and device */
static dev_t device;
static uint32_t finding; /* one thread at a time writes the above */

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

static void find_real(void)
{
	struct stat st;
	ssize_t n;
	int fd;

	if (__atomic_exchange_n(&finding, 1, __ATOMIC_ACQUIRE) != 0)
		return;
	fd = sys_openat(AT_FDCWD, dir, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
	if (fd >= 0) {
		n = skeleton_name(fd, real, sizeof(real));
		if (n > 1 && real[0] == '/' && sys_fstat(fd, &st) == 0) {
			device = st.st_dev;
			shadow_start(dir);
			__atomic_store_n(&real_len, (size_t)n, __ATOMIC_RELEASE);
		}
		sys_close(fd);
	}
	__atomic_store_n(&finding, 0, __ATOMIC_RELEASE);
}

void skeleton_search(void)
{
	if (__atomic_load_n(&real_len, __ATOMIC_ACQUIRE) == 0)
		find_real();
}

void skeleton_start(const char *model_dir, size_t len)
{
	dir = model_dir;
	dir_len = len;
}

const char *skeleton_real(size_t *ret_len)
{
	*ret_len = __atomic_load_n(&real_len, __ATOMIC_ACQUIRE);
	return *ret_len != 0 ? real : NULL;
}

static void say_no_directory(void)
{
	struct stat st;

	if (sys_fstatat(AT_FDCWD, dir, &st, 0) == 0 && !S_ISDIR(st.st_mode))
		SAY_ONCE("MODEL_DIR (", dir, ") is not a directory: remove it or set another");
}

dev_t skeleton_device(void)
{
	size_t len;

	if (skeleton_real(&len) == NULL) {
		skeleton_make(dir, dir_len);
		if (skeleton_real(&len) == NULL) {
			say_no_directory();
			return 0;
		}
	}
	return device;
}

bool skeleton_is_on(dev_t dev)
{
	size_t len;

	return skeleton_real(&len) != NULL && device == dev;
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
	if (top == NULL)
		return false;
	if (fd == AT_FDCWD)
		n = sys_call2(__NR_getcwd, buf, cap);
	else
		n = skeleton_name(fd, buf, cap);
	return n > 0 && pathtext_below(top, top_len, buf, ret_rest);
}
