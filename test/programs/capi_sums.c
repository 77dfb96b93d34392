/*
 * capi_sums.c - prints the SHA-256 of every file of the mount in the form of
 * sha256sum(1): it lists and reads through the C API, and pipes to sha256sum.
 */
#include <ossc.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BLOCK (1u << 20)

struct walk {
	struct ossc_mount *mount;
	char *buf;
};

static int sum_file(const char *path, const struct ossc_stat *st, void *arg)
{
	struct walk *w = arg;
	struct ossc_file *file;
	char line[128];
	int back[2];
	uint64_t off = 0;
	ssize_t n = -1;
	FILE *sum;

	if (st->is_dir)
		return 0;
	if (ossc_open(w->mount, path, &file) != 0 || pipe(back) == -1)
		return -1;
	snprintf(line, sizeof(line), "sha256sum >&%d", back[1]);
	sum = popen(line, "w");
	if (sum == NULL)
		return -1;
	while ((n = ossc_pread(file, w->buf, BLOCK, off)) > 0) {
		if (fwrite(w->buf, 1, (size_t)n, sum) != (size_t)n)
			return -1;
		off += (uint64_t)n;
	}
	if (pclose(sum) != 0 || n < 0 || off != st->file_size)
		return -1;
	if (read(back[0], line, sizeof(line)) < 64)
		return -1;
	printf("%.64s  %s\n", line, path);
	close(back[0]);
	close(back[1]);
	ossc_close(file);
	return 0;
}

int main(void)
{
	struct walk w = { .buf = malloc(BLOCK) };
	struct ossc *conn = NULL;
	char text[512] = "";
	int r;

	if (w.buf == NULL)
		return 1;
	r = ossc_connect(NULL, &conn);
	if (r == 0)
		r = ossc_mount(conn, NULL, &w.mount);
	if (r == 0)
		r = ossc_list(w.mount, "", OSSC_LIST_RECURSIVE, sum_file, &w);
	if (r != 0) {
		if (conn != NULL)
			ossc_error_text(conn, text, sizeof(text));
		fprintf(stderr, "capi_sums: %s %s\n", ossc_strerror(r), text);
		return 1;
	}
	ossc_unmount(w.mount);
	ossc_disconnect(conn);
	free(w.buf);
	return 0;
}
