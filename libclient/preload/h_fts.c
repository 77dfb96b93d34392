/*
 * h_fts.c - hooks: the fts family.  A walk that may meet MODEL_DIR is done here;
 * every other one is libc's.  A libc without fts (musl) has it from a library with
 * another layout, whose calls we see one by one: nothing to do there.
 *
 *	fts_open   an entry for each root, behind a first one that only starts the walk
 *	fts_read   down into a directory, to the next entry beside it, or up and out
 *	build      reads a directory: the list of its entries
 */
#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/preload/dirstream.h"
#include "libclient/preload/next.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/preload.h"
#include "libclient/preload/walk.h"

#include <fts.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

extern void qsort(void *base, size_t nr, size_t size,
		  int (*compare)(const void *, const void *)) LIBC_WEAK;

#define OURS	 0x40000000 /* in fts_options: none of libc's bits */
#define MAX_PATH 65535u	    /* fts_pathlen has 16 bits */

typedef int compare_function(const FTSENT **, const FTSENT **);

/* What fts_open() gives.  The path never moves, so entries may point into it. */
struct hierarchy {
	FTS fts;
	char path[MAX_PATH + 1];
};

static FTS *ours(FTS *f)
{
	return next_is_glibc() && f != NULL && (f->fts_options & OURS) != 0 ? f : NULL;
}

static bool has(const FTS *f, int option)
{
	return (f->fts_options & option) != 0;
}

static bool is_dots(const char *name)
{
	return name[0] == '.' && (name[1] == '\0' || (name[1] == '.' && name[2] == '\0'));
}

/* ---- entries ------------------------------------------------------------------------------ */

static FTSENT *entry_new(FTS *f, const char *name, size_t len)
{
	size_t stat_at = (offsetof(FTSENT, fts_name) + len + 1 + 15) & ~(size_t)15;
	FTSENT *e = arena_alloc(stat_at + sizeof(struct stat));

	if (e == NULL) {
		errno_set(ENOMEM);
		return NULL;
	}
	mem_copy(e->fts_name, name, len);
	e->fts_namelen = (unsigned short)len;
	e->fts_path = f->fts_path;
	e->fts_symfd = -1;
	e->fts_instr = FTS_NOINSTR;
	e->fts_statp = (struct stat *)((char *)e + stat_at);
	return e;
}

static void free_list(FTSENT *e)
{
	FTSENT *next;

	for (; e != NULL; e = next) {
		next = e->fts_link;
		arena_free(e);
	}
}

/* Sorts a list as the caller wants it; as it is when there is no memory for that. */
static FTSENT *sort_list(FTS *f, FTSENT *first, size_t nr)
{
	FTSENT **all = nr > 1 && f->fts_compar != NULL ? arena_alloc(nr * sizeof(FTSENT *)) : NULL;
	FTSENT *e;
	size_t i = 0;

	if (all == NULL)
		return first;
	for (e = first; e != NULL; e = e->fts_link)
		all[i++] = e;
	qsort(all, nr, sizeof(FTSENT *), f->fts_compar);
	for (i = 0; i + 1 < nr; i++)
		all[i]->fts_link = all[i + 1];
	all[nr - 1]->fts_link = NULL;
	first = all[0];
	arena_free(all);
	return first;
}

/* Which kind is it?  The errno is left in the entry. */
static unsigned short look(FTS *f, FTSENT *e, bool follow)
{
	struct stat *st = e->fts_statp;
	FTSENT *above;

	if ((follow || has(f, FTS_LOGICAL)) && stat(e->fts_accpath, st) != 0) {
		int error = errno_get();

		if (lstat(e->fts_accpath, st) == 0) {
			errno_set(0);
			return FTS_SLNONE;
		}
		e->fts_errno = error;
		mem_zero(st, sizeof(*st));
		return FTS_NS;
	}
	if (!follow && !has(f, FTS_LOGICAL) && lstat(e->fts_accpath, st) != 0) {
		e->fts_errno = errno_get();
		mem_zero(st, sizeof(*st));
		return FTS_NS;
	}
	if (S_ISLNK(st->st_mode))
		return FTS_SL;
	if (S_ISREG(st->st_mode))
		return FTS_F;
	if (!S_ISDIR(st->st_mode))
		return FTS_DEFAULT;
	e->fts_dev = st->st_dev;
	e->fts_ino = st->st_ino;
	e->fts_nlink = st->st_nlink;
	if (is_dots(e->fts_name))
		return FTS_DOT;
	for (above = e->fts_parent; above->fts_level >= FTS_ROOTLEVEL; above = above->fts_parent) {
		if (above->fts_ino == e->fts_ino && above->fts_dev == e->fts_dev) {
			e->fts_cycle = above;
			return FTS_DC;
		}
	}
	return FTS_D;
}

