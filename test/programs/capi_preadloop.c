/*
 * capi_preadloop.c - COUNT reads of 4 KiB of one object through the C API, so
 * that strace can count the system calls of a warm read.
 *
 *	capi_preadloop NAME COUNT
 */
#include <ossc.h>

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char **argv)
{
	struct ossc *conn;
	struct ossc_mount *mount;
	struct ossc_file *file;
	static char buf[4096];
	uint64_t pages;
	long count;

	if (argc != 3) {
		fprintf(stderr, "usage: capi_preadloop NAME COUNT\n");
		return 2;
	}
	count = atol(argv[2]);
	if (ossc_connect(NULL, &conn) != 0 || ossc_mount(conn, NULL, &mount) != 0 ||
	    ossc_open(mount, argv[1], &file) != 0) {
		fprintf(stderr, "capi_preadloop: cannot open %s\n", argv[1]);
		return 1;
	}
	pages = ossc_size(file) / sizeof(buf);
	for (long i = 0; i < count; i++) {
		if (ossc_pread(file, buf, sizeof(buf), (uint64_t)i % pages * sizeof(buf)) !=
		    (ssize_t)sizeof(buf)) {
			fprintf(stderr, "capi_preadloop: short read\n");
			return 1;
		}
	}
	ossc_close(file);
	ossc_unmount(mount);
	ossc_disconnect(conn);
	return 0;
}
