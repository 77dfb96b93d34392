#include "libclient/preload/escape.h"

#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/memory.h"
#include "libclient/preload/offset.h"
#include "libclient/preload/say.h"

#include <linux/memfd.h>

#ifndef F_SEAL_FUTURE_WRITE /* Linux 5.1 */
#define F_SEAL_FUTURE_WRITE 0x0010
#endif

#define STEP (8u << 20) /* filled at a time */

static void say_too_big(const struct file *f, uint64_t need, uint64_t available)
{
	char a[24], b[24];
	struct text t;

	text_init(&t, a, sizeof(a));
	text_addu(&t, need >> 20);
	text_init(&t, b, sizeof(b));
	text_addu(&t, available >> 20);
	SAY_ONCE("a copy of ", file_path(f), " needs ", a,
		 " MiB of memory besides the cache, and only ", b,
		 " MiB are available: raise cache.size so that the file fits it, or use reads");
}

static int fill(struct file *f, int fd, uint64_t off, size_t len)
{
	size_t done = 0;
	ssize_t r;
	char *mem;

	r = sys_ftruncate(fd, (int64_t)len);
	if (r != 0 || len == 0)
		return (int)r;
	mem = sys_mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (sys_is_error(mem))
		return (int)(long)mem;
	while (done < len) {
		r = file_read(f, mem + done, len - done < STEP ? len - done : STEP, off + done);
		if (r <= 0)
			break;
		done += (size_t)r;
	}
	sys_munmap(mem, len);
	if (done < len)
		return r < 0 ? (int)r : -EIO;
	return 0;
}

int escape_copy(struct file *f, uint64_t off, size_t len)
{
	uint64_t available = memory_available();
	int fd, r;

	if (len > available) {
		say_too_big(f, len, available);
		return -ENOMEM;
	}
	fd = sys_memfd_create("ossc-copy", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return fd;
	r = fill(f, fd, off, len);
	if (r != 0) {
		sys_close(fd);
		return r;
	}
	return fd;
}

/* The same memory by a descriptor that cannot write. */
static int open_for_reading(int fd)
{
	char link[40];
	struct text t;
	int r;

	text_init(&t, link, sizeof(link));
	text_adds(&t, "/proc/self/fd/");
	text_addi(&t, fd);
	r = sys_openat(AT_FDCWD, link, O_RDONLY | O_CLOEXEC, 0);
	if (r != -ENOENT)
		return r;
	SAY_ONCE("/proc is not mounted: store files cannot be handed to other programs");
	return -EIO;
}

int escape_open(struct file *f)
{
	int fd = escape_copy(f, 0, file_size(f)), r;

	if (fd < 0)
		return fd;
	r = sys_fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	/* A child that another thread forked meanwhile has our mapping, which it does not know. */
	if (r == -EBUSY)
		r = sys_fcntl(fd, F_ADD_SEALS,
			      F_SEAL_FUTURE_WRITE | F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_SEAL);
	if (r == 0)
		r = (int)sys_call2(__NR_fchmod, fd, 0444);
	if (r == 0)
		r = open_for_reading(fd);
	sys_close(fd);
	return r;
}

static int duplicate(struct ofd *o, int fd)
{
	int copy = o->escaped ? open_for_reading(fd) : escape_open(o->file);

	if (copy >= 0)
		sys_call3(__NR_lseek, copy, offset_get(o->cell, fd), SEEK_SET);
	return copy;
}

int escape_duplicate(int fd)
{
	struct ofd *o = fds_get(fd);
	int r;

	if (o == NULL)
		return -EBADF;
	r = duplicate(o, fd);
	fds_put(o);
	return r;
}

/* Every descriptor of `o` becomes one of the copy's, here and in the table. */
static int replace(struct ofd *o, int fd)
{
	int copy = escape_open(o->file), at, flags;
	struct ofd *escaped;
	uint64_t signals, exchanging;
	int64_t here;

	if (copy < 0)
		return copy;
	escaped = fds_new(file_ref(o->file), o->flags, o->placeholder);
	if (escaped == NULL) {
		file_put(o->file);
		sys_close(copy);
		return -ENOMEM;
	}
	escaped->escaped = true;
	offset_is_in_kernel(escaped->cell);
	/* Who reads in another thread meanwhile waits, and goes on by the copy's offset. */
	here = offset_hold(o->cell, fd, &signals);
	if (here < 0) {
		fds_put(escaped);
		sys_close(copy);
		return (int)here;
	}
	sys_call3(__NR_lseek, copy, here, SEEK_SET);
	sys_fcntl(copy, F_SETFL, sys_fcntl(fd, F_GETFL, 0) & (O_APPEND | O_NONBLOCK));
	exchanging = fds_exchange_begin();
	for (at = fds_next_of(o, 0); at >= 0; at = fds_next_of(o, at + 1)) {
		flags = sys_fcntl(at, F_GETFD, 0);
		if (flags < 0 || sys_dup3(copy, at, (flags & FD_CLOEXEC) != 0 ? O_CLOEXEC : 0) < 0)
			continue;
		fds_exchange(at, o, escaped);
	}
	fds_exchange_end(exchanging);
	offset_release(o->cell, signals);
	fds_put(escaped);
	sys_close(copy);
	return 0;
}

int escape_descriptor(int fd)
{
	struct ofd *o = fds_get(fd);
	int r = 0;

	if (o == NULL)
		return -EBADF;
	if ((o->flags & O_PATH) == 0 && !o->escaped)
		r = replace(o, fd);
	fds_put(o);
	return r;
}