/* ---- the working directory ------------------------------------------------------------------ */

static int open_dir(const char *path)
{
	return sys_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
}

static bool back_to(FTS *f, int fd)
{
	return has(f, FTS_NOCHDIR) || fchdir(fd) == 0;
}

/* Into the directory of an entry, by a path or a descriptor, unless somebody has swapped it. */
static bool enter(FTS *f, const FTSENT *dir, int fd, const char *path)
{
	int own = -1, r = 0;
	struct stat st;

	if (has(f, FTS_NOCHDIR))
		return true;
	if (fd < 0)
		fd = own = open_dir(path);
	if (fd >= 0)
		r = sys_fstat(fd, &st);
	if (fd < 0 || r != 0)
		(void)answer(fd < 0 ? fd : r);
	else if (dir->fts_dev != st.st_dev || dir->fts_ino != st.st_ino)
		r = (int)answer(-ENOENT);
	else
		r = fchdir(fd);
	if (own >= 0)
		sys_close(own);
	return fd >= 0 && r == 0;
}

/* Out of a directory that was walked. */
static bool climb_out(FTS *f, FTSENT *dir)
{
	bool done;

	if (dir->fts_level == FTS_ROOTLEVEL)
		return back_to(f, f->fts_rfd);
	if ((dir->fts_flags & FTS_SYMFOLLOW) != 0) {
		done = back_to(f, dir->fts_symfd);
		sys_close(dir->fts_symfd);
		dir->fts_flags &= (unsigned short)~FTS_SYMFOLLOW;
		return done;
	}
	return (dir->fts_flags & FTS_DONTCHDIR) != 0 || enter(f, dir->fts_parent, -1, "..");
}

/* ---- reading a directory -------------------------------------------------------------------- */

enum purpose {
	TO_READ, /* fts_read() goes down into it */
	TO_SHOW, /* fts_children() */
	TO_NAME, /* fts_children() without stat */
};

struct reading {
	FTS *f;
	FTSENT *dir;
	enum purpose purpose;
	size_t at;    /* where a name starts in the path */
	int no_entry; /* the errno of a directory that cannot be entered */
	FTSENT *first, **last;
	size_t nr;
};

/* Where a name below this directory is put; the slash is written with it. */
static size_t end_of(const FTS *f, const FTSENT *dir)
{
	size_t len = dir->fts_pathlen;

	return len > 0 && f->fts_path[len - 1] == '/' ? len - 1 : len;
}

static bool needs_stat(const struct reading *r, const struct dirent *d)
{
	if (r->purpose == TO_NAME)
		return false;
	return !has(r->f, FTS_NOSTAT) || !has(r->f, FTS_PHYSICAL) || d->d_type == DT_DIR ||
	       d->d_type == DT_UNKNOWN;
}

static bool add_entry(struct reading *r, const struct dirent *d)
{
	size_t len = mem_len(d->d_name);
	FTSENT *e;

	if (r->at + 1 + len >= MAX_PATH) {
		errno_set(ENAMETOOLONG);
		return false;
	}
	e = entry_new(r->f, d->d_name, len);
	if (e == NULL)
		return false;
	e->fts_level = (short)(r->dir->fts_level + 1);
	e->fts_parent = r->dir;
	e->fts_pathlen = (unsigned short)(r->at + 1 + len);
	e->fts_accpath = has(r->f, FTS_NOCHDIR) ? e->fts_path : e->fts_name;
	if (has(r->f, FTS_NOCHDIR)) {
		r->f->fts_path[r->at] = '/';
		mem_copy(r->f->fts_path + r->at + 1, e->fts_name, len + 1);
	}
	if (r->no_entry != 0) {
		e->fts_info = r->purpose == TO_NAME ? FTS_NSOK : FTS_NS;
		e->fts_errno = r->purpose == TO_NAME ? 0 : r->no_entry;
		e->fts_accpath = r->dir->fts_accpath;
	} else if (needs_stat(r, d)) {
		e->fts_info = look(r->f, e, false);
	} else {
		e->fts_info = FTS_NSOK;
	}
	*r->last = e;
	r->last = &e->fts_link;
	r->nr++;
	return true;
}

/* Everything the walk holds is given up: no memory, or no way back. */
static FTSENT *stop(struct reading *r)
{
	free_list(r->first);
	r->dir->fts_info = FTS_ERR;
	r->dir->fts_errno = errno_get();
	r->f->fts_options |= FTS_STOP;
	return NULL;
}

