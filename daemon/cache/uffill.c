#include "daemon/cache/uffill.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef UFFD_USER_MODE_ONLY
#define UFFD_USER_MODE_ONLY 1 /* Linux 5.11; before, only who may see all faults has it at all */
#endif

static int open_any(void)
{
	long fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd == -1 && errno == EINVAL)
		fd = syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);
	return fd == -1 ? -errno : (int)fd;
}

int uffill_open(void)
{
	/* Nobody handles faults: a thread that met one would wait for ever instead. */
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_SIGBUS };
	int fd;

	if (sysconf(_SC_PAGESIZE) != UFFILL_PAGE)
		return -ENOTSUP;
	fd = open_any();
	if (fd >= 0 && ioctl(fd, UFFDIO_API, &api) == -1) {
		int r = -errno;

		close(fd);
		return r;
	}
	return fd;
}

int uffill_cover(int uffd, void *map, uint64_t len)
{
	struct uffdio_register reg = {
		.range = { .start = (uintptr_t)map,
			   .len = (len + UFFILL_PAGE - 1) / UFFILL_PAGE * UFFILL_PAGE },
		.mode = UFFDIO_REGISTER_MODE_MISSING,
	};

	if (ioctl(uffd, UFFDIO_REGISTER, &reg) == -1)
		return -errno;
	return (reg.ioctls & 1ull << _UFFDIO_COPY) != 0 ? 0 : -ENOTSUP;
}

ssize_t uffill_copy(int uffd, void *at, const void *buf, size_t len)
{
	struct uffdio_copy copy = {
		.dst = (uintptr_t)at,
		.src = (uintptr_t)buf,
		.len = len,
	};

	/* EAGAIN: the mappings were changing; what was put by then is in `copy`. */
	while (ioctl(uffd, UFFDIO_COPY, &copy) == -1) {
		if (copy.copy > 0)
			return (ssize_t)copy.copy;
		if (errno != EAGAIN && errno != EINTR)
			return -errno;
		copy.copy = 0;
	}
	return (ssize_t)copy.copy;
}
