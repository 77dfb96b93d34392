/*
 * smallstack.c - the usual calls on a file and its directory, made by a thread with the smallest
 * stack that there is (PTHREAD_STACK_MIN), and reading on a signal's stack of its own; prints what
 * they said.
 *
 *	smallstack DIR FILE
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *dir, *file;
static int reader = -1;
static volatile ssize_t in_handler;

/* Results are kept, and printed by main(): stdio needs more stack than there is here. */
static long said[16];
static unsigned nr_said;

static void say(long r)
{
	said[nr_said++] = r < 0 ? -errno : r;
}

static void *on_small_stack(void *arg)
{
	static char buf[65536], path[PATH_MAX];
	struct dirent *e;
	struct stat st;
	long names = 0;
	int fd, at;
	DIR *d;
	void *m;

	(void)arg;
	snprintf(path, sizeof(path), "%s/%s", dir, file);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	say(fd < 0 ? -1 : 0);
	say(read(fd, buf, sizeof(buf)));
	say(pread(fd, buf, 100, 5000));
	say(fstat(fd, &st));
	say(st.st_size);
	m = mmap(NULL, 4096, PROT_READ, MAP_PRIVATE, fd, 0);
	say(m == MAP_FAILED ? -1 : ((unsigned char *)m)[100]);
	say(close(fd));
	say(stat(path, &st));
	say(access(path, R_OK));
	at = open(dir, O_RDONLY | O_DIRECTORY);
	say(fstatat(at, file, &st, 0));
	fd = openat(at, file, O_RDONLY);
	say(read(fd, buf, 10));
	d = fdopendir(at);
	while (d != NULL && (e = readdir(d)) != NULL)
		names++;
	say(names);
	say(chdir(dir));
	say(access(file, R_OK));
	say(close(fd) + (d != NULL ? closedir(d) : -1));
	return NULL;
}

static void on_signal(int sig)
{
	static char buf[8192];

	(void)sig;
	in_handler = pread(reader, buf, sizeof(buf), 4096);
}

static int read_on_signal_stack(void)
{
	stack_t stack = { .ss_size = (size_t)sysconf(_SC_MINSIGSTKSZ) + 2048 };
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_ONSTACK };
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	reader = open(path, O_RDONLY);
	stack.ss_sp = malloc(stack.ss_size);
	if (reader == -1 || sigaltstack(&stack, NULL) == -1 ||
	    sigaction(SIGUSR1, &action, NULL) == -1)
		return -1;
	return raise(SIGUSR1);
}

int main(int argc, char **argv)
{
	pthread_attr_t attr;
	pthread_t thread;
	unsigned i;

	if (argc != 3) {
		fprintf(stderr, "usage: smallstack DIR FILE\n");
		return 2;
	}
	dir = argv[1];
	file = argv[2];
	pthread_attr_init(&attr);
	if (pthread_attr_setstacksize(&attr, PTHREAD_STACK_MIN) != 0 ||
	    pthread_create(&thread, &attr, on_small_stack, NULL) != 0 ||
	    pthread_join(thread, NULL) != 0 || read_on_signal_stack() != 0) {
		fprintf(stderr, "smallstack: %s\n", strerror(errno));
		return 1;
	}
	for (i = 0; i < nr_said; i++)
		printf("%ld ", said[i]);
	printf("%zd\n", in_handler);
	return 0;
}
