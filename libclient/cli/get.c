#include "libclient/cli/get.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK	    (4u << 20)
#define VERSION_LEN 128

struct partial {
	const struct get_job *job;
	char *part;    /* NAME.part */
	char *version; /* NAME.part.version */
	int fd;
	uint64_t done;
	uint64_t crc;
	bool resumed;
	char *buf;
};

static int fail_local(const char *path, int error)
{
	if (error == ENOSPC || error == EDQUOT)
		return fail("%s: no space left; what has arrived is kept: free some and run the "
			    "same command again",
			    path);
	return fail("%s: %s", path, strerror(error));
}

static int write_at(struct partial *p, const char *buf, size_t len)
{
	while (len > 0) {
		ssize_t n = pwrite(p->fd, buf, len, (off_t)p->done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return fail_local(p->part, errno);
		p->crc = ossc_crc64(p->crc, buf, (size_t)n);
		p->done += (uint64_t)n;
		buf += n;
		len -= (size_t)n;
	}
	return EXIT_DONE;
}

/* ---- the version beside the partial file ------------------------------------------------ */

static void version_text(const struct ossc_stat *st, char buf[VERSION_LEN])
{
	snprintf(buf, VERSION_LEN, "%s %llu\n", st->etag, (unsigned long long)st->file_size);
}

static bool is_same_version(const struct partial *p)
{
	char want[VERSION_LEN], have[VERSION_LEN] = "";
	int fd = open(p->version, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd == -1)
		return false;
	n = read(fd, have, sizeof(have) - 1);
	close(fd);
	version_text(&p->job->st, want);
	return n > 0 && strcmp(want, have) == 0;
}

/* On the disk before the first byte of that version is. */
static int write_version(const struct partial *p)
{
	char text[VERSION_LEN];
	int fd, r = 0;

	version_text(&p->job->st, text);
	fd = open(p->version, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (fd == -1)
		return fail_local(p->version, errno);
	if (write(fd, text, strlen(text)) != (ssize_t)strlen(text) || fsync(fd) == -1)
		r = errno != 0 ? errno : ENOSPC;
	close(fd);
	return r == 0 ? EXIT_DONE : fail_local(p->version, r);
}

/* ---- steps --------------------------------------------------------------------------------- */

/* The CRC of what an earlier run left. */
static int take_up(struct partial *p, uint64_t size)
{
	while (p->done < size) {
		size_t want = size - p->done < BLOCK ? (size_t)(size - p->done) : BLOCK;
		ssize_t n = pread(p->fd, p->buf, want, (off_t)p->done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n <= 0)
			return fail_local(p->part, n == 0 ? EIO : errno);
		p->crc = ossc_crc64(p->crc, p->buf, (size_t)n);
		p->done += (uint64_t)n;
		p->job->counters->bytes += (uint64_t)n;
	}
	return EXIT_DONE;
}

static int start_over(struct partial *p)
{
	p->job->counters->bytes -= p->done;
	p->done = p->crc = 0;
	p->resumed = false;
	if (ftruncate(p->fd, 0) == -1)
		return fail_local(p->part, errno);
	return EXIT_DONE;
}

static int open_part(struct partial *p)
{
	bool same = is_same_version(p);
	struct stat st;

	p->fd = open(p->part, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (p->fd == -1 || fstat(p->fd, &st) == -1)
		return fail_local(p->part, errno);
	if (same && st.st_size > 0 && (uint64_t)st.st_size <= p->job->st.file_size) {
		p->resumed = true;
		return take_up(p, (uint64_t)st.st_size);
	}
	if (start_over(p) != EXIT_DONE)
		return EXIT_FAILED;
	return write_version(p);
}

static int receive(struct partial *p, struct ossc_file *file)
{
	const struct get_job *job = p->job;

	while (p->done < job->st.file_size) {
		ssize_t n = ossc_pread(file, p->buf, BLOCK, p->done);

		if (n < 0)
			return target_fail(job->from, job->path, (int)n);
		if (n == 0)
			return fail("%s: it ended too early", job->path);
		if (write_at(p, p->buf, (size_t)n) != EXIT_DONE)
			return EXIT_FAILED;
		job->counters->bytes += (uint64_t)n;
		job->counters->received += (uint64_t)n;
		if (job->counters->stop)
			return EXIT_FAILED;
	}
	return EXIT_DONE;
}

static int bad_sum(struct partial *p)
{
	unlink(p->part);
	unlink(p->version);
	return fail(
		"%s: the bytes do not have the CRC-64 that the store gave; the partial file was "
		"removed: run the command again",
		p->job->path);
}

/* 0: good.  -EAGAIN: the partial file is to be thrown away and fetched whole. */
static int compare_sums(struct partial *p, struct ossc_file *file)
{
	uint64_t crc;
	ssize_t n;
	int known, r;

	/* The daemon knows it from the first byte it fetched: an earlier run may have had all. */
	n = p->done > 0 ? ossc_pread(file, p->buf, 1, p->done - 1) : 0;
	if (n < 0)
		return target_fail(p->job->from, p->job->path, (int)n);
	r = ossc_stored_crc64(file, &crc, &known);
	if (r == -EIO)
		return bad_sum(p);
	if (r != 0)
		return target_fail(p->job->from, p->job->path, r);
	if (known == 0 || crc == p->crc)
		return EXIT_DONE;
	return p->resumed ? -EAGAIN : bad_sum(p);
}

static int sync_directory(const char *path)
{
	const char *slash = strrchr(path, '/');
	char *dir = slash == NULL ? strdup(".")
				  : strndup(path, slash == path ? 1 : (size_t)(slash - path));
	int fd, r = 0;

	if (dir == NULL)
		return ENOMEM;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd == -1 || fsync(fd) == -1)
		r = errno;
	if (fd != -1)
		close(fd);
	free(dir);
	return r;
}

static int put_in_place(struct partial *p)
{
	const struct get_job *job = p->job;
	struct timespec times[2] = {
		{ .tv_nsec = UTIME_NOW },
		{ .tv_sec = (time_t)(job->st.mtime_ns / 1000000000),
		  .tv_nsec = (long)(job->st.mtime_ns % 1000000000) },
	};
	int r;

	if (fsync(p->fd) == -1 || futimens(p->fd, times) == -1)
		return fail_local(p->part, errno);
	if (rename(p->part, job->to) == -1)
		return fail_local(job->to, errno);
	unlink(p->version);
	r = sync_directory(job->to);
	return r == 0 ? EXIT_DONE : fail_local(job->to, r);
}

static int bring(struct partial *p, struct ossc_file *file)
{
	int r;

	if (open_part(p) != EXIT_DONE)
		return EXIT_FAILED;
	ossc_advise(file, p->done, 0, OSSC_SEQUENTIAL);
	if (receive(p, file) != EXIT_DONE)
		return EXIT_FAILED;
	r = compare_sums(p, file);
	if (r == -EAGAIN) {
		if (start_over(p) != EXIT_DONE || receive(p, file) != EXIT_DONE)
			return EXIT_FAILED;
		r = compare_sums(p, file);
	}
	return r == EXIT_DONE ? put_in_place(p) : EXIT_FAILED;
}

/* An earlier run finished it: same size, same time. */
static bool is_there(const struct get_job *job)
{
	struct stat st;

	return lstat(job->to, &st) == 0 && S_ISREG(st.st_mode) &&
	       (uint64_t)st.st_size == job->st.file_size &&
	       (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec == job->st.mtime_ns;
}

int get_file(const struct get_job *job)
{
	struct get_job own = *job;
	struct partial p = { .job = &own, .fd = -1 };
	struct ossc_file *file = NULL;
	int r, code = EXIT_FAILED;

	if (is_there(job)) {
		job->counters->bytes += job->st.file_size;
		job->counters->files++;
		return EXIT_DONE;
	}
	r = ossc_open(job->from->mount, job->path, &file);
	if (r != 0)
		return target_fail(job->from, job->path, r);
	if (strcmp(ossc_etag(file), own.st.etag) != 0 && ossc_size(file) != 0) {
		/* Replaced since the listing: fetch and record the version that is open. */
		snprintf(own.st.etag, sizeof(own.st.etag), "%s", ossc_etag(file));
		own.st.file_size = ossc_size(file);
	}
	p.buf = malloc(BLOCK);
	if (p.buf == NULL || asprintf(&p.part, "%s.part", job->to) == -1)
		p.part = NULL;
	else if (asprintf(&p.version, "%s.part.version", job->to) == -1)
		p.version = NULL;
	if (p.version == NULL)
		fail("memory is short");
	else
		code = bring(&p, file);
	if (code == EXIT_DONE)
		job->counters->files++;
	if (p.fd != -1)
		close(p.fd);
	ossc_close(file);
	free(p.part);
	free(p.version);
	free(p.buf);
	return code;
}
