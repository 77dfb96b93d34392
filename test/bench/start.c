/*
 * start.c - what a preloaded library costs a program at its start: runs a program many times,
 * bare, with the library but ENABLE_CONNECTOR unset, and with the connector on for a MODEL_DIR
 * that the program does not touch, in turns, and prints the medians as one line of JSON.
 *
 *	start LIBRARY COUNT PROGRAM [ARGUMENT]...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
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

static char *const envs[NR_STATES][6] = {
	[BARE] = { "PATH=/usr/bin:/bin", NULL },
	[OFF] = { "PATH=/usr/bin:/bin", preload, NULL },
	[ELSEWHERE] = { "PATH=/usr/bin:/bin", preload, "ENABLE_CONNECTOR=1",
			"MODEL_DIR=/nowhere/near", "OSS_PATH=oss://bucket/prefix/", NULL },
};

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Microseconds from before the program is started until it has ended; -1 when that failed. */
static double run(char **argv, char *const *envp)
{
	double start = now_us();
	int status = -1;
	pid_t pid = vfork();

	if (pid == 0) {
		execve(argv[0], argv, envp);
		_exit(127);
	}
	if (pid == -1 || waitpid(pid, &status, 0) == -1 || status != 0)
		return -1;
	return now_us() - start;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

int main(int argc, char **argv)
{
	unsigned count = argc > 3 ? (unsigned)atoi(argv[2]) : 0, i, s;
	double *took[NR_STATES], median[NR_STATES];

	if (count == 0 ||
	    snprintf(preload, sizeof(preload), "LD_PRELOAD=%s", argv[1]) >= (int)sizeof(preload)) {
		fprintf(stderr, "usage: start LIBRARY COUNT PROGRAM [ARGUMENT]...\n");
		return 2;
	}
	for (s = 0; s < NR_STATES; s++)
		took[s] = calloc(count, sizeof(double));
	for (i = 0; i < count; i++)
		for (s = 0; s < NR_STATES; s++) {
			took[s][i] = run(argv + 3, envs[s]);
			if (took[s][i] < 0) {
				fprintf(stderr, "start: %s failed\n", argv[3]);
				return 1;
			}
		}
	for (s = 0; s < NR_STATES; s++) {
		qsort(took[s], count, sizeof(double), compare);
		median[s] = took[s][count / 2];
		free(took[s]);
	}
	printf("{\"bare_us\": %.1f, \"off\": %.3f, \"elsewhere\": %.3f}\n", median[BARE],
	       median[OFF] / median[BARE], median[ELSEWHERE] / median[BARE]);
	return 0;
}