static FTSENT *build(FTS *f, enum purpose purpose)
{
	struct reading r = { .f = f, .dir = f->fts_cur, .purpose = purpose };
	const struct dirent *d;
	bool entered = false, full = false;
	DIR *stream = dirstream_open(AT_FDCWD, r.dir->fts_accpath);

	r.last = &r.first;
	if (stream == NULL) {
		if (purpose == TO_READ) {
			r.dir->fts_info = FTS_DNR;
			r.dir->fts_errno = errno_get();
		}
		return NULL;
	}
	if (purpose != TO_NAME) {
		entered = enter(f, r.dir, dirfd(stream), NULL);
		if (!entered) {
			r.no_entry = errno_get();
			r.dir->fts_errno = purpose == TO_READ ? r.no_entry : r.dir->fts_errno;
			r.dir->fts_flags |= FTS_DONTCHDIR;
		}
	}
	r.at = end_of(f, r.dir);
	while (!full && (d = readdir(stream)) != NULL)
		if (has(f, FTS_SEEDOT) || !is_dots(d->d_name))
			full = !add_entry(&r, d);
	if (full)
		(void)stop(&r);
	closedir(stream);
	if (full)
		return NULL;
	if (has(f, FTS_NOCHDIR)) /* libc leaves the slash behind a directory that is not empty */
		f->fts_path[r.nr > 0 ? r.at + 1 : r.dir->fts_pathlen] = '\0';
	/* Only fts_read() with something to read stays inside. */
	if (entered && (purpose == TO_SHOW || r.nr == 0) &&
	    !(r.dir->fts_level == FTS_ROOTLEVEL ? back_to(f, f->fts_rfd)
						: enter(f, r.dir->fts_parent, -1, "..")))
		return stop(&r);
	if (r.nr == 0 && purpose == TO_READ)
		r.dir->fts_info = FTS_DP;
	return sort_list(f, r.first, r.nr);
}

/* ---- the walk ------------------------------------------------------------------------------- */

/* A root is the next to be walked: its path begins the paths of all below it. */
static void load_root(FTS *f, FTSENT *e)
{
	size_t len = e->fts_namelen, cut;
	const char *name = e->fts_name;

	mem_copy(f->fts_path, name, len + 1);
	e->fts_pathlen = (unsigned short)len;
	for (cut = len; cut > 0 && name[cut - 1] != '/'; cut--)
		;
	/* What a root is called is its last component, if it has more than one. */
	if (cut > 1 || (cut == 1 && len > 1)) {
		mem_move(e->fts_name, name + cut, len - cut + 1);
		e->fts_namelen = (unsigned short)(len - cut);
	}
	e->fts_accpath = e->fts_path = f->fts_path;
	f->fts_dev = e->fts_dev;
}

/* The caller wants the target of a link walked: note the way back. */
static FTSENT *follow_link(FTS *f, FTSENT *e)
{
	int fd;

	e->fts_info = look(f, e, true);
	if (e->fts_info != FTS_D || has(f, FTS_NOCHDIR))
		return e;
	fd = open_dir(".");
	if (fd < 0) {
		e->fts_errno = -fd;
		e->fts_info = FTS_ERR;
	} else {
		e->fts_symfd = fd;
		e->fts_flags |= FTS_SYMFOLLOW;
	}
	return e;
}

/* Show an entry: its name behind its directory's path. */
static FTSENT *show(FTS *f, FTSENT *e)
{
	char *at = f->fts_path + end_of(f, e->fts_parent);

	*at++ = '/';
	mem_copy(at, e->fts_name, (size_t)e->fts_namelen + 1);
	return f->fts_cur = e;
}

/* A directory that is not walked is shown a second time at once. */
static FTSENT *pass_by(FTS *f, FTSENT *dir)
{
	if ((dir->fts_flags & FTS_SYMFOLLOW) != 0) {
		sys_close(dir->fts_symfd);
		dir->fts_flags &= (unsigned short)~FTS_SYMFOLLOW;
	}
	free_list(f->fts_child);
	f->fts_child = NULL;
	dir->fts_info = FTS_DP;
	return dir;
}

/* Down into a directory. */
static FTSENT *go_down(FTS *f, FTSENT *dir)
{
	FTSENT *e;

	if (f->fts_child != NULL && has(f, FTS_NAMEONLY)) {
		f->fts_options &= ~FTS_NAMEONLY;
		free_list(f->fts_child);
		f->fts_child = NULL;
	}
	if (f->fts_child != NULL) {
		if (!enter(f, dir, -1, dir->fts_accpath)) {
			dir->fts_errno = errno_get();
			dir->fts_flags |= FTS_DONTCHDIR;
			for (e = f->fts_child; e != NULL; e = e->fts_link)
				e->fts_accpath = dir->fts_accpath;
		}
	} else {
		f->fts_child = build(f, TO_READ);
		if (f->fts_child == NULL)
			return has(f, FTS_STOP) ? NULL : dir;
	}
	e = f->fts_child;
	f->fts_child = NULL;
	return show(f, e);
}

