/*
 * search.h - after the kernel's ENOENT: where would this path lie?  The nearest
 * directory above it that exists is asked where it really is; symbolic links to
 * names that only the store has are followed.
 *
 * Threads: any; from signal handlers as well.
 */
#ifndef LIBCLIENT_PRELOAD_SEARCH_H
#define LIBCLIENT_PRELOAD_SEARCH_H

#include <stdbool.h>

struct spot;
struct stat;

/* Sets the spot's kind if the path turns out to lie below MODEL_DIR. */
void search_path(struct spot *s);

/*
 * Directories found to lie elsewhere, so that the next question is cheap: false
 * when nothing is known of it.
 */
bool search_is_outside(const struct stat *dir);
void search_note_outside(const struct stat *dir);

#endif
