/*
 * hosts.h - look a name up in text of the format of hosts(5).  Keeps nothing.
 *
 * Threads: any.
 */
#ifndef DAEMON_NET_HOSTS_H
#define DAEMON_NET_HOSTS_H

#include <stddef.h>

struct addr;

#define HOSTS_FILE_MAX (1024 * 1024) /* of a larger file only the beginning is read */

/* Up to `max` addresses of `name` (case does not matter), each once, in the order of the text. */
size_t hosts_find(const char *text, size_t len, const char *name, struct addr *ret_addrs,
		  size_t max);
/* The same in a file; a file that cannot be read has no names. */
size_t hosts_find_in_file(const char *path, const char *name, struct addr *ret_addrs, size_t max);

#endif
