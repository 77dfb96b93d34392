/*
 * place.c - paths, two by two: what they name, and how it is written.
 *
 * MODEL_DIR's half may be relative to the working directory, which is the actor's
 * own and really there; the plain half then has the plain directory that stands for
 * it in front.  Local names begin with "~", the actor's number and "-".
 */
#include "test/refmodel/refmodel.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NR_LOCAL 6

static const struct node *store_file(uint32_t x)
{
	/* One in six is large. */
	if (x % 6 == 0 || world.nr_small == 0)
		return &world.nodes[world.files[x / 6 % world.nr_files]];
	return &world.nodes[world.files[x / 6 % world.nr_small]];
}

static const struct node *store_dir(uint32_t x)
{
	return &world.nodes[world.dirs[x % world.nr_dirs]];
}

static void join(char *buf, size_t len, const char *dir, const char *name)
{
	snprintf(buf, len, "%s%s%s", dir, dir[0] != '\0' && name[0] != '\0' ? "/" : "", name);
}

/* One of the actor's own names in the root, in two of the store's directories or in its own. */
static void local_name(const struct actor *a, char *buf, size_t len, uint32_t x)
{
	char name[32], own[32];
	unsigned home = x / NR_LOCAL % 4;

	snprintf(name, sizeof(name), "~%u-%c", a->number, 'a' + x % NR_LOCAL);
	snprintf(own, sizeof(own), "~%u-%c", a->number, 'a' + NR_LOCAL - 1);
	if (home == 3 && x % NR_LOCAL != NR_LOCAL - 1)
		join(buf, len, own, name);
	else
		join(buf, len, world.nodes[world.dirs[home % 3 % world.nr_dirs]].rel, name);
}

bool is_foreign(const struct actor *a, const char *name)
{
	char own[32];

	if (name[0] != '~')
		return false;
	snprintf(own, sizeof(own), "~%u-", a->number);
	return strncmp(name, own, strlen(own)) != 0;
}

/* What is named, below the root. */
static void draw_target(struct actor *a, struct place *ret, uint32_t x, unsigned flags)
{
	unsigned kind = x % 100, y = x / 100;

	if ((flags & PLACE_STORE) != 0)
		kind = kind % 70;
	if ((flags & PLACE_LOCAL) != 0 && kind < 75)
		kind = 75;
	if ((flags & PLACE_DIR) != 0 && kind < 60)
		kind = 60;
	if (kind < 55) {
		snprintf(ret->rel, sizeof(ret->rel), "%s", store_file(y)->rel);
	} else if (kind < 70) {
		snprintf(ret->rel, sizeof(ret->rel), "%s", store_dir(y)->rel);
	} else if (kind < 86) {
		local_name(a, ret->rel, sizeof(ret->rel), y);
		ret->local = true;
	} else if (kind < 91) {
		join(ret->rel, sizeof(ret->rel), store_dir(y)->rel, "none");
	} else if (kind < 94) {
		join(ret->rel, sizeof(ret->rel), store_file(y)->rel, "below-a-file");
	} else if (kind < 97) {
		snprintf(ret->rel, sizeof(ret->rel), "none/%s", store_file(y)->rel);
	} else if (kind < 98) {
		memset(ret->rel, 'n', 300);
		ret->rel[300] = '\0';
	} else {
		/* A piece of a name that exists, and what is longer than one. */
		snprintf(ret->rel, sizeof(ret->rel), "%s", store_file(y)->rel);
		if (kind == 98 && strlen(ret->rel) > 1)
			ret->rel[strlen(ret->rel) - 1] = '\0';
		else
			strcat(ret->rel, "x");
	}
}

/* `rel` as it is written from the directory `from`, both below the root. */
static void relative(char *buf, size_t len, const char *from, const char *rel, bool near)
{
	size_t n = strlen(from), at = 0;
	const char *c;

	while (rel[0] == '/')
		rel++;
	if (near && n > 0 && strncmp(rel, from, n) == 0 && (rel[n] == '/' || rel[n] == '\0')) {
		while (rel[n] == '/')
			n++;
		snprintf(buf, len, "%s", rel[n] != '\0' ? rel + n : ".");
		return;
	}
	buf[0] = '\0';
	for (c = from; n > 0 && c != NULL && at + 4 < len; c = strchr(c + 1, '/'))
		at += (size_t)snprintf(buf + at, len - at, "../");
	snprintf(buf + at, len - at, "%s", rel[0] != '\0' ? rel : at > 0 ? "." : "");
	if (buf[0] == '\0')
		snprintf(buf, len, ".");
}

/* Writes the same name in another way: the kernel takes all of them for one. */
static void make_noise(char *path, size_t len, uint32_t how)
{
	char out[1024];
	size_t n = 0;
	unsigned slash = 0;
	const char *c;

	for (c = path; *c != '\0' && n + 8 < sizeof(out); c++) {
		out[n++] = *c;
		if (*c != '/')
			continue;
		slash++;
		if ((how >> slash % 8 & 7) == 1)
			out[n++] = '/';
		else if ((how >> slash % 8 & 7) == 2)
			n += (size_t)snprintf(out + n, sizeof(out) - n, "./");
	}
	out[n] = '\0';
	snprintf(path, len, "%s", out);
}

static void write_relative(struct actor *a, struct place *pl, const char *text)
{
	if (a->cwd_outside) {
		snprintf(pl->p, sizeof(pl->p), "%s/%s", world.plain, text);
		snprintf(pl->m, sizeof(pl->m), "%s/%s", strrchr(world.model_real, '/') + 1, text);
	} else {
		snprintf(pl->p, sizeof(pl->p), "%s/%s%s%s", world.plain, a->cwd,
			 a->cwd[0] != '\0' ? "/" : "", text);
		snprintf(pl->m, sizeof(pl->m), "%s", text);
	}
}

