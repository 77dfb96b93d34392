#include "libclient/preload/listing.h"

#include "libclient/core/arena.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"
#include "libclient/preload/paths.h"
#include "libclient/preload/say.h"
#include "libclient/preload/shadow.h"
#include "libclient/preload/store.h"

#include <stdbool.h>

#define FIRST_ROOM 2048u

/*
 * Positions: [0, local_len) is an offset in the local entries, local_len + i is
 * child i of the store's directory.
 */
struct listing {
	int fd;
	struct snap *snap;
	uint32_t entry;
	bool loaded;
	char *local; /* as the kernel gives them, names that the store hides left out */
	size_t local_len;
	size_t room;
	int64_t position;
	struct dirent64 shown;
	char first[FIRST_ROOM]; /* enough for most */
	uint8_t on_disk[];	/* a bit for each child: a directory among the local entries */
};

static const struct snapshot_entry *directory(const struct listing *l)
{
	return &snap_tree(l->snap)->entries[l->entry];
}

int listing_new(int fd, struct snap *snap, uint32_t entry, struct listing **ret_listing)
{
	struct snap *now = snap_ref(snap);
	struct listing *l = NULL;
	int r = 0;

	if (snapshot_is_unlisted(snap_tree(now), entry))
		r = store_list(&now, entry, &entry);
	if (r == 0 && (entry == SNAPSHOT_NONE || !snapshot_is_dir(&snap_tree(now)->entries[entry])))
		r = -ENOENT; /* it has gone from the store meanwhile */
	if (r == 0) {
		l = arena_alloc(sizeof(*l) + snap_tree(now)->entries[entry].nr_children / 8 + 1);
		r = l == NULL ? -ENOMEM : 0;
	}
	if (r != 0) {
		snap_put(now);
		return r;
	}
	snap_put(snap);
	l->fd = fd;
	l->snap = now;
	l->entry = entry;
	l->local = l->first;
	l->room = sizeof(l->first);
	*ret_listing = l;
	return 0;
}

void listing_free(struct listing *l)
{
	if (l == NULL)
		return;
	snap_put(l->snap);
	if (l->local != l->first)
		arena_free(l->local);
	arena_free(l);
}

void listing_set_fd(struct listing *l, int fd)
{
	l->fd = fd;
}

/* Room for one more piece of the kernel's. */
static int make_room(struct listing *l)
{
	size_t room = l->room * 2;
	char *more;

	if (l->room - l->local_len >= FIRST_ROOM / 2) /* more than any one entry */
		return 0;
	more = arena_alloc(room);
	if (more == NULL)
		return -ENOMEM;
	mem_copy(more, l->local, l->local_len);
	if (l->local != l->first)
		arena_free(l->local);
	l->local = more;
	l->room = room;
	return 0;
}

/* Does the store hide this local entry?  Directories of both are one. */
static bool is_hidden(struct listing *l, const struct dirent64 *d)
{
	const struct snapshot *tree = snap_tree(l->snap);
	uint32_t child = snapshot_child(tree, l->entry, d->d_name, mem_len(d->d_name)), i;

	if (child == SNAPSHOT_NONE)
		return false;
	if (snapshot_is_dir(&tree->entries[child]) && d->d_type != DT_REG) {
		i = child - directory(l)->first_child;
		l->on_disk[i / 8] |= (uint8_t)(1u << i % 8);
		return false;
	}
	shadow_met();
	SAY_ONCE("the local file ", d->d_name,
		 " below MODEL_DIR has the name of a store file: programs see the store's");
	return true;
}

/* Keep what is not hidden of n fresh bytes at the end of the buffer. */
static void take_piece(struct listing *l, size_t n)
{
	char *from = l->local + l->local_len, *end = from + n;

	while (from < end) {
		struct dirent64 *d = (struct dirent64 *)from;
		size_t len = d->d_reclen;

		if (!is_hidden(l, d)) {
			mem_move(l->local + l->local_len, from, len);
			l->local_len += len;
			d = (struct dirent64 *)(l->local + l->local_len - len);
			d->d_off = (off_t)l->local_len;
		}
		from += len;
	}
}

static int load(struct listing *l)
{
	ssize_t n;
	int r;

	l->local_len = 0;
	mem_zero(l->on_disk, directory(l)->nr_children / 8 + 1);
	sys_call3(__NR_lseek, l->fd, 0, SEEK_SET);
	for (;;) {
		r = make_room(l);
		if (r != 0)
			return r;
		n = sys_call3(__NR_getdents64, l->fd, l->local + l->local_len,
			      l->room - l->local_len);
		if (n <= 0)
			break;
		take_piece(l, (size_t)n);
	}
	l->loaded = n == 0;
	return (int)n;
}

/* The inode of a store's directory: the real one's, which is made if need be. */
static uint64_t inode_of_dir(const struct listing *l, uint32_t entry, const char *name)
{
	struct stat st;

	if (paths_make_dir(l->snap, entry) >= 0 &&
	    sys_fstatat(l->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return st.st_ino;
	return snap_tree(l->snap)->entries[entry].ino;
}

static bool show_child(struct listing *l, uint32_t i)
{
	const struct snapshot *tree = snap_tree(l->snap);
	uint32_t entry = directory(l)->first_child + i;
	const struct snapshot_entry *e = &tree->entries[entry];
	struct dirent64 *d = &l->shown;

	if ((l->on_disk[i / 8] >> i % 8 & 1) != 0 || e->name_len >= sizeof(d->d_name))
		return false;
	mem_copy(d->d_name, snapshot_name(tree, e), e->name_len);
	d->d_name[e->name_len] = '\0';
	d->d_type = snapshot_is_dir(e) ? DT_DIR : DT_REG;
	d->d_ino = snapshot_is_dir(e) ? inode_of_dir(l, entry, d->d_name) : e->ino;
	d->d_off = l->position;
	d->d_reclen = (unsigned short)((offsetof(struct dirent64, d_name) + e->name_len + 8) &
				       ~(size_t)7);
	return true;
}

int listing_next(struct listing *l, struct dirent64 **ret)
{
	uint32_t nr = directory(l)->nr_children, i;
	int r;

	if (!l->loaded) {
		r = load(l);
		if (r < 0)
			return r;
	}
	if (l->position < (int64_t)l->local_len) {
		*ret = (struct dirent64 *)(l->local + l->position);
		l->position += (*ret)->d_reclen;
		return 1;
	}
	while ((uint64_t)(l->position - (int64_t)l->local_len) < nr) {
		i = (uint32_t)(l->position - (int64_t)l->local_len);
		l->position++;
		if (show_child(l, i)) {
			*ret = &l->shown;
			return 1;
		}
	}
	return 0;
}

void listing_rewind(struct listing *l)
{
	l->loaded = false;
	l->position = 0;
}

int64_t listing_tell(const struct listing *l)
{
	return l->position;
}

void listing_seek(struct listing *l, int64_t position)
{
	if (position >= 0)
		l->position = position;
}
