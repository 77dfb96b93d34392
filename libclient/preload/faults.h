/*
 * faults.h - page faults of memory that is registered with userfaultfd, and the
 * one thread of ours that serves them.  Knows addresses, not files.
 *
 * The thread is made at the first registration and shares all with the program
 * but thread-local storage: it runs freestanding code only, all signals blocked.
 * A forked child has neither: it starts anew.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_PRELOAD_FAULTS_H
#define LIBCLIENT_PRELOAD_FAULTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FAULTS_AT_ONCE 16u

/* Faults that wait, by page; on the thread.  Each must be served, or woken to fault again. */
typedef void faults_cb(const uintptr_t *pages, unsigned nr);

/*
 * Make sure that this process has a userfaultfd and its thread.  whole: one that
 * also serves the kernel's own accesses (write() from the memory, mlock()).
 * -EPERM, -ENOSYS, ...: not here.
 */
int faults_start(faults_cb *on_faults, bool whole);
/* Of the one that was started: are the kernel's own accesses refused? */
bool faults_are_user_only(void);
/* A forked child forgets its parent's. */
void faults_after_fork(void);
/* Descriptor that closers must spare; -1: none. */
int faults_fd(void);

/* own: anonymous memory; else shared memory, mapped privately. */
int faults_register(uintptr_t start, size_t len, bool own);
int faults_unregister(uintptr_t start, size_t len);
/*
 * Show what the file's memory has, and wake.  -ENOENT: the range is not one
 * registered area; -EFAULT: the file has a hole there.
 */
int faults_continue(uintptr_t start, size_t len);
/* Pages of one's own with these bytes, where there are none; and wake.  Errors as above. */
int faults_copy(uintptr_t start, const void *bytes, size_t len);
/* From now on the page raises SIGBUS.  -EOPNOTSUPP: the kernel cannot (6.6). */
int faults_poison(uintptr_t page);
void faults_wake(uintptr_t start, size_t len);

#endif
