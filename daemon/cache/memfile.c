#define LOG_MODULE "memfile"
#include "daemon/cache/memfile.h"

#include "daemon/base/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U /* Linux 6.3 */
#endif
#ifndef F_SEAL_FUTURE_WRITE
#define F_SEAL_FUTURE_WRITE 0x0010 /* Linux 5.1 */
#endif

#define LARGE_LEN (256u << 10)

/* An empty memfd, readable by its owner only, never executable. */
static int make_memfd(void)
{
	unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
	int fd, r;

	fd = memfd_create("ossc-cache", flags | MFD_NOEXEC_SEAL);
	if (fd == -1 && errno == EINVAL)
		fd = memfd_create("ossc-cache", flags);
	if (fd == -1)
		return -errno;
	if (fchmod(fd, 0400) == -1) {
		r = -errno;
		close(fd);
		return r;
	}
	return fd;
}

/* The same file, through a description that cannot write. */
static int reopen_read_only(int fd)
{
	char path[32];
	int client_fd;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	client_fd = open(path, O_RDONLY | O_CLOEXEC);
	return client_fd == -1 ? -errno : client_fd;
}

static int new_memfd(uint64_t len, struct memfile *ret_file)
{
	struct memfile m = { -1, -1 };
	int r;

	m.fd = make_memfd();
	if (m.fd < 0)
		return m.fd;
	if (ftruncate(m.fd, (off_t)len) == -1)
		goto err_errno;
	/* Readers map it whole: it must never shrink under them. */
	if (fcntl(m.fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == -1)
		goto err_errno;
	m.client_fd = reopen_read_only(m.fd);
	if (m.client_fd < 0) {
		r = m.client_fd;
		goto err_close;
	}
	*ret_file = m;
	return 0;

err_errno:
	r = -errno;
err_close:
	close(m.fd);
	return r;
}

int memfile_new_mapped(size_t len, struct memfile *ret_file, void **ret_map)
{
	struct memfile m = { -1, -1 };
	void *map = MAP_FAILED;
	int r;

	m.fd = make_memfd();
	if (m.fd < 0)
		return m.fd;
	if (ftruncate(m.fd, (off_t)len) == -1)
		goto err_errno;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
	if (map == MAP_FAILED)
		goto err_errno;
	/* From here on this mapping is the only way to write. */
	if (fcntl(m.fd, F_ADD_SEALS,
		  F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == -1)
		goto err_errno;
	m.client_fd = reopen_read_only(m.fd);
	if (m.client_fd < 0) {
		r = m.client_fd;
		goto err_close;
	}
	*ret_file = m;
	*ret_map = map;
	return 0;

err_errno:
	r = -errno;
err_close:
	if (map != MAP_FAILED)
		munmap(map, len);
	close(m.fd);
	return r;
}

/* Is the client's descriptor the daemon's file, seen through a mount that refuses writing? */
static int check_read_only_view(const struct memfile *m, const char *dir)
{
	struct stat own, theirs;
	struct statvfs fs;

	if (fstat(m->fd, &own) == -1 || fstat(m->client_fd, &theirs) == -1 ||
	    fstatvfs(m->client_fd, &fs) == -1)
		return -errno;
	if (own.st_dev == theirs.st_dev && own.st_ino == theirs.st_ino &&
	    (fs.f_flag & ST_RDONLY) != 0)
		return 0;
	log_error("%s/ro is not a read-only mount of %s/rw: clients could write into the cache; "
		  "restart the daemon, which mounts both",
		  dir, dir);
	return -EROFS;
}

static int new_tmpfs_file(const char *dir, uint64_t len, struct memfile *ret_file)
{
	static unsigned long serial;
	struct memfile m = { -1, -1 };
	char path[PATH_MAX], view[PATH_MAX];
	unsigned long nr = __atomic_add_fetch(&serial, 1, __ATOMIC_RELAXED); /* only unique */
	int r = 0;

	if ((size_t)snprintf(path, sizeof(path), "%s/rw/%d.%lu", dir, getpid(), nr) >=
		    sizeof(path) ||
	    (size_t)snprintf(view, sizeof(view), "%s/ro/%d.%lu", dir, getpid(), nr) >= sizeof(view))
		return -ENAMETOOLONG;
	m.fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0400);
	if (m.fd == -1)
		return -errno;
	if (ftruncate(m.fd, (off_t)len) == -1)
		r = -errno;
	if (r == 0) {
		m.client_fd = open(view, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
		/* Another file, or none: what is at `ro` is not a view of `rw`. */
		r = m.client_fd == -1 ? -errno : check_read_only_view(&m, dir);
	}
	unlink(path);
	if (r != 0) {
		memfile_close(&m);
		return r;
	}
	*ret_file = m;
	return 0;
}

int memfile_new(const char *dir, uint64_t len, struct memfile *ret_file)
{
	if (len == 0 || len > INT64_MAX)
		return -EFBIG;
	return dir == NULL ? new_memfd(len, ret_file) : new_tmpfs_file(dir, len, ret_file);
}

void memfile_close(struct memfile *m)
{
	if (m->client_fd != -1)
		close(m->client_fd);
	if (m->fd != -1)
		close(m->fd);
	*m = (struct memfile){ -1, -1 };
}

int memfile_punch(const struct memfile *m, uint64_t offset, uint64_t len)
{
	int r;

	do
		r = fallocate(m->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)offset,
			      (off_t)len);
	while (r == -1 && errno == EINTR);
	return r == -1 ? -errno : 0;
}

/*
 * The kernel takes the largest page that fits and under which nothing lies yet.  A small one at the
 * beginning makes that LARGE_LEN for the second half; and then that half, for the first.
 */
static void lay_two(int fd, off_t at)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	/* The mapping has no room for more than a small page; populated, it cannot fail with SIGBUS. */
	void *map = mmap(NULL, page, PROT_READ, MAP_SHARED | MAP_POPULATE, fd, at);

	if (map == MAP_FAILED)
		return;
	munmap(map, page);
	/* Pages that the kernel does not clear until a write leaves some of them out. */
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, at + LARGE_LEN, LARGE_LEN) == 0)
		fallocate(fd, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE, at, (off_t)page);
}

