#include "libclient/preload/paths.h"

#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/skeleton.h"
#include "libclient/preload/store.h"

#include <limits.h>

#define MAX_LINKS 40

size_t paths_dir_len;
static char dir[PATH_MAX];
static uint32_t cwd_inside; /* relative paths may be ours */

void paths_start(const char *model_dir, size_t len)
{
	mem_copy(dir, model_dir, len + 1);
	skeleton_start(dir, len);
	paths_dir_len = len;
	paths_cwd_changed();
}

void paths_cwd_changed(void)
{
	char buf[PATH_MAX];
	const char *rest;

	if (paths_on())
		__atomic_store_n(&cwd_inside,
				 (uint32_t)skeleton_rest(AT_FDCWD, buf, sizeof(buf), &rest),
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
	s->error = error;
	return true;
}

/* What the tree says of `path` below `from`.  False: it cannot be told by the text. */
static bool walk(struct spot *s, uint32_t from, const char *path)
{
	switch (pathtext_walk(snap_tree(s->snap), from, path, &s->entry)) {
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
		s->kind = SPOT_FILE;
		return true;
	case PATHTEXT_NOT_A_DIR:
		return set_error(s, -ENOTDIR);
	}
	return false;
}

/* A path below MODEL_DIR whose first part is `base` (relative to it) and whose rest is `path`. */
static bool walk_below(struct spot *s, const char *base, const char *path)
{
	int error;

	if (s->snap == NULL)
		s->snap = store_snap(&error);
	if (s->snap == NULL)
		return set_error(s, error);
	if (base[0] == '\0')
		return walk(s, 0, path);
	/* A directory that only the local disk has: all below it is local. */
	return walk(s, 0, base) && s->kind == SPOT_DIR && walk(s, s->entry, path);
}

/* An absolute path by its text: below MODEL_DIR in either form? */
static bool rest_of(const char *path, const char **ret_rest)
{
	const char *top;
	size_t top_len;

	if (pathtext_below(dir, paths_dir_len, path, ret_rest))
		return true;
	top = skeleton_real(&top_len);
	return top != NULL && pathtext_below(top, top_len, path, ret_rest);
}

void paths_look_on(struct spot *s)
{
	char buf[PATH_MAX];
	const char *rest;

	if (s->path[0] == '/') {
		if (rest_of(s->path, &rest))
			walk_below(s, "", rest);
		return;
	}
	if (s->dirfd == AT_FDCWD ? __atomic_load_n(&cwd_inside, __ATOMIC_RELAXED) == 0
				 : !fds_is_dir(s->dirfd))
		return;
	if (skeleton_rest(s->dirfd, buf, sizeof(buf), &rest))
		walk_below(s, rest, s->path);
}

/* ---- after the kernel's ENOENT ------------------------------------------------------ */

/* What a search that follows links carries along; too large for a small stack. */
struct search {
	char path[PATH_MAX];   /* what remains to be found, relative to dirfd */
	char parent[PATH_MAX]; /* its parent, for the kernel */
	char buf[PATH_MAX];
	int dirfd;
	int own_fd; /* dirfd when it is ours to close, else -1 */
};

/* Open the nearest directory above the path that exists; *ret_rest: what lies below it. */
static int open_above(struct search *w, const char **ret_rest)
{
	size_t len = mem_len(w->path), cut;

	while (len > 1 && w->path[len - 1] == '/')
		len--;
	for (;;) {
		int fd;

		cut = pathtext_last(w->path, len);
		*ret_rest = w->path + cut;
		while (cut > 1 && w->path[cut - 1] == '/')
			cut--;
		mem_copy(w->parent, cut == 0 ? "." : w->path, cut == 0 ? 1 : cut);
		w->parent[cut == 0 ? 1 : cut] = '\0';
		fd = sys_openat(w->dirfd, w->parent, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		if (fd != -ENOENT || cut == 0 || (cut == 1 && w->path[0] == '/'))
			return fd;
		len = cut;
	}
}

/*
 * Is the first component of `rest` in the open directory a symbolic link?  Then
 * go on with its target and what follows.  `rest` points into w->path.
 */
static bool follow(struct search *w, int above, const char *rest, bool follow_last)
{
	size_t len = 0, tail;
	ssize_t n;

	while (rest[len] != '\0' && rest[len] != '/')
		len++;
	tail = mem_len(rest + len);
	if (len == 0 || (tail == 0 && !follow_last))
		return false;
	mem_copy(w->parent, rest, len);
	w->parent[len] = '\0';
	n = sys_call4(__NR_readlinkat, above, w->parent, w->buf, sizeof(w->buf) - 1);
	if (n <= 0 || (size_t)n + tail >= sizeof(w->path))
		return false;
	mem_move(w->path + n, rest + len, tail + 1);
	mem_copy(w->path, w->buf, (size_t)n);
	if (w->own_fd >= 0)
		sys_close(w->own_fd);
	w->own_fd = above;
	w->dirfd = above;
	return true;
}

/* What stands before a ".." must be on disk before the kernel can climb from it. */
static bool made_for_climbing(const struct spot *s)
{
	return s->kind == SPOT_NONE && s->snap != NULL && paths_make_dir(s->snap, s->entry) == 1;
}

/* One round: true when the spot is known or the search is over, false to go on. */
static bool search_once(struct spot *s, struct search *w)
{
	const char *rest, *base;
	bool again = false;
	int above;

	if (w->path[0] == '/' && rest_of(w->path, &rest)) {
		if (walk_below(s, "", rest) && s->kind != SPOT_LOCAL)
			return true;
		if (made_for_climbing(s))
			return false;
	}
	above = open_above(w, &rest);
	if (above < 0)
		return true;
	if (skeleton_rest(above, w->buf, sizeof(w->buf), &base)) {
		walk_below(s, base, rest);
		again = made_for_climbing(s);
	}
	if (again || (s->kind != SPOT_NONE && s->kind != SPOT_LOCAL) ||
	    !follow(w, above, rest, (s->flags & PATHS_NOFOLLOW) == 0)) {
		sys_close(above);
		return !again;
	}
	return false;
}

static void search(struct spot *s)
{
	struct search *w;
	size_t len = mem_len(s->path);
	int i;

	if (len >= PATH_MAX)
		return;
	w = arena_alloc(sizeof(*w));
	if (w == NULL)
		return;
	mem_copy(w->path, s->path, len + 1);
	w->dirfd = s->dirfd;
	w->own_fd = -1;
	for (i = 0; i < MAX_LINKS && !search_once(s, w); i++)
		;
	if (w->own_fd >= 0)
		sys_close(w->own_fd);
	arena_free(w);
}

bool paths_again_on(struct spot *s)
{
	bool made = false;

	if (s->asked || s->kind >= SPOT_FILE || s->path[0] == '\0')
		return false;
	s->asked = true;
	if (s->kind == SPOT_NONE || s->kind == SPOT_LOCAL) {
		/* The directory it would lie in may not be on disk yet. */
		if (s->kind == SPOT_LOCAL)
			made = paths_make_dir(s->snap, s->entry) == 1;
		if (!made)
			search(s);
		if (s->kind >= SPOT_FILE)
			return true;
	}
	if (!made && (s->kind == SPOT_DIR || s->kind == SPOT_LOCAL))
		made = paths_make_dir(s->snap, s->entry) == 1;
	return made;
}

void paths_done_on(struct spot *s)
{
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

	if (!paths_on())
		return 0;
	if (!fds_is_dir(fd) && (sys_fstat(fd, &st) != 0 || st.st_dev != skeleton_device()))
		return 0;
	if (!skeleton_rest(fd, buf, sizeof(buf), &rest))
		return 0;
	paths_look(&s, AT_FDCWD, NULL, 0);
	walk_below(&s, "", rest);
	if (s.kind == SPOT_DIR) {
		*ret_snap = s.snap;
		*ret_entry = s.entry;
		return 1;
	}
	paths_done(&s);
	return s.kind == SPOT_ERROR ? s.error : 0;
}
