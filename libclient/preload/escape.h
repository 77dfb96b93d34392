/*
 * escape.h - a copy of a store file's bytes in memory of this process alone, for
 * code that reads where no hook sees it, and for mappings that the cache cannot
 * hold.  A finished copy depends on no claim, session or daemon.
 *
 * All fail with -ENOMEM, said with both figures, when there is not so much
 * memory; otherwise with what reading says.
 *
 * Threads: any.  A vfork child, whose table is its parent's, may not call escape_descriptor().
 */
#ifndef LIBCLIENT_PRELOAD_ESCAPE_H
#define LIBCLIENT_PRELOAD_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

struct file;

/*
 * A close-on-exec descriptor of a memory file with `len` bytes of `f` from `off`,
 * open for reading and writing.
 */
int escape_copy(struct file *f, uint64_t off, size_t len);

/*
 * A close-on-exec descriptor of the whole object's bytes, which nobody can change
 * any more: sealed, of mode 0444, open for reading only.  As "/proc/self/fd/N" it
 * is what a path of the file would be to code inside libc.
 */
int escape_open(struct file *f);

/*
 * The store file behind `fd` becomes such a copy under the same number, as do all
 * descriptors that share its offset in this process; offset and close-on-exec
 * flags stay, and so does what the hooks show of it.  Other processes that share
 * the offset do not see it move any more.  0, or a negative errno: then nothing
 * has changed.  -EBADF: no store file.
 */
int escape_descriptor(int fd);

/*
 * A copy of what `fd` shows, for somebody else: at the same offset, close-on-exec,
 * to be closed by the caller.  This process's descriptor stays as it is.
 */
int escape_duplicate(int fd);

#endif
