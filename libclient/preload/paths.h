/*
 * paths.h - whose is this path?  By its text where that is certain; otherwise
 * the kernel answers first, and only its ENOENT makes us look where the parent
 * really is.  Makes the mount's directories, without files, under MODEL_DIR as
 * calls reach them, so that cwd, dirfds and ".." are the kernel's own truth.
 *
 *	paths_look(&spot, dirfd, path, flags);
 *	do
 *		r = spot.kind >= SPOT_FILE ? ours(&spot) : the system call;
 *	while (r == -ENOENT && paths_again(&spot));
 *	paths_done(&spot);
 *
 * Threads: any.  Off (paths_start() not called): two loads, then SPOT_NONE.
 */
#ifndef LIBCLIENT_PRELOAD_PATHS_H
#define LIBCLIENT_PRELOAD_PATHS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct snap;

enum spot_kind {
	SPOT_NONE = 0, /* not known to be ours: ask the kernel */
	SPOT_LOCAL,    /* under MODEL_DIR, no name of the store: the local directory's */
	SPOT_DIR,      /* a directory of the store: a real one on disk */
	SPOT_FILE,     /* a file of the store */
	SPOT_ERROR,    /* ours, and this is what is wrong with it */
};

enum {
	PATHS_NOFOLLOW = 1 << 0, /* the call does not follow a symbolic link at the end */
	PATHS_EMPTY = 1 << 1,	 /* "" means dirfd itself (AT_EMPTY_PATH): never ours here */
	/*
	 * The call makes or changes a name, which the kernel would do beside the store's where a
	 * symbolic link leads to it: so links are looked at first.
	 */
	PATHS_CHANGES = 1 << 2,
};

struct spot {
	enum spot_kind kind;
	int error;	/* SPOT_ERROR: negative */
	uint32_t entry; /* FILE, DIR; LOCAL: the deepest store directory on the way */
	struct snap *snap;
	int dirfd;
	const char *path;
	unsigned flags;
	bool asked; /* paths_again() has had its say */
};

/* dir: MODEL_DIR, tidied (conf.h).  Also notes whether the process starts inside it. */
void paths_start(const char *dir, size_t len);

extern size_t paths_dir_len; /* 0: off */
static inline bool paths_on(void)
{
	return __builtin_expect(paths_dir_len != 0, 0);
}

void paths_look_on(struct spot *s);
static inline void paths_look(struct spot *s, int dirfd, const char *path, unsigned flags)
{
	s->kind = SPOT_NONE;
	s->snap = NULL;
	s->dirfd = dirfd;
	s->path = path;
	s->flags = flags;
	s->asked = false;
	if (paths_on() && path != NULL && path[0] != '\0')
		paths_look_on(s);
}

/* After the kernel's -ENOENT: true when the call must be made again with what is known now. */
bool paths_again_on(struct spot *s);
static inline bool paths_again(struct spot *s)
{
	return paths_on() && s->path != NULL && paths_again_on(s);
}

void paths_done_on(struct spot *s);
static inline void paths_done(struct spot *s)
{
	if (s->snap != NULL)
		paths_done_on(s);
}

/* ---- for search.c ------------------------------------------------------------------- */

/* An absolute path by its text: below MODEL_DIR in either form?  *ret_rest: what follows. */
bool paths_rest(const char *path, const char **ret_rest);
/*
 * What the tree says of `path` below the directory `base` (relative to MODEL_DIR).
 * False, and SPOT_NONE, when that cannot be told by the text: it climbs from
 * s->entry.  Attaches the mount if need be.
 */
bool paths_walk(struct spot *s, const char *base, const char *path);

/* ---- MODEL_DIR ------------------------------------------------------------------------- */

/* MODEL_DIR as configured, and its device: that of every store file. */
const char *paths_dir(void);
dev_t paths_device(void);

/*
 * Is this directory descriptor MODEL_DIR or below it?  1: the entry of the
 * store's directory it shows and the tree, referenced.  0: a local directory.
 * Negative: it would be ours, but the store cannot be reached.
 */
int paths_dir_of_fd(int fd, struct snap **ret_snap, uint32_t *ret_entry);

/* MODEL_DIR/<path of the entry>.  Its length or a negative errno. */
int paths_full(const struct snap *snap, uint32_t entry, char *buf, size_t cap);
/* The same with MODEL_DIR free of symbolic links. */
int paths_full_real(const struct snap *snap, uint32_t entry, char *buf, size_t cap);

/* Make the directory of an entry, and those above it.  1: made, 0: there already, or -errno. */
int paths_make_dir(const struct snap *snap, uint32_t entry);

/* The working directory changed: note whether relative paths may be ours. */
void paths_cwd_changed(void);

#endif
