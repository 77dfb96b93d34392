/*
 * op_stat.c - what names and descriptors are: every flavour of stat, access, links,
 * extended attributes, file systems.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The number a store file is shown with stays, and no other file has it. */
void node_check_number(struct actor *a, const char *what, const struct node *n, ino_t ino)
{
	struct node *own = (struct node *)(uintptr_t)n;
	ino_t before = 0;

	if (ino == 0)
		differ(a, "%s: inode 0", what);
	if (!n->dir && !__atomic_compare_exchange_n(&own->ino, &before, ino, false,
						    __ATOMIC_RELAXED, __ATOMIC_RELAXED))
		same_number(a, "st_ino", (long long)before, (long long)ino);
}

static const struct node *node_of(const struct stat *st)
{
	unsigned i;

	/* By the plain one's inode: names may be written in many ways. */
	for (i = 0; i < world.nr; i++) {
		char path[PATH_SIZE];
		struct stat own;

		if (world.nodes[i].dir || world.nodes[i].size != st->st_size ||
		    world.nodes[i].mtime != st->st_mtime)
			continue;
		snprintf(path, sizeof(path), "%s/%s", world.plain, world.nodes[i].rel);
		if (stat(path, &own) == 0 && own.st_ino == st->st_ino && own.st_dev == st->st_dev)
			return &world.nodes[i];
	}
	return NULL;
}

bool stat_same(struct actor *a, const char *what, const struct stat *p, const struct stat *m)
{
	const struct node *n = S_ISREG(p->st_mode) ? node_of(p) : NULL;

	same_number(a, "st_mode's type", p->st_mode & S_IFMT, m->st_mode & S_IFMT);
	if (!S_ISREG(p->st_mode))
		return true;
	same_number(a, "st_mode", p->st_mode, m->st_mode);
	same_number(a, "st_size", p->st_size, m->st_size);
	same_number(a, "st_nlink", (long long)p->st_nlink, (long long)m->st_nlink);
	same_number(a, "st_uid", p->st_uid, m->st_uid);
	same_number(a, "st_gid", p->st_gid, m->st_gid);
	if (n == NULL)
		return true;
	same_number(a, "st_mtime", p->st_mtime, m->st_mtime);
	same_number(a, "st_mtim.tv_nsec", p->st_mtim.tv_nsec, m->st_mtim.tv_nsec);
	if (world.bare)
		return true;
	node_check_number(a, what, n, m->st_ino);
	same_number(a, "st_blocks", (p->st_size + 511) / 512, m->st_blocks);
	return true;
}

OP(stat)
{
	static const int all[] = { 0, AT_SYMLINK_NOFOLLOW, AT_NO_AUTOMOUNT, AT_EMPTY_PATH,
				   0x8000000 };
	int flags = arg[3] % 4 != 0 ? 0 : all[arg[3] / 4 % LENGTH(all)];
	struct outcome x, y;
	struct place pl;
	struct stat p, m;

	place_draw(a, &pl, arg[0], arg[1], arg[2] % 3 == 2 ? PLACE_AT : 0);
	if (arg[2] % 3 == 0) {
		x = TRY(stat(pl.p, &p));
		y = TRY(stat(pl.m, &m));
	} else if (arg[2] % 3 == 1) {
		x = TRY(lstat(pl.p, &p));
		y = TRY(lstat(pl.m, &m));
	} else {
		x = TRY(fstatat(pl.pdir, pl.p, &p, flags));
		y = TRY(fstatat(pl.mdir, pl.m, &m, flags));
	}
	if (judge(a, pl.m, x, y, 0) == BOTH_DID)
		stat_same(a, pl.m, &p, &m);
	return true;
}

OP(fstat)
{
	struct fdpair *f = fd_of(a, arg[0]);
	struct stat p, m, dir;
	struct outcome x, y;

	if (f == NULL || f->copy)
		return false;
	if (arg[1] % 3 == 0) {
		x = TRY(fstatat(f->p, "", &p, AT_EMPTY_PATH));
		y = TRY(fstatat(f->m, "", &m, AT_EMPTY_PATH));
	} else {
		x = TRY(fstat(f->p, &p));
		y = TRY(fstat(f->m, &m));
	}
	if (judge(a, "fstat", x, y, 0) != BOTH_DID)
		return true;
	stat_same(a, "fstat", &p, &m);
	if (stat(world.model, &dir) == 0)
		same_number(a, "st_dev", (long long)dir.st_dev, (long long)m.st_dev);
	return true;
}

