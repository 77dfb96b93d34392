#include "daemon/mount/tree.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "common/snapshot.h"
#include "daemon/base/xalloc.h"
#include "daemon/mount/inode.h"
#include "daemon/mount/snapmem.h"

#define DEPTH_MAX 1024 /* components of one key */
#define ROOT	  0u
#define MTIME_MAX (INT64_MAX / 1000000000)

/* One file or directory as it was added; its name and then its etag lie at `text`. */
struct node {
	uint64_t size;
	int64_t mtime;
	uint64_t text;
	uint32_t parent;
	uint8_t name_len;
	uint8_t etag_len;
	bool is_dir;
	bool is_unlisted;
};

/* Nodes that were added one after the other; their first key lies at `text`, with a NUL. */
struct run {
	uint64_t text;
	uint32_t first, end;
};

struct tree {
	char *prefix;
	size_t prefix_len;
	struct node *nodes;
	uint32_t nr, cap;
	char *texts;
	uint64_t texts_len, texts_cap;
	struct run *runs;
	uint32_t nr_runs, cap_runs;
	char *run_keys;
	uint64_t run_keys_len, run_keys_cap;
	/* Directories by parent and name; SNAPSHOT_NONE where a slot is free. */
	uint32_t *dirs;
	uint32_t nr_dirs, dirs_mask;
	uint64_t seed;
	/* The directories of the last key, outermost first: listings are nearly sorted. */
	uint32_t path[DEPTH_MAX];
	unsigned depth;
	struct tree_counts counts;
};

const char *tree_fault_text(enum tree_fault fault)
{
	switch (fault) {
	case TREE_NO_FAULT:
		break;
	case TREE_DOTS:
		return "has the path component \".\" or \"..\"";
	case TREE_EMPTY:
		return "has an empty path component";
	case TREE_LONG:
		return "has a path component of more than 255 bytes";
	case TREE_NUL:
		return "has a NUL byte";
	case TREE_ETAG:
		return "has an ETag that is too long";
	case TREE_SIZE:
		return "has a size that no file can have";
	case TREE_LINK:
		return "is a symbolic link of the store, which is not followed";
	case TREE_SHADOWED:
		return "is a file and a directory at once, and is shown as the directory";
	case TREE_NR_FAULTS:
		break;
	}
	return "is fine";
}

/* Room for one more of `size` bytes in an array that doubles. */
static int grow(void **array, uint32_t nr, uint32_t *cap, size_t size)
{
	uint32_t want = *cap == 0 ? 256 : *cap * 2;
	void *bigger;

	if (nr < *cap)
		return 0;
	if (nr >= TREE_MAX_ENTRIES)
		return -EFBIG;
	bigger = realloc(*array, want * size);
	if (bigger == NULL)
		return -ENOMEM;
	*array = bigger;
	*cap = want;
	return 0;
}

static int append(char **texts, uint64_t *texts_len, uint64_t *cap, const void *bytes, size_t len)
{
	uint64_t want = *cap == 0 ? 16384 : *cap;
	char *bigger;

	while (want < *texts_len + len)
		want *= 2;
	if (want != *cap) {
		bigger = realloc(*texts, want);
		if (bigger == NULL)
			return -ENOMEM;
		*texts = bigger;
		*cap = want;
	}
	if (len != 0)
		memcpy(*texts + *texts_len, bytes, len);
	*texts_len += len;
	return 0;
}

static int add_text(struct tree *t, const void *bytes, size_t len)
{
	return append(&t->texts, &t->texts_len, &t->texts_cap, bytes, len);
}

static int add_node(struct tree *t, uint32_t parent, const char *name, size_t len,
		    uint32_t *ret_node)
{
	int r;

	r = grow((void **)&t->nodes, t->nr, &t->cap, sizeof(*t->nodes));
	if (r != 0)
		return r;
	t->nodes[t->nr] = (struct node){
		.text = t->texts_len,
		.parent = parent,
		.name_len = (uint8_t)len,
	};
	r = add_text(t, name, len);
	if (r == 0)
		*ret_node = t->nr++;
	return r;
}

static bool name_is(const struct tree *t, uint32_t node, const char *name, size_t len)
{
	const struct node *n = &t->nodes[node];

	return n->name_len == len && memcmp(t->texts + n->text, name, len) == 0;
}

