/*
 * op_change.c - what changes names.  A name of the store must be refused, by the
 * errno that a read-only file system has for it: that is a rule, the plain
 * directory is not asked.  Local names are the kernel's in both.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <utime.h>

static const int refused[] = { EROFS, 0 };
static const int exists[] = { EEXIST, 0 };

/* The store's name that would be changed; `*ret_skip`: not in a bare run. */
static const struct node *store_name(const struct place *pl, bool follow, bool *ret_skip)
{
	const struct node *n = place_means(pl, follow);

	*ret_skip = world.bare && n != NULL;
	return n;
}

static void changed(struct actor *a, const char *what, struct outcome p, struct outcome m)
{
	judge(a, what, p, m, 0);
	a->local_changes++;
}

static bool is_about_names(int error)
{
	return error == ENOENT || error == ENOTDIR || error == ENAMETOOLONG || error == ELOOP;
}

/* Where both names are wrong, or one says it is a directory, either errno may be said first. */
static void two_changed(struct actor *a, const char *what, struct outcome p, struct outcome m,
			bool slash)
{
	bool either = slash || (is_about_names(p.err) && is_about_names(m.err));

	judge(a, what, p, m, either ? JUDGE_ANY_ERRNO : 0);
	a->local_changes++;
}

OP(unlink)
{
	static const int either[] = { EROFS, EISDIR, 0 };
	const struct node *n;
	struct place pl;
	struct outcome m;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (arg[2] % 4 != 0 ? PLACE_LOCAL : 0));
	n = store_name(&pl, false, &skip);
	if (skip)
		return false;
	if (pl.mdir == AT_FDCWD && arg[3] % 3 == 0)
		m = TRY(unlink(pl.m));
	else
		m = TRY(unlinkat(pl.mdir, pl.m, 0));
	if (n != NULL)
		judge_fails(a, pl.m, m, n->dir ? either : refused);
	else
		changed(a, pl.m, TRY(unlinkat(pl.pdir, pl.p, 0)), m);
	return true;
}

OP(rmdir)
{
	static const int busy[] = { EROFS, EINVAL, EBUSY, ENOTEMPTY, 0 };
	const struct node *n;
	struct place pl;
	struct outcome m;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (arg[2] % 4 != 0 ? PLACE_LOCAL : 0));
	n = store_name(&pl, false, &skip);
	if (skip)
		return false;
	if (pl.mdir == AT_FDCWD && arg[3] % 3 == 0)
		m = TRY(rmdir(pl.m));
	else
		m = TRY(unlinkat(pl.mdir, pl.m, AT_REMOVEDIR));
	if (n != NULL)
		judge_fails(a, pl.m, m, n->dir ? busy : refused);
	else
		two_changed(a, pl.m, TRY(unlinkat(pl.pdir, pl.p, AT_REMOVEDIR)), m,
			    place_ends_in_slash(&pl));
	return true;
}

OP(mkdir)
{
	const struct node *n;
	struct place pl;
	struct outcome p, m;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (arg[2] % 4 != 0 ? PLACE_LOCAL : 0));
	n = store_name(&pl, false, &skip);
	if (skip || !place_may_make(&pl))
		return false;
	m = TRY(mkdirat(pl.mdir, pl.m, 0700));
	if (n != NULL) {
		judge_fails(a, pl.m, m, exists);
		return true;
	}
	p = TRY(mkdirat(pl.pdir, pl.p, 0700));
	two_changed(a, pl.m, p, m, place_ends_in_slash(&pl));
	return true;
}

OP(mknod)
{
	const struct node *n;
	struct place pl;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | PLACE_STORE);
	n = store_name(&pl, false, &skip);
	if (skip || n == NULL)
		return false;
	if (arg[2] % 2 == 0)
		judge_fails(a, "mkfifo", TRY(mkfifoat(pl.mdir, pl.m, 0600)), exists);
	else
		judge_fails(a, "mknod", TRY(mknodat(pl.mdir, pl.m, S_IFREG | 0600, 0)), exists);
	return true;
}

OP(rename)
{
	static const int some[] = { EROFS,  ENOENT, ENOTDIR,	  EINVAL, EBUSY,
				    EEXIST, EXDEV,  ENAMETOOLONG, ELOOP,  0 };
	static const unsigned ways[] = { 0, 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE, 64 };
	unsigned way = ways[arg[5] % LENGTH(ways)];
	const struct node *n, *t;
	struct place from, to;
	struct outcome m, p;
	char what[2048];
	bool skip_n, skip_t;

	place_draw(a, &from, arg[0], arg[1], PLACE_AT | (arg[4] % 4 != 0 ? PLACE_LOCAL : 0));
	place_draw(a, &to, arg[2], arg[3], PLACE_AT | (arg[4] / 4 % 4 != 0 ? PLACE_LOCAL : 0));
	n = store_name(&from, false, &skip_n);
	t = store_name(&to, false, &skip_t);
	if (skip_n || skip_t || !place_may_make(&to))
		return false;
	/* A local name must not lose its owner's mark. */
	if (way == RENAME_EXCHANGE && !place_may_make(&from))
		return false;
	if (way == 0 && from.mdir == AT_FDCWD && to.mdir == AT_FDCWD)
		m = TRY(rename(from.m, to.m));
	else
		m = TRY(renameat2(from.mdir, from.m, to.mdir, to.m, way));
	if (n != NULL || t != NULL) {
		judge_fails(a, "rename", m, some);
		return true;
	}
	p = TRY(renameat2(from.pdir, from.p, to.pdir, to.p, way));
	snprintf(what, sizeof(what), "rename %.900s to %.900s", from.m, to.m);
	two_changed(a, what, p, m, place_ends_in_slash(&from) || place_ends_in_slash(&to));
	return true;
}

