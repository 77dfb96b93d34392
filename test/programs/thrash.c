/*
 * thrash.c - many threads open, duplicate, read, map and close one file through
 * a few shared slots, while some fork; every byte is compared with a second file
 * of the same content, which is mapped beforehand.  A slot that another thread
 * closed may answer EBADF; a wrong byte, or another error, ends the program.
 *
 *	thrash FILE SAME-FILE THREADS ROUNDS [SEED]
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NR_SLOTS 16
#define PIECE	 (200 * 1024)

static const char *path;
static const char *want;
static size_t size;
static unsigned long rounds;
static int slots[NR_SLOTS];

static void stop(const char *what)
{
	fprintf(stderr, "thrash: %s: %s\n", what, strerror(errno));
	_exit(1);
}

static unsigned next(unsigned *seed)
{
	*seed = *seed * 1664525u + 1013904223u;
	return *seed >> 8;
}

static void check(const char *how, const char *got, size_t off, size_t len)
{
	if (memcmp(got, want + off, len) != 0) {
		errno = EILSEQ;
		stop(how);
	}
}

static void read_at(int fd, char *buf, unsigned *seed)
{
	size_t off = next(seed) * 61u % size, len = 1 + next(seed) % PIECE;
	ssize_t n = pread(fd, buf, len, (off_t)off);
	size_t expect = len < size - off ? len : size - off;

	if (n < 0 && errno == EBADF)
		return; /* closed by another thread */
	if (n != (ssize_t)expect)
		stop("pread");
	check("pread", buf, off, expect);
}

/* A descriptor of one's own: its offset is nobody else's. */
static void read_own(char *buf, unsigned *seed)
{
	int fd = open(path, O_RDONLY), other;
	size_t at = next(seed) * 61u % size;
	unsigned i;

	if (fd == -1)
		stop("open");
	other = dup(fd);
	if (lseek(fd, (off_t)at, SEEK_SET) != (off_t)at)
		stop("lseek");
	for (i = 0; i < 4; i++) {
		ssize_t n = read(i % 2 == 0 ? fd : other, buf, 1 + next(seed) % PIECE);

		if (n < 0)
			stop("read");
		check("read", buf, at, (size_t)n);
		at += (size_t)n;
	}
	close(other);
	close(fd);
}

static void read_mapped(unsigned *seed)
{
	size_t off = next(seed) * 61u % size & ~(size_t)4095, len = 1 + next(seed) % PIECE;
	int fd = open(path, O_RDONLY);
	char *map;

	if (len > size - off)
		len = size - off;
	map = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, (off_t)off);
	if (map == MAP_FAILED)
		stop("mmap");
	close(fd);
	check("mmap", map, off, len);
	map[0] ^= 1;
	munmap(map, len);
}

static void fork_and_read(char *buf, unsigned *seed)
{
	int fd = open(path, O_RDONLY), status;
	pid_t pid;

	if (fd == -1)
		stop("open");
	pid = fork();
	if (pid == 0) {
		read_at(fd, buf, seed);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) != pid || status != 0)
		stop("the child");
	close(fd);
}

static void *run(void *arg)
{
	unsigned seed = (unsigned)(size_t)arg;
	char *buf = malloc(PIECE);
	unsigned long i;

	for (i = 0; i < rounds; i++) {
		int *slot = &slots[next(&seed) % NR_SLOTS], fd;

		switch (next(&seed) % 16) {
		case 0:
		case 1:
			fd = open(path, O_RDONLY | O_CLOEXEC);
			if (fd == -1)
				stop("open");
			fd = __atomic_exchange_n(slot, fd, __ATOMIC_ACQ_REL);
			if (fd >= 0)
				close(fd);
			break;
		case 2:
			read_own(buf, &seed);
			break;
		case 3:
			read_mapped(&seed);
			break;
		case 4:
			if (i % 16 == 0)
				fork_and_read(buf, &seed);
			break;
		default:
			fd = __atomic_load_n(slot, __ATOMIC_ACQUIRE);
			if (fd >= 0)
				read_at(fd, buf, &seed);
		}
	}
	free(buf);
	return NULL;
}

int main(int argc, char **argv)
{
	pthread_t threads[256];
	unsigned long nr, i, seed;
	struct stat st;
	int fd;

	if (argc < 5) {
		fprintf(stderr, "usage: thrash FILE SAME-FILE THREADS ROUNDS [SEED]\n");
		return 2;
	}
	path = argv[1];
	nr = strtoul(argv[3], NULL, 10);
	rounds = strtoul(argv[4], NULL, 10);
	seed = argc > 5 ? strtoul(argv[5], NULL, 10) : 1;
	fd = open(argv[2], O_RDONLY);
	if (fd == -1 || fstat(fd, &st) != 0 || st.st_size == 0)
		stop(argv[2]);
	size = (size_t)st.st_size;
	want = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
	if (want == MAP_FAILED)
		stop("mmap");
	memset(slots, 0xff, sizeof(slots));
	for (i = 0; i < nr && i < 256; i++)
		if (pthread_create(&threads[i], NULL, run, (void *)(seed * 1000 + i)) != 0)
			stop("pthread_create");
	while (i-- > 0)
		pthread_join(threads[i], NULL);
	printf("right\n");
	return 0;
}
