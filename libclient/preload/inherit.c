#include "libclient/preload/inherit.h"

#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/say.h"
#include "libclient/preload/store.h"

#include <poll.h>

#define BORDER 16 /* a program with so many descriptors open may have more */

static void look_at(int fd, void *arg)
{
	(void)arg;
	fds_enter_inherited(fd);
}

/*
 * Is there no placeholder among the low numbers, and nothing at all next to their end?  That is
 * told by one call, and by one more for each open descriptor; reading /proc/self/fd costs ten times
 * as much, as every process has a directory of its own.
 */
static bool nothing_came(void)
{
	struct pollfd all[INHERIT_LOW];
	struct stat st;
	int fd;

	for (fd = 0; fd < INHERIT_LOW; fd++)
		all[fd] = (struct pollfd){ .fd = fd };
	if (sys_poll(all, INHERIT_LOW, 0) < 0)
		return false; /* the program's limit on descriptors is lower */
	for (fd = 0; fd < INHERIT_LOW; fd++) {
		if ((all[fd].revents & POLLNVAL) != 0)
			continue;
		if (fd >= INHERIT_LOW - BORDER || sys_fstat(fd, &st) != 0 ||
		    (S_ISREG(st.st_mode) && st.st_nlink == 0))
			return false;
	}
	return true;
}

void inherit_start(char *const *envp)
{
	if (text_env(envp, "OSSC_DESCRIPTORS") != NULL || !nothing_came())
		placeholder_each(look_at, NULL);
}

void inherit_received(int fd)
{
	fds_forget(fd);
	if (placeholder_is(fd))
		fds_enter_inherited(fd);
}

static bool same_text(const char *a, const char *b)
{
	size_t n = mem_len(a);

	return n == mem_len(b) && mem_equal(a, b, n);
}

/* The file at the version that the name carries.  -ESTALE: the store has another by now. */
static int open_version(const char *path, const char *etag, uint64_t size, struct file **ret)
{
	int r = path[0] == '\0' ? -ENAMETOOLONG : store_open_path(path, ret);

	if (r == -ENOENT)
		return -ESTALE;
	if (r == 0 && (file_size(*ret) != size || !same_text(file_etag(*ret), etag))) {
		file_put(*ret);
		r = -ESTALE;
	}
	return r;
}

int inherit_file(int fd, struct file **ret_file)
{
	char buf[PLACEHOLDER_NAME + 32];
	const char *etag, *path;
	uint64_t size;

	if (!placeholder_parse(fd, buf, &etag, &path, &size))
		return -EBADF;
	return open_version(path, etag, size, ret_file);
}

static void say_failed(const char *path, int error)
{
	if (error == -ENAMETOOLONG)
		SAY_ONCE("an inherited descriptor cannot be read: the name of its file is too long "
			 "to be carried over exec");
	else if (error == -ESTALE)
		SAY_ONCE("an inherited descriptor cannot be read: the store has another version "
			 "of ",
			 path, " by now");
	else
		SAY_ONCE("an inherited descriptor cannot be read: ", path);
}

void inherit_open(int fd)
{
	char buf[PLACEHOLDER_NAME + 32];
	const char *etag, *path;
	struct stat st = { 0 };
	struct file *f;
	struct ofd *o;
	uint64_t size;
	int r;

	if (!placeholder_parse(fd, buf, &etag, &path, &size)) {
		fds_forget(fd);
		return;
	}
	sys_fstat(fd, &st);
	r = open_version(path, etag, size, &f);
	if (r != 0)
		say_failed(path, r);
	/* Then each read asks again, and says what is wrong. */
	if (r != 0 && (r == -ENAMETOOLONG || store_recall(path, etag, size, st.st_ino, &f) != 0))
		return;
	o = fds_new(f, 0, (uint64_t)st.st_ino);
	if (o == NULL) {
		file_put(f);
		return;
	}
	offset_is_in_kernel(o->cell);
	if (fds_enter(fd, o) != 0)
		fds_put(o);
}
