/*
 * skeleton.h - MODEL_DIR on disk: the directory itself, the mount's directories
 * below it, and where all this really lies (free of symbolic links).
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_SKELETON_H
#define LIBCLIENT_PRELOAD_SKELETON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct snap;

/* dir: MODEL_DIR, absolute and tidied; kept by the caller for ever. */
void skeleton_start(const char *dir, size_t len);

/*
 * Look where MODEL_DIR lies, if that is not known: for rare events.  skeleton_make()
 * does it too, so whoever reaches MODEL_DIR by its name needs nothing else.
 */
void skeleton_search(void);
/* MODEL_DIR free of symbolic links, or NULL while it is not known to exist. */
const char *skeleton_real(size_t *ret_len);
dev_t skeleton_device(void); /* makes MODEL_DIR if need be; 0: that cannot be */
/* Does MODEL_DIR exist, on this device? */
bool skeleton_is_on(dev_t dev);

/* Make a directory and those above it.  1: made, 0: there already, or -errno. */
int skeleton_make(const char *path, size_t len);

/* The kernel's own name of an open descriptor.  Its length or a negative errno. */
ssize_t skeleton_name(int fd, char *buf, size_t cap);

/*
 * Where a directory descriptor (AT_FDCWD: the working directory) lies below
 * MODEL_DIR: *ret_rest points into buf.  False: elsewhere.
 */
bool skeleton_rest(int fd, char *buf, size_t cap, const char **ret_rest);

#endif
