/*
 * fill.c - how fast threads fill one object of the cache, from a hot buffer and
 * without a network: does one object grow with the threads?  Each takes the
 * next chunk, as the network workers do.
 *
 *	fill THREADS MIB past|lock
 *
 * past: whole pages past the file's lock, where userfaultfd is allowed; lock: all by pwrite(2).
 * Prints one line of JSON.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "common/chunktab.h"
#include "daemon/cache/cache.h"
#include "daemon/cache/state.h"

#define CHUNK_SHIFT 23
#define PIECE	    (256u << 10) /* the hot buffer of daemon/http */
#define THREADS_MAX 64

static struct object *object;
static uint32_t next_chunk;

static void die(const char *what)
{
	fprintf(stderr, "fill: %s\n", what);
	exit(1);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct rusage ru;

	getrusage(RUSAGE_SELF, &ru);
	return (double)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) +
	       (double)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) / 1e6;
}

static void *run(void *arg)
{
	char *hot = malloc(PIECE);
	struct fill *fill;
	uint32_t chunk;

	(void)arg;
	if (hot == NULL)
		die("out of memory");
	memset(hot, 7, PIECE);
	while ((chunk = __atomic_fetch_add(&next_chunk, 1, __ATOMIC_RELAXED)) <
	       object_nr_chunks(object)) {
		if (fill_begin(object, chunk, FETCH_PREFETCH, &fill) != 0)
			die("no room");
		while (fill_offset(fill) < fill_end(fill))
			if (fill_write(fill, hot, PIECE) != 0)
				die("write");
		if (fill_finish(fill, 0) != 0)
			die("finish");
	}
	free(hot);
	return NULL;
}

int main(int argc, char **argv)
{
	struct cache_conf conf = { .chunk_shift = CHUNK_SHIFT, .max_objects = 4 };
	struct object_spec spec = { .key = "x", .etag = "\"1\"" };
	unsigned i, nr = argc == 4 ? (unsigned)atoi(argv[1]) : 0;
	pthread_t threads[THREADS_MAX];
	struct cache *cache = NULL;
	struct table *table = NULL;
	double start, secs, used;

	if (nr == 0 || nr > THREADS_MAX || atoi(argv[2]) <= 0) {
		fprintf(stderr, "usage: fill THREADS MIB past|lock\n");
		return 2;
	}
	spec.size = (uint64_t)atoi(argv[2]) << 20 & ~(uint64_t)(PIECE - 1);
	conf.size = spec.size + (64ull << 20);
	if (cache_new(&conf, &cache) != 0 || table_new(cache, &table) != 0)
		die("no cache");
	if (strcmp(argv[3], "lock") == 0 && cache->uffd >= 0) {
		close(cache->uffd);
		cache->uffd = -1;
	}
	if (object_new(cache, table, &spec, &object) != 0)
		die("no object");
	start = now();
	used = cpu();
	for (i = 0; i < nr; i++)
		if (pthread_create(&threads[i], NULL, run, NULL) != 0)
			die("no thread");
	for (i = 0; i < nr; i++)
		pthread_join(threads[i], NULL);
	secs = now() - start;
	used = cpu() - used;
	printf("{\"threads\": %u, \"past\": %s, \"gb_per_s\": %.3f, \"cpu_s_per_gb\": %.3f}\n", nr,
	       object->covered ? "true" : "false", (double)spec.size / 1e9 / secs,
	       used / ((double)spec.size / 1e9));
	object_unref(object);
	table_unref(table);
	cache_free(cache);
	return 0;
}