static void statx_same(struct actor *a, const struct statx *p, const struct statx *m, unsigned mask)
{
	if ((mask & ~m->stx_mask & STATX_BASIC_STATS) != 0)
		differ(a, "statx: mask %x asked, %x given", mask, m->stx_mask);
	if ((mask & STATX_TYPE) != 0)
		same_number(a, "stx_mode's type", p->stx_mode & S_IFMT, m->stx_mode & S_IFMT);
	if (!S_ISREG(p->stx_mode))
		return;
	if ((mask & STATX_MODE) != 0)
		same_number(a, "stx_mode", p->stx_mode, m->stx_mode);
	if ((mask & STATX_SIZE) != 0)
		same_number(a, "stx_size", (long long)p->stx_size, (long long)m->stx_size);
	if ((mask & STATX_NLINK) != 0)
		same_number(a, "stx_nlink", p->stx_nlink, m->stx_nlink);
	if ((mask & STATX_UID) != 0)
		same_number(a, "stx_uid", p->stx_uid, m->stx_uid);
}

OP(statx)
{
	static const unsigned masks[] = { STATX_BASIC_STATS, STATX_ALL,
					  STATX_SIZE,	     0,
					  STATX_TYPE,	     STATX_INO | STATX_MODE | STATX_TYPE,
					  0x80000000u };
	static const int all[] = { 0, 0, AT_SYMLINK_NOFOLLOW, AT_STATX_DONT_SYNC, AT_EMPTY_PATH };
	unsigned mask = masks[arg[2] % LENGTH(masks)];
	int flags = all[arg[3] % LENGTH(all)];
	struct fdpair *f = fd_of(a, arg[0]);
	struct outcome x, y;
	struct place pl;
	struct statx p, m;
	bool by_fd;

	by_fd = arg[4] % 4 == 0 && f != NULL && !f->copy;
	if (by_fd) {
		x = TRY(statx(f->p, "", flags | AT_EMPTY_PATH, mask, &p));
		y = TRY(statx(f->m, "", flags | AT_EMPTY_PATH, mask, &m));
	} else {
		place_draw(a, &pl, arg[0], arg[1], PLACE_AT);
		x = TRY(statx(pl.pdir, pl.p, flags, mask, &p));
		y = TRY(statx(pl.mdir, pl.m, flags, mask, &m));
	}
	if (judge(a, by_fd ? "statx" : pl.m, x, y, 0) == BOTH_DID)
		statx_same(a, &p, &m, mask);
	return true;
}

static struct outcome ask_access(int dirfd, const char *path, int mode, uint32_t way)
{
	if (dirfd == AT_FDCWD && way % 3 == 0)
		return TRY(access(path, mode));
	if (dirfd == AT_FDCWD && way % 3 == 1)
		return TRY(euidaccess(path, mode));
	return TRY(faccessat(dirfd, path, mode, way % 2 == 0 ? AT_EACCESS : 0));
}

OP(access)
{
	static const int read_only[] = { EROFS, 0 }, either[] = { EROFS, EACCES, 0 };
	int mode = (int)(arg[2] % 16 == 15 ? 0x10 : arg[2] % 8);
	const struct node *n;
	struct outcome m;
	struct place pl;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT);
	n = place_means(&pl, true);
	m = ask_access(pl.mdir, pl.m, mode, arg[3]);
	if (!world.bare && n != NULL && !n->dir && mode < 8 && (mode & W_OK) != 0)
		judge_fails(a, "access", m, (mode & X_OK) != 0 ? either : read_only);
	else
		judge(a, pl.m, ask_access(pl.pdir, pl.p, mode, arg[3]), m, 0);
	return true;
}

OP(readlink)
{
	size_t len = arg[2] % 8 == 0 ? arg[2] / 8 % 20 : PATH_MAX;
	struct outcome x, y;
	struct place pl;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (arg[3] % 2 == 0 ? PLACE_LOCAL : 0));
	x = TRY(readlinkat(pl.pdir, pl.p, (char *)a->buf_p, len));
	if (pl.mdir == AT_FDCWD)
		y = TRY(readlink(pl.m, (char *)a->buf_m, len));
	else
		y = TRY(readlinkat(pl.mdir, pl.m, (char *)a->buf_m, len));
	/* An absolute target names the root that its own half has. */
	if (judge(a, pl.m, x, y, JUDGE_ANY_RESULT) == BOTH_DID && a->buf_p[0] != '/' && x.ret > 0) {
		same_number(a, pl.m, x.ret, y.ret);
		same_bytes(a, pl.m, a->buf_p, a->buf_m, (size_t)x.ret);
	}
	return true;
}

