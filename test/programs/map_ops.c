/*
 * map_ops.c - maps a file in every way and prints what it sees.
 *
 *	map_ops FILE [OTHER-FILE]
 */
#include "test/programs/map_ops.h"

#define NR(a) (sizeof(a) / sizeof((a)[0]))

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 3
#endif

static void show_kinds(void)
{
	static const int types[] = { MAP_PRIVATE, MAP_SHARED, MAP_SHARED_VALIDATE, 0, 7 };
	static const int prots[] = { PROT_READ, PROT_READ | PROT_WRITE, PROT_READ | PROT_EXEC,
				     PROT_WRITE };
	static const int flags[] = {
		0, MAP_POPULATE, MAP_LOCKED, MAP_NORESERVE, MAP_POPULATE | MAP_NONBLOCK, MAP_HUGETLB
	};
	size_t t, p, f;

	for (t = 0; t < NR(types); t++)
		for (p = 0; p < NR(prots); p++)
			for (f = 0; f < NR(flags); f++) {
				char *m;

				/* Two faults at once, for who may not lock so much. */
				if (types[t] != MAP_PRIVATE && flags[f] == MAP_LOCKED)
					continue;
				m = mmap(NULL, size, prots[p], types[t] | flags[f], fd, 0);
				printf("kind %d %d %#x: ", types[t], prots[p], (unsigned)flags[f]);
				if (m == MAP_FAILED) {
					printf("%s\n", strerrorname_np(errno));
					continue;
				}
				printf("%lx\n", (long)sum(m + f * PAGE, 300000));
				munmap(m, size);
			}
}

static void try_map(size_t off, size_t len)
{
	char *m = mmap(NULL, len, PROT_READ, MAP_PRIVATE, fd, (off_t)off);
	size_t pages = (len + PAGE - 1) / PAGE, i;

	printf("range %zu %zu:", off, len);
	if (m == MAP_FAILED) {
		printf(" %s\n", strerrorname_np(errno));
		return;
	}
	for (i = 0; i < pages; i += i + 9 < pages && i > 4 ? pages - i - 9 : 1)
		printf(" %d,%d", byte_at(m + i * PAGE), byte_at(m + i * PAGE + PAGE - 1));
	printf("\n");
	munmap(m, len);
}

/* Zeros to the end of the last page, SIGBUS behind it. */
static void show_ends(void)
{
	size_t last = size & ~(PAGE - 1);

	try_map(0, 1);
	try_map(0, PAGE - 1);
	try_map(PAGE * 3, PAGE + 1);
	try_map(0, size);
	try_map(0, size + 1);
	try_map(0, size + 5 * PAGE);
	try_map(last, PAGE);
	try_map(last, 3 * PAGE);
	try_map(last - 2 * PAGE, 7 * PAGE);
	try_map(last + PAGE, PAGE);
	try_map(last + 100 * PAGE, PAGE * 2);
	try_map(0, 0);
	try_map(100, PAGE);
	try_map((size_t)-4096, PAGE);
	try_map(1ul << 62, 1ul << 62);
}

static void show_whole(const char *what)
{
	static const int types[] = { MAP_PRIVATE, MAP_SHARED };
	size_t t;

	for (t = 0; t < NR(types); t++) {
		char *m = map(0, size, PROT_READ, types[t]);

		printf("%s %zu: %lx", what, t, (long)sum(m, size));
		stir();
		printf(" %lx\n", (long)sum(m, size));
		munmap(m, size);
	}
}

static void show_own_writes(void)
{
	char *m = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	char *n = map(0, size, PROT_READ, MAP_PRIVATE);
	size_t i;

	/* Some before their bytes were ever looked at. */
	for (i = 0; i < size; i += 37 * PAGE)
		m[i + 5] ^= 0x55;
	printf("written %lx, not %lx\n", (long)sum(m, size), (long)sum(n, size));
	stir();
	printf("later %lx, not %lx\n", (long)sum(m, size), (long)sum(n, size));
	printf("dontneed %s", word(madvise(m, size / 2 & ~(PAGE - 1), MADV_DONTNEED)));
	printf(" %lx\n", (long)sum(m, size));
	munmap(m, size);
	munmap(n, size);
}

