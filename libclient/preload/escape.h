/*
 * escape.h - a copy of a store file's bytes in memory of this process alone, for
 * code that reads where no hook sees it, and for mappings that the cache cannot
 * hold.  It depends on no claim, session or daemon.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_ESCAPE_H
#define LIBCLIENT_PRELOAD_ESCAPE_H

#include <stddef.h>
#include <stdint.h>

struct file;

/*
 * A close-on-exec descriptor of a memory file with `len` bytes of `f` from `off`,
 * open for reading and writing.  -ENOMEM, said with both figures, when there is
 * not so much memory; what reading says otherwise.
 */
int escape_copy(struct file *f, uint64_t off, size_t len);

#endif
