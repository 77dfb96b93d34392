#include "daemon/oss/cred.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define LOG_MODULE "cred"
#include "common/clock.h"
#include "daemon/base/log.h"

#define LOOK_EVERY_MS 1000
#define FILE_MAX      (64u << 10)

/* What tells one version of a file from another. */
struct stamp {
	dev_t dev;
	ino_t ino;
	off_t size;
	struct timespec mtime;
};

struct cred_source {
	atomic_uint refs;
	char *path; /* NULL: fixed keys */
	pthread_mutex_t lock;
	struct cred *current; /* under the lock, like all below */
	struct stamp stamp;   /* of the file that `current` came from */
	uint64_t last_look_ms;
	bool warned_mode;
	struct log_limit limit;
};

static bool stamp_equal(const struct stamp *a, const struct stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->mtime.tv_sec == b->mtime.tv_sec && a->mtime.tv_nsec == b->mtime.tv_nsec;
}

static struct stamp stamp_of(const struct stat *st)
{
	return (struct stamp){ st->st_dev, st->st_ino, st->st_size, st->st_mtim };
}

/* All of a small file.  The bytes read, or a negative errno. */
static ssize_t read_all(int fd, char *buf, size_t len)
{
	size_t done = 0;

	for (;;) {
		ssize_t n = read(fd, buf + done, len - done);

		if (n == -1 && errno == EINTR)
			continue;
		if (n == -1)
			return -errno;
		done += (size_t)n;
		if (n == 0)
			return (ssize_t)done;
		if (done == len)
			return -EFBIG;
	}
}

static void warn_mode(struct cred_source *s, mode_t mode)
{
	if ((mode & 077) == 0 || s->warned_mode)
		return;
	s->warned_mode = true;
	log_warn("%s: others may read these keys: chmod 600", s->path);
}

/* err gets the reason without the path. */
static int load(struct cred_source *s, struct cred **ret_cred, struct stamp *ret_stamp, char *err,
		size_t err_len)
{
	struct stat st;
	char *buf = NULL;
	ssize_t n;
	int fd, r;

	/* Not blocking: a FIFO there must not hang the daemon. */
	fd = open(s->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd == -1 || fstat(fd, &st) == -1) {
		r = -errno;
		snprintf(err, err_len, "cannot be opened: %s", strerror(-r));
		goto out;
	}
	if (!S_ISREG(st.st_mode)) {
		snprintf(err, err_len, "is not a regular file");
		r = -EINVAL;
		goto out;
	}
	buf = malloc(FILE_MAX + 1);
	if (buf == NULL) {
		snprintf(err, err_len, "no memory to read it");
		r = -ENOMEM;
		goto out;
	}
	n = read_all(fd, buf, FILE_MAX + 1);
	if (n < 0) {
		r = (int)n;
		snprintf(err, err_len, "cannot be read: %s", strerror(-r));
	} else {
		warn_mode(s, st.st_mode);
		r = cred_parse(buf, (size_t)n, ret_cred, err, err_len);
	}
	explicit_bzero(buf, FILE_MAX + 1);
	if (r == 0)
		*ret_stamp = stamp_of(&st);
out:
	free(buf);
	if (fd != -1)
		close(fd);
	return r;
}

static int source_new(struct cred_source **ret_source)
{
	struct cred_source *s = calloc(1, sizeof(*s));

	if (s == NULL)
		return -ENOMEM;
	atomic_init(&s->refs, 1);
	pthread_mutex_init(&s->lock, NULL);
	*ret_source = s;
	return 0;
}

int cred_source_new_static(const char *id, const char *secret, const char *token,
			   struct cred_source **ret_source, char *err, size_t err_len)
{
	bool has_id = id != NULL && id[0] != '\0';
	bool has_secret = secret != NULL && secret[0] != '\0';
	struct cred_source *s;
	int r;