static void show_fixed(void)
{
	size_t len = 64 * PAGE;
	char *room = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	char *m;

	memset(room, 7, len);
	m = mmap(room + 8 * PAGE, 16 * PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, fd, 5 * PAGE);
	printf("fixed %d %lx\n", m == room + 8 * PAGE, (long)sum(room, len));
	m = mmap(room + 12 * PAGE, 4 * PAGE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 50 * PAGE);
	printf("over our own %d %lx\n", m == room + 12 * PAGE, (long)sum(room, len));
	m = mmap(room + 9 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED | MAP_ANONYMOUS, -1, 0);
	printf("anonymous over it %d %lx\n", m == room + 9 * PAGE, (long)sum(room, len));
	m = mmap(room + 10 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED_NOREPLACE, fd, 0);
	printf("no replacing %s\n", m == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	/* What fails changes nothing. */
	m = mmap(room + 10 * PAGE, PAGE, PROT_READ, MAP_PRIVATE | MAP_FIXED, 999, 0);
	printf("bad descriptor %s\n", m == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	m = mmap(room + 10 * PAGE, PAGE, PROT_READ, MAP_SHARED | MAP_FIXED | MAP_HUGETLB, fd, 0);
	printf("huge %s\n", m == MAP_FAILED ? strerrorname_np(errno) : "mapped");
	stir();
	printf("in the end %lx\n", (long)sum(room, len));
	munmap(room, len);
}

static void show_unmapped(void)
{
	char *m = map(0, 64 * PAGE, PROT_READ, MAP_PRIVATE);

	munmap(m, 4 * PAGE);
	munmap(m + 20 * PAGE, 8 * PAGE);
	munmap(m + 60 * PAGE, 100);
	printf("unmap unaligned %s", word(munmap(m + 30 * PAGE + 1, PAGE)));
	printf(", nothing %s\n", word(munmap(m + 30 * PAGE, 0)));
	stir();
	printf("left: %d %d %d %d %d %lx %lx\n", byte_at(m), byte_at(m + 4 * PAGE),
	       byte_at(m + 27 * PAGE), byte_at(m + 60 * PAGE), byte_at(m + 61 * PAGE),
	       (long)sum(m + 4 * PAGE, 16 * PAGE), (long)sum(m + 28 * PAGE, 32 * PAGE));
	munmap(m, 64 * PAGE);
	printf("gone: %d\n", byte_at(m + 30 * PAGE));
}

static void show_protection(void)
{
	char *p = map(0, 40 * PAGE, PROT_READ, MAP_PRIVATE);
	char *s = map(0, 40 * PAGE, PROT_READ, MAP_SHARED);
	char *n = map(0, 40 * PAGE, PROT_NONE, MAP_PRIVATE);

	printf("shared %s", word(mprotect(s, 40 * PAGE, PROT_READ | PROT_WRITE)));
	printf(" %s\n", word(mprotect(s, 8 * PAGE, PROT_NONE)));
	printf("private %s", word(mprotect(p + 8 * PAGE, 8 * PAGE, PROT_READ | PROT_WRITE)));
	p[10 * PAGE] ^= 1;
	printf(" %lx\n", (long)sum(p, 40 * PAGE));
	printf("unaligned %s\n", word(mprotect(p + 1, PAGE, PROT_READ)));
	printf("none %d", byte_at(n + PAGE));
	printf(" %s %lx\n", word(mprotect(n, 40 * PAGE, PROT_READ)), (long)sum(n, 40 * PAGE));
	stir();
	mprotect(s, 8 * PAGE, PROT_READ);
	printf("after %lx %lx %lx\n", (long)sum(p, 40 * PAGE), (long)sum(s, 40 * PAGE),
	       (long)sum(n, 40 * PAGE));
	munmap(p, 40 * PAGE);
	munmap(s, 40 * PAGE);
	munmap(n, 40 * PAGE);
}

static void show_advice(void)
{
	static const int advices[] = {
		MADV_NORMAL,
		MADV_RANDOM,
		MADV_SEQUENTIAL,
		MADV_WILLNEED,
		MADV_DONTNEED,
		MADV_FREE,
		MADV_REMOVE,
		MADV_DONTFORK,
		MADV_DOFORK,
		MADV_DONTDUMP,
		MADV_DODUMP,
		MADV_WIPEONFORK,
		MADV_KEEPONFORK,
		MADV_COLD,
		MADV_PAGEOUT,
		22,
		999,
	};
	static const int types[] = { MAP_PRIVATE, MAP_SHARED };
	size_t t, i, len = size & ~(PAGE - 1);
	unsigned char *core = malloc(size / PAGE + 1);

	for (t = 0; t < NR(types); t++) {
		char *m = map(0, size, PROT_READ, types[t]);

		for (i = 0; i < NR(advices); i++) {
			printf("advice %d %s", advices[i], word(madvise(m, len, advices[i])));
			printf(" %lx\n", (long)sum(m + i * PAGE, 100000));
		}
		printf("unaligned %s", word(madvise(m + 1, PAGE, MADV_WILLNEED)));
		printf(" posix %d %d\n", posix_madvise(m, len, POSIX_MADV_WILLNEED),
		       posix_madvise(m, len, POSIX_MADV_DONTNEED));
		printf("msync %s", word(msync(m, size, MS_SYNC)));
		printf(" %s", word(msync(m, size, MS_ASYNC | MS_INVALIDATE)));
		printf(" mincore %s\n", word(mincore(m, size, core)));
		printf("lock %s", word(mlock(m + PAGE, 10 * PAGE)));
		printf(" %s", word(mlock2(m + 30 * PAGE, 10 * PAGE, MLOCK_ONFAULT)));
		printf(" %s", word(munlock(m, size)));
		stir();
		printf(" %lx\n", (long)sum(m, size));
		munmap(m, size);
	}
	free(core);
}

static void show_all_locked(void)
{
	char *m = map(0, size, PROT_READ, MAP_PRIVATE), *n;

	printf("lock all %s", word(mlockall(MCL_CURRENT | MCL_FUTURE)));
	n = map(PAGE, 200 * PAGE, PROT_READ, MAP_PRIVATE);
	printf(" %lx %lx", (long)sum(m, size), (long)sum(n, 200 * PAGE));
	printf(" %s\n", word(munlockall()));
	munmap(m, size);
	munmap(n, 200 * PAGE);
}

/* Accesses of the kernel's own. */
static void show_kernel(void)
{
	char *m = map(0, size, PROT_READ, MAP_PRIVATE), *w, buf[3 * PAGE];
	char *writable = map(0, size, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct iovec mine = { buf, sizeof(buf) }, theirs = { m + 300 * PAGE + 9, sizeof(buf) };
	int pipes[2];

	if (pipe(pipes) != 0)
		exit(1);
	printf("write %zd", write(pipes[1], m + 77 * PAGE + 100, 3 * PAGE));
	printf(" %zd", read(pipes[0], buf, sizeof(buf)));
	printf(" %lx\n", (long)sum(buf, sizeof(buf)));
	printf("writev %zd", writev(pipes[1], &(struct iovec){ m + 400 * PAGE, 100 }, 1));
	printf(" %zd", read(pipes[0], writable + 500 * PAGE - 7, 100));
	printf(" %lx\n", (long)sum(writable + 499 * PAGE, 2 * PAGE));
	stir();
	w = writable + 600 * PAGE;
	printf("pread into it %zd", pread(fd, w + 3, 5000, 12345));
	printf(" %lx\n", (long)sum(w, 3 * PAGE));
	/* Through the kernel from ourselves; the filters of some containers refuse it. */
	if (process_vm_readv(getpid(), &mine, 1, &theirs, 1, 0) < 0)
		memcpy(buf, m + 300 * PAGE + 9, sizeof(buf));
	printf("readv %lx\n", (long)sum(buf, sizeof(buf)));
	printf("open %s\n", word(open(m + 700 * PAGE, O_RDONLY)));
	munmap(m, size);
	munmap(writable, size);
	close(pipes[0]);
	close(pipes[1]);
}

int main(int argc, char **argv)
{
	start(argc, argv);
	show_whole("cold");
	show_kinds();
	show_ends();
	show_own_writes();
	show_fixed();
	show_unmapped();
	show_protection();
	show_advice();
	show_all_locked();
	if (getenv("MAP_OPS_NO_KERNEL") == NULL)
		show_kernel();
	show_whole("in the end");
	return 0;
}
