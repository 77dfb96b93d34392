#include "libclient/preload/store.h"

#include "libclient/core/file.h"
#include "libclient/core/link.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/text.h"
#include "libclient/core/view.h"
#include "libclient/preload/conf.h"
#include "libclient/preload/faults.h"
#include "libclient/preload/load.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/say.h"

#include <limits.h>

/* After a failure the same answer is given for so long, then the daemon is tried again. */
#define RETRY_MS   1000u

#define KEY_ROOM   1088		/* a key has at most 1023 bytes; threads may have 16 KiB of stack */
#define BLOCK_SIZE (128 * 1024) /* st_blksize: what buffered readers ask for at a time */

static const struct conf *conf START_DATA;  /* NULL: off */
static char *const *environment START_DATA; /* at start */
static struct view *view; /* NULL until a path is reached; then its link is there as well */
static uid_t uid;
static gid_t gid;
static uint64_t failed_ms; /* 0: the last attempt went well */
static int failed_error;
static uint32_t attached; /* at some time, here or in the process that forked us */

void store_start(const struct conf *c, char *const *envp)
{
	environment = envp;
	conf = c;
}

static int make_view(struct view **ret)
{
	struct link_conf link_conf = {
		.envp = environment,
		.spawn = conf->role == CONF_PRIMARY,
	};
	struct view_conf view_conf = {
		.oss_path = conf->oss_path,
		.model_dir = conf->model_dir,
		.endpoint = conf->endpoint,
		.region = conf->region,
		.access_key = conf->access_key,
		.secret = conf->secret,
		.token = conf->token,
		.sources = conf->sources,
		.flags = WIRE_MOUNT_PARTS,
		.wait_ms = conf->role == CONF_PRIMARY ? 0 : conf->wait_ms,
	};
	struct link *l;
	int r;

	view_conf.flags |= conf->role == CONF_PRIMARY ? WIRE_MOUNT_PREFETCH : WIRE_MOUNT_SECONDARY;
	r = link_new(&link_conf, &l);
	if (r != 0)
		return r;
	r = view_new(l, &view_conf, ret);
	if (r != 0)
		link_free(l);
	return r;
}

/* The view, made at the first call. */
static int ready(void)
{
	struct view *v, *none = NULL;
	struct link *l;
	int r;

	if (__builtin_expect(__atomic_load_n(&view, __ATOMIC_ACQUIRE) != NULL, 1))
		return 0;
	if (conf == NULL)
		return -EIO;
	uid = sys_geteuid();
	gid = (gid_t)sys_call0(__NR_getegid);
	r = make_view(&v);
	if (r != 0)
		return r;
	/* Release pairs with the acquire above and in link_now(). */
	if (!__atomic_compare_exchange_n(&view, &none, v, false, __ATOMIC_ACQ_REL,
					 __ATOMIC_ACQUIRE)) {
		l = view_link(v);
		view_free(v); /* another thread was quicker */
		link_free(l);
	}
	return 0;
}

/* NULL before ready(). */
static struct link *link_now(void)
{
	struct view *v = __atomic_load_n(&view, __ATOMIC_ACQUIRE);

	return v != NULL ? view_link(v) : NULL;
}

void store_head_start(void)
{
	/* A failure is said when the first path is reached. */
	if (ready() == 0)
		(void)view_start(view);
}

/* Is "not there" the word of somebody who knows?  Otherwise there was nobody to ask. */
static bool is_final(int error, bool attaching, const char *why)
{
	if (error != -ENOENT)
		return error == -EISDIR || error == -ENOTDIR;
	if (link_serial(link_now()) == 0)
		return false;
	/* A primary hears of the bucket or the key; a secondary may hear that its primary is missing. */
	return conf->role == CONF_PRIMARY || (!attaching && why[0] == '\0');
}

/* The errno of a file system for it. */
static int errno_for(int error, bool final)
{
	switch (error) {
	case -EACCES:
	case -EPERM:
	case -ESTALE:
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
		return error;
	}
	return final ? error : -EIO;
}

/* What a file system would say; the sentence goes to the user, with the errno that the program gets. */
static int translate(int error, bool attaching)
{
	char why[LINK_TEXT];
	bool final;

	if (error == -EMFILE || error == -ENFILE || error == -ENOMEM)
		return error;
	link_error_text(link_now(), why, sizeof(why));
	final = is_final(error, attaching, why);
	if (final && !attaching)
		return error;
	error = errno_for(error, final);
	SAY_ONCE(why[0] != '\0' ? why : "the store cannot be reached", " (", text_errno_name(error),
		 ")");
	return error;
}

static int attach(void)
{
	uint64_t since = __atomic_load_n(&failed_ms, __ATOMIC_ACQUIRE);
	int r;

	if (since != 0 && sys_now_ms() - since < RETRY_MS)
		return failed_error;
	r = view_attach(view);
	if (r == 0) {
		__atomic_store_n(&failed_ms, 0, __ATOMIC_RELAXED);
		__atomic_store_n(&attached, 1, __ATOMIC_RELAXED);
		return 0;
	}
	/* The program's own shortage, which may be over at once, is not remembered. */
	if (r == -EMFILE || r == -ENFILE || r == -ENOMEM)
		return r;
	failed_error = translate(r, true);
	__atomic_store_n(&failed_ms, sys_now_ms(), __ATOMIC_RELEASE);
	return failed_error;
}

