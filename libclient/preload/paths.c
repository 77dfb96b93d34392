#include "libclient/preload/paths.h"

#include "libclient/core/file.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/known.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/placeholder.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/search.h"
#include "libclient/preload/selfpath.h"
#include "libclient/preload/shadow.h"
#include "libclient/preload/skeleton.h"
#include "libclient/preload/store.h"

#include <limits.h>

size_t paths_dir_len;
static const char *dir START_DATA;
#define CWD_UNKNOWN 2u
static uint32_t cwd_inside = CWD_UNKNOWN; /* relative paths may be ours */

enum {
	WHOLE_MAX = 10000,
};
static uint64_t whole = UINT64_MAX; /* serial of the last tree whose directories were seen to */

void paths_start(const char *model_dir, size_t len)
{
	dir = model_dir;
	skeleton_start(dir, len);
	paths_dir_len = len;
}

void paths_cwd_changed(void)
{
	char buf[PATH_MAX];
	const char *rest;

	if (!paths_on())
		return;
	skeleton_search();
	__atomic_store_n(&cwd_inside, (uint32_t)skeleton_rest(AT_FDCWD, buf, sizeof(buf), &rest),
			 __ATOMIC_RELAXED);
}

const char *paths_dir(void)
{
	return dir;
}

dev_t paths_device(void)
{
	return skeleton_device();
}

static bool set_error(struct spot *s, int error)
{
	s->kind = SPOT_ERROR;
	trace_path(TRACE_STORE, s->dirfd, s->path);
	s->error = error;
	return true;
}

/* What the tree says of `path` below `from`.  False: it cannot be told by the text. */
static bool walk(struct spot *s, uint32_t from, const char *path)
{
	enum pathtext_found found;
	int r;

	while ((found = pathtext_walk(snap_tree(s->snap), from, path, &s->entry)) ==
	       PATHTEXT_UNLISTED) {
		r = store_list(&s->snap, s->entry, &from);
		if (r != 0)
			return set_error(s, r);
		if (from != SNAPSHOT_NONE && snapshot_is_dir(&snap_tree(s->snap)->entries[from]))
			continue;
		s->entry = 0; /* the directory has gone from the store meanwhile */
		s->kind = SPOT_LOCAL;
		return true;
	}
	switch (found) {
	case PATHTEXT_UNLISTED:
	case PATHTEXT_UNKNOWN:
		s->kind = SPOT_NONE;
		return false;
	case PATHTEXT_ABSENT:
		s->kind = SPOT_LOCAL;
		return true;
	case PATHTEXT_DIR:
		s->kind = SPOT_DIR;
		return true;
	case PATHTEXT_FILE:
		if (mem_len(s->path) >= PATH_MAX)
			return set_error(s, -ENAMETOOLONG);
		s->kind = SPOT_FILE;
		return true;
	case PATHTEXT_NOT_A_DIR:
		return set_error(s, -ENOTDIR);
	}
	return false;
}

/*
 * The tree's directories are made on disk together, when the first name is asked for: made one by one
 * they would change the times of directories that a program is reading (tar: "file changed as we
 * read it"), and calls inside libc (mkstemp) would not find them.  The last one stands for all.  A
 * larger tree's are made when they are reached.
 */
static void make_whole(const struct snap *snap)
{
	const struct snapshot *tree = snap_tree(snap);
	uint64_t last = tree->header->nr_entries, i;
	char path[PATH_MAX];
	struct stat st;

	if (__atomic_load_n(&whole, __ATOMIC_RELAXED) == tree->header->serial)
		return;
	__atomic_store_n(&whole, tree->header->serial, __ATOMIC_RELAXED);
	shadow_judge(dir, snap);
	if (last - tree->header->nr_files > WHOLE_MAX)
		return;
	while (last > 0 && !snapshot_is_dir(&tree->entries[last - 1]))
		last--;
	if (last < 2 || skeleton_device() == 0 ||
	    paths_full(snap, (uint32_t)last - 1, path, sizeof(path)) < 0 ||
	    sys_fstatat(AT_FDCWD, path, &st, 0) == 0)
		return;
	/* Parents come before their children.  What fails is told when the directory is reached. */
	for (i = 1; i < last; i++)
		if (snapshot_is_dir(&tree->entries[i]) &&
		    paths_full(snap, (uint32_t)i, path, sizeof(path)) >= 0)
			sys_mkdirat(AT_FDCWD, path, 0755);
}

