/*
 * memfile.h - memory files: an object's bytes, or a piece of shared memory that
 * only the daemon writes, and the read-only descriptor that clients get for it.
 * Hides whether that is a memfd or a file on a tmpfs of the daemon's own.
 *
 * A client's descriptor of a memfd cannot be reopened for writing by another
 * user (mode 0400), but by root it can; one of the tmpfs goes through a
 * read-only mount, which not even root in another container can get around.
 *
 * Threads: any; one memfile is closed by one thread, after all its uses.
 */
#ifndef DAEMON_CACHE_MEMFILE_H
#define DAEMON_CACHE_MEMFILE_H

#include <stddef.h>
#include <stdint.h>

/* What the kernel lays bytes of the tmpfs into. */
enum memfile_pages {
	MEMFILE_SMALL = 0, /* 4 KiB, as in memfds */
	MEMFILE_LARGE,	   /* up to 256 KiB; memfile_lay_large() sees to that */
	MEMFILE_HUGE,	   /* 2 MiB where the file holds them whole */
};

struct memfile {
	int fd;	       /* read and write: the daemon's */
	int client_fd; /* read-only */
};

/*
 * A sparse file of exactly len bytes that never changes its size.  dir: where
 * memfile_mount() was; NULL: a memfd.  -EROFS: dir/ro is not a read-only mount of dir/rw.
 */
int memfile_new(const char *dir, uint64_t len, struct memfile *ret_file);
/*
 * A memfd of len bytes that the daemon writes through the mapping it gets and
 * nobody, root included, in any other way.  The caller unmaps.
 */
int memfile_new_mapped(size_t len, struct memfile *ret_file, void **ret_map);
void memfile_close(struct memfile *m);

/* Give back the pages of [offset, offset + len), whole pages.  Reads see zeros there afterwards. */
int memfile_punch(const struct memfile *m, uint64_t offset, uint64_t len);
/*
 * Lay out each whole 512 KiB of [offset, offset + len), where nothing lies yet, so that what is written
 * there comes into pages of up to 256 KiB.  Half of it takes memory from then on, and reads as zeros.
 * Without memory nothing is done, and the next write tells.
 */
void memfile_lay_large(const struct memfile *m, uint64_t offset, uint64_t len);
/* Bytes of memory that the file takes now, or a negative errno. */
int64_t memfile_used(const struct memfile *m);

/*
 * Mount a tmpfs of at most `size` bytes at dir/rw, and dir/rw once more,
 * read-only, at dir/ro; what a dead daemon left mounted there goes first.
 * Makes the directories.  Returns the pages that the kernel has for it, those
 * wanted or small ones, or a negative errno.  Needs CAP_SYS_ADMIN: -EPERM without.
 */
int memfile_mount(const char *dir, uint64_t size, enum memfile_pages wanted);
/* Other bounds for the tmpfs that is mounted. */
int memfile_resize(const char *dir, uint64_t size);
void memfile_unmount(const char *dir);

#endif