struct snap *store_snap(int *ret_error)
{
	int r = ready();
	struct snap *s = r == 0 ? view_snap(view) : NULL;

	if (s != NULL) {
		if (__atomic_load_n(&attached, __ATOMIC_RELAXED) == 0)
			__atomic_store_n(&attached, 1, __ATOMIC_RELAXED);
		return s;
	}
	if (r == 0)
		r = attach();
	if (r == 0) {
		s = view_snap(view);
		if (s != NULL)
			return s;
		r = -EIO;
	}
	*ret_error = r;
	return NULL;
}

int store_list(struct snap **snap, uint32_t dir, uint32_t *entry)
{
	char listed[KEY_ROOM], path[KEY_ROOM];
	int listed_len = snapshot_path(snap_tree(*snap), dir, listed, sizeof(listed));
	int len = snapshot_path(snap_tree(*snap), *entry, path, sizeof(path)), r;
	struct snap *now = snap_ref(*snap);
	uint32_t found;

	r = listed_len < 0 ? listed_len : len < 0 ? len : 0;
	if (r == 0)
		r = view_find(view, &now, listed, (size_t)listed_len, true, &found);
	if (r == 0)
		r = view_find(view, &now, path, (size_t)len, false, &found);
	if (r != 0) {
		snap_put(now);
		return translate(r, true);
	}
	snap_put(*snap);
	*snap = now;
	*entry = found;
	return 0;
}

int store_open_path(const char *path, struct file **ret_file)
{
	int r = ready();

	if (r != 0)
		return r;
	r = file_open(view, path, mem_len(path), ret_file);
	if (r == 0 && __atomic_load_n(&attached, __ATOMIC_RELAXED) == 0)
		__atomic_store_n(&attached, 1, __ATOMIC_RELAXED);
	return r == 0 ? 0 : translate(r, false);
}

void store_say_unread(const struct file *f, int error)
{
	switch (error) {
	case -ESTALE:
		SAY_ONCE(file_path(f), " was changed in the store after it was opened: open it "
				       "again (ESTALE)");
		return;
	case -EIO:
	case -EACCES:
	case -ENOENT:
	case -ETIMEDOUT:
	case -EHOSTUNREACH:
		SAY_ONCE(file_path(f),
			 " cannot be read: the daemon's log, which `ossc status` names, says why (",
			 text_errno_name(error), ")");
	}
}

int store_recall(const char *path, const char *etag, uint64_t size, uint64_t ino,
		 struct file **ret_file)
{
	int r = ready();

	return r == 0 ? file_recall(view, path, etag, size, ino, ret_file) : r;
}

bool store_is_attached(void)
{
	return __atomic_load_n(&attached, __ATOMIC_RELAXED) != 0;
}

int store_open(const struct snap *snap, uint32_t entry, struct file **ret_file)
{
	char path[KEY_ROOM];
	int r;

	r = snapshot_path(snap_tree(snap), entry, path, sizeof(path));
	return r < 0 ? r : store_open_path(path, ret_file);
}

void store_attr_entry(const struct snap *snap, uint32_t entry, struct store_attr *ret)
{
	const struct snapshot_entry *e = &snap_tree(snap)->entries[entry];

	*ret = (struct store_attr){ .ino = e->ino, .size = e->size, .mtime_ns = e->mtime_ns };
}

void store_attr_file(const struct file *f, struct store_attr *ret)
{
	*ret = (struct store_attr){
		.ino = file_ino(f),
		.size = file_size(f),
		.mtime_ns = file_mtime_ns(f),
	};
}

void store_stat(const struct store_attr *a, struct stat *st)
{
	int64_t sec = a->mtime_ns / 1000000000, nsec = a->mtime_ns % 1000000000;

	if (nsec < 0) {
		sec--;
		nsec += 1000000000;
	}
	mem_zero(st, sizeof(*st));
	st->st_dev = paths_device();
	st->st_ino = a->ino;
	st->st_mode = S_IFREG | 0444;
	st->st_nlink = 1;
	st->st_uid = uid;
	st->st_gid = gid;
	st->st_size = (off_t)a->size;
	st->st_blksize = BLOCK_SIZE;
	st->st_blocks = (blkcnt_t)((a->size + 511) / 512);
	st->st_mtim = (struct timespec){ .tv_sec = sec, .tv_nsec = nsec };
	st->st_atim = st->st_mtim;
	st->st_ctim = st->st_mtim;
}

static unsigned lower_own(int fd, unsigned from, unsigned lowest)
{
	return fd >= 0 && (unsigned)fd >= from && (unsigned)fd < lowest ? (unsigned)fd : lowest;
}

unsigned store_next_own_fd(unsigned from)
{
	struct link *l = link_now();
	unsigned lowest;

	if (l == NULL)
		return UINT_MAX;
	lowest = placeholder_next_own_fd(from);
	if (load_next_own_fd(from) < lowest)
		lowest = load_next_own_fd(from);
	lowest = lower_own(faults_fd(), from, lowest);
	lowest = lower_own(link_socket_fd(l), from, lowest);
	return lower_own(link_notify_fd(l), from, lowest);
}

bool store_owns_fd(int fd)
{
	struct link *l = link_now();

	return l != NULL && fd >= 0 &&
	       (fd == link_socket_fd(l) || fd == link_notify_fd(l) || fd == faults_fd() ||
		placeholder_owns_fd(fd) || load_owns_fd(fd));
}
