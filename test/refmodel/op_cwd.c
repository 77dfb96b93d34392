/*
 * op_cwd.c - the working directory: each actor has its own (CLONE_FS), and it is
 * MODEL_DIR's half that is really there.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* Where the process now is must be where it went. */
static void check_cwd(struct actor *a, const char *want)
{
	char path[PATH_MAX];
	const char *rest;

	if (getcwd(path, sizeof(path)) == NULL)
		differ(a, "getcwd: %s", error_name(errno));
	rest = place_strip(path, world.model_real, world.model_real);
	if (rest == NULL || strcmp(rest, want) != 0)
		differ(a, "getcwd: %s, not below MODEL_DIR in \"%s\"", path, want);
}

static void arrived(struct actor *a, const struct node *n)
{
	snprintf(a->cwd, sizeof(a->cwd), "%s", n->rel);
	a->cwd_outside = false;
	check_cwd(a, a->cwd);
}

OP(chdir)
{
	const struct node *n;
	struct outcome m;
	struct place pl;
	struct stat st;

	if (arg[2] % 8 == 0) {
		char out[PATH_MAX];

		snprintf(out, sizeof(out), "%s", world.model_real);
		*strrchr(out, '/') = '\0';
		if (chdir(out[0] != '\0' ? out : "/") != 0)
			return false;
		a->cwd_outside = true;
		return true;
	}
	place_draw(a, &pl, arg[0], arg[1], arg[3] % 4 != 0 ? PLACE_DIR : 0);
	n = place_means(&pl, true);
	/* A directory of the actor's own may go away with the actor in it. */
	if (n == NULL && stat(pl.p, &st) == 0 && S_ISDIR(st.st_mode))
		return false;
	m = TRY(chdir(pl.m));
	if (n != NULL && n->dir) {
		if (m.ret == -1 && store_may(m.err))
			return true;
		judge(a, pl.m, (struct outcome){ 0 }, m, 0);
		arrived(a, n);
	} else {
		judge(a, pl.m, TRY(access(pl.p, F_OK) == 0 ? (errno = ENOTDIR, -1) : -1), m, 0);
	}
	return true;
}

OP(fchdir)
{
	struct fdpair *f = fd_of(a, arg[0]);

	if (f == NULL || (f->dir && (f->node == NULL || !f->node->dir)))
		return false;
	if (!f->dir) {
		judge(a, "fchdir", TRY(fchdir(f->p)), TRY(fchdir(f->m)), 0);
		return true;
	}
	judge(a, "fchdir", (struct outcome){ 0 }, TRY(fchdir(f->m)), 0);
	arrived(a, f->node);
	return true;
}

OP(getcwd)
{
	char path[PATH_MAX];
	struct stat here, there;

	(void)arg;
	if (a->cwd_outside)
		return false;
	check_cwd(a, a->cwd);
	snprintf(path, sizeof(path), "%s/%s", world.model, a->cwd);
	if (stat(".", &here) != 0 || stat(path, &there) != 0)
		differ(a, "stat of the working directory: %s", error_name(errno));
	same_number(a, "st_ino of the working directory", (long long)there.st_ino,
		    (long long)here.st_ino);
	return true;
}