static const struct fdpair *draw_dirfd(struct actor *a, uint32_t how)
{
	unsigned i;

	for (i = 0; i < NR_FDS; i++) {
		const struct fdpair *f = &a->fds[(how + i) % NR_FDS];

		if (f->open && f->dir)
			return f;
	}
	return NULL;
}

static void write_both(struct place *pl, const char *plain, const char *model, const char *text)
{
	const char *slash = text[0] != '\0' ? "/" : "";

	snprintf(pl->p, sizeof(pl->p), "%s%s%s", plain, slash, text);
	snprintf(pl->m, sizeof(pl->m), "%s%s%s", model, slash, text);
}

void place_draw(struct actor *a, struct place *ret, uint32_t what, uint32_t how, unsigned flags)
{
	unsigned form = how % 16;
	const struct fdpair *at;
	char text[1024];

	ret->pdir = ret->mdir = AT_FDCWD;
	ret->local = false;
	draw_target(a, ret, what, flags);
	how /= 16;
	snprintf(text, sizeof(text), "%s", ret->rel);
	if (how % 16 == 0)
		strcat(text, how / 16 % 4 == 0 ? "/." : "/");
	else if (how % 16 == 1)
		make_noise(text, sizeof(text), how / 16);
	else if (how % 16 == 2 && how / 16 % 16 == 0)
		text[0] = ret->rel[0] = '\0', ret->local = false; /* the root, or the empty path */
	if (form < 5) {
		write_both(ret, world.plain, world.model, text);
	} else if (form < 6) {
		/* What is below the links, not the links themselves. */
		write_both(ret, world.plain_link, world.model_link, text[0] != '\0' ? text : ".");
	} else if (form < 7) {
		write_both(ret, world.plain_real, world.model_real, text);
	} else if (form < 11 && (flags & PLACE_AT) != 0 && (at = draw_dirfd(a, how / 16)) != NULL) {
		char from[1024];

		ret->pdir = at->p;
		ret->mdir = at->m;
		relative(from, sizeof(from), at->rel, text, how / 16 % 2 == 0);
		snprintf(ret->p, sizeof(ret->p), "%s", from);
		snprintf(ret->m, sizeof(ret->m), "%s", from);
	} else if (text[0] == '\0' && form == 15) {
		ret->p[0] = ret->m[0] = '\0';
	} else {
		char from[1024];

		relative(from, sizeof(from), a->cwd_outside ? "" : a->cwd, text, how / 16 % 4 != 0);
		write_relative(a, ret, from);
	}
}

/* Where the kernel gets by a path of the plain half. */
static bool real_at(int dirfd, const char *path, char *buf, int flags)
{
	int fd = openat(dirfd, path, O_PATH | O_CLOEXEC | flags);
	char name[64];
	ssize_t n;

	if (fd == -1)
		return false;
	snprintf(name, sizeof(name), "/proc/self/fd/%d", fd);
	n = readlink(name, buf, PATH_MAX - 1);
	buf[n > 0 ? n : 0] = '\0';
	close(fd);
	return n > 0;
}

/* The same for a name that need not be there, and is not followed if it is a link. */
static bool real_entry_at(int dirfd, const char *path, char *buf)
{
	char dir[PATH_SIZE], *name;
	size_t n;

	snprintf(dir, sizeof(dir), "%s", path);
	n = strlen(dir);
	while (n > 1 && dir[n - 1] == '/')
		dir[--n] = '\0';
	name = strrchr(dir, '/');
	name = name != NULL ? name + 1 : dir;
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0 || name[0] == '\0')
		return real_at(dirfd, path, buf, 0);
	if (name == dir) {
		if (!real_at(dirfd, ".", buf, 0))
			return false;
	} else {
		name[-1] = '\0';
		if (!real_at(dirfd, name - 1 == dir ? "/" : dir, buf, 0))
			return false;
	}
	n = strlen(buf);
	snprintf(buf + n, PATH_MAX - n, "/%s", name);
	return true;
}

bool place_ends_in_slash(const struct place *pl)
{
	return pl->p[0] != '\0' && pl->p[strlen(pl->p) - 1] == '/';
}

bool place_may_make(const struct place *pl)
{
	char real[PATH_MAX], *slash;
	struct stat st;

	if (place_means(pl, false) != NULL || !real_entry_at(pl->pdir, pl->p, real))
		return true;
	/* Through a link to nothing, a name that is nobody's would be made. */
	if (lstat(real, &st) == 0)
		return !S_ISLNK(st.st_mode) || stat(real, &st) == 0 || errno != ENOENT;
	if (pl->local)
		return true;
	slash = strrchr(real, '/');
	if (slash != NULL)
		*slash = '\0';
	return stat(real, &st) != 0 || !S_ISDIR(st.st_mode);
}

const struct node *place_means(const struct place *pl, bool follow)
{
	char real[PATH_MAX];
	const struct node *n;

	if (pl->p[0] == '\0' ||
	    !(follow ? real_at(pl->pdir, pl->p, real, 0) : real_entry_at(pl->pdir, pl->p, real)))
		return NULL;
	n = world_named(real, world.plain_real);
	return n != NULL && !n->dir && pl->p[strlen(pl->p) - 1] == '/' ? NULL : n;
}

const char *place_strip(const char *path, const char *root, const char *root_real)
{
	const char *roots[] = { root, root_real };
	unsigned i;

	for (i = 0; i < 2; i++) {
		size_t n = strlen(roots[i]);

		if (strncmp(path, roots[i], n) == 0 && (path[n] == '/' || path[n] == '\0'))
			return path[n] == '/' ? path + n + 1 : path + n;
	}
	return NULL;
}