	r = source_new(&s);
	if (r != 0) {
		snprintf(err, err_len, "no memory for the access keys");
		return r;
	}
	r = cred_new(id, secret, token, CRED_EXPIRY_NEVER, &s->current);
	if (r == 0) {
		*ret_source = s;
		return 0;
	}
	cred_source_unref(s);
	if (r == -ENOMEM)
		snprintf(err, err_len, "no memory for the access keys");
	else if (has_id != has_secret)
		snprintf(err, err_len,
			 "%s is not set: set OSS_ACCESS_KEY_ID and OSS_ACCESS_KEY_SECRET, or "
			 "neither for a public bucket",
			 has_id ? "OSS_ACCESS_KEY_SECRET" : "OSS_ACCESS_KEY_ID");
	else if (!has_id)
		snprintf(err, err_len,
			 "OSS_SESSION_TOKEN is set without OSS_ACCESS_KEY_ID and "
			 "OSS_ACCESS_KEY_SECRET: set all three");
	else if (r == -E2BIG)
		snprintf(err, err_len,
			 "an access key or the session token is too long: check "
			 "OSS_ACCESS_KEY_ID, OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN");
	else
		snprintf(err, err_len,
			 "an access key or the session token has a blank, a line end or a "
			 "character outside ASCII: check OSS_ACCESS_KEY_ID, "
			 "OSS_ACCESS_KEY_SECRET and OSS_SESSION_TOKEN");
	return r;
}

int cred_source_new_file(const char *path, struct cred_source **ret_source, char *err,
			 size_t err_len)
{
	char reason[256] = "no memory for its name";
	struct cred_source *s;
	int r;

	r = source_new(&s);
	if (r == 0) {
		s->path = strdup(path);
		r = s->path == NULL ? -ENOMEM : 0;
		if (r == 0)
			r = load(s, &s->current, &s->stamp, reason, sizeof(reason));
		if (r == 0) {
			*ret_source = s;
			return 0;
		}
		cred_source_unref(s);
	}
	snprintf(err, err_len, "credentials file %s: %s", path, reason);
	return r;
}

struct cred_source *cred_source_ref(struct cred_source *s)
{
	atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
	return s;
}

void cred_source_unref(struct cred_source *s)
{
	if (s == NULL || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
		return;
	cred_unref(s->current);
	pthread_mutex_destroy(&s->lock);
	free(s->path);
	free(s);
}

/* Look at the file, whatever the time is.  Old keys stay when the file cannot be used. */
static void look_locked(struct cred_source *s, bool even_if_unchanged)
{
	char reason[256] = "";
	unsigned suppressed;
	struct stamp stamp;
	struct cred *fresh;
	struct stat st;

	if (!even_if_unchanged && stat(s->path, &st) == 0) {
		stamp = stamp_of(&st);
		if (stamp_equal(&stamp, &s->stamp))
			return;
	}
	if (load(s, &fresh, &stamp, reason, sizeof(reason)) != 0) {
		if (log_limit_pass(&s->limit, &suppressed))
			log_warn("credentials file %s: %s; the last good keys stay in use", s->path,
				 reason);
		return;
	}
	s->stamp = stamp;
	if (!cred_equal(fresh, s->current))
		log_info("credentials file %s: new keys are in use", s->path);
	cred_unref(s->current);
	s->current = fresh;
}

struct cred *cred_source_get_at(struct cred_source *s, uint64_t now_ms)
{
	struct cred *c;

	pthread_mutex_lock(&s->lock);
	if (s->path != NULL && now_ms - s->last_look_ms >= LOOK_EVERY_MS) {
		s->last_look_ms = now_ms;
		look_locked(s, false);
	}
	c = cred_ref(s->current);
	pthread_mutex_unlock(&s->lock);
	return c;
}

struct cred *cred_source_get(struct cred_source *s)
{
	return cred_source_get_at(s, clock_ms());
}

bool cred_source_refresh(struct cred_source *s, const struct cred *used, bool force)
{
	uint64_t now = clock_ms();
	struct cred *before;
	bool changed;

	pthread_mutex_lock(&s->lock);
	before = cred_ref(s->current);
	if (s->path != NULL && (force || now - s->last_look_ms >= LOOK_EVERY_MS)) {
		s->last_look_ms = now;
		look_locked(s, force);
	}
	changed = !cred_equal(s->current, used != NULL ? used : before);
	pthread_mutex_unlock(&s->lock);
	cred_unref(before);
	return changed;
}

bool cred_source_can_change(const struct cred_source *s)
{
	return s->path != NULL;
}
