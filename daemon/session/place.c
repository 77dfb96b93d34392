#include "daemon/session/place.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define LOG_MODULE "socket"
#include "daemon/base/log.h"

#define BACKLOG	   4096 /* a thousand ranks that start together: who finds no place looks again */
#define LOCK_TRIES 16
#define ENDING_MS  30000 /* a full cache is given back to the kernel in that time */
#define LOOK_MS	   50

static bool is_set(const char *s)
{
	return s != NULL && s[0] != '\0';
}

static int fail(int error, char *err, size_t err_len, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static int fail(int error, char *err, size_t err_len, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err, err_len, fmt, ap);
	va_end(ap);
	return error;
}

/* *ret_usual: the path is one of the usual places, whose directory is ours alone. */
static int choose(struct place *p, const struct place_wish *wish, bool *ret_usual, char *err,
		  size_t err_len)
{
	const char *env = getenv("OSSC_SOCKET"), *run = getenv("XDG_RUNTIME_DIR");
	const char *path = NULL;
	int n;

	if (is_set(wish->option))
		path = wish->option;
	else if (is_set(env))
		path = env;
	else if (is_set(wish->configured))
		path = wish->configured;

	*ret_usual = path == NULL;
	if (path != NULL)
		n = snprintf(p->path, sizeof(p->path), "%s", path);
	else if (geteuid() == 0)
		n = snprintf(p->path, sizeof(p->path), "/run/oss-connector/osscd.sock");
	else if (is_set(run) && run[0] == '/')
		n = snprintf(p->path, sizeof(p->path), "%s/oss-connector/osscd.sock", run);
	else
		n = snprintf(p->path, sizeof(p->path), "/tmp/ossc-%u/osscd.sock",
			     (unsigned)geteuid());

	if (n < 0 || (size_t)n >= sizeof(p->path))
		return fail(-ENAMETOOLONG, err, err_len,
			    "the socket's path is longer than %zu bytes; choose a shorter one with "
			    "--socket or OSSC_SOCKET",
			    sizeof(p->path) - 1);
	if (p->path[0] != '/' || p->path[n - 1] == '/')
		return fail(-EINVAL, err, err_len,
			    "the socket's path %s is no absolute path of a file", p->path);
	snprintf(p->lock_path, sizeof(p->lock_path), "%s.lock", p->path);
	return 0;
}

/*
 * The directory is there, belongs to us or to root, and is not open to others
 * where nobody asked for that.
 */
static int check_directory(const char *path, bool usual, char *err, size_t err_len)
{
	char dir[PLACE_PATH_MAX];
	struct stat st;
	int r;

	snprintf(dir, sizeof(dir), "%s", path);
	*strrchr(dir, '/') = '\0';
	if (dir[0] == '\0')
		snprintf(dir, sizeof(dir), "/");

	if (mkdir(dir, geteuid() == 0 ? 0755 : 0700) == -1 && errno != EEXIST)
		return fail(
			-errno, err, err_len,
			"the socket's directory %s cannot be made: %s; choose another place with "
			"--socket or OSSC_SOCKET",
			dir, strerror(errno));
	r = usual ? lstat(dir, &st) : stat(dir, &st);
	if (r == -1)
		return fail(-errno, err, err_len, "the socket's directory %s: %s", dir,
			    strerror(errno));
	if (!S_ISDIR(st.st_mode))
		return fail(
			-ENOTDIR, err, err_len,
			"the socket's directory %s is no directory; remove it or choose another "
			"place with --socket or OSSC_SOCKET",
			dir);
	if (st.st_uid != geteuid() && (st.st_uid != 0 || usual))
		return fail(-EPERM, err, err_len,
			    "the socket's directory %s belongs to somebody else (uid %u); choose "
			    "another place with --socket or OSSC_SOCKET",
			    dir, (unsigned)st.st_uid);
	if ((st.st_mode & 022) != 0 && (st.st_mode & S_ISVTX) == 0) {
		if (usual)
			return fail(
				-EPERM, err, err_len,
				"others may write the socket's directory %s; run: chmod go-w %s",
				dir, dir);
		log_warn("others may write the socket's directory %s: they can put another socket "
			 "in this one's place",
			 dir);
	}
	return 0;
}

static int read_pid(int fd)
{
	char text[16];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n <= 0)
		return 0;
	text[n] = '\0';
	return atoi(text);
}

