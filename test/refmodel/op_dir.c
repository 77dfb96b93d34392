/*
 * op_dir.c - directory streams.  The two need not have the same order; what both
 * have given when they end must be the same, each name once, wherever they were
 * rewound and sought meanwhile.
 */
#include "test/refmodel/op_family.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct entry {
	char *name;
	unsigned char type;
	ino_t ino;
};

struct seen {
	unsigned nr;
	long told;	  /* telldir, once */
	unsigned told_at; /* how many were seen then */
	bool has_told;
	struct entry entries[4096];
};

static void forget(struct seen *s, unsigned nr)
{
	while (s->nr > nr)
		free(s->entries[--s->nr].name);
}

static bool next_entry(struct actor *a, DIR *d, struct seen *s)
{
	struct dirent *e;

	errno = ERRNO_MARK;
	e = readdir(d);
	if (e == NULL && errno != ERRNO_MARK)
		differ(a, "readdir: %s", error_name(errno));
	if (e == NULL)
		return false;
	if (errno != ERRNO_MARK)
		differ(a, "readdir changed errno");
	if (s->nr == LENGTH(s->entries))
		differ(a, "readdir: no end after %u names", s->nr);
	s->entries[s->nr++] = (struct entry){ strdup(e->d_name), e->d_type, e->d_ino };
	return true;
}

static int by_name(const void *x, const void *y)
{
	return strcmp(((const struct entry *)x)->name, ((const struct entry *)y)->name);
}

/* Sorted, without the names that may have come or gone meanwhile. */
static unsigned comparable(const struct actor *a, struct seen *s, bool own)
{
	unsigned i, n = 0;

	for (i = 0; i < s->nr; i++) {
		struct entry *e = &s->entries[i];

		if (is_foreign(a, e->name) || (!own && e->name[0] == '~'))
			free(e->name);
		else
			s->entries[n++] = *e;
	}
	s->nr = n;
	qsort(s->entries, n, sizeof(s->entries[0]), by_name);
	return n;
}

static void compare_seen(struct actor *a, struct dirpair *d)
{
	bool own = d->local_changes == a->local_changes;
	unsigned n = comparable(a, d->seen_p, own), m = comparable(a, d->seen_m, own), i;

	for (i = 0; i < n || i < m; i++) {
		const struct entry *x = i < n ? &d->seen_p->entries[i] : NULL;
		const struct entry *y = i < m ? &d->seen_m->entries[i] : NULL;
		const struct node *node;
		char rel[1024];

		if (x == NULL || y == NULL || strcmp(x->name, y->name) != 0)
			differ(a,
			       "readdir of \"%s\": \"%s\" on the plain one, \"%s\" below MODEL_DIR "
			       "(of %u and %u names)",
			       d->rel, x != NULL ? x->name : "(the end)",
			       y != NULL ? y->name : "(the end)", n, m);
		if (y->type != x->type && x->type != DT_UNKNOWN)
			differ(a,
			       "readdir: d_type of \"%s\" is %d on the plain one, %d below "
			       "MODEL_DIR",
			       x->name, x->type, y->type);
		snprintf(rel, sizeof(rel), "%s%s%s", d->rel, d->rel[0] != '\0' ? "/" : "", y->name);
		node = world_find(rel);
		if (node != NULL && !node->dir && !world.bare)
			node_check_number(a, "d_ino", node, y->ino);
	}
}

void dir_close(struct actor *a, struct dirpair *d)
{
	if (d->p == NULL)
		return;
	judge(a, "closedir", TRY(closedir(d->p)), TRY(closedir(d->m)), 0);
	forget(d->seen_p, 0);
	forget(d->seen_m, 0);
	free(d->seen_p);
	free(d->seen_m);
	*d = (struct dirpair){ 0 };
}

