#include "common/snapshot.h"

#include <errno.h>

/* Every offset in the entry stays inside the snapshot. */
static bool entry_is_sound(const struct snapshot_header *h, const struct snapshot_entry *e)
{
	if (e->name_off > h->strings_len || e->name_len > h->strings_len - e->name_off)
		return false;
	if (e->etag_off > h->strings_len || e->etag_len > h->strings_len - e->etag_off)
		return false;
	if (e->parent >= h->nr_entries || e->name_len > 255)
		return false;
	if (!snapshot_is_dir(e))
		return true;
	return e->nr_children <= h->nr_entries && e->first_child <= h->nr_entries - e->nr_children;
}

int snapshot_init(struct snapshot *s, const void *mem, size_t len)
{
	const struct snapshot_header *h = mem;
	uint64_t entries_len;

	if (len < sizeof(*h) || h->magic != SNAPSHOT_MAGIC || h->version != SNAPSHOT_VERSION)
		return -EPROTO;
	if (h->len > len || h->nr_entries == 0 || h->nr_entries >= SNAPSHOT_NONE)
		return -EPROTO;
	entries_len = h->nr_entries * sizeof(struct snapshot_entry);
	if (h->strings_off != sizeof(*h) + entries_len || h->strings_off > h->len ||
	    h->strings_len != h->len - h->strings_off)
		return -EPROTO;

	s->header = h;
	s->entries = (const struct snapshot_entry *)(h + 1);
	s->strings = (const char *)mem + h->strings_off;
	if (!entry_is_sound(h, &s->entries[0]) || !snapshot_is_dir(&s->entries[0]))
		return -EPROTO;
	return 0;
}

/* Order of two names by their bytes. */
static int compare(const char *a, size_t a_len, const char *b, size_t b_len)
{
	size_t i, n = a_len < b_len ? a_len : b_len;

	for (i = 0; i < n; i++)
		if (a[i] != b[i])
			return (unsigned char)a[i] < (unsigned char)b[i] ? -1 : 1;
	return a_len < b_len ? -1 : a_len > b_len;
}

uint32_t snapshot_child(const struct snapshot *s, uint32_t dir, const char *name, size_t len)
{
	const struct snapshot_entry *d = &s->entries[dir];
	uint32_t low = d->first_child, high;

	if (!snapshot_is_dir(d) || !entry_is_sound(s->header, d))
		return SNAPSHOT_NONE;
	high = low + d->nr_children;
	while (low < high) {
		uint32_t mid = low + (high - low) / 2;
		const struct snapshot_entry *e = &s->entries[mid];
		int order;

		if (!entry_is_sound(s->header, e))
			return SNAPSHOT_NONE;
		order = compare(name, len, snapshot_name(s, e), e->name_len);
		if (order == 0)
			return mid;
		if (order < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return SNAPSHOT_NONE;
}

uint32_t snapshot_find(const struct snapshot *s, uint32_t dir, const char *path, size_t len,
		       uint32_t *ret_last)
{
	size_t i = 0;

	for (;;) {
		size_t start, n;

		*ret_last = dir;
		if (i == len)
			return dir;
		if (!snapshot_is_dir(&s->entries[dir]))
			return SNAPSHOT_NONE;
		if (path[i] == '/') {
			i++;
			continue;
		}
		start = i;
		while (i < len && path[i] != '/')
			i++;
		n = i - start;
		if (n == 1 && path[start] == '.')
			continue;
		if (n == 2 && path[start] == '.' && path[start + 1] == '.') {
			dir = s->entries[dir].parent;
			continue;
		}
		dir = snapshot_child(s, dir, path + start, n);
		if (dir == SNAPSHOT_NONE)
			return SNAPSHOT_NONE;
	}
}

uint32_t snapshot_lookup(const struct snapshot *s, uint32_t dir, const char *path, size_t len)
{
	uint32_t last;

	return snapshot_find(s, dir, path, len, &last);
}

int snapshot_path(const struct snapshot *s, uint32_t entry, char *buf, size_t cap)
{
	size_t at = cap, len, i;

	if (cap == 0)
		return -ENAMETOOLONG;
	buf[--at] = '\0';
	/* From the end of the buffer backwards, then moved to its front. */
	while (entry != 0) {
		const struct snapshot_entry *e = &s->entries[entry];
		const char *name = snapshot_name(s, e);

		if (at < (size_t)e->name_len + 1)
			return -ENAMETOOLONG;
		if (at != cap - 1)
			buf[--at] = '/';
		for (i = e->name_len; i > 0; i--)
			buf[--at] = name[i - 1];
		entry = e->parent;
	}
	len = cap - at;
	for (i = 0; i < len; i++)
		buf[i] = buf[at + i];
	return (int)(len - 1);
}