/* Out of the last entry of a directory, which is shown a second time. */
static FTSENT *go_up(FTS *f, FTSENT *dir)
{
	if (dir->fts_level == FTS_ROOTPARENTLEVEL) {
		arena_free(dir);
		errno_set(0); /* the end, not an error */
		return f->fts_cur = NULL;
	}
	f->fts_path[dir->fts_pathlen] = '\0';
	f->fts_cur = dir;
	if (!climb_out(f, dir)) {
		f->fts_options |= FTS_STOP;
		return NULL;
	}
	dir->fts_info = dir->fts_errno != 0 ? FTS_ERR : FTS_DP;
	return dir;
}

static FTSENT *go_on(FTS *f, FTSENT *e)
{
	FTSENT *next;

	for (;;) {
		next = e->fts_link;
		if (next == NULL)
			break;
		arena_free(e);
		f->fts_cur = e = next;
		if (e->fts_level == FTS_ROOTLEVEL) {
			if (!back_to(f, f->fts_rfd)) {
				f->fts_options |= FTS_STOP;
				return NULL;
			}
			load_root(f, e);
			return e;
		}
		if (e->fts_instr == FTS_SKIP)
			continue;
		if (e->fts_instr == FTS_FOLLOW) {
			(void)follow_link(f, e);
			e->fts_instr = FTS_NOINSTR;
		}
		return show(f, e);
	}
	next = e->fts_parent;
	arena_free(e);
	return go_up(f, next);
}

static FTSENT *next_entry(FTS *f)
{
	FTSENT *e = f->fts_cur;
	int instr;

	if (e == NULL || has(f, FTS_STOP))
		return NULL;
	instr = e->fts_instr;
	e->fts_instr = FTS_NOINSTR;
	if (instr == FTS_AGAIN) {
		e->fts_info = look(f, e, false);
		return e;
	}
	if (instr == FTS_FOLLOW && (e->fts_info == FTS_SL || e->fts_info == FTS_SLNONE))
		return follow_link(f, e);
	if (e->fts_info == FTS_D) {
		if (instr == FTS_SKIP || (has(f, FTS_XDEV) && e->fts_dev != f->fts_dev))
			return pass_by(f, e);
		return go_down(f, e);
	}
	return go_on(f, e);
}

/* ---- the calls ------------------------------------------------------------------------------ */

static void fts_free(FTS *f)
{
	FTSENT *e = f->fts_cur, *next;

	/* What is left beside and above the current entry. */
	while (e != NULL) {
		next = e->fts_link != NULL ? e->fts_link : e->fts_parent;
		if ((e->fts_flags & FTS_SYMFOLLOW) != 0)
			sys_close(e->fts_symfd);
		arena_free(e);
		e = next;
	}
	free_list(f->fts_child);
	arena_free(f);
}

/* An entry for each root, sorted if wanted; NULL and errno. */
static FTSENT *add_roots(FTS *f, char *const *paths, FTSENT *above)
{
	FTSENT *first = NULL, **last = &first, *e;
	size_t nr = 0, len;

	for (; *paths != NULL; paths++, nr++) {
		len = mem_len(*paths);
		if (len == 0 || len >= MAX_PATH) {
			errno_set(len == 0 ? ENOENT : ENAMETOOLONG);
			break;
		}
		e = entry_new(f, *paths, len);
		if (e == NULL)
			break;
		*last = e;
		last = &e->fts_link;
		e->fts_level = FTS_ROOTLEVEL;
		e->fts_parent = above;
		e->fts_accpath = e->fts_name;
		e->fts_info = look(f, e, has(f, FTS_COMFOLLOW));
		if (e->fts_info == FTS_DOT)
			e->fts_info = FTS_D; /* "." and ".." are walked when asked for */
	}
	if (*paths != NULL) {
		free_list(first);
		return NULL;
	}
	return sort_list(f, first, nr);
}

