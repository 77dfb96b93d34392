/*
 * proc_reader - reads one file over and over, whatever becomes of the daemon.
 *
 *	proc_reader pread|read|mmap|stdio|reopen STORE_FILE PLAIN_COPY
 *
 * Prints "reading" after the first pass.  A line on standard input asks for an
 * answer: the next pass that ends, "right" or the name of its error.  "once more"
 * instead asks for the next pass that is right.  The end of the input ends it.
 */
#include "test/programs/proc.h"

#include <poll.h>

static const char *how, *store;
static int fd;
static FILE *stream;
static const unsigned char *held; /* mapped once, for good */

/* 0 or an errno; wrong bytes end the program. */
static int pass_by_calls(bool sequential)
{
	static unsigned char buf[100000];
	size_t off = 0;

	if (sequential && lseek(fd, 0, SEEK_SET) != 0)
		return errno;
	while (off < right_len) {
		ssize_t n = sequential ? read(fd, buf, sizeof(buf))
				       : pread(fd, buf, sizeof(buf), (off_t)off);

		if (n == -1)
			return errno;
		if (n == 0)
			wrong("%s: the file ends at %zu", how, off);
		check_bytes(how, buf, off, (size_t)n);
		off += (size_t)n;
	}
	return 0;
}

static int pass_by_mmap(void)
{
	void *mem = mmap(NULL, right_len, PROT_READ, MAP_PRIVATE, fd, 0);

	if (mem == MAP_FAILED)
		return errno;
	check_bytes("new mapping", mem, 0, right_len);
	munmap(mem, right_len);
	return 0;
}

static int pass_by_stdio(void)
{
	static unsigned char buf[30011];
	size_t off = 0, n;

	clearerr(stream);
	if (fseeko(stream, 0, SEEK_SET) != 0)
		return errno;
	while ((n = fread(buf, 1, sizeof(buf), stream)) > 0) {
		check_bytes(how, buf, off, n);
		off += n;
	}
	if (ferror(stream))
		return errno;
	if (off != right_len)
		wrong("stdio: the file ends at %zu", off);
	return 0;
}

static int pass_by_opening(void)
{
	int error;

	fd = open(store, O_RDONLY);
	if (fd == -1)
		return errno;
	error = pass_by_calls(true);
	close(fd);
	return error;
}

static int pass(void)
{
	int error;

	if (strcmp(how, "mmap") == 0)
		error = pass_by_mmap();
	else if (strcmp(how, "stdio") == 0)
		error = pass_by_stdio();
	else if (strcmp(how, "reopen") == 0)
		error = pass_by_opening();
	else
		error = pass_by_calls(strcmp(how, "read") == 0);
	/* Nothing may happen to what was mapped. */
	check_bytes("first mapping", held, 0, right_len);
	return error;
}

static void say_result(int error)
{
	const char *name = error == 0 ? "right" : strerrorname_np(error);

	printf("%s\n", name != NULL ? name : "?");
	fflush(stdout);
}

/* What was asked: 0 nothing, 1 the next pass, 2 the next right one, -1 the end. */
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
	int want = 0, error;

	if (argc != 4)
		return 2;
	how = argv[1];
	store = argv[2];
	load_right(argv[3]);
	fd = open(store, O_RDONLY);
	stream = fopen(store, "r");
	if (fd == -1 || stream == NULL)
		wrong("open: %s", strerror(errno));
	held = mmap(NULL, right_len, PROT_READ, MAP_SHARED, fd, 0);
	if (held == MAP_FAILED)
		wrong("mmap: %s", strerror(errno));
	error = pass();
	if (error != 0)
		wrong("first pass: %s", strerror(error));
	puts("reading");
	fflush(stdout);
	for (;;) {
		error = pass();
		if (want == 1 || (want == 2 && error == 0)) {
			say_result(error);
			want = 0;
		}
		if (want == 0)
			want = asked();
		if (want == -1)
			return 0;
		if (error != 0)
			usleep(1000); /* nobody to ask: no need to spin */
	}
}
