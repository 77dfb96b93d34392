/*
 * many_clients.c - so many processes read one file, each with a session of its
 * own, and all of them stay until the last has read it.
 *
 *	many_clients FILE COUNT
 *
 * Prints "all here" when all are there, waits for a byte on standard input, and
 * prints how many different sums they found, how many bytes the largest read, and
 * how many failed.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct found {
	uint64_t sum, len;
	int failed;
};

static void read_all(const char *path, struct found *f)
{
	static unsigned char buf[65536];
	ssize_t n = -1, i;
	int fd;

	f->sum = 14695981039346656037u;
	fd = open(path, O_RDONLY);
	while (fd != -1 && (n = read(fd, buf, sizeof(buf))) > 0) {
		for (i = 0; i < n; i++)
			f->sum = (f->sum ^ buf[i]) * 1099511628211u;
		f->len += (uint64_t)n;
	}
	f->failed = n != 0;
}

static void child(const char *path, int report, int stay)
{
	struct found f = { 0 };
	char byte;

	read_all(path, &f);
	if (write(report, &f, sizeof(f)) != sizeof(f))
		_exit(1);
	/* Nobody writes there: it ends when the parent has seen all. */
	_exit(read(stay, &byte, 1) == 0 ? 0 : 1);
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 0, nr_sums = 0, failed = 0, i, status;
	int report[2], stay[2];
	struct found f;
	uint64_t last = 0, longest = 0;
	char byte;

	if (count < 1 || pipe(report) != 0 || pipe(stay) != 0)
		return 2;
	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		if (pid == -1) {
			perror("fork");
			return 2;
		}
		if (pid == 0) {
			close(stay[1]);
			child(argv[1], report[1], stay[0]);
		}
	}
	for (i = 0; i < count; i++) {
		if (read(report[0], &f, sizeof(f)) != sizeof(f))
			return 2;
		nr_sums += i == 0 || f.sum != last;
		last = f.sum;
		longest = f.len > longest ? f.len : longest;
		failed += f.failed;
	}
	puts("all here");
	fflush(stdout);
	if (read(0, &byte, 1) == -1)
		return 2;
	close(stay[1]);
	while (wait(&status) > 0)
		failed += status != 0;
	printf("%d %llu %d\n", nr_sums, (unsigned long long)longest, failed);
	return 0;
}
