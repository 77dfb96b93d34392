/*
 * world.c - the two directories, and which names the store has: those that the
 * plain one holds at the start.
 */
#include "test/refmodel/refmodel.h"

#include <err.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL (64 * 1024)

struct world world;

static void scan(const char *rel)
{
	char path[PATH_SIZE], below[PATH_MAX];
	struct dirent *e;
	struct stat st;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", world.plain, rel);
	d = opendir(path);
	if (d == NULL)
		err(2, "%s", path);
	while ((e = readdir(d)) != NULL) {
		struct node *n;

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		snprintf(below, sizeof(below), "%s%s%s", rel, rel[0] != '\0' ? "/" : "", e->d_name);
		snprintf(path, sizeof(path), "%s/%s", world.plain, below);
		if (lstat(path, &st) != 0)
			err(2, "%s", path);
		/* What an earlier run left behind is removed by its actor. */
		if (e->d_name[0] == '~')
			continue;
		world.nodes = realloc(world.nodes, (world.nr + 1) * sizeof(*world.nodes));
		n = &world.nodes[world.nr++];
		*n = (struct node){ strdup(below), S_ISDIR(st.st_mode), st.st_size, st.st_mtime,
				    0 };
		if (n->dir)
			scan(below);
	}
	closedir(d);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct node *)a)->rel, ((const struct node *)b)->rel);
}

const struct node *world_find(const char *rel)
{
	struct node key = { .rel = (char *)(uintptr_t)rel };

	return bsearch(&key, world.nodes, world.nr, sizeof(key), by_name);
}

const struct node *world_named(const char *real, const char *root)
{
	size_t len = strlen(root);

	if (strncmp(real, root, len) != 0 || (real[len] != '/' && real[len] != '\0'))
		return NULL;
	return world_find(real[len] == '/' ? real + len + 1 : "");
}

/* Small files first, so that most reads need little of the store. */
static void sort_out(void)
{
	unsigned i, pass;

	for (pass = 0; pass < 2; pass++)
		for (i = 0; i < world.nr; i++) {
			const struct node *n = &world.nodes[i];

			if (n->dir && pass == 0 && world.nr_dirs < LENGTH(world.dirs))
				world.dirs[world.nr_dirs++] = i;
			if (!n->dir && (n->size > SMALL) == (pass == 1) &&
			    world.nr_files < LENGTH(world.files)) {
				world.files[world.nr_files++] = i;
				world.nr_small += pass == 0;
			}
		}
}

static void open_shared(void)
{
	char path[PATH_SIZE];
	unsigned i;

	for (i = 0; i < NR_SHARED; i++) {
		const struct node *n = &world.nodes[world.files[mix(i) % world.nr_files]];

		world.shared[i] = n;
		snprintf(path, sizeof(path), "%s/%s", world.plain, n->rel);
		world.shared_p[i] = open(path, O_RDONLY | O_CLOEXEC);
		snprintf(path, sizeof(path), "%s/%s", world.model, n->rel);
		world.shared_m[i] = open(path, O_RDONLY | O_CLOEXEC);
		if (world.shared_p[i] == -1)
			err(2, "%s", n->rel);
		if (world.shared_m[i] == -1 && !store_may(errno))
			err(2, "%s", path);
	}
}

static void link_to(char *path, size_t len, const char *name, const char *target)
{
	snprintf(path, len, "%s/%s", world.work, name);
	unlink(path);
	if (symlink(target, path) != 0)
		err(2, "%s", path);
}

void world_start(const char *plain, const char *model, const char *work, bool bare)
{
	world.plain = plain;
	world.model = model;
	world.work = work;
	world.bare = bare;
	if (realpath(plain, world.plain_real) == NULL)
		err(2, "%s", plain);
	if (realpath(model, world.model_real) == NULL)
		err(2, "%s", model);
	link_to(world.plain_link, sizeof(world.plain_link), "to-plain", plain);
	link_to(world.model_link, sizeof(world.model_link), "to-model", model);
	world.nodes = malloc(sizeof(*world.nodes));
	world.nodes[0] = (struct node){ .rel = strdup(""), .dir = true };
	world.nr = 1;
	scan("");
	qsort(world.nodes, world.nr, sizeof(*world.nodes), by_name);
	sort_out();
	if (world.nr_files == 0)
		errx(2, "%s: no files", plain);
	open_shared();
}
