/*
 * file.h - open objects: a file of a mount at one version, its memory mapped
 * read-only, its bytes read by the protocol of chunktab.h.  An object is opened
 * once in a process, however many hold it.
 *
 * A read whose chunks are present makes no system call.  After a fork, or when
 * the daemon came back, the same version is opened again on the next read; if
 * the store has another one by then, -ESTALE.  An empty file needs no daemon.
 *
 * Threads: any.  Nothing here returns EINTR.
 */
#ifndef LIBCLIENT_CORE_FILE_H
#define LIBCLIENT_CORE_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define FILE_STALL_MS 60000u   /* a read fails when nothing has moved for so long */
extern unsigned file_stall_ms; /* that; only tests shorten it */

struct file;
struct view;

/*
 * path is relative to the mount.  -ENOENT, -EISDIR, -ENOTDIR, -EACCES, -ESTALE, ...
 * One reference for the caller.
 */
int file_open(struct view *v, const char *path, size_t len, struct file **ret_file);
/*
 * A file whose version is known from before, without asking anybody: its first
 * read opens it, and fails with -ESTALE when the store has another version, or
 * with -EIO when there is nobody to ask.
 */
int file_recall(struct view *v, const char *path, const char *etag, uint64_t size, uint64_t ino,
		struct file **ret_file);
struct file *file_ref(struct file *f);
/* The last reference closes the object. */
void file_put(struct file *f); /* NULL is fine */

/* Of the version that was opened; they never change. */
uint64_t file_size(const struct file *f);
uint64_t file_ino(const struct file *f);
int64_t file_mtime_ns(const struct file *f);
const char *file_etag(const struct file *f); /* "" for an empty file */
const char *file_path(const struct file *f);
struct view *file_view(const struct file *f);
unsigned file_chunk_shift(const struct file *f);
/* enum wire_mmap: how the daemon's configuration wants it mapped. */
unsigned file_mmap_mode(const struct file *f);

/*
 * As pread(), but never short before the end of the file.  A negative errno
 * leaves buf undefined.
 */
ssize_t file_read(struct file *f, void *buf, size_t len, uint64_t off);
/*
 * The same for a thread that may be cancelled: while it waits, look() is called now and then with
 * nothing held, and need not return.
 */
ssize_t file_read_looking(struct file *f, void *buf, size_t len, uint64_t off, void (*look)(void));
/* The same without waiting: -EAGAIN when a byte is not there yet.  *ret_chunk: the first such. */
ssize_t file_read_try(struct file *f, void *buf, size_t len, uint64_t off, uint32_t *ret_chunk);

/*
 * Is a byte of the range missing?  0: no.  -EAGAIN: *ret_chunk is the first such,
 * needed up to its byte *ret_end.  -ECONNRESET: no session of this process has
 * the object open, so only a read will tell.
 */
int file_missing(const struct file *f, uint64_t off, size_t len, uint32_t *ret_chunk,
		 uint64_t *ret_end);

/* Why the daemon gave the object up: the errno of a chunk that failed, negative; 0: none has. */
int file_failure(const struct file *f);

/* enum wire_advice for a range; a hint, so nothing is answered. */
void file_advise(struct file *f, uint64_t off, uint64_t len, unsigned advice);
/* Ask for the bytes, do not wait.  token != 0: a completion with it when the first chunk is there. */
int file_fetch(struct file *f, uint32_t chunk, uint64_t end_in_chunk, uint64_t token);
/* The same, but never makes a session: -ECONNRESET when there is none. */
int file_fetch_now(struct file *f, uint32_t chunk, uint64_t end_in_chunk, uint64_t token);
/* Wait until chunks of the range are READY (whole).  Without a pin they may go again. */
int file_wait(struct file *f, uint64_t off, uint64_t len);
/* The store's CRC-64, once every byte has been downloaded and checked.  Waits. */
int file_verify(struct file *f, uint64_t *ret_crc, bool *ret_known);
/* The store's CRC-64 as soon as any of its answers gave it; waits for bytes of no other chunk. */
int file_stored_crc(struct file *f, uint64_t *ret_crc, bool *ret_known);

/* ---- memory that stays ------------------------------------------------------------- */

/* A claim on chunks of an object, in one session. */
struct pin {
	uint32_t serial; /* 0: nothing is claimed */
	uint32_t object;
	uint32_t first_chunk;
	uint32_t nr_chunks;
	uint64_t memory_dev, memory_ino; /* the memory file whose chunks they are */
};

/*
 * Claim [off, off + len) and wait until all of it is there: from then on it
 * stays until pin_drop().  Claims on the same chunks cost the daemon nothing.
 * -ENOSPC: more than the cache may pin.
 */
int pin_take(struct file *f, uint64_t off, uint64_t len, struct pin *ret_pin);
void pin_drop(struct file *f, struct pin *pin);
/* The chunks of a claim were looked at: keeps the LRU honest.  Waits for nothing. */
void pin_touch(struct file *f, const struct pin *pin);
/*
 * A claim on no chunk, for file_memory_fd() alone: which memory file the object
 * has now.  Nothing to drop.
 */
int pin_none(struct file *f, struct pin *ret_pin);
/*
 * A read-only mapping of pinned bytes of its own (MAP_SHARED), which neither a
 * reopening nor file_put() touches.  -EAGAIN as below.
 */
struct pin_range {
	void *base; /* of the mapping: for munmap */
	size_t base_len;
	const void *bytes; /* the byte at `off` */
};
int pin_map(struct file *f, const struct pin *pin, uint64_t off, uint64_t len,
	    struct pin_range *ret);
/*
 * A read-only descriptor of the object's memory, close-on-exec, for mappings of
 * other kinds; the caller closes it.  Pin first.  Reading it directly is
 * forbidden: holes look like zeros.  -EAGAIN: the memory was made anew; drop
 * the pin and start again.  -ESTALE: the store has another version by now.
 */
int file_memory_fd(struct file *f, const struct pin *pin);

#endif
