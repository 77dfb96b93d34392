/*
 * run.h - a prefetch under way: feeds the files of a plan to the queue, a few
 * at a time, and follows the reader where the plan streams.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_MOUNT_RUN_H
#define DAEMON_MOUNT_RUN_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

struct fetchq_notice;
struct mount;
struct mount_object;
struct run;

#define RUN_MOST 16 /* of one mount */

TAILQ_HEAD(run_list, run);
TAILQ_HEAD(run_objects, mount_object);

/*
 * Download all at or under `entry` of the mount's snapshot.  0 as well when
 * such a run is under way; -EBUSY: too many are; -ENOMEM.
 */
int run_start(struct mount *m, uint32_t entry);
void run_free(struct run *r);
/* The mount's run that takes this entry of its newest snapshot, or NULL. */
struct run *run_find(const struct mount *m, uint32_t entry);
/* A reader is at this object: it comes next. */
void run_on_reader(struct run *r, struct mount_object *mo, uint32_t entry);
/* The queue is through with an object, or its download failed. */
void run_on_notice(struct mount_object *mo, const struct fetchq_notice *n);
/* The object is no longer the mount's. */
void run_forget(struct mount_object *mo);

enum run_state {
	RUN_GOING = 0,
	RUN_DONE,    /* all files were handed out and taken */
	RUN_STOPPED, /* too much went wrong */
};
enum run_state run_get_state(const struct run *r);
bool run_is_streaming(const struct run *r);
struct run *run_next(const struct run *r); /* of the same mount, or NULL */

#endif
