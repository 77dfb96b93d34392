#include "libclient/preload/search.h"

#include "libclient/core/arena.h"
#include "libclient/core/epoch.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/skeleton.h"

#include <limits.h>

#define MAX_LINKS  40
#define NR_OUTSIDE 64u

/* What a search carries along; too large for a small stack. */
struct search {
	char path[PATH_MAX];  /* what is looked for, relative to dirfd */
	char above[PATH_MAX]; /* the nearest directory above it that exists, likewise */
	char buf[PATH_MAX];
	int dirfd;
	int own_fd; /* dirfd when it is ours to close, else -1 */
};

/* ---- directories that are known to lie elsewhere ------------------------------------ */

/*
 * Hashes of identity and change time: a directory that is removed and made anew
 * with the same inode has another one.
 */
static uint64_t outside[NR_OUTSIDE];

static uint64_t hash_of(const struct stat *st)
{
	const uint64_t parts[] = { st->st_dev, st->st_ino, (uint64_t)st->st_ctim.tv_sec,
				   (uint64_t)st->st_ctim.tv_nsec };
	uint64_t h = 14695981039346656037ull;
	unsigned i;

	for (i = 0; i < 4; i++) {
		h = (h ^ parts[i]) * 0x9e3779b97f4a7c15ull;
		h ^= h >> 29;
	}
	return h | 1;
}

bool search_is_outside(const struct stat *st)
{
	uint64_t h = hash_of(st);

	return __atomic_load_n(&outside[h >> 58 & (NR_OUTSIDE - 1)], __ATOMIC_RELAXED) == h;
}

void search_note_outside(const struct stat *st)
{
	uint64_t h = hash_of(st);

	__atomic_store_n(&outside[h >> 58 & (NR_OUTSIDE - 1)], h, __ATOMIC_RELAXED);
}

/* ---- the search ------------------------------------------------------------------------ */

/* The nearest directory above the path that exists; *ret_rest: what lies below it. */
static int find_above(struct search *w, const char **ret_rest, struct stat *ret)
{
	size_t len = mem_len(w->path), cut;
	int r;

	while (len > 1 && w->path[len - 1] == '/')
		len--;
	for (;;) {
		cut = pathtext_last(w->path, len);
		*ret_rest = w->path + cut;
		while (cut > 1 && w->path[cut - 1] == '/')
			cut--;
		mem_copy(w->above, cut == 0 ? "." : w->path, cut == 0 ? 1 : cut);
		w->above[cut == 0 ? 1 : cut] = '\0';
		r = sys_fstatat(w->dirfd, w->above, ret, 0);
		if (r != -ENOENT || cut == 0 || (cut == 1 && w->path[0] == '/'))
			return r;
		len = cut;
	}
}

