/*
 * dirstream.h - directory streams for the hooks that walk directories.
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_DIRSTREAM_H
#define LIBCLIENT_PRELOAD_DIRSTREAM_H

#include <dirent.h>
#include <stdbool.h>

/* opendir() relative to a directory: ours for the mount's, libc's for others.  NULL and errno. */
DIR *dirstream_open(int dirfd, const char *path);
bool dirstream_is_ours(DIR *d);

#endif
