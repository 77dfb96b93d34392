/*
 * selfpath.h - paths that name a descriptor of this very process: /dev/stdin,
 * /dev/fd/N, /proc/self/fd/N and the like.  The kernel would open a store file's
 * placeholder anew for them, past the library.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_SELFPATH_H
#define LIBCLIENT_PRELOAD_SELFPATH_H

#include <stdbool.h>

/* The descriptor that the path names, whether open or not; -1: it names none. */
int selfpath_fd(const char *path);

/* Does the path name a descriptor of a process by its number: /proc/PID/fd/N? */
bool selfpath_is_numbered(const char *path);

/*
 * May the kernel end at a descriptor for this path, of whatever process, by links,
 * dots and directories that the text does not show?  The last name alone tells.
 */
bool selfpath_may_end_at_fd(const char *path);

/* Is it below /proc, where descriptors of other processes can be opened as well? */
static inline bool selfpath_is_proc(const char *path)
{
	return path[0] == '/' && path[1] == 'p' && path[2] == 'r' && path[3] == 'o' &&
	       path[4] == 'c' && path[5] == '/';
}

#endif