OP(realpath)
{
	char out_p[PATH_MAX], out_m[PATH_MAX], *p, *m;
	const char *rest_p, *rest_m;
	struct outcome x, y;
	struct place pl;
	bool given = arg[2] % 2 == 0;

	place_draw(a, &pl, arg[0], arg[1], 0);
	x = TRY_POINTER(p, realpath(pl.p, given ? out_p : NULL));
	if (arg[2] % 4 == 1)
		y = TRY_POINTER(m, canonicalize_file_name(pl.m));
	else
		y = TRY_POINTER(m, realpath(pl.m, given ? out_m : NULL));
	if (judge(a, pl.m, x, y, JUDGE_ANY_RESULT) == BOTH_DID) {
		rest_p = place_strip(p, world.plain_real, world.plain_real);
		rest_m = place_strip(m, world.model_real, world.model_real);
		if ((rest_p == NULL) != (rest_m == NULL) ||
		    (rest_p != NULL && strcmp(rest_p, rest_m) != 0))
			differ(a, "realpath of %s: %s on the plain file, %s below MODEL_DIR", pl.m,
			       p, m);
	}
	if (!given) {
		free(p);
		free(m);
	}
	return true;
}

/* A store file has none; what the plain one has, depends on its file system. */
OP(xattr)
{
	static const int read_only[] = { EROFS, 0 };
	const struct node *n;
	struct outcome x, y;
	struct place pl;
	char value[64];

	place_draw(a, &pl, arg[0], arg[1], 0);
	n = place_means(&pl, true);
	if (n == NULL || n->dir)
		return false;
	switch (arg[2] % 5) {
	case 0:
		x = TRY(getxattr(pl.p, "user.none", value, sizeof(value)));
		y = TRY(getxattr(pl.m, "user.none", value, sizeof(value)));
		if (x.err != EOPNOTSUPP)
			judge(a, "getxattr", x, y, 0);
		break;
	case 1:
		y = TRY(listxattr(pl.m, value, sizeof(value)));
		judge(a, "listxattr", (struct outcome){ 0 }, y, world.bare ? JUDGE_ANY_RESULT : 0);
		break;
	case 2:
		x = TRY(lgetxattr(pl.p, "user.none", value, sizeof(value)));
		y = TRY(lgetxattr(pl.m, "user.none", value, sizeof(value)));
		if (x.err != EOPNOTSUPP)
			judge(a, "lgetxattr", x, y, 0);
		break;
	case 3:
		if (!world.bare)
			judge_fails(a, "setxattr", TRY(setxattr(pl.m, "user.a", "b", 1, 0)),
				    read_only);
		break;
	case 4:
		if (!world.bare)
			judge_fails(a, "removexattr", TRY(removexattr(pl.m, "user.a")), read_only);
		break;
	}
	return true;
}

/* The file systems are not the same; that there is one is. */
OP(statfs)
{
	struct fdpair *f = fd_of(a, arg[2]);
	struct statfs s;
	struct statvfs v;
	struct place pl;

	place_draw(a, &pl, arg[0], arg[1], 0);
	switch (arg[3] % 4) {
	case 0:
		judge(a, pl.m, TRY(statfs(pl.p, &s)), TRY(statfs(pl.m, &s)), 0);
		break;
	case 1:
		judge(a, pl.m, TRY(statvfs(pl.p, &v)), TRY(statvfs(pl.m, &v)), 0);
		break;
	case 2:
		if (f == NULL)
			return false;
		judge(a, "fstatfs", TRY(fstatfs(f->p, &s)), TRY(fstatfs(f->m, &s)), 0);
		break;
	case 3:
		if (f == NULL)
			return false;
		judge(a, "fpathconf", TRY(fpathconf(f->p, _PC_NAME_MAX)),
		      TRY(fpathconf(f->m, _PC_NAME_MAX)), 0);
		judge(a, "pathconf", TRY(pathconf(pl.p, _PC_NAME_MAX)),
		      TRY(pathconf(pl.m, _PC_NAME_MAX)), 0);
		break;
	}
	return true;
}
