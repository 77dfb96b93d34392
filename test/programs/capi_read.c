/*
 * capi_read.c - one reader that reads every byte of some objects through the C
 * API, and prints the rate as one line of JSON.
 *
 *	capi_read pread|map NAME...
 *
 * The mount comes from the environment (OSS_PATH and its kin).
 */
#include <ossc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BLOCK (1u << 20)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static int fail(struct ossc *conn, const char *what, int error)
{
	char text[512] = "";

	if (conn != NULL)
		ossc_error_text(conn, text, sizeof(text));
	fprintf(stderr, "capi_read: %s: %s %s\n", what, ossc_strerror(error), text);
	return 1;
}

/* Read all of it in blocks.  The bytes read, or a negative errno. */
static ssize_t read_blocks(struct ossc_file *file, char *buf)
{
	uint64_t off = 0;
	ssize_t n;

	while ((n = ossc_pread(file, buf, BLOCK, off)) > 0)
		off += (uint64_t)n;
	return n < 0 ? n : (ssize_t)off;
}

/* Touch every cache line of every window as a loader that uses the bytes in place does. */
static ssize_t read_mapped(struct ossc_file *file, uint64_t *sum)
{
	uint64_t off = 0, size = ossc_size(file);

	while (off < size) {
		size_t len = size - off < 64 * BLOCK ? (size_t)(size - off) : 64 * BLOCK;
		struct ossc_mapping *mapping;
		const void *bytes;
		int r = ossc_map(file, off, len, &bytes, &mapping);

		if (r != 0)
			return r;
		for (size_t i = 0; i + 8 <= len; i += 64) {
			uint64_t word;

			memcpy(&word, (const char *)bytes + i, sizeof(word));
			*sum += word;
		}
		ossc_unmap(mapping);
		off += len;
	}
	return (ssize_t)off;
}

int main(int argc, char **argv)
{
	struct ossc *conn = NULL;
	struct ossc_mount *mount;
	struct ossc_mount_options options = { .size = sizeof(options), .flags = OSSC_PREFETCH };
	char *buf = malloc(BLOCK);
	uint64_t total = 0, sum = 0;
	double start, secs;
	int r;

	if (argc < 3 || buf == NULL) {
		fprintf(stderr, "usage: capi_read pread|map NAME...\n");
		return 2;
	}
	memset(buf, 1, BLOCK);
	r = ossc_connect(NULL, &conn);
	if (r != 0)
		return fail(NULL, "connect", r);
	start = now();
	r = ossc_mount(conn, &options, &mount);
	if (r != 0)
		return fail(conn, "mount", r);
	for (int i = 2; i < argc; i++) {
		struct ossc_file *file;
		ssize_t n;

		r = ossc_open(mount, argv[i], &file);
		if (r != 0)
			return fail(conn, argv[i], r);
		n = strcmp(argv[1], "map") == 0 ? read_mapped(file, &sum) : read_blocks(file, buf);
		if (n < 0)
			return fail(conn, argv[i], (int)n);
		if ((uint64_t)n != ossc_size(file))
			return fail(NULL, "short read", 0);
		total += (uint64_t)n;
		ossc_close(file);
	}
	secs = now() - start;
	printf("{\"bytes\": %llu, \"seconds\": %.6f, \"gb_per_s\": %.3f, \"sum\": %llu}\n",
	       (unsigned long long)total, secs, (double)total / 1e9 / secs,
	       (unsigned long long)sum);
	ossc_unmount(mount);
	ossc_disconnect(conn);
	free(buf);
	return 0;
}
