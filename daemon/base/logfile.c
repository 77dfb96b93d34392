#include "daemon/base/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"

static int open_path(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);

	return fd == -1 ? -errno : fd;
}

int logfile_open(struct logfile *f, const char *path)
{
	char *copy;
	int fd, r;

	fd = open_path(path);
	if (fd < 0)
		return fd;

	copy = xstrdup(path);
	if (f->fd == -1) {
		__atomic_store_n(&f->fd, fd, __ATOMIC_RELEASE);
	} else {
		/* The kernel swaps the file under the number: a writer sees the old or the new. */
		r = dup3(fd, f->fd, O_CLOEXEC) == -1 ? -errno : 0;
		close(fd);
		if (r != 0) {
			free(copy);
			return r;
		}
	}
	free(f->path);
	f->path = copy;
	return 0;
}

int logfile_reopen(struct logfile *f)
{
	char *path;
	int r;

	if (f->path == NULL)
		return 0;
	path = xstrdup(f->path);
	r = logfile_open(f, path);
	free(path);
	return r;
}

void logfile_close(struct logfile *f)
{
	if (f->fd != -1)
		close(f->fd);
	__atomic_store_n(&f->fd, -1, __ATOMIC_RELEASE);
	free(f->path);
	f->path = NULL;
}

void logfile_write(const struct logfile *f, const void *line, size_t len, int fallback_fd)
{
	int fd = __atomic_load_n(&f->fd, __ATOMIC_ACQUIRE);
	ssize_t n;

	if (fd == -1)
		fd = fallback_fd;
	if (fd == -1)
		return;
	do
		n = write(fd, line, len);
	while (n == -1 && errno == EINTR);
	/* A full disk loses lines; a daemon that stopped for them would lose more. */
}

void logfile_time(char ret_text[LOGFILE_TIME_LEN])
{
	struct timespec now;
	struct tm tm;
	char day[20];

	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	strftime(day, sizeof(day), "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret_text, LOGFILE_TIME_LEN, "%s.%03uZ", day,
		 (unsigned)(now.tv_nsec / 1000000) % 1000);
}