void memfile_lay_large(const struct memfile *m, uint64_t offset, uint64_t len)
{
	const uint64_t two = 2 * LARGE_LEN;
	uint64_t at = (offset + two - 1) / two * two;

	for (; at + two <= offset + len; at += two)
		lay_two(m->fd, (off_t)at);
}

int64_t memfile_used(const struct memfile *m)
{
	struct stat st;

	return fstat(m->fd, &st) == -1 ? -errno : (int64_t)st.st_blocks * 512;
}

/* ---- the tmpfs ------------------------------------------------------------------ */

static int make_dir(const char *path)
{
	return mkdir(path, 0700) == -1 && errno != EEXIST ? -errno : 0;
}

/* The pages it has then, or a negative errno. */
static int mount_tmpfs(const char *rw, uint64_t size, enum memfile_pages wanted)
{
	/* The most wanted first; huge= needs a kernel built with it, noswap Linux 6.4. */
	static const char *const extras[] = { ",huge=within_size,noswap", ",huge=within_size",
					      ",noswap", "" };
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
	char options[96];
	unsigned i;

	for (i = wanted != MEMFILE_SMALL ? 0 : 2; i < sizeof(extras) / sizeof(extras[0]); i++) {
		snprintf(options, sizeof(options), "mode=0700,size=%llu%s",
			 (unsigned long long)size, extras[i]);
		if (mount("tmpfs", rw, "tmpfs", flags, options) == 0)
			return i < 2 ? (int)wanted : MEMFILE_SMALL;
		if (errno != EINVAL)
			return -errno;
	}
	return -EINVAL;
}

static int mount_view(const char *rw, const char *ro)
{
	unsigned long flags = MS_NOSUID | MS_NODEV | MS_NOEXEC;

	if (mount(rw, ro, NULL, MS_BIND, NULL) == -1)
		return -errno;
	if (mount(NULL, ro, NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | flags, NULL) == -1)
		return -errno;
	return 0;
}

/* The two places below dir. */
static int split_dir(const char *dir, char rw[PATH_MAX], char ro[PATH_MAX])
{
	if ((size_t)snprintf(rw, PATH_MAX, "%s/rw", dir) >= PATH_MAX ||
	    (size_t)snprintf(ro, PATH_MAX, "%s/ro", dir) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

/* Linux 6.14 to 6.16 measure pages by the write, those before know but two sizes. */
static bool has_large(const char *dir)
{
	struct memfile m;
	int64_t used = 0;

	if (memfile_new(dir, 2 * LARGE_LEN, &m) != 0)
		return false;
	memfile_lay_large(&m, 0, 2 * LARGE_LEN);
	if (pwrite(m.fd, "", 1, 0) == 1)
		used = memfile_used(&m);
	memfile_close(&m);
	return used > (int64_t)LARGE_LEN + sysconf(_SC_PAGESIZE);
}

static int mount_both(const char *dir, uint64_t size, enum memfile_pages wanted)
{
	char rw[PATH_MAX], ro[PATH_MAX];
	int r, pages;

	r = split_dir(dir, rw, ro);
	if (r == 0)
		r = make_dir(dir);
	if (r == 0)
		r = make_dir(rw);
	if (r == 0)
		r = make_dir(ro);
	if (r != 0)
		return r;
	memfile_unmount(dir);
	pages = mount_tmpfs(rw, size, wanted);
	r = pages < 0 ? pages : mount_view(rw, ro);
	if (r != 0)
		memfile_unmount(dir);
	return r != 0 ? r : pages;
}

int memfile_mount(const char *dir, uint64_t size, enum memfile_pages wanted)
{
	int pages = mount_both(dir, size, wanted);

	return pages != MEMFILE_LARGE || has_large(dir) ? pages
							: mount_both(dir, size, MEMFILE_SMALL);
}

int memfile_resize(const char *dir, uint64_t size)
{
	char rw[PATH_MAX], ro[PATH_MAX], options[48];
	int r;

	r = split_dir(dir, rw, ro);
	if (r != 0)
		return r;
	snprintf(options, sizeof(options), "size=%llu", (unsigned long long)size);
	if (mount(NULL, rw, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, options) == -1)
		return -errno;
	return 0;
}

/* Everything mounted at this place, however often. */
static void unmount_all(const char *path)
{
	while (umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
		;
}

void memfile_unmount(const char *dir)
{
	char rw[PATH_MAX], ro[PATH_MAX];

	if (split_dir(dir, rw, ro) != 0)
		return;
	unmount_all(ro);
	unmount_all(rw);
}
