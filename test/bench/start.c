/*
 * start.c - what a preloaded library costs a program at its start: runs a program many times,
 * bare, with the library but ENABLE_CONNECTOR unset, and with the connector on for a MODEL_DIR
 * that the program does not touch, in turns, and prints the medians as one line of JSON.
 *
 *	start LIBRARY COUNT PROGRAM [ARGUMENT]...
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum state {
	BARE,
	OFF,	   /* preloaded, ENABLE_CONNECTOR unset */
	ELSEWHERE, /* preloaded and on, MODEL_DIR is another directory */
	NR_STATES,
};

static char preload[4096];

static const char *const envs[NR_STATES][6] = {
	[BARE] = { "PATH=/usr/bin:/bin", NULL },
	[OFF] = { "PATH=/usr/bin:/bin", preload, NULL },
	[ELSEWHERE] = { "PATH=/usr/bin:/bin", preload, "ENABLE_CONNECTOR=1",
			"MODEL_DIR=/nowhere/near", "OSS_PATH=oss://bucket/prefix/", NULL },
};

struct took {
	double wall_us; /* from before the program is started until it has ended */
	double cpu_us;	/* of the program: steady on a busy machine, too */
};

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

static int run(char **argv, const char *const *envp, struct took *ret)
{
	double start = now_us();
	struct rusage used;
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		execve(argv[0], argv, (char *const *)(uintptr_t)envp);
		_exit(127);
	}
	if (pid == -1 || wait4(pid, &status, 0, &used) == -1 || status != 0)
		return -1;
	ret->wall_us = now_us() - start;
	ret->cpu_us = (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1e6 +
		      (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec);
	return 0;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *of, unsigned count)
{
	qsort(of, count, sizeof(double), compare);
	return of[count / 2];
}

int main(int argc, char **argv)
{
	unsigned count = argc > 3 ? (unsigned)atoi(argv[2]) : 0, i, s;
	double *wall[NR_STATES], *cpu[NR_STATES], w[NR_STATES], c[NR_STATES];
	struct took took;

	if (count == 0 ||
	    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", argv[1]) >= (int)sizeof(preload)) {
		fprintf(stderr, "usage: start LIBRARY COUNT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	for (i = 3; i < 1024; i++)
		fcntl((int)i, F_SETFD, FD_CLOEXEC); /* like a program that a shell starts */
	for (s = 0; s < NR_STATES; s++) {
		wall[s] = calloc(count, sizeof(double));
		cpu[s] = calloc(count, sizeof(double));
	}
	for (i = 0; i < count; i++)
		for (s = 0; s < NR_STATES; s++) {
			if (run(argv + 3, envs[s], &took) != 0) {
				fprintf(stderr, "start: %s failed\n", argv[3]);
				return 1;
			}
			wall[s][i] = took.wall_us;
			cpu[s][i] = took.cpu_us;
		}
	for (s = 0; s < NR_STATES; s++) {
		w[s] = median(wall[s], count);
		c[s] = median(cpu[s], count);
		free(wall[s]);
		free(cpu[s]);
	}
	printf("{\"bare_us\": %.1f, \"off\": %.3f, \"elsewhere\": %.3f, \"bare_cpu_us\": %.1f, "
	       "\"off_cpu\": %.3f, \"elsewhere_cpu\": %.3f}\n",
	       w[BARE], w[OFF] / w[BARE], w[ELSEWHERE] / w[BARE], c[BARE], c[OFF] / c[BARE],
	       c[ELSEWHERE] / c[BARE]);
	return 0;
}