static int grow_dirs(struct tree *t)
{
	uint32_t mask = t->dirs_mask == 0 ? 255 : t->dirs_mask * 2 + 1, i, at;
	uint32_t *bigger;

	if (t->dirs != NULL && t->nr_dirs * 2 < t->dirs_mask)
		return 0;
	bigger = malloc(((size_t)mask + 1) * sizeof(*bigger));
	if (bigger == NULL)
		return -ENOMEM;
	memset(bigger, 0xff, ((size_t)mask + 1) * sizeof(*bigger));
	for (i = 0; t->dirs != NULL && i <= t->dirs_mask; i++) {
		const struct node *n;

		if (t->dirs[i] == SNAPSHOT_NONE)
			continue;
		n = &t->nodes[t->dirs[i]];
		at = (uint32_t)inode_hash(t->seed + n->parent, t->texts + n->text, n->name_len);
		while (bigger[at & mask] != SNAPSHOT_NONE)
			at++;
		bigger[at & mask] = t->dirs[i];
	}
	free(t->dirs);
	t->dirs = bigger;
	t->dirs_mask = mask;
	return 0;
}

/* The directory of that name, made if it is not there. */
static int find_dir(struct tree *t, uint32_t parent, const char *name, size_t len,
		    uint32_t *ret_dir)
{
	uint32_t at, node = SNAPSHOT_NONE;
	int r;

	r = grow_dirs(t);
	if (r != 0)
		return r;
	at = (uint32_t)inode_hash(t->seed + parent, name, len);
	while (t->dirs[at & t->dirs_mask] != SNAPSHOT_NONE) {
		node = t->dirs[at & t->dirs_mask];
		if (t->nodes[node].parent == parent && name_is(t, node, name, len)) {
			*ret_dir = node;
			return 0;
		}
		at++;
	}
	r = add_node(t, parent, name, len, &node);
	if (r != 0)
		return r;
	t->nodes[node].is_dir = true;
	t->dirs[at & t->dirs_mask] = node;
	t->nr_dirs++;
	*ret_dir = node;
	return 0;
}

static enum tree_fault judge_component(const char *name, size_t len)
{
	if (len == 0)
		return TREE_EMPTY;
	if (len > 255)
		return TREE_LONG;
	if (name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')))
		return TREE_DOTS;
	return TREE_NO_FAULT;
}

/* path: relative to the mount, without the final slash of a directory. */
static enum tree_fault judge_path(const char *path, size_t len)
{
	enum tree_fault fault;
	const char *slash;

	if (memchr(path, '\0', len) != NULL)
		return TREE_NUL;
	while ((slash = memchr(path, '/', len)) != NULL) {
		fault = judge_component(path, (size_t)(slash - path));
		if (fault != TREE_NO_FAULT)
			return fault;
		len -= (size_t)(slash - path) + 1;
		path = slash + 1;
	}
	return judge_component(path, len);
}

static void count_fault(struct tree *t, enum tree_fault fault, const char *key, size_t len)
{
	if (t->counts.nr_faults[fault]++ != 0)
		return;
	if (len >= TREE_EXAMPLE_LEN)
		len = TREE_EXAMPLE_LEN - 1;
	memcpy(t->counts.example[fault], key, len);
	t->counts.example[fault][len] = '\0';
}

/* The directory that holds the last component; *path and *len become that component. */
static int walk(struct tree *t, const char **path, size_t *len, uint32_t *ret_dir)
{
	bool as_before = true;
	unsigned depth = 0;
	uint32_t dir = ROOT;
	const char *slash;
	int r;

	while ((slash = memchr(*path, '/', *len)) != NULL) {
		size_t n = (size_t)(slash - *path);

		as_before = as_before && depth < t->depth && name_is(t, t->path[depth], *path, n);
		if (!as_before) {
			r = find_dir(t, dir, *path, n, &t->path[depth]);
			if (r != 0) {
				t->depth = depth;
				return r;
			}
			t->depth = depth + 1;
		}
		dir = t->path[depth++];
		*len -= n + 1;
		*path = slash + 1;
		if (depth == DEPTH_MAX)
			return -EFBIG;
	}
	*ret_dir = dir;
	return 0;
}

static enum tree_fault judge(const struct tree_key *k, const char *path, size_t len, bool is_dir)
{
	enum tree_fault fault = judge_path(path, len);

