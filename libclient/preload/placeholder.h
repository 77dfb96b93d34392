/*
 * placeholder.h - the descriptors that programs hold for store files: memory
 * files of the object's size without data, sealed, of mode 0222, open for
 * writing only.  Whoever reads one without us gets EBADF, never zeros.
 *
 * The name carries what the file is, so that a program that got the descriptor
 * through exec can tell: "ossc:ETAG:PATH".
 *
 * Threads: any; from signal handlers as well.
 */
#ifndef LIBCLIENT_PRELOAD_PLACEHOLDER_H
#define LIBCLIENT_PRELOAD_PLACEHOLDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PLACEHOLDER_NAME 250 /* what the kernel allows, with the NUL */

struct file;

/*
 * A descriptor at the lowest free number.  flags: O_CLOEXEC and O_PATH count.
 * *ret_ino is the placeholder's own inode; *ret_first: none was at hand for this
 * object.  A negative errno.
 */
int placeholder_open(const struct file *f, int flags, uint64_t *ret_ino, bool *ret_first);

/* A descriptor that this module keeps for itself. */
bool placeholder_owns_fd(int fd);
/* The lowest descriptor from `from` on of which that is true, or UINT_MAX. */
unsigned placeholder_next_own_fd(unsigned from);

/* Move a descriptor to a high number, close-on-exec; the same one when that cannot be. */
int placeholder_move_high(int fd);

/* Call `visit` for each placeholder that this process holds, from whomever it has it. */
void placeholder_each(void (*visit)(int fd, void *arg), void *arg);

/* The name for a file; false when its path is too long to be carried. */
bool placeholder_name(const char *etag, const char *path, char *buf);
/* Is this descriptor one that a program holds, by its mode and name?  One system call if not. */
bool placeholder_is(int fd);
/*
 * Is this descriptor a placeholder of some process of ours?  Then its size, and
 * the parts of its name, which point into buf (PLACEHOLDER_NAME + 32 bytes).
 */
bool placeholder_parse(int fd, char *buf, const char **ret_etag, const char **ret_path,
		       uint64_t *ret_size);
/* The name alone, of what a link below /proc stands for.  One system call. */
bool placeholder_parse_link(const char *link, char *buf, const char **ret_etag,
			    const char **ret_path);

#endif
