/*
 * ahead.h - single directories, listed with a delimiter as somebody asks for them, while
 * the first listing of a mount takes long.  Each one gives the mount a snapshot of what
 * is known by then; the whole one ends it.
 *
 * Each lays down the snapshot anew: so there are AHEAD_DIRS of them at most, of AHEAD_ENTRIES
 * names together.  Who wants more waits for the whole listing, which reads in many places at once.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_MOUNT_AHEAD_H
#define DAEMON_MOUNT_AHEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>

#define AHEAD_DIRS    256u
#define AHEAD_ENTRIES 20000u
#define AHEAD_JOBS    8u /* directories at a time, for each mount */

struct ahead_job;
struct event;
struct mount;
struct mount_attach;

struct ahead { /* of one mount */
	struct event *timer;
	bool is_on;  /* the listing has taken long enough */
	bool is_off; /* for good: only the whole listing will do */
	TAILQ_HEAD(attach_list, mount_attach) waiting;
	TAILQ_HEAD(, ahead_job) jobs;
	unsigned nr_jobs;
	unsigned nr_begun; /* jobs, ever */
};

int ahead_init(struct mount *m);
void ahead_fini(struct mount *m);
/* The first listing begins, or begins again. */
void ahead_begin(struct mount *m);
/* It has ended: who waits here for nothing more is moved to m->answering. */
void ahead_end(struct mount *m);
/* Wait until a->path ("": the root) is listed.  Not from inside an answer's callback. */
void ahead_wait(struct mount *m, struct mount_attach *a);
/* The path as the snapshot writes it, to be freed: a client may put "a/" or "b/../a". */
char *ahead_path(const struct mount *m, const char *path, size_t len);
/* Is there nothing to wait for?  Also where the path is not there. */
bool ahead_is_known(const struct mount *m, const char *path);

#endif
