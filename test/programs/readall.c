/*
 * readall.c - reads one file in every way that a program may, and prints for
 * each way the length and a checksum of what it got.  All ways must agree.
 *
 *	readall FILE
 */
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define PIECE 65536

struct sum {
	uint64_t hash;
	uint64_t len;
};

static void add(struct sum *s, const void *bytes, size_t len)
{
	const unsigned char *b = bytes;
	size_t i;

	for (i = 0; i < len; i++)
		s->hash = (s->hash ^ b[i]) * 1099511628211ull;
	s->len += len;
}

static struct sum new_sum(void)
{
	return (struct sum){ .hash = 14695981039346656037ull };
}

static void stop(const char *what)
{
	fprintf(stderr, "readall: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int open_or_stop(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd == -1)
		stop("open");
	return fd;
}

static struct sum by_read(const char *path, size_t piece)
{
	struct sum s = new_sum();
	char *buf = malloc(piece);
	int fd = open_or_stop(path);
	ssize_t n;

	while ((n = read(fd, buf, piece)) > 0)
		add(&s, buf, (size_t)n);
	if (n < 0)
		stop("read");
	close(fd);
	free(buf);
	return s;
}

static struct sum by_pread(const char *path)
{
	struct sum s = new_sum();
	char buf[PIECE];
	int fd = open_or_stop(path);
	ssize_t n;

	while ((n = pread(fd, buf, sizeof(buf), (off_t)s.len)) > 0)
		add(&s, buf, (size_t)n);
	if (n < 0)
		stop("pread");
	if (lseek(fd, 0, SEEK_CUR) != 0)
		stop("pread moved the offset");
	close(fd);
	return s;
}

static struct sum by_vectors(const char *path, int positioned)
{
	struct sum s = new_sum();
	char a[7], b[PIECE], c[4096];
	int fd = open_or_stop(path);

	for (;;) {
		struct iovec iov[3] = {
			{ a, sizeof(a) },
			{ b, sizeof(b) },
			{ c, sizeof(c) },
		};
		ssize_t n = positioned ? preadv(fd, iov, 3, (off_t)s.len) : readv(fd, iov, 3);
		size_t left, i;

		if (n < 0)
			stop("readv");
		if (n == 0)
			break;
		left = (size_t)n;
		for (i = 0; i < 3 && left > 0; i++) {
			size_t take = left < iov[i].iov_len ? left : iov[i].iov_len;

			add(&s, iov[i].iov_base, take);
			left -= take;
		}
	}
	close(fd);
	return s;
}

static struct sum by_mmap(const char *path, int flags, int prot)
{
	struct sum s = new_sum();
	int fd = open_or_stop(path);
	struct stat st;
	char *map;

	if (fstat(fd, &st) != 0)
		stop("fstat");
	if (st.st_size > 0) {
		map = mmap(NULL, (size_t)st.st_size, prot, flags, fd, 0);
		if (map == MAP_FAILED)
			stop("mmap");
		add(&s, map, (size_t)st.st_size);
		if ((prot & PROT_WRITE) != 0)
			map[0] ^= 1;
		if (munmap(map, (size_t)st.st_size) != 0)
			stop("munmap");
	}
	close(fd);
	return s;
}

static struct sum by_fread(const char *path)
{
	struct sum s = new_sum();
	char buf[10000];
	FILE *f = fopen(path, "rb");
	size_t n;

	if (f == NULL)
		stop("fopen");
	while ((n = fread(buf, 1, sizeof(buf), f)) > 0)
		add(&s, buf, n);
	if (ferror(f))
		stop("fread");
	fclose(f);
	return s;
}

static struct sum by_getline(const char *path)
{
	struct sum s = new_sum();
	int fd = open_or_stop(path);
	FILE *f = fdopen(fd, "r");
	char *line = NULL;
	size_t room = 0;
	ssize_t n;

	if (f == NULL)
		stop("fdopen");
	if (fileno(f) != fd)
		stop("fileno");
	while ((n = getline(&line, &room, f)) > 0)
		add(&s, line, (size_t)n);
	free(line);
	fclose(f);
	return s;
}

/* From the end to the start, through a duplicate that shares the offset. */
static struct sum by_seeks(const char *path)
{
	char buf[PIECE];
	int fd = open_or_stop(path), other = dup(fd);
	off_t at = lseek(fd, 0, SEEK_END);
	struct sum s = { .len = 0 };

	while (at > 0) {
		size_t n = at < PIECE ? (size_t)at : PIECE, i;

		if (lseek(other, at - (off_t)n, SEEK_SET) != at - (off_t)n ||
		    read(fd, buf, n) != (ssize_t)n || lseek(other, 0, SEEK_CUR) != at)
			stop("seek");
		for (i = 0; i < n; i++)
			s.hash += (unsigned char)buf[i];
		s.len += n;
		at -= (off_t)n;
	}
	close(other);
	close(fd);
	return s;
}

static void show(const char *how, struct sum s)
{
	printf("%-18s %12llu %016llx\n", how, (unsigned long long)s.len,
	       (unsigned long long)s.hash);
}

int main(int argc, char **argv)
{
	const char *path = argv[1];

	if (argc != 2) {
		fprintf(stderr, "usage: readall FILE\n");
		return 2;
	}
	show("read 64 KiB", by_read(path, PIECE));
	show("read 4097", by_read(path, 4097));
	show("read 1 MiB", by_read(path, 1 << 20));
	show("pread", by_pread(path));
	show("readv", by_vectors(path, 0));
	show("preadv", by_vectors(path, 1));
	show("mmap shared", by_mmap(path, MAP_SHARED, PROT_READ));
	show("mmap private", by_mmap(path, MAP_PRIVATE, PROT_READ));
	show("mmap writable", by_mmap(path, MAP_PRIVATE, PROT_READ | PROT_WRITE));
	show("fread", by_fread(path));
	show("getline", by_getline(path));
	show("backwards", by_seeks(path));
	return 0;
}