OP(symlink)
{
	char target_p[PATH_SIZE], target_m[PATH_SIZE];
	const struct node *n, *t = &world.nodes[arg[2] % world.nr];
	struct place pl;
	struct outcome m;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | PLACE_LOCAL);
	n = store_name(&pl, false, &skip);
	if (skip || !place_may_make(&pl))
		return false;
	switch (arg[3] % 6) {
	case 0:
		snprintf(target_p, sizeof(target_p), "%s/%s", world.plain, t->rel);
		snprintf(target_m, sizeof(target_m), "%s/%s", world.model, t->rel);
		break;
	case 1:
		/* Never what holds the two: it is not the same. */
		snprintf(target_p, sizeof(target_p), "%s%s", t->rel[0] != '\0' ? "../" : ".",
			 t->rel);
		strcpy(target_m, target_p);
		break;
	case 2:
		snprintf(target_p, sizeof(target_p), "~%u-%c", a->number, 'a' + (int)(arg[4] % 6));
		strcpy(target_m, target_p);
		break;
	default:
		snprintf(target_p, sizeof(target_p), "%s", t->rel[0] != '\0' ? t->rel : ".");
		strcpy(target_m, target_p);
		break;
	}
	m = TRY(symlinkat(target_m, pl.mdir, pl.m));
	if (n != NULL)
		judge_fails(a, "symlink", m, exists);
	else
		two_changed(a, pl.m, TRY(symlinkat(target_p, pl.pdir, pl.p)), m,
			    place_ends_in_slash(&pl));
	return true;
}

OP(link)
{
	static const int some[] = { EROFS,   EEXIST,	   EXDEV, EPERM, ENOENT,
				    ENOTDIR, ENAMETOOLONG, ELOOP, 0 };
	const struct node *n, *t;
	struct place from, to;
	struct outcome m, p;
	bool skip_n, skip_t;

	place_draw(a, &from, arg[0], arg[1], PLACE_AT | (arg[4] % 4 != 0 ? PLACE_LOCAL : 0));
	place_draw(a, &to, arg[2], arg[3], PLACE_AT | PLACE_LOCAL);
	n = store_name(&from, false, &skip_n);
	t = store_name(&to, false, &skip_t);
	if (skip_n || skip_t || !place_may_make(&to))
		return false;
	m = TRY(linkat(from.mdir, from.m, to.mdir, to.m, 0));
	if (n != NULL || t != NULL) {
		judge_fails(a, "link", m, some);
		return true;
	}
	p = TRY(linkat(from.pdir, from.p, to.pdir, to.p, 0));
	two_changed(a, "link", p, m, place_ends_in_slash(&from) || place_ends_in_slash(&to));
	return true;
}

OP(truncate)
{
	off_t len = arg[2] % 16 == 0 ? -1 : (off_t)(arg[2] % 30000);
	const struct node *n;
	struct place pl;
	struct outcome m;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], arg[3] % 3 != 0 ? PLACE_LOCAL : 0);
	n = store_name(&pl, true, &skip);
	if (skip)
		return false;
	m = TRY(truncate(pl.m, len));
	if (n != NULL && !n->dir && len >= 0)
		judge_fails(a, pl.m, m, refused);
	else
		judge(a, pl.m, TRY(truncate(pl.p, len)), m, 0);
	return true;
}

OP(chmod)
{
	mode_t mode = 0700 | (arg[2] & 077);
	const struct node *n;
	struct place pl;
	struct outcome m;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (arg[3] % 3 != 0 ? PLACE_LOCAL : 0));
	n = store_name(&pl, true, &skip);
	if (skip)
		return false;
	if (n != NULL && arg[4] % 2 == 0)
		m = TRY(fchownat(pl.mdir, pl.m, getuid(), getgid(), 0));
	else if (pl.mdir == AT_FDCWD && arg[4] % 3 == 0)
		m = TRY(chmod(pl.m, mode));
	else
		m = TRY(fchmodat(pl.mdir, pl.m, mode, 0));
	if (n != NULL && n->dir && m.ret == 0)
		return true; /* a real directory, by a name that no text tells: a documented limit */
	if (n != NULL)
		judge_fails(a, pl.m, m, refused);
	else
		judge(a, pl.m, TRY(fchmodat(pl.pdir, pl.p, mode, 0)), m, 0);
	return true;
}

static struct outcome set_times(int dirfd, const char *path, uint32_t way, int seconds)
{
	struct timespec ts[2] = { { seconds, 0 }, { seconds, 5 } };
	struct timeval tv[2] = { { seconds, 0 }, { seconds, 5 } };
	struct utimbuf ut = { seconds, seconds };

	if (dirfd == AT_FDCWD && way % 4 == 0)
		return TRY(utimes(path, tv));
	if (dirfd == AT_FDCWD && way % 4 == 1)
		return TRY(utime(path, &ut));
	return TRY(utimensat(dirfd, path, way % 4 == 2 ? NULL : ts, 0));
}

OP(utimes)
{
	const struct node *n;
	struct place pl;
	struct outcome m;
	bool skip;

	place_draw(a, &pl, arg[0], arg[1], PLACE_AT | (arg[3] % 3 != 0 ? PLACE_LOCAL : 0));
	n = store_name(&pl, true, &skip);
	if (skip)
		return false;
	m = set_times(pl.mdir, pl.m, arg[2], (int)(arg[4] % 1000000));
	if (n != NULL && n->dir && m.ret == 0)
		return true;
	if (n != NULL)
		judge_fails(a, pl.m, m, refused);
	else
		judge(a, pl.m, set_times(pl.pdir, pl.p, arg[2], (int)(arg[4] % 1000000)), m, 0);
	return true;
}
