/*
 * userns.h - mounts for a daemon that is not root: made in a user and a mount
 * namespace of their own, and reached from outside through a descriptor.  They
 * last as long as the namespace is held, and nobody else sees them.
 *
 * Threads: while there is only one, as it forks.
 */
#ifndef DAEMON_CACHE_USERNS_H
#define DAEMON_CACHE_USERNS_H

struct userns {
	int dir_fd; /* the directory, as it is seen there: a path of /proc/self/fd leads in */
	int ns_fd; /* the mount namespace: closed, its mounts are gone once nothing of them is open */
};

/*
 * Run make(arg), which may mount and answers >= 0 or a negative errno, in new
 * namespaces, in a process of its own.  Answers what it did and holds the
 * namespace and dir (absolute; it may be made by then); on errors nothing is
 * held.  -EPERM, -ENOSPC, -EACCES: this user may have no namespace, or not mount.
 */
int userns_make(int (*make)(void *arg), void *arg, const char *dir, struct userns *ret_ns);
void userns_close(struct userns *ns);

#endif