	if (fault != TREE_NO_FAULT || is_dir)
		return fault;
	if (k->etag != NULL && strlen(k->etag) > TREE_ETAG_MAX)
		return TREE_ETAG;
	if (k->size > INT64_MAX)
		return TREE_SIZE;
	return k->is_link ? TREE_LINK : TREE_NO_FAULT;
}

static int64_t bounded_mtime(int64_t mtime)
{
	if (mtime < 0)
		return 0;
	return mtime < MTIME_MAX ? mtime : MTIME_MAX;
}

static void end_run(struct tree *t)
{
	if (t->nr_runs != 0)
		t->runs[t->nr_runs - 1].end = t->nr;
}

int tree_begin_run(struct tree *t, const char *first_key)
{
	int r = grow((void **)&t->runs, t->nr_runs, &t->cap_runs, sizeof(*t->runs));

	if (r != 0)
		return r;
	end_run(t);
	t->runs[t->nr_runs++] = (struct run){ .text = t->run_keys_len, .first = t->nr };
	return append(&t->run_keys, &t->run_keys_len, &t->run_keys_cap, first_key,
		      strlen(first_key) + 1);
}

int tree_add(struct tree *t, const struct tree_key *k)
{
	const int64_t mtime = bounded_mtime(k->mtime);
	const char *path = k->key + t->prefix_len;
	size_t len = k->key_len - t->prefix_len;
	enum tree_fault fault;
	uint32_t dir, node;
	bool is_dir;
	int r;

	if (k->key_len < t->prefix_len || memcmp(k->key, t->prefix, t->prefix_len) != 0)
		return 0;
	/* What is not shown takes no room, but a listing that never ends is none. */
	if (t->counts.nr_keys++ == TREE_MAX_KEYS)
		return -EFBIG;
	if (len == 0) /* the marker of the mount's own directory */
		return 0;
	is_dir = path[len - 1] == '/';
	fault = judge(k, path, is_dir ? len - 1 : len, is_dir);
	if (fault != TREE_NO_FAULT) {
		count_fault(t, fault, k->key, k->key_len);
		return 0;
	}
	if (is_dir)
		len--;
	r = walk(t, &path, &len, &dir);
	if (r != 0)
		return r;
	if (is_dir) {
		r = find_dir(t, dir, path, len, &node);
		if (r == 0 && t->nodes[node].mtime < mtime)
			t->nodes[node].mtime = mtime;
		if (r == 0 && k->is_unlisted)
			t->nodes[node].is_unlisted = true;
		return r;
	}
	r = add_node(t, dir, path, len, &node);
	if (r != 0)
		return r;
	t->nodes[node].size = k->size;
	t->nodes[node].mtime = mtime;
	if (k->etag == NULL)
		return 0;
	t->nodes[node].etag_len = (uint8_t)strlen(k->etag);
	return add_text(t, k->etag, strlen(k->etag));
}

const struct tree_counts *tree_counts(const struct tree *t)
{
	return &t->counts;
}

int tree_new(const char *prefix, struct tree **ret_tree)
{
	struct tree *t = xcalloc(1, sizeof(*t));
	uint32_t root;
	int r;

	t->prefix = xstrndup(prefix, strlen(prefix));
	t->prefix_len = strlen(prefix);
	t->seed = inode_seed();
	r = add_node(t, ROOT, "", 0, &root);
	if (r != 0) {
		tree_free(t);
		return r;
	}
	t->nodes[root].is_dir = true;
	*ret_tree = t;
	return 0;
}

void tree_free(struct tree *t)
{
	if (t == NULL)
		return;
	free(t->prefix);
	free(t->nodes);
	free(t->texts);
	free(t->dirs);
	free(t->runs);
	free(t->run_keys);
	free(t);
}

/* ---- building --------------------------------------------------------------- */

/* Work space of tree_build(): node numbers, sorted by parent and then by name. */
struct plan {
	uint32_t *start;  /* of each node's children in `sorted`; nr + 1 of them */
	uint32_t *sorted; /* nodes */
	uint32_t *out;	  /* the node of each entry */
};

static void plan_fini(struct plan *p)
{
	free(p->start);
	free(p->sorted);
	free(p->out);
	*p = (struct plan){ 0 };
}

static int compare_names(const struct tree *t, const struct node *a, const struct node *b)
{
	size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
	int order = memcmp(t->texts + a->text, t->texts + b->text, len);

	return order != 0 ? order : (int)a->name_len - (int)b->name_len;
}

/* By name; of one name the directory first, then what was listed last. */
static int compare_nodes(const void *pa, const void *pb, void *arg)
{
	const uint32_t a = *(const uint32_t *)pa, b = *(const uint32_t *)pb;
	const struct tree *t = arg;
	int order = compare_names(t, &t->nodes[a], &t->nodes[b]);

	if (order != 0)
		return order;
	if (t->nodes[a].is_dir != t->nodes[b].is_dir)
		return t->nodes[a].is_dir ? -1 : 1;
	return a > b ? -1 : a < b;
}

static int compare_runs(const void *pa, const void *pb, void *arg)
{
	const struct run *a = pa, *b = pb;
	const struct tree *t = arg;

	return strcmp(t->run_keys + a->text, t->run_keys + b->text);
}

/* Nodes [first, end) to the end of their parents' children. */
static void place(const struct tree *t, const struct plan *p, uint32_t first, uint32_t end)
{
	uint32_t i;

	for (i = first; i < end; i++)
		p->sorted[p->start[t->nodes[i].parent + 1]++] = i;
}

static int sort_children(struct tree *t, struct plan *p)
{
	uint32_t i, n, dir, before = t->nr_runs != 0 ? t->runs[0].first : t->nr;

	p->start = calloc((size_t)t->nr + 2, sizeof(*p->start));
	p->sorted = malloc((size_t)t->nr * sizeof(*p->sorted));
	p->out = malloc((size_t)t->nr * sizeof(*p->out));
	if (p->start == NULL || p->sorted == NULL || p->out == NULL)
		return -ENOMEM;

	/* One counting sort by parent keeps the order of the keys, which is nearly that of names. */
	end_run(t);
	if (t->nr_runs != 0)
		qsort_r(t->runs, t->nr_runs, sizeof(*t->runs), compare_runs, t);
	for (i = 1; i < t->nr; i++)
		p->start[t->nodes[i].parent + 2]++;
	for (i = 2; i <= t->nr; i++)
		p->start[i] += p->start[i - 1];
	place(t, p, ROOT + 1, before);
	for (i = 0; i < t->nr_runs; i++)
		place(t, p, t->runs[i].first, t->runs[i].end);

	for (dir = 0; dir < t->nr; dir++) {
		uint32_t *first = p->sorted + p->start[dir];

		n = p->start[dir + 1] - p->start[dir];
		for (i = 1; i < n && compare_nodes(&first[i - 1], &first[i], t) < 0; i++)
			;
		if (i < n)
			qsort_r(first, n, sizeof(*first), compare_nodes, t);
	}
	return 0;
}

static void note_shadowed(struct tree *t, const struct node *kept, const struct node *dropped)
{
	char path[TREE_EXAMPLE_LEN];
	size_t at = sizeof(path);

	if (!kept->is_dir || dropped->is_dir)
		return;
	/* From the end backwards; of a longer path the last part. */
	for (;;) {
		size_t n = dropped->name_len;

		if (n > at)
			break;
		at -= n;
		memcpy(path + at, t->texts + dropped->text, n);
		if (dropped->parent == ROOT || at == 0)
			break;
		path[--at] = '/';
		dropped = &t->nodes[dropped->parent];
	}
	count_fault(t, TREE_SHADOWED, path + at, sizeof(path) - at);
}

/* Children of entry `at`, appended to the entries.  Returns the new number of entries. */
static uint32_t put_children(struct tree *t, const struct plan *p, struct snapshot_entry *entries,
			     uint32_t at, uint32_t nr)
{
	const uint32_t dir = p->out[at];
	const struct node *last = NULL;
	uint32_t i, first = nr;

	for (i = p->start[dir]; i < p->start[dir + 1]; i++) {
		const struct node *n = &t->nodes[p->sorted[i]];

		if (last != NULL && compare_names(t, last, n) == 0) {
			note_shadowed(t, last, n);
			continue;
		}
		last = n;
		p->out[nr] = p->sorted[i];
		entries[nr] = (struct snapshot_entry){
			.size = n->size,
			.mtime_ns = n->mtime * 1000000000,
			.ino = inode_of(entries[at].ino, t->texts + n->text, n->name_len,
					n->is_dir),
			.name_off = n->text,
			.etag_off = n->text + n->name_len,
			.parent = at,
			.name_len = n->name_len,
			.etag_len = n->etag_len,
			.flags = (n->is_dir ? SNAPSHOT_DIR : 0) |
				 (n->is_unlisted ? SNAPSHOT_UNLISTED : 0),
		};
		nr++;
	}
	entries[at].first_child = first;
	entries[at].nr_children = nr - first;
	return nr;
}

/* Totals, and the newest time below each directory: children come after their parents. */
static void sum_up(struct snapshot_header *h, struct snapshot_entry *entries)
{
	uint32_t i;

	for (i = (uint32_t)h->nr_entries; i-- > 0;) {
		struct snapshot_entry *e = &entries[i], *parent = &entries[e->parent];

		if (i != ROOT && parent->mtime_ns < e->mtime_ns)
			parent->mtime_ns = e->mtime_ns;
		if ((e->flags & SNAPSHOT_DIR) != 0)
			continue;
		h->nr_files++;
		if (__builtin_add_overflow(h->total_bytes, e->size, &h->total_bytes))
			h->total_bytes = UINT64_MAX;
	}
}

/* How many names are there twice: those entries will not be made. */
static uint32_t count_twins(const struct tree *t, const struct plan *p)
{
	uint32_t i, dir, nr = 0;

	for (dir = 0; dir < t->nr; dir++)
		for (i = p->start[dir] + 1; i < p->start[dir + 1]; i++)
			nr += compare_names(t, &t->nodes[p->sorted[i - 1]],
					    &t->nodes[p->sorted[i]]) == 0;
	return nr;
}

/* From here on the texts are those of the snapshot: never all of it twice in memory. */
static void move_texts(struct tree *t, char *to)
{
	memcpy(to, t->texts, t->texts_len);
	free(t->texts);
	t->texts = to;
	t->texts_cap = 0;
}

static void fill_snapshot(struct tree *t, const struct plan *p, uint32_t nr_entries, void *bytes)
{
	struct snapshot_header *h = bytes;
	struct snapshot_entry *entries = (struct snapshot_entry *)(h + 1);
	uint32_t at, nr = 1;

	entries[ROOT] = (struct snapshot_entry){
		.ino = inode_of_prefix(t->prefix),
		.mtime_ns = t->nodes[ROOT].mtime * 1000000000,
		.flags = SNAPSHOT_DIR,
	};
	p->out[ROOT] = ROOT;
	for (at = 0; at < nr; at++)
		if ((entries[at].flags & SNAPSHOT_DIR) != 0)
			nr = put_children(t, p, entries, at, nr);
	BUG_ON(nr != nr_entries);
	sum_up(h, entries);
}

int tree_build(struct tree *t, uint64_t serial, struct snapmem **ret_mem)
{
	struct plan p = { 0 };
	struct snapshot_header h;
	struct snapmem *m;
	uint32_t nr;
	void *bytes;
	int r;

	r = sort_children(t, &p);
	if (r != 0)
		goto out;
	nr = t->nr - count_twins(t, &p);
	h = (struct snapshot_header){
		.magic = SNAPSHOT_MAGIC,
		.version = SNAPSHOT_VERSION,
		.serial = serial,
		.nr_entries = nr,
		.strings_off = sizeof(h) + (uint64_t)nr * sizeof(struct snapshot_entry),
		.strings_len = t->texts_len,
	};
	h.len = h.strings_off + h.strings_len;
	r = snapmem_new(h.len, &m, &bytes);
	if (r != 0)
		goto out;
	memcpy(bytes, &h, sizeof(h));
	move_texts(t, (char *)bytes + h.strings_off);
	fill_snapshot(t, &p, nr, bytes);
	/* What comes needs memory of its own, and these no more. */
	plan_fini(&p);
	free(t->nodes);
	t->nodes = NULL;
	r = inode_make_unique((struct snapshot_entry *)((char *)bytes + sizeof(h)), nr);
	if (r == 0)
		r = snapmem_seal(m);
	if (r != 0)
		snapmem_unref(m);
	else
		*ret_mem = m;
	t->texts = NULL; /* they went with the snapshot's writable mapping */
out:
	plan_fini(&p);
	return r;
}
