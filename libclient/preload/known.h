/*
 * known.h - where directory descriptors were found to lie, so that a name relative
 * to one costs an fstat() and not a readlink() below /proc.  A directory that was
 * moved, or another one under the same number, is found out by that fstat().
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_KNOWN_H
#define LIBCLIENT_PRELOAD_KNOWN_H

#include <stdbool.h>
#include <stdint.h>

struct snap;
struct stat;

/* The directory's entry in this tree; *ret_now: what the descriptor is, for known_note(). */
bool known_entry(int fd, const struct snap *snap, uint32_t *ret_entry, struct stat *ret_now);
void known_note(int fd, const struct snap *snap, uint32_t entry, const struct stat *now);

#endif