static void take_streams(struct actor *a, uint32_t slot, DIR *p, DIR *m)
{
	struct dirpair *d = &a->dirs[slot % NR_DIRS];
	char name[64], path[PATH_MAX];
	const char *rest;
	ssize_t n;

	dir_close(a, d);
	*d = (struct dirpair){ .p = p, .m = m, .local_changes = a->local_changes };
	d->seen_p = calloc(1, sizeof(*d->seen_p));
	d->seen_m = calloc(1, sizeof(*d->seen_m));
	snprintf(name, sizeof(name), "/proc/self/fd/%d", dirfd(p));
	n = readlink(name, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	rest = place_strip(path, world.plain_real, world.plain_real);
	snprintf(d->rel, sizeof(d->rel), "%s", rest != NULL ? rest : "");
}

OP(opendir)
{
	struct outcome x, y;
	struct place pl;
	DIR *p, *m;

	place_draw(a, &pl, arg[0], arg[1], arg[2] % 4 != 0 ? PLACE_DIR : 0);
	x = TRY_POINTER(p, opendir(pl.p));
	y = TRY_POINTER(m, opendir(pl.m));
	switch (judge(a, pl.m, x, y, 0)) {
	case BOTH_DID:
		take_streams(a, arg[3], p, m);
		break;
	case BOTH_FAILED:
		break;
	case STORE_FAILED:
		closedir(p);
		break;
	}
	return true;
}

OP(fdopendir)
{
	struct fdpair *f = fd_of(a, arg[0]);
	struct outcome x, y;
	DIR *p, *m;
	int fp, fm;

	if (f == NULL || f->path_only)
		return false;
	/* Of a descriptor of its own: a dup shares what the kernel knows of the reading. */
	if (f->dir) {
		fp = openat(f->p, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fm = openat(f->m, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	} else {
		fp = dup(f->p);
		fm = dup(f->m);
	}
	if (fp == -1 || fm == -1) {
		if (fp != fm)
			differ(a, "fdopendir: no descriptor");
		return false; /* the directory is gone */
	}
	x = TRY_POINTER(p, fdopendir(fp));
	y = TRY_POINTER(m, fdopendir(fm));
	if (judge(a, "fdopendir", x, y, 0) == BOTH_DID) {
		same_number(a, "dirfd", dirfd(p) - fp, dirfd(m) - fm);
		take_streams(a, arg[1], p, m);
	} else {
		close(fp);
		close(fm);
	}
	return true;
}

/* A few names of each; whichever ends first, the other is read to its end too. */
OP(readdir)
{
	struct dirpair *d = &a->dirs[arg[0] % NR_DIRS];
	unsigned i, nr = arg[1] % 3 == 0 ? 10000 : arg[1] / 3 % 20;
	bool more_p = true, more_m = true;

	if (d->p == NULL)
		return false;
	for (i = 0; i < nr && more_p && more_m; i++) {
		more_p = next_entry(a, d->p, d->seen_p);
		more_m = next_entry(a, d->m, d->seen_m);
	}
	if (more_p && more_m)
		return true;
	while (more_p && next_entry(a, d->p, d->seen_p))
		;
	while (more_m && next_entry(a, d->m, d->seen_m))
		;
	compare_seen(a, d);
	rewinddir(d->p);
	rewinddir(d->m);
	forget(d->seen_p, 0);
	forget(d->seen_m, 0);
	d->seen_p->has_told = d->seen_m->has_told = false;
	d->local_changes = a->local_changes;
	return true;
}

OP(rewinddir)
{
	struct dirpair *d = &a->dirs[arg[0] % NR_DIRS];

	if (d->p == NULL)
		return false;
	rewinddir(d->p);
	rewinddir(d->m);
	forget(d->seen_p, 0);
	forget(d->seen_m, 0);
	d->seen_p->has_told = d->seen_m->has_told = false;
	d->local_changes = a->local_changes;
	return true;
}

static void tell_or_seek(DIR *d, struct seen *s)
{
	if (s->has_told) {
		seekdir(d, s->told);
		forget(s, s->told_at);
		s->has_told = false;
	} else {
		s->told = telldir(d);
		s->told_at = s->nr;
		s->has_told = true;
	}
}

/* telldir, or seekdir to where that was. */
OP(seekdir)
{
	struct dirpair *d = &a->dirs[arg[0] % NR_DIRS];

	if (d->p == NULL)
		return false;
	tell_or_seek(d->p, d->seen_p);
	tell_or_seek(d->m, d->seen_m);
	return true;
}

OP(closedir)
{
	struct dirpair *d = &a->dirs[arg[0] % NR_DIRS];

	if (d->p == NULL)
		return false;
	dir_close(a, d);
	return true;
}

/* All that a descriptor gives, by the call below readdir. */
static struct outcome all_dents(int fd, struct seen *s)
{
	char buf[4096] __attribute__((aligned(8)));
	struct outcome r = { 0 };
	ssize_t n, at;

	while (s->nr < LENGTH(s->entries) - 256) {
		struct outcome o = TRY(getdents64(fd, buf, sizeof(buf)));

		if (o.ret <= 0)
			return o;
		n = o.ret;
		for (at = 0; at < n;) {
			struct dirent64 *e = (void *)(buf + at);

			s->entries[s->nr++] =
				(struct entry){ strdup(e->d_name), e->d_type, e->d_ino };
			at += e->d_reclen;
		}
	}
	return r;
}

OP(getdents)
{
	struct dirpair d = { .local_changes = a->local_changes };
	const struct node *n = &world.nodes[world.dirs[arg[0] % world.nr_dirs]];
	char path[PATH_SIZE];
	struct outcome x, y;
	int p, m;

	snprintf(path, sizeof(path), "%s/%s", world.plain, n->rel);
	p = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	snprintf(path, sizeof(path), "%s/%s", world.model, n->rel);
	m = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (p == -1 || m == -1)
		differ(a, "open of a directory: %s", error_name(errno));
	d.seen_p = calloc(1, sizeof(*d.seen_p));
	d.seen_m = calloc(1, sizeof(*d.seen_m));
	snprintf(d.rel, sizeof(d.rel), "%s", n->rel);
	x = all_dents(p, d.seen_p);
	y = all_dents(m, d.seen_m);
	if (judge(a, "getdents64", x, y, 0) == BOTH_DID)
		compare_seen(a, &d);
	forget(d.seen_p, 0);
	forget(d.seen_m, 0);
	free(d.seen_p);
	free(d.seen_m);
	close(p);
	close(m);
	return true;
}