static int open_above(const struct search *w)
{
	return sys_openat(w->dirfd, w->above, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

/* While MODEL_DIR is not there, what leads to it ends in a directory above: only the text tells. */
static void look_at_unmade(struct spot *s, struct search *w, int fd, const char *rest)
{
	ssize_t n = skeleton_name(fd, w->buf, sizeof(w->buf));
	size_t len = mem_len(rest);
	const char *base;

	if (n <= 0 || (size_t)n + 1 + len >= sizeof(w->buf))
		return;
	if (n > 1) /* not the root */
		w->buf[n++] = '/';
	mem_copy(w->buf + n, rest, len + 1);
	if (paths_rest(w->buf, &base))
		paths_walk(s, "", base);
}

/* Does it lie below MODEL_DIR?  Then what is below it there is known to the tree. */
static void look_above(struct spot *s, struct search *w, const struct stat *st, const char *rest)
{
	const char *base;
	size_t len;
	int fd;

	if (skeleton_real(&len) != NULL && (!skeleton_is_on(st->st_dev) || search_is_outside(st)))
		return;
	fd = open_above(w);
	if (fd < 0)
		return;
	if (skeleton_real(&len) == NULL)
		look_at_unmade(s, w, fd, rest);
	else if (skeleton_rest(fd, w->buf, sizeof(w->buf), &base))
		paths_walk(s, base, rest);
	else
		search_note_outside(st);
	sys_close(fd);
}

/*
 * Is the first component below the directory a symbolic link?  Then go on with
 * its target and what follows.  `rest` points into w->path.
 */
static bool follow(struct search *w, const char *rest, bool follow_last)
{
	size_t len = 0, tail, first = (size_t)(rest - w->path);
	int fd = -1;
	ssize_t n;

	while (rest[len] != '\0' && rest[len] != '/')
		len++;
	tail = mem_len(rest + len);
	if (len == 0 || (tail == 0 && !follow_last))
		return false;
	w->path[first + len] = '\0';
	n = sys_call4(__NR_readlinkat, w->dirfd, w->path, w->buf, sizeof(w->buf) - 1);
	if (tail != 0)
		w->path[first + len] = '/';
	if (n <= 0 || (size_t)n + tail >= sizeof(w->path))
		return false;
	if (w->buf[0] != '/') {
		fd = open_above(w);
		if (fd < 0)
			return false;
	}
	mem_move(w->path + n, rest + len, tail + 1);
	mem_copy(w->path, w->buf, (size_t)n);
	if (w->own_fd >= 0)
		sys_close(w->own_fd);
	w->own_fd = fd;
	w->dirfd = fd >= 0 ? fd : AT_FDCWD;
	return true;
}

/* What stands before a ".." must be on disk before the kernel can climb from it. */
static bool made_for_climbing(const struct spot *s)
{
	return s->kind == SPOT_NONE && s->snap != NULL && paths_make_dir(s->snap, s->entry) == 1;
}

static bool is_open(const struct spot *s)
{
	return s->kind == SPOT_NONE || s->kind == SPOT_LOCAL;
}

/* One round: true when the spot is known or the search is over, false to go on. */
static bool search_once(struct spot *s, struct search *w)
{
	const char *rest;
	bool was_there;
	struct stat st;
	size_t len;

	if (w->path[0] == '/' && paths_rest(w->path, &rest)) {
		paths_walk(s, "", rest);
		if (!is_open(s))
			return true;
		if (made_for_climbing(s))
			return false;
	}
	if (find_above(w, &rest, &st) != 0)
		return true;
	was_there = skeleton_real(&len) != NULL;
	look_above(s, w, &st, rest);
	if (!is_open(s))
		return true;
	if (!was_there && skeleton_real(&len) != NULL)
		return false;
	return !made_for_climbing(s) && !follow(w, rest, (s->flags & PATHS_NOFOLLOW) == 0);
}

/* One is at hand; who finds it in use takes memory of its own. */
static struct search at_hand;
static uint32_t in_use; /* epoch of the process whose thread has it, or 0 */

static struct search *take_search(void)
{
	uint32_t now = epoch_now(), seen = __atomic_load_n(&in_use, __ATOMIC_RELAXED);

	if (seen != now && __atomic_compare_exchange_n(&in_use, &seen, now, false, __ATOMIC_ACQUIRE,
						       __ATOMIC_RELAXED))
		return &at_hand;
	return arena_alloc(sizeof(struct search));
}

static void give_search(struct search *w)
{
	if (w == &at_hand)
		__atomic_store_n(&in_use, 0, __ATOMIC_RELEASE);
	else
		arena_free(w);
}

void search_path(struct spot *s)
{
	size_t len = mem_len(s->path);
	struct search *w;
	int i;

	if (len >= PATH_MAX)
		return;
	w = take_search();
	if (w == NULL)
		return;
	mem_copy(w->path, s->path, len + 1);
	w->dirfd = s->dirfd;
	w->own_fd = -1;
	for (i = 0; i < MAX_LINKS && !search_once(s, w); i++)
		;
	if (w->own_fd >= 0)
		sys_close(w->own_fd);
	give_search(w);
}