/* -EAGAIN: the file was removed while we waited for it. */
static int lock_once(struct place *p, char *err, size_t err_len)
{
	struct stat mine, there;
	char pid[16];
	int fd, r, n;

	fd = open(p->lock_path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd == -1)
		return fail(
			-errno, err, err_len,
			"the socket's directory cannot be written: %s: %s; choose another place "
			"with --socket or OSSC_SOCKET",
			p->lock_path, strerror(errno));
	if (fstat(fd, &mine) == -1 || mine.st_uid != geteuid() || !S_ISREG(mine.st_mode)) {
		r = fail(-EPERM, err, err_len,
			 "%s belongs to somebody else; choose another place "
			 "with --socket or OSSC_SOCKET",
			 p->lock_path);
		goto err_close;
	}
	if (flock(fd, LOCK_EX | LOCK_NB) == -1) {
		r = errno == EWOULDBLOCK
			    ? fail(-EADDRINUSE, err, err_len, "another osscd (pid %d) serves %s",
				   read_pid(fd), p->path)
			    : fail(-errno, err, err_len, "%s cannot be locked: %s", p->lock_path,
				   strerror(errno));
		goto err_close;
	}
	if (stat(p->lock_path, &there) == -1 || there.st_ino != mine.st_ino ||
	    there.st_dev != mine.st_dev) {
		r = -EAGAIN;
		goto err_close;
	}
	n = snprintf(pid, sizeof(pid), "%d\n", (int)getpid());
	if (ftruncate(fd, 0) == -1 || pwrite(fd, pid, (size_t)n, 0) != n) {
		r = fail(-errno, err, err_len, "%s cannot be written: %s", p->lock_path,
			 strerror(errno));
		goto err_close;
	}
	p->lock_fd = fd;
	return 0;

err_close:
	close(fd);
	return r;
}

static bool listens(const char *path)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	bool is_heard;

	static_assert(sizeof(addr.sun_path) == PLACE_PATH_MAX, "same bound");
	memcpy(addr.sun_path, path, sizeof(addr.sun_path));
	/* EAGAIN: so many wait to be served. */
	is_heard = fd == -1 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0 ||
		   errno == EAGAIN;
	if (fd != -1)
		close(fd);
	return is_heard;
}

/* One that holds the place but does not listen is about to begin, or to end: with a large cache
 * that takes seconds, and who restarts it need not know. */
static int lock(struct place *p, char *err, size_t err_len)
{
	const struct timespec pause = { .tv_nsec = LOOK_MS * 1000000 };
	int tries = 0, waited_ms, r;

	for (waited_ms = 0; waited_ms < ENDING_MS; waited_ms += LOOK_MS) {
		do
			r = lock_once(p, err, err_len);
		while (r == -EAGAIN && ++tries < LOCK_TRIES);
		if (r == -EAGAIN)
			return fail(-EBUSY, err, err_len, "%s keeps being removed by others",
				    p->lock_path);
		if (r != -EADDRINUSE || listens(p->path))
			return r;
		nanosleep(&pause, NULL);
	}
	return r;
}

static int remove_stale(const struct place *p, char *err, size_t err_len)
{
	struct stat st;

	if (lstat(p->path, &st) == -1)
		return errno == ENOENT
			       ? 0
			       : fail(-errno, err, err_len, "%s: %s", p->path, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return fail(-EEXIST, err, err_len,
			    "%s is there and is no socket; remove it or choose another place with "
			    "--socket or OSSC_SOCKET",
			    p->path);
	if (unlink(p->path) == -1)
		return fail(-errno, err, err_len, "the old socket %s cannot be removed: %s",
			    p->path, strerror(errno));
	return 0;
}

int place_claim(struct place *p, const struct place_wish *wish, char *err, size_t err_len)
{
	bool usual;
	int r;

	*p = (struct place){ .lock_fd = -1 };
	r = choose(p, wish, &usual, err, err_len);
	if (r == 0)
		r = check_directory(p->path, usual, err, err_len);
	if (r == 0)
		r = lock(p, err, err_len);
	if (r != 0)
		return r;
	r = remove_stale(p, err, err_len);
	if (r != 0) {
		unlink(p->lock_path);
		close(p->lock_fd);
		p->lock_fd = -1;
	}
	return r;
}

int place_listen(const struct place *p, mode_t mode, char *err, size_t err_len)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	mode_t before;
	int fd, r;

	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return fail(-errno, err, err_len, "no socket can be made: %s", strerror(errno));
	static_assert(sizeof(addr.sun_path) == sizeof(p->path), "same bound");
	memcpy(addr.sun_path, p->path, sizeof(p->path));

	/* From its first moment the file has its mode. */
	before = umask(0777 & ~mode);
	r = bind(fd, (struct sockaddr *)&addr, sizeof(addr)) == -1 ? -errno : 0;
	umask(before);
	if (r == 0 && listen(fd, BACKLOG) == -1)
		r = -errno;
	if (r != 0) {
		close(fd);
		return fail(r, err, err_len, "the socket %s cannot be made: %s", p->path,
			    strerror(-r));
	}
	return fd;
}

void place_release(struct place *p)
{
	if (p->lock_fd == -1)
		return;
	unlink(p->path);
	/* Last: who gets the lock after us finds neither. */
	unlink(p->lock_path);
	close(p->lock_fd);
	p->lock_fd = -1;
}
