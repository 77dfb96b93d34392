/*
 * fds.h - which descriptors are ours: a table from descriptor to open file
 * description (struct ofd: what dup shares), kept true by the hooked closers
 * and duplicators.  Directories of the mount are only marked.
 *
 * A look-up takes a reference without a lock; descriptions are never unmapped,
 * so a reader racing a close meets either the file or nothing.  A vfork child
 * has its parent's table in hand and must not change it: the functions that
 * change the table see to that.
 *
 * Threads: any; from signal handlers and vfork children as well.
 */
#ifndef LIBCLIENT_PRELOAD_FDS_H
#define LIBCLIENT_PRELOAD_FDS_H

#include "libclient/preload/trace.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cell;
struct file;

struct ofd {
	uint32_t refs;	/* descriptors and calls under way */
	uint32_t flags; /* O_PATH, and what F_SETFL set: what F_GETFL shows */
	struct file *file;
	struct cell *cell;
	uint64_t placeholder; /* inode of the placeholder */
	uint64_t size;
	uint32_t next_free; /* number of the next one + 1 */
	uint32_t number;
	uint32_t escaped; /* its descriptors are a copy that anybody may read (escape.h) */
	char pad[12];	  /* a cache line: readers of one do not slow those of another */
};

#define FDS_PER_PAGE 1024
#define FDS_NR_PAGES 1024

/* For the inline functions alone. */
#define FDS_DIRECTORY ((struct ofd *)1) /* a directory of the mount */
#define FDS_INHERITED ((struct ofd *)2) /* came through exec: opened at the first use */
extern uint32_t fds_end;		/* above every descriptor ever entered */
extern struct ofd **fds_pages[FDS_NR_PAGES];
/* A store file has come to a number that a stream may have had before: by dup, or as number 0. */
extern bool fds_moved;
struct ofd *fds_get_known(int fd);

/* Without a reference, and maybe not for long. */
static inline bool fds_may_be_ours(int fd)
{
	struct ofd **page;

	if ((unsigned)fd >= __atomic_load_n(&fds_end, __ATOMIC_RELAXED))
		return false;
	page = __atomic_load_n(&fds_pages[fd / FDS_PER_PAGE], __ATOMIC_ACQUIRE);
	return page != NULL && __atomic_load_n(&page[fd % FDS_PER_PAGE], __ATOMIC_RELAXED) != NULL;
}

/* The description, with a reference, or NULL when the descriptor is not ours. */
static inline struct ofd *fds_get(int fd)
{
	struct ofd **page;

	trace_nothing();
	if ((unsigned)fd >= __atomic_load_n(&fds_end, __ATOMIC_RELAXED))
		return NULL;
	page = __atomic_load_n(&fds_pages[fd / FDS_PER_PAGE], __ATOMIC_ACQUIRE);
	if (page == NULL || __atomic_load_n(&page[fd % FDS_PER_PAGE], __ATOMIC_RELAXED) == NULL)
		return NULL;
	return fds_get_known(fd);
}
void fds_put(struct ofd *o);

bool fds_is_dir(int fd);
/* Ours in any way: a file, or a directory of the mount. */
bool fds_is_ours(int fd);

/* A description of an open file, which it takes over; NULL without memory. */
struct ofd *fds_new(struct file *f, uint32_t flags, uint64_t placeholder);
/* The descriptor shows this description: takes the caller's reference.  -EMFILE, -ENOMEM. */
int fds_enter(int fd, struct ofd *o);
int fds_enter_dir(int fd);
void fds_enter_inherited(int fd);
/* The descriptor is about to be closed, or was given out anew by the kernel. */
void fds_forget(int fd);
void fds_forget_range(unsigned first, unsigned last);
/* `to`, which is ours, is about to become a duplicate of `from`: nobody shall read the old file there. */
void fds_before_duplicate(int from, int to);
/* `to` is now a duplicate of `from`; whatever it was before is forgotten. */
void fds_duplicate(int from, int to);

/* The lowest descriptor from `from` on that shows this description, or any store file (NULL); -1. */
int fds_next_of(const struct ofd *o, int from);
/* Between these, no number that shows a description is closed: who forgets it waits. */
uint64_t fds_exchange_begin(void);
void fds_exchange_end(uint64_t signals);
/* The descriptor, if it shows `old`, shows `fresh` from now on, which gets a reference. */
void fds_exchange(int fd, struct ofd *old, struct ofd *fresh);

/* Does the name of its placeholder say which file it is, to who gets it through exec? */
bool fds_is_named(int fd);

/* This process has a table: its vfork children will know that it is not theirs. */
void fds_own(void);
/* In the constructor. */
void fds_start(void);
/* Is the table a parent's, whose memory this process has in hand until it starts a program? */
bool fds_in_vfork_child(void);
/* In a forked child, where no other thread is: the table is its own, and says what is open. */
void fds_in_child(void);
/* The same where nothing is open; no system call when the connector is off. */
void fds_in_idle_child(void);
/*
 * The descriptor may come into the hands of another program, or go from those of a
 * vfork child: its offset goes to the kernel, where everybody finds it.
 */
void fds_hand_over(int fd, bool in_vfork_child);
/* Any open description whose placeholder has this inode, with a reference: the same file. */
struct ofd *fds_get_placeholder(uint64_t ino);

#endif
