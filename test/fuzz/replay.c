/*
 * replay - run a fuzz target over files, without a fuzzing engine: the corpora
 * are tests of every build.
 *
 *	replay FOLDER...
 *
 * Every regular file of each folder is one input.  Exit 1 when a folder cannot
 * be read or holds no file; an input that breaks the target ends the program.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INPUT_MAX (16 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* An exact copy on the heap, so that reading beyond it is seen. */
static int replay_file(int dir_fd, const char *folder, const char *name)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	size_t len = 0;
	struct stat st;
	uint8_t *input;
	ssize_t n = 1;

	if (fd == -1 || fstat(fd, &st) == -1 || st.st_size > INPUT_MAX) {
		fprintf(stderr, "replay: %s/%s: cannot be read\n", folder, name);
		if (fd != -1)
			close(fd);
		return -1;
	}
	if (!S_ISREG(st.st_mode)) {
		close(fd);
		return 0;
	}
	input = malloc((size_t)st.st_size > 0 ? (size_t)st.st_size : 1);
	while (input != NULL && len < (size_t)st.st_size && n > 0) {
		n = read(fd, input + len, (size_t)st.st_size - len);
		if (n > 0)
			len += (size_t)n;
	}
	close(fd);
	if (input == NULL || len < (size_t)st.st_size) {
		fprintf(stderr, "replay: %s/%s: %s\n", folder, name, strerror(errno));
		free(input);
		return -1;
	}
	/* Said first: the last line names the input that broke it. */
	printf("%s/%s\n", folder, name);
	fflush(stdout);
	LLVMFuzzerTestOneInput(input, len);
	free(input);
	return 1;
}

/* How many inputs; -1: one could not be read. */
static int replay_folder(const char *folder)
{
	DIR *dir = opendir(folder);
	struct dirent *e;
	int nr = 0, r = 0;

	if (dir == NULL) {
		fprintf(stderr, "replay: %s: %s\n", folder, strerror(errno));
		return -1;
	}
	while (r >= 0 && (e = readdir(dir)) != NULL) {
		if (e->d_name[0] == '.')
			continue;
		r = replay_file(dirfd(dir), folder, e->d_name);
		nr += r;
	}
	closedir(dir);
	if (r < 0)
		return -1;
	if (nr == 0)
		fprintf(stderr, "replay: %s: holds no input\n", folder);
	return nr;
}

int main(int argc, char **argv)
{
	int i, nr, total = 0;

	if (argc < 2) {
		fprintf(stderr, "usage: %s FOLDER...\n", argv[0]);
		return 2;
	}
	for (i = 1; i < argc; i++) {
		nr = replay_folder(argv[i]);
		if (nr <= 0)
			return 1;
		total += nr;
	}
	printf("%d inputs\n", total);
	return 0;
}