static FTS *open_hierarchy(char *const *paths, int options, compare_function *compare)
{
	struct hierarchy *h = arena_alloc(sizeof(*h));
	FTSENT *above = NULL, *start = NULL;
	FTS *f;

	if (h == NULL) {
		errno_set(ENOMEM);
		return NULL;
	}
	f = &h->fts;
	f->fts_path = h->path;
	f->fts_pathlen = sizeof(h->path);
	f->fts_compar = (int (*)(const void *, const void *))compare;
	f->fts_options = options | OURS | ((options & FTS_LOGICAL) != 0 ? FTS_NOCHDIR : 0);
	f->fts_rfd = -1;
	above = entry_new(f, "", 0);
	start = entry_new(f, "", 0);
	if (above == NULL || start == NULL)
		goto err;
	above->fts_level = FTS_ROOTPARENTLEVEL;
	start->fts_info = FTS_INIT;
	start->fts_parent = above;
	start->fts_level = FTS_ROOTLEVEL + 1;
	if (paths[0] != NULL) {
		start->fts_link = add_roots(f, paths, above);
		if (start->fts_link == NULL)
			goto err;
	}
	f->fts_cur = start;
	if (!has(f, FTS_NOCHDIR)) {
		f->fts_rfd = open_dir(".");
		if (f->fts_rfd < 0)
			f->fts_options |= FTS_NOCHDIR;
	}
	return f;

err:
	arena_free(above);
	arena_free(start);
	arena_free(h);
	return NULL;
}

EXPORT FTS *fts_open(char *const *paths, int options,
		     int (*compare)(const FTSENT **, const FTSENT **))
{
	__typeof(&fts_open) libc = NEXT(fts_open);
	bool meets = false;
	int i;

	for (i = 0; next_is_glibc() && paths_on() && paths[i] != NULL && !meets; i++)
		meets = walk_meets(paths[i], (options & (FTS_LOGICAL | FTS_COMFOLLOW)) != 0);
	if (!meets || (options & ~FTS_OPTIONMASK) != 0)
		return libc != NULL ? libc(paths, options, compare) : NULL;
	return open_hierarchy(paths, options, compare);
}
ALIAS(fts64_open, fts_open);

EXPORT FTSENT *fts_read(FTS *f)
{
	__typeof(&fts_read) libc = NEXT(fts_read);

	return ours(f) != NULL ? next_entry(f) : libc(f);
}
ALIAS(fts64_read, fts_read);

/* The list of what is in the current directory, or of the roots before the first read. */
static FTSENT *children(FTS *f, bool names_only)
{
	FTSENT *e = f->fts_cur;
	int fd;

	errno_set(0); /* NULL with errno 0: an empty directory */
	if (e == NULL || has(f, FTS_STOP))
		return NULL;
	if (e->fts_info == FTS_INIT)
		return e->fts_link;
	if (e->fts_info != FTS_D)
		return NULL;
	free_list(f->fts_child);
	f->fts_child = NULL;
	if (names_only)
		f->fts_options |= FTS_NAMEONLY;
	/* Below a root with a relative path the walk is not inside yet, and must not get lost. */
	if (e->fts_level != FTS_ROOTLEVEL || e->fts_accpath[0] == '/' || has(f, FTS_NOCHDIR))
		return f->fts_child = build(f, names_only ? TO_NAME : TO_SHOW);
	fd = open_dir(".");
	if (fd < 0) {
		errno_set(-fd);
		return NULL;
	}
	f->fts_child = build(f, names_only ? TO_NAME : TO_SHOW);
	(void)fchdir(fd);
	sys_close(fd);
	return f->fts_child;
}

EXPORT FTSENT *fts_children(FTS *f, int options)
{
	__typeof(&fts_children) libc = NEXT(fts_children);

	if (ours(f) == NULL)
		return libc(f, options);
	if (options != 0 && options != FTS_NAMEONLY) {
		errno_set(EINVAL);
		return NULL;
	}
	return children(f, options == FTS_NAMEONLY);
}
ALIAS(fts64_children, fts_children);

EXPORT int fts_set(FTS *f, FTSENT *e, int instr)
{
	__typeof(&fts_set) libc = NEXT(fts_set);

	if (ours(f) == NULL)
		return libc(f, e, instr);
	if (instr < 0 || instr > FTS_SKIP) {
		errno_set(EINVAL);
		return 1;
	}
	e->fts_instr = (unsigned short)instr;
	return 0;
}
ALIAS(fts64_set, fts_set);

EXPORT int fts_close(FTS *f)
{
	__typeof(&fts_close) libc = NEXT(fts_close);
	int fd, r = 0;

	if (ours(f) == NULL)
		return libc(f);
	fd = f->fts_rfd;
	fts_free(f);
	if (fd >= 0) {
		r = fchdir(fd);
		sys_close(fd);
	}
	return r;
}
ALIAS(fts64_close, fts_close);
