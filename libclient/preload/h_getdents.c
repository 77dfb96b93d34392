/*
 * h_getdents.c - hooks: directories read without a stream.  SYS_getdents, the
 * oldest form, is here for h_syscall.
 */
#include "libclient/preload/getdents.h"

#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/dirpos.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"

#include <dirent.h>
#include <unistd.h>

static ssize_t read_entries(int fd, void *buf, size_t len)
{
	bool is_ours = false;
	ssize_t r = 0;

	if (paths_on())
		r = dirpos_read(fd, buf, len, &is_ours);
	return is_ours ? r : sys_call3(__NR_getdents64, fd, buf, len);
}

EXPORT ssize_t getdents64(int fd, void *buf, size_t len)
{
	return answer(read_entries(fd, buf, len));
}
ALIAS(getdents, getdents64); /* musl's name */

/* What POSIX made of it; a libc has no flags yet. */
EXPORT ssize_t posix_getdents(int fd, void *buf, size_t len, int flags);
ssize_t posix_getdents(int fd, void *buf, size_t len, int flags)
{
	return answer(flags != 0 ? -EOPNOTSUPP : read_entries(fd, buf, len));
}

EXPORT ssize_t getdirentries(int fd, char *buf, size_t len, off_t *base)
{
	off_t before = lseek(fd, 0, SEEK_CUR);
	ssize_t r = read_entries(fd, buf, len);

	if (r >= 0)
		*base = before;
	return answer(r);
}
ALIAS(getdirentries64, getdirentries);

#ifdef __NR_getdents

struct oldest { /* the kernel's linux_dirent */
	unsigned long ino;
	unsigned long off;
	unsigned short reclen;
	char name[]; /* and in the last byte of all the type */
};

/* One entry after the other has the same length in both forms: 8 + 8 + 2 + name + NUL + type. */
_Static_assert(offsetof(struct dirent64, d_name) == offsetof(struct oldest, name) + 1,
	       "the type goes to the end, the name forward by one");

static void to_oldest(char *buf, size_t len)
{
	size_t at, reclen;

	for (at = 0; at < len; at += reclen) {
		struct dirent64 *d = (struct dirent64 *)(buf + at);
		unsigned char type = d->d_type;

		reclen = d->d_reclen;
		mem_move(buf + at + offsetof(struct oldest, name), d->d_name,
			 mem_len(d->d_name) + 1);
		buf[at + reclen - 1] = (char)type;
	}
}

long getdents_oldest(int fd, void *buf, size_t len)
{
	bool is_ours = false;
	ssize_t r = 0;

	if (paths_on())
		r = dirpos_read(fd, buf, len, &is_ours);
	if (!is_ours)
		return answer(sys_call3(__NR_getdents, fd, buf, len));
	if (r > 0)
		to_oldest(buf, (size_t)r);
	return answer(r);
}

#endif
