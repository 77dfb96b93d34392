#include "daemon/mount/prefetch.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/mount/snapmem.h"

/*
 * `files` is in the order of handing out.  A plan that streams goes round from
 * `at`: files are taken out of the circle as they are handed out.
 */
struct prefetch {
	struct snapmem *mem;
	uint32_t root;
	uint64_t bytes;
	bool streaming;
	uint32_t *files;
	uint8_t *done; /* for each of `files` */
	uint32_t nr, nr_left, at;
};

bool prefetch_whole_mount(const struct snapshot *s, uint64_t cache_size)
{
	const struct snapshot_entry *root = &s->entries[0];
	uint32_t i;

	if (s->header->total_bytes > cache_size)
		return false;
	for (i = 0; i < root->nr_children; i++)
		if (!snapshot_is_dir(&s->entries[root->first_child + i]))
			return true;
	return false;
}

uint32_t prefetch_directory(const struct snapshot *s, uint32_t file)
{
	return snapshot_is_dir(&s->entries[file]) ? file : s->entries[file].parent;
}

/*
 * Files below `entry`, by path.  Children of a directory lie together, sorted:
 * going up and to the right needs no stack.
 */
static uint32_t visit(const struct snapshot *s, uint32_t entry, uint32_t *files, uint64_t *bytes)
{
	uint32_t at = entry, nr = 0;

	for (;;) {
		const struct snapshot_entry *e = &s->entries[at];

		if (snapshot_is_dir(e) && e->nr_children != 0) {
			at = e->first_child;
			continue;
		}
		if (!snapshot_is_dir(e) && e->size != 0) {
			if (files != NULL)
				files[nr] = at;
			if (__builtin_add_overflow(*bytes, e->size, bytes))
				*bytes = UINT64_MAX;
			nr++;
		}
		while (at != entry) {
			const struct snapshot_entry *up = &s->entries[s->entries[at].parent];

			if (at + 1 < up->first_child + up->nr_children)
				break;
			at = s->entries[at].parent;
		}
		if (at == entry)
			return nr;
		at++;
	}
}

/* Small ones before the others, each kind in its order. */
static int put_small_first(const struct snapshot *s, uint32_t *files, uint32_t nr, uint64_t small)
{
	uint32_t *large = malloc((size_t)nr * sizeof(*large) + 1);
	uint32_t i, nr_small = 0, nr_large = 0;

	if (large == NULL)
		return -ENOMEM;
	for (i = 0; i < nr; i++) {
		if (s->entries[files[i]].size < small)
			files[nr_small++] = files[i];
		else
			large[nr_large++] = files[i];
	}
	if (nr_large != 0)
		memcpy(files + nr_small, large, nr_large * sizeof(*large));
	free(large);
	return 0;
}

int prefetch_new(struct snapmem *snapshot, uint32_t entry, uint64_t cache_size,
		 unsigned chunk_shift, struct prefetch **ret_prefetch)
{
	const struct snapshot *s = snapmem_view(snapshot);
	struct prefetch *p = xcalloc(1, sizeof(*p));
	uint64_t unused = 0;
	int r = -ENOMEM;

	p->mem = snapmem_ref(snapshot);
	p->root = entry;
	p->nr = p->nr_left = visit(s, entry, NULL, &p->bytes);
	p->streaming = p->bytes > cache_size;
	p->files = malloc((size_t)p->nr * sizeof(*p->files) + 1);
	p->done = calloc((size_t)p->nr + 1, 1);
	if (p->files == NULL || p->done == NULL)
		goto err_free;
	visit(s, entry, p->files, &unused);
	if (!p->streaming) {
		r = put_small_first(s, p->files, p->nr, 1ull << chunk_shift);
		if (r != 0)
			goto err_free;
	}
	*ret_prefetch = p;
	return 0;

err_free:
	prefetch_free(p);
	return r;
}

void prefetch_free(struct prefetch *p)
{
	if (p == NULL)
		return;
	snapmem_unref(p->mem);
	free(p->files);
	free(p->done);
	free(p);
}

uint32_t prefetch_next(struct prefetch *p)
{
	while (p->nr_left != 0) {
		uint32_t i = p->at;

		p->at = i + 1 == p->nr ? 0 : i + 1;
		if (p->done[i])
			continue;
		p->done[i] = true;
		p->nr_left--;
		return p->files[i];
	}
	return SNAPSHOT_NONE;
}

static uint32_t find(const struct prefetch *p, uint32_t file)
{
	uint32_t i;

	/* Near where the plan is: readers go forward. */
	for (i = 0; i < p->nr; i++) {
		uint32_t at = (uint32_t)(((uint64_t)p->at + i) % p->nr);

		if (p->files[at] == file)
			return at;
	}
	return SNAPSHOT_NONE;
}

bool prefetch_go_on_from(struct prefetch *p, uint32_t file)
{
	uint32_t at;

	if (!p->streaming)
		return false;
	at = find(p, file);
	if (at == SNAPSHOT_NONE || at == p->at)
		return false;
	p->at = at;
	return true;
}

void prefetch_put_back(struct prefetch *p, uint32_t file)
{
	uint32_t at = find(p, file);

	if (at != SNAPSHOT_NONE && p->done[at]) {
		p->done[at] = false;
		p->nr_left++;
	}
}

bool prefetch_is_streaming(const struct prefetch *p)
{
	return p->streaming;
}

bool prefetch_covers(const struct prefetch *p, uint32_t entry)
{
	const struct snapshot *s = snapmem_view(p->mem);

	while (entry != p->root && entry != 0)
		entry = s->entries[entry].parent;
	return entry == p->root;
}

struct snapmem *prefetch_snapshot(const struct prefetch *p)
{
	return p->mem;
}

uint32_t prefetch_root(const struct prefetch *p)
{
	return p->root;
}

uint64_t prefetch_bytes(const struct prefetch *p)
{
	return p->bytes;
}
