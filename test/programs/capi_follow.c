/*
 * capi_follow.c - proc_reader by the C API: reads and maps one object over and
 * over, whatever becomes of the daemon.
 *
 *	capi_follow pread|map NAME PLAIN_COPY
 */
#include "test/programs/proc.h"

#include <ossc.h>

#include <poll.h>

static struct ossc_file *file;

static int pass_by_reads(void)
{
	static unsigned char buf[100000];
	size_t off = 0;

	while (off < right_len) {
		ssize_t n = ossc_pread(file, buf, sizeof(buf), off);

		if (n < 0)
			return (int)-n;
		if (n == 0)
			wrong("the object ends at %zu", off);
		check_bytes("ossc_pread", buf, off, (size_t)n);
		off += (size_t)n;
	}
	return 0;
}

static int pass_by_map(void)
{
	struct ossc_mapping *mapping;
	const void *bytes;
	int r = ossc_map(file, 0, right_len, &bytes, &mapping);

	if (r != 0)
		return -r;
	check_bytes("ossc_map", bytes, 0, right_len);
	ossc_unmap(mapping);
	return 0;
}

static int asked(void)
{
	struct pollfd p = { .fd = 0, .events = POLLIN };
	char line[64];
	ssize_t n;

	if (poll(&p, 1, 0) <= 0)
		return 0;
	n = read(0, line, sizeof(line));
	return n <= 0 ? -1 : line[0] == 'o' ? 2 : 1;
}

int main(int argc, char **argv)
{
	struct ossc_options options = { .size = sizeof(options), .flags = OSSC_NO_START };
	struct ossc_mapping *mapping;
	struct ossc_mount *mount;
	const void *held;
	struct ossc *conn;
	int r, want = 0, error;

	if (argc != 4)
		return 2;
	load_right(argv[3]);
	r = ossc_connect(&options, &conn);
	if (r == 0)
		r = ossc_mount(conn, NULL, &mount);
	if (r == 0)
		r = ossc_open(mount, argv[2], &file);
	if (r == 0)
		r = ossc_map(file, 0, right_len, &held, &mapping);
	if (r != 0)
		wrong("%s", ossc_strerror(r));
	puts("reading");
	fflush(stdout);
	for (;;) {
		error = strcmp(argv[1], "map") == 0 ? pass_by_map() : pass_by_reads();
		check_bytes("first mapping", held, 0, right_len);
		if (want == 1 || (want == 2 && error == 0)) {
			printf("%s\n", error == 0 ? "right" : strerrorname_np(error));
			fflush(stdout);
			want = 0;
		}
		if (want == 0)
			want = asked();
		if (want == -1)
			return 0;
		if (error != 0)
			usleep(1000);
	}
}