bool paths_walk(struct spot *s, const char *base, const char *path)
{
	int error;

	if (s->snap == NULL)
		s->snap = store_snap(&error);
	if (s->snap == NULL)
		return set_error(s, error);
	make_whole(s->snap);
	if (base[0] == '\0')
		return walk(s, 0, path);
	/* A directory that only the local disk has: all below it is local. */
	return walk(s, 0, base) && s->kind == SPOT_DIR && walk(s, s->entry, path);
}

bool paths_rest(const char *path, const char **ret_rest)
{
	const char *top;
	size_t top_len;

	if (pathtext_below(dir, paths_dir_len, path, ret_rest))
		return true;
	top = skeleton_real(&top_len);
	return top != NULL && pathtext_below(top, top_len, path, ret_rest);
}

/* The file of that path, if the newest tree has this version of it. */
static bool set_version(struct spot *s, const char *path, const char *etag)
{
	const struct snapshot_entry *e;
	size_t n = mem_len(etag);

	if (paths_walk(s, "", path) && s->kind == SPOT_FILE) {
		e = &snap_tree(s->snap)->entries[s->entry];
		if (n == e->etag_len ? mem_equal(snap_tree(s->snap)->strings + e->etag_off, etag, n)
				     : n == 0 && e->size == 0)
			return true;
	}
	return s->kind == SPOT_ERROR || set_error(s, -ESTALE);
}

/* A path of another process's descriptor: its placeholder says by its name what it is. */
static __attribute__((noinline)) bool look_at_others(struct spot *s)
{
	char buf[PLACEHOLDER_NAME + 32];
	const char *etag, *path;

	if (!selfpath_is_numbered(s->path) || !placeholder_parse_link(s->path, buf, &etag, &path))
		return false;
	if (path[0] == '\0') /* too long to be carried */
		return set_error(s, -EIO);
	return set_version(s, path, etag);
}

/* A path by which the process names a store descriptor of its own: the file behind it. */
static bool look_at_own(struct spot *s)
{
	int fd = (s->flags & PATHS_NOFOLLOW) == 0 ? selfpath_fd(s->path) : -1;
	struct ofd *o;

	if (fd < 0)
		return (s->flags & PATHS_NOFOLLOW) == 0 && selfpath_is_proc(s->path) &&
		       look_at_others(s);
	if (!fds_is_ours(fd) || fds_is_dir(fd))
		return false;
	o = fds_get(fd);
	if (o == NULL)
		return set_error(s, -EIO);
	if (o->escaped) {
		fds_put(o); /* the kernel opens the copy */
		return false;
	}
	(void)set_version(s, file_path(o->file), file_etag(o->file));
	fds_put(o);
	return true;
}

/* A name relative to a directory of the mount (AT_FDCWD: the process stands in one).  As below. */
static bool look_below(struct spot *s)
{
	char buf[PATH_MAX];
	const char *rest;
	struct stat now;
	uint32_t entry;
	int error;

	if (s->dirfd != AT_FDCWD && s->snap == NULL)
		s->snap = store_snap(&error);
	if (s->snap != NULL && known_entry(s->dirfd, s->snap, &entry, &now))
		return walk(s, entry, s->path);
	if (!skeleton_rest(s->dirfd, buf, sizeof(buf), &rest))
		return true;
	if (s->snap != NULL && paths_walk(s, rest, "") && s->kind == SPOT_DIR)
		known_note(s->dirfd, s->snap, s->entry, &now);
	return paths_walk(s, rest, s->path) || s->kind != SPOT_NONE;
}

static bool cwd_may_be_ours(void)
{
	if (__atomic_load_n(&cwd_inside, __ATOMIC_RELAXED) == CWD_UNKNOWN)
		paths_cwd_changed();
	return __atomic_load_n(&cwd_inside, __ATOMIC_RELAXED) != 0;
}

/* What the text says.  False: the path goes through MODEL_DIR and climbs. */
static bool look_at_text(struct spot *s)
{
	const char *rest;

	if (s->path[0] == '/') {
		if (look_at_own(s) || !paths_rest(s->path, &rest))
			return true;
		return paths_walk(s, "", rest) || s->kind != SPOT_NONE;
	}
	if (s->dirfd == AT_FDCWD ? cwd_may_be_ours() : fds_is_dir(s->dirfd))
		return look_below(s);
	return true;
}

