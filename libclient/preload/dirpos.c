#include "libclient/preload/dirpos.h"

#include "libclient/core/arena.h"
#include "libclient/core/lock.h"
#include "libclient/core/mem.h"
#include "libclient/core/sys.h"
#include "libclient/core/view.h"
#include "libclient/preload/fds.h"
#include "libclient/preload/listing.h"
#include "libclient/preload/paths.h"

/* What duplicates share. */
struct place {
	uint32_t nr_fds;
	struct listing *listing;
};

struct reader {
	struct reader *next;
	int fd;
	struct place *place;
};

static struct lock lock;
static struct reader *readers; /* guarded by the lock */
uint32_t dirpos_nr;

static struct reader **find_locked(int fd)
{
	struct reader **at = &readers;

	while (*at != NULL && (*at)->fd != fd)
		at = &(*at)->next;
	return at;
}

static struct reader *add_locked(int fd, struct place *p)
{
	struct reader *r = arena_alloc(sizeof(*r));

	if (r == NULL)
		return NULL;
	*r = (struct reader){ .next = readers, .fd = fd, .place = p };
	p->nr_fds++;
	readers = r;
	__atomic_store_n(&dirpos_nr, dirpos_nr + 1, __ATOMIC_RELAXED);
	return r;
}

static void remove_locked(struct reader **at)
{
	struct reader *r = *at;
	struct place *p = r->place;

	*at = r->next;
	__atomic_store_n(&dirpos_nr, dirpos_nr - 1, __ATOMIC_RELAXED);
	arena_free(r);
	if (--p->nr_fds == 0) {
		listing_free(p->listing);
		arena_free(p);
	}
}

void dirpos_forget_on(int fd)
{
	uint64_t signals = lock_enter(&lock);
	struct reader **at = find_locked(fd);

	if (*at != NULL)
		remove_locked(at);
	lock_leave(&lock, signals);
}

void dirpos_duplicate_on(int from, int to)
{
	uint64_t signals = lock_enter(&lock);
	struct reader **at = find_locked(to);

	if (*at != NULL)
		remove_locked(at);
	at = find_locked(from);
	if (*at != NULL)
		(void)add_locked(to, (*at)->place); /* without memory it starts anew */
	lock_leave(&lock, signals);
}

/* The place of a descriptor, made if need be; or a negative errno. */
static int enter_locked(int fd, struct snap *snap, uint32_t entry, struct reader **ret)
{
	struct place *p;
	int r;

	*ret = *find_locked(fd);
	if (*ret != NULL) {
		snap_put(snap);
		return 0;
	}
	p = arena_alloc(sizeof(*p));
	r = p == NULL ? -ENOMEM : listing_new(fd, snap, entry, &p->listing);
	if (r != 0) {
		snap_put(snap);
		arena_free(p);
		return r;
	}
	*ret = add_locked(fd, p);
	if (*ret != NULL)
		return 0;
	listing_free(p->listing);
	arena_free(p);
	return -ENOMEM;
}

/* As many entries as fit. */
static ssize_t read_locked(struct listing *l, int fd, char *buf, size_t len)
{
	struct dirent64 *e;
	size_t done = 0;
	int64_t here;
	int r;

	listing_set_fd(l, fd);
	for (;;) {
		here = listing_tell(l);
		r = listing_next(l, &e);
		if (r <= 0)
			break;
		if (e->d_reclen > len - done) {
			listing_seek(l, here);
			r = done == 0 ? -EINVAL : 0;
			break;
		}
		mem_copy(buf + done, e, e->d_reclen);
		done += e->d_reclen;
	}
	return done > 0 ? (ssize_t)done : r;
}

/* A directory of the mount, and what it shows: 1, 0 or a negative errno. */
static int directory_of(int fd, struct snap **ret_snap, uint32_t *ret_entry)
{
	int r = paths_dir_of_fd(fd, ret_snap, ret_entry);

	/* Its closing must be seen from now on, whatever way it was opened. */
	if (r > 0 && !fds_is_dir(fd))
		(void)fds_enter_dir(fd);
	return r;
}

ssize_t dirpos_read(int fd, void *buf, size_t len, bool *ret_ours)
{
	struct reader *reader;
	struct snap *snap;
	uint64_t signals;
	uint32_t entry;
	ssize_t r;

	r = directory_of(fd, &snap, &entry);
	*ret_ours = r != 0;
	if (r <= 0)
		return r;
	signals = lock_enter(&lock);
	r = enter_locked(fd, snap, entry, &reader);
	if (r == 0)
		r = read_locked(reader->place->listing, fd, buf, len);
	lock_leave(&lock, signals);
	return r;
}

int64_t dirpos_seek(int fd, int64_t off, int whence, bool *ret_ours)
{
	uint64_t signals = lock_enter(&lock);
	struct reader *reader = *find_locked(fd);
	struct listing *l = reader != NULL ? reader->place->listing : NULL;
	int64_t r = -EINVAL;

	*ret_ours = l != NULL;
	if (l != NULL && whence == SEEK_CUR)
		off += listing_tell(l);
	if (l != NULL && (whence == SEEK_SET || whence == SEEK_CUR) && off >= 0) {
		if (off == 0)
			listing_rewind(l);
		else
			listing_seek(l, off);
		r = off;
	}
	lock_leave(&lock, signals);
	return r;
}
