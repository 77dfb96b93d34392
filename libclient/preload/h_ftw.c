/*
 * h_ftw.c - hooks: ftw and nftw.  A walk that may meet MODEL_DIR is done here, in
 * the order of the directory streams; every other one is libc's.
 *
 * The names of a directory are read at once, so that one descriptor is enough
 * whatever the depth; as many as the caller allows stay open on the way down.
 */
#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/dirstream.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/pathtext.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/walk.h"

#include <ftw.h>
#include <limits.h>
#include <stdbool.h>
#include <unistd.h>

#define KNOWN_FLAGS (FTW_PHYS | FTW_MOUNT | FTW_CHDIR | FTW_DEPTH | FTW_ACTIONRETVAL)

/* A directory that was entered: a walk that follows links enters none twice. */
struct seen {
	dev_t dev;
	ino_t ino;
};

struct walk {
	__ftw_func_t simple; /* ftw()'s */
	__nftw_func_t visit; /* nftw()'s */
	int flags;
	int nr_open; /* descriptors that may still be kept */
	dev_t dev;
	struct FTW ftw;
	char *path;
	size_t room;
	struct seen *seen; /* open addressing; ino 0: free */
	size_t nr_seen, seen_room;
};

/* A directory being walked. */
struct place {
	DIR *stream; /* NULL: closed, to keep to the caller's number */
	char *names; /* one after the other */
	size_t len, room;
};

static int visit(struct walk *w, const struct stat *st, int type)
{
	if (w->visit != NULL)
		return w->visit(w->path, st, type, &w->ftw);
	/* ftw() knows fewer kinds. */
	if (type == FTW_SLN)
		type = FTW_NS;
	return w->simple(w->path, st, type);
}

static bool has(const struct walk *w, int flag)
{
	return (w->flags & flag) != 0;
}

/* ---- memory ------------------------------------------------------------------------------- */

/* Room for `need` bytes, of which `used` are kept. */
static bool make_room(char **mem, size_t *room, size_t used, size_t need)
{
	size_t more = *room == 0 ? 512 : *room;
	char *bigger;

	if (need <= *room)
		return true;
	while (more < need)
		more *= 2;
	bigger = arena_alloc(more);
	if (bigger == NULL) {
		errno_set(ENOMEM);
		return false;
	}
	mem_copy(bigger, *mem, used);
	arena_free(*mem);
	*mem = bigger;
	*room = more;
	return true;
}

static struct seen *seen_slot(const struct walk *w, dev_t dev, ino_t ino)
{
	size_t i = (ino * 0x9e3779b97f4a7c15ull >> 20) & (w->seen_room - 1);

	while (w->seen[i].ino != 0 && (w->seen[i].ino != ino || w->seen[i].dev != dev))
		i = (i + 1) & (w->seen_room - 1);
	return &w->seen[i];
}

/* 1: entered before.  0: noted now.  -1 and errno. */
static int note_seen(struct walk *w, const struct stat *st)
{
	struct seen *old = w->seen, *s;
	size_t old_room = w->seen_room, i;

	if (w->nr_seen * 2 >= w->seen_room) {
		w->seen_room = old_room == 0 ? 64 : old_room * 2;
		w->seen = arena_alloc(w->seen_room * sizeof(*w->seen));
		if (w->seen == NULL) {
			w->seen = old;
			w->seen_room = old_room;
			errno_set(ENOMEM);
			return -1;
		}
		for (i = 0; i < old_room; i++)
			if (old[i].ino != 0)
				*seen_slot(w, old[i].dev, old[i].ino) = old[i];
		arena_free(old);
	}
	s = seen_slot(w, st->st_dev, st->st_ino);
	if (s->ino != 0)
		return 1;
	*s = (struct seen){ st->st_dev, st->st_ino };
	w->nr_seen++;
	return 0;
}

/* ---- one directory -------------------------------------------------------------------------- */

