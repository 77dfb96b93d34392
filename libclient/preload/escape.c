#include "libclient/preload/escape.h"

#include "libclient/core/file.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/preload/memory.h"
#include "libclient/preload/say.h"

#include <linux/memfd.h>

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
	fd = sys_memfd_create("ossc-copy", MFD_CLOEXEC);
	if (fd < 0)
		return fd;
	r = fill(f, fd, off, len);
	if (r != 0) {
		sys_close(fd);
		return r;
	}
	return fd;
}
