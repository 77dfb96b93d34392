/*
 * store.h - the one mount of this process: made from the environment at start,
 * attached when the first call reaches a path of it, never taken down.  Joins
 * the client core to the hooks and says once why the store cannot be reached.
 *
 * Threads: any.  Everything here may wait for the daemon; nothing is done while
 * the connector is off.
 */
#ifndef LIBCLIENT_PRELOAD_STORE_H
#define LIBCLIENT_PRELOAD_STORE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

struct conf;
struct file;
struct snap;

/* Remembers both, which must stay; nothing is made before the first path is reached. */
void store_start(const struct conf *conf, char *const *envp);
/* A primary's head start: ask for the mount, do not wait for the answer. */
void store_head_start(void);

/* The newest tree, referenced for the caller; NULL and *ret_error when there is none. */
struct snap *store_snap(int *ret_error);
/*
 * Have what the directory `dir` of *snap holds listed: *snap is the tree in which it is, *entry
 * (a directory on the way to it, or itself) where it is there, or SNAPSHOT_NONE.  On an error
 * both stay as they are.
 */
int store_list(struct snap **snap, uint32_t dir, uint32_t *entry);
/* Open a file of that tree. */
int store_open(const struct snap *snap, uint32_t entry, struct file **ret_file);
/* Open by its path relative to the mount. */
int store_open_path(const char *path, struct file **ret_file);
/* A file known from before (file_recall()), whose reads say what is wrong with the store. */
int store_recall(const char *path, const char *etag, uint64_t size, uint64_t ino,
		 struct file **ret_file);
/* The file's bytes could not be had: a line that says where the reason is, once.  error: negative. */
void store_say_unread(const struct file *f, int error);
/* The mount has been attached in this process, or in one that it was forked from. */
bool store_is_attached(void);

/* The one identity that every stat flavour shows. */
struct store_attr {
	uint64_t ino;
	uint64_t size;
	int64_t mtime_ns;
};
void store_attr_entry(const struct snap *snap, uint32_t entry, struct store_attr *ret);
void store_attr_file(const struct file *f, struct store_attr *ret);
void store_stat(const struct store_attr *a, struct stat *ret);

/* Descriptors of the core that closers must spare. */
bool store_owns_fd(int fd);
/* The lowest of them from `from` on; UINT_MAX when there is none. */
unsigned store_next_own_fd(unsigned from);

#endif