/* Can a symbolic link on the way, or the path's own, lead past the store to what is local? */
static bool may_be_linked(const struct spot *s)
{
	size_t len;

	return s->kind <= SPOT_LOCAL && skeleton_real(&len) != NULL &&
	       ((s->flags & PATHS_CHANGES) != 0 || shadow_possible(dir));
}

void paths_look_on(struct spot *s)
{
	trace_nothing();
	if (!look_at_text(s) || may_be_linked(s))
		search_path(s);
}

bool paths_again_on(struct spot *s)
{
	bool made = false;
	int r;

	if (s->asked || s->kind >= SPOT_FILE || s->path[0] == '\0')
		return false;
	s->asked = true;
	if (s->kind == SPOT_NONE || s->kind == SPOT_LOCAL) {
		/* The directory it would lie in may not be on disk yet. */
		if (s->kind == SPOT_LOCAL)
			made = paths_make_dir(s->snap, s->entry) == 1;
		if (!made)
			search_path(s);
		if (s->kind >= SPOT_FILE)
			return true;
	}
	if (!made && (s->kind == SPOT_DIR || s->kind == SPOT_LOCAL)) {
		r = paths_make_dir(s->snap, s->entry);
		made = r == 1;
		/* The store has it and the disk cannot: "not there" would be a lie. */
		if (r < 0 && s->kind == SPOT_DIR)
			return set_error(s, r);
	}
	return made;
}

void paths_done_on(struct spot *s)
{
	if (s->kind != SPOT_NONE)
		trace_path(s->kind == SPOT_LOCAL ? TRACE_LOCAL
			   : s->kind == SPOT_DIR ? TRACE_FORWARDED
						 : TRACE_STORE,
			   s->dirfd, s->path);
	snap_put(s->snap);
	s->snap = NULL;
}

/* ---- entries and directories on disk ------------------------------------------------- */

static int join(const char *top, size_t top_len, const struct snap *snap, uint32_t entry, char *buf,
		size_t cap)
{
	int n;

	if (top_len + 2 > cap)
		return -ENAMETOOLONG;
	mem_copy(buf, top, top_len);
	buf[top_len] = '/';
	n = snapshot_path(snap_tree(snap), entry, buf + top_len + 1, cap - top_len - 1);
	if (n < 0)
		return n;
	if (n == 0)
		buf[top_len] = '\0';
	return n == 0 ? (int)top_len : (int)top_len + 1 + n;
}

int paths_full(const struct snap *snap, uint32_t entry, char *buf, size_t cap)
{
	return join(dir, paths_dir_len, snap, entry, buf, cap);
}

int paths_full_real(const struct snap *snap, uint32_t entry, char *buf, size_t cap)
{
	const char *top;
	size_t len;

	if (skeleton_device() == 0)
		return -ENOENT;
	top = skeleton_real(&len);
	return join(top, len, snap, entry, buf, cap);
}

int paths_make_dir(const struct snap *snap, uint32_t entry)
{
	char path[PATH_MAX];
	int n = paths_full(snap, entry, path, sizeof(path));

	return n < 0 ? n : skeleton_make(path, (size_t)n);
}

int paths_dir_of_fd(int fd, struct snap **ret_snap, uint32_t *ret_entry)
{
	char buf[PATH_MAX];
	const char *rest;
	struct stat st;
	struct spot s;
	size_t len;

	if (!paths_on() || (skeleton_real(&len) == NULL && !fds_is_dir(fd)))
		return 0;
	if (!fds_is_dir(fd) &&
	    (sys_fstat(fd, &st) != 0 || !skeleton_is_on(st.st_dev) || search_is_outside(&st)))
		return 0;
	if (!skeleton_rest(fd, buf, sizeof(buf), &rest)) {
		if (!fds_is_dir(fd))
			search_note_outside(&st);
		return 0;
	}
	paths_look(&s, AT_FDCWD, NULL, 0);
	paths_walk(&s, "", rest);
	if (s.kind == SPOT_DIR) {
		*ret_snap = s.snap;
		*ret_entry = s.entry;
		return 1;
	}
	paths_done(&s);
	return s.kind == SPOT_ERROR ? s.error : 0;
}
