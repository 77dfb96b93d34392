/*
 * search.h - after the kernel's ENOENT: where would this path lie?  The nearest
 * directory above it that exists is asked where it really is; symbolic links to
 * names that only the store has are followed.
 *
 * Threads: any; from signal handlers as well.
 */
#ifndef LIBCLIENT_PRELOAD_SEARCH_H
#define LIBCLIENT_PRELOAD_SEARCH_H

struct spot;

/* Sets the spot's kind if the path turns out to lie below MODEL_DIR. */
void search_path(struct spot *s);

#endif
