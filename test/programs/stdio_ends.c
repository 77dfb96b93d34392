/*
 * Prints what is left when streams end: which number is free, what comes to it, and
 * where others go on that share the descriptor.  Run on a plain file and under the
 * preload library, it must print the same.
 *
 *	stdio_ends TEXT MOUNTS LOCAL		(standard input: TEXT)
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

/* Something else gets the number: its bytes must be its own. */
static void print_next(const char *what)
{
	char buf[16] = "";
	int p[2];

	if (pipe(p) != 0 || write(p[1], "pipe", 4) != 4)
		return;
	printf("%s: number %d reads %zd %s\n", what, p[0], read(p[0], buf, sizeof(buf) - 1), buf);
	printf("  seek %ld\n", (long)lseek(p[0], 0, SEEK_CUR));
	close(p[0]);
	close(p[1]);
}

static void print_line(FILE *f)
{
	char line[256];

	printf("  line: %s", fgets(line, sizeof(line), f) != NULL ? line : "none\n");
}

static void endings(const char *text, const char *local)
{
	FILE *f = fopen(text, "r");

	fgetc(f);
	fclose(f);
	print_next("fclose");
	f = fopen(text, "r");
	fgetwc(f);
	fclose(f);
	print_next("fclose of a wide stream");
	f = fopen(text, "r");
	printf("%d\n", freopen("none/such", "r", f) != NULL);
	print_next("freopen of nothing");
	f = fopen(local, "r");
	printf("%d\n", freopen(text, "r", f) == f);
	fclose(f);
	print_next("fclose of a stream opened again");
	f = fopen(text, "r");
	printf("%d\n", freopen(local, "r", f) == f);
	print_line(f);
	fclose(f);
	print_next("fclose of a local one");
}

/* A duplicate goes on where the stream stopped. */
static void places(const char *text, const char *mounts, const char *local)
{
	const char *to[] = { text, mounts, local, "none/such" };
	int fd, i;
	FILE *f;

	for (i = 0; i < 4; i++) {
		fd = open(text, O_RDONLY);
		f = fdopen(dup(fd), "r");
		print_line(f);
		printf("%d", freopen(to[i], "r", f) == f);
		printf(" at %ld\n", (long)lseek(fd, 0, SEEK_CUR));
		if (i < 3)
			fclose(f);
		close(fd);
	}
}

static void input(const char *text, const char *mounts)
{
	print_line(stdin);
	fflush(stdin);
	printf("fclose %d\n", fclose(stdin));
	print_next("fclose of stdin");
	printf("stdin again %d", freopen(mounts, "r", stdin) == stdin);
	printf(" number %d\n", fileno(stdin));
	print_line(stdin);
	printf("%d\n", freopen(text, "r", stdin) == stdin);
	print_line(stdin);
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;
	endings(argv[1], argv[3]);
	places(argv[1], argv[2], argv[3]);
	input(argv[1], argv[2]);
	return 0;
}