/* How the calls name an entry of `at`: relative to its stream, or as the process stands. */
static const char *name_in(const struct walk *w, const struct place *at, int *ret_dirfd)
{
	bool by_name = at != NULL && at->stream != NULL;

	*ret_dirfd = by_name ? dirfd(at->stream) : AT_FDCWD;
	return by_name || has(w, FTW_CHDIR) ? w->path + w->ftw.base : w->path;
}

static int stat_in(const struct walk *w, const struct place *at, struct stat *ret, int flags)
{
	int fd;
	const char *name = name_in(w, at, &fd);

	return fstatat(fd, name, ret, flags);
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* All names of the stream, then close it unless the caller allows one more to stay open. */
static int read_names(struct walk *w, struct place *p)
{
	int before = errno_get();
	const struct dirent *e;
	size_t len;

	errno_set(0);
	while ((e = readdir(p->stream)) != NULL) {
		if (is_dots(e->d_name))
			continue;
		len = mem_len(e->d_name) + 1;
		if (!make_room(&p->names, &p->room, p->len, p->len + len))
			return -1;
		mem_copy(p->names + p->len, e->d_name, len);
		p->len += len;
	}
	if (errno_get() == 0)
		errno_set(before); /* else what could be read is walked, as in libc */
	if (w->nr_open > 1) {
		w->nr_open--;
	} else {
		closedir(p->stream);
		p->stream = NULL;
	}
	return 0;
}

static void leave(struct walk *w, struct place *p, bool was_read)
{
	int error = errno_get();

	if (p->stream != NULL) {
		closedir(p->stream);
		w->nr_open += was_read;
	}
	arena_free(p->names);
	errno_set(error);
}

/* Back to the directory that `at` is, from one below it. */
static int climb(struct walk *w, const struct place *at)
{
	if (at->stream != NULL && fchdir(dirfd(at->stream)) == 0)
		return 0;
	if (w->ftw.base == 1 && w->path[0] == '/')
		return chdir("/");
	return chdir("..");
}

static int walk_dir(struct walk *w, struct place *above, const struct stat *st);

/* An entry of a directory (NULL: the root of the walk, which must exist). */
static int walk_entry(struct walk *w, struct place *at)
{
	struct stat st;
	int type, known, r = 0;

	mem_zero(&st, sizeof(st));
	if (stat_in(w, at, &st, has(w, FTW_PHYS) ? AT_SYMLINK_NOFOLLOW : 0) == 0) {
		type = S_ISDIR(st.st_mode) ? FTW_D : S_ISLNK(st.st_mode) ? FTW_SL : FTW_F;
	} else {
		if (at == NULL ? errno_get() != ENOENT || has(w, FTW_PHYS)
			       : errno_get() != ENOENT && errno_get() != EACCES)
			return -1;
		type = FTW_NS;
		if (!has(w, FTW_PHYS) && stat_in(w, at, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISLNK(st.st_mode))
			type = FTW_SLN;
		else if (at == NULL)
			return -1;
	}
	if (at == NULL)
		w->dev = st.st_dev;
	else if (type != FTW_NS && has(w, FTW_MOUNT) && st.st_dev != w->dev)
		return 0;
	if (type != FTW_D) {
		r = visit(w, &st, type);
	} else {
		known = has(w, FTW_PHYS) ? 0 : note_seen(w, &st);
		if (known < 0)
			return -1;
		if (known == 0)
			r = walk_dir(w, at, &st);
	}
	return has(w, FTW_ACTIONRETVAL) && r == FTW_SKIP_SUBTREE ? 0 : r;
}

/* All names of a directory, one after the other. */
static int walk_names(struct walk *w, struct place *p)
{
	int base = w->ftw.base, r = 0;
	size_t end = mem_len(w->path), at, len;

	w->ftw.level++;
	if (w->path[end - 1] != '/')
		w->path[end++] = '/'; /* there is room: see set_path() */
	w->ftw.base = (int)end;
	for (at = 0; r == 0 && at < p->len; at += len) {
		len = mem_len(p->names + at) + 1;
		if (!make_room(&w->path, &w->room, end, end + len + 1)) {
			r = -1;
			break;
		}
		mem_copy(w->path + end, p->names + at, len);
		r = walk_entry(w, p);
	}
	w->path[end - 1] = '\0';
	w->ftw.base = base;
	w->ftw.level--;
	return has(w, FTW_ACTIONRETVAL) && r == FTW_SKIP_SIBLINGS ? 0 : r;
}

static int walk_dir(struct walk *w, struct place *above, const struct stat *st)
{
	struct place here = { 0 };
	bool was_read = false;
	const char *name;
	int fd, r = 0;

	name = name_in(w, above, &fd);
	here.stream = dirstream_open(fd, name);
	if (here.stream == NULL)
		return errno_get() == EACCES ? visit(w, st, FTW_DNR) : -1;
	if (!has(w, FTW_DEPTH))
		r = visit(w, st, FTW_D);
	if (r == 0 && has(w, FTW_CHDIR))
		r = fchdir(dirfd(here.stream));
	if (r != 0) {
		leave(w, &here, false);
		return r;
	}
	r = read_names(w, &here);
	was_read = r == 0;
	if (r == 0)
		r = walk_names(w, &here);
	leave(w, &here, was_read);
	if (r == 0 && has(w, FTW_DEPTH))
		r = visit(w, st, FTW_DP);
	if (above != NULL && has(w, FTW_CHDIR) &&
	    (r == 0 || (has(w, FTW_ACTIONRETVAL) && r != -1 && r != FTW_STOP)) &&
	    climb(w, above) != 0)
		r = -1;
	return r;
}

/* ---- the walk ------------------------------------------------------------------------------- */

/* The path without slashes at its end, and where its last component begins. */
static bool set_path(struct walk *w, const char *path)
{
	size_t len = mem_len(path);

	/* One byte more than the text: a slash may be put behind it. */
	if (!make_room(&w->path, &w->room, 0, len + 2))
		return false;
	while (len > 1 && path[len - 1] == '/')
		len--;
	mem_copy(w->path, path, len);
	w->path[len] = '\0';
	w->ftw.base = len == 1 && path[0] == '/' ? 0 : (int)pathtext_last(path, len);
	return true;
}

/* Where the root of the walk lies. */
static int enter_parent(struct walk *w)
{
	char *end = w->path + w->ftw.base, kept = *end;
	int r;

	if (w->ftw.base == 0)
		return 0;
	if (w->ftw.base == 1)
		return chdir("/");
	*end = '\0';
	r = chdir(w->path);
	*end = kept;
	return r;
}

static int walk_all(struct walk *w, const char *path)
{
	int cwd = -1, r = 0, error;

	if (path[0] == '\0')
		return (int)answer(-ENOENT);
	if (w->nr_open < 1)
		w->nr_open = 1;
	if (!set_path(w, path))
		return -1;
	if (has(w, FTW_CHDIR)) {
		cwd = sys_openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
		r = cwd < 0 ? (int)answer(cwd) : enter_parent(w);
	}
	if (r == 0)
		r = walk_entry(w, NULL);
	if (has(w, FTW_ACTIONRETVAL) && r == FTW_SKIP_SIBLINGS)
		r = 0;
	error = errno_get();
	if (cwd >= 0) {
		(void)fchdir(cwd);
		sys_close(cwd);
	}
	arena_free(w->path);
	arena_free(w->seen);
	errno_set(error);
	return r;
}

EXPORT int nftw(const char *path, __nftw_func_t func, int nr_open, int flags)
{
	struct walk w = { .visit = func, .flags = flags, .nr_open = nr_open };
	__typeof(&nftw) libc = NEXT(nftw);

	if (!paths_on() || (flags & ~KNOWN_FLAGS) != 0 || !walk_meets(path, !has(&w, FTW_PHYS)))
		return libc(path, func, nr_open, flags);
	return walk_all(&w, path);
}
ALIAS(nftw64, nftw);

EXPORT int ftw(const char *path, __ftw_func_t func, int nr_open)
{
	struct walk w = { .simple = func, .nr_open = nr_open };
	__typeof(&ftw) libc = NEXT(ftw);

	if (!walk_meets(path, true))
		return libc(path, func, nr_open);
	return walk_all(&w, path);
}
ALIAS(ftw64, ftw);
