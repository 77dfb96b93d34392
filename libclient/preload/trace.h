/*
 * trace.h - what the library did with each call that concerned MODEL_DIR, told to
 * `ossc trace`, which listens on the datagram socket that OSSC_TRACE names.
 *
 * A hook's look-up notes whose its path or descriptor is (trace_path(),
 * trace_file()); its answer() then sends one line with the call's name and result.
 * Off: one load in each.  No descriptor is kept between lines, so there is none
 * that a program could close or meet.
 *
 * Threads: any; from signal handlers and vfork children as well.  A handler that
 * comes between a call's note and its answer takes the line.
 */
#ifndef LIBCLIENT_PRELOAD_TRACE_H
#define LIBCLIENT_PRELOAD_TRACE_H

#include <fcntl.h>
#include <stdint.h>
#include <sys/types.h>

struct file;

enum trace_decision {
	TRACE_STORE = 1, /* answered from the store */
	TRACE_LOCAL,	 /* a name that the store does not have: the local directory's */
	TRACE_FORWARDED, /* the kernel's own: a directory of the mount */
	TRACE_REFUSED,	 /* it cannot be made right */
};

#define TRACE_AS_IT_IS (AT_FDCWD - 1) /* for dirfd: the path is no path of the kernel's */

extern uint32_t trace_is_on __attribute__((visibility("hidden")));

/* OSSC_TRACE and ENABLE_CONNECTOR of the environment; NULL when absent. */
void trace_start(const char *socket, const char *role);

void trace_note(enum trace_decision decision, int dirfd, const char *path);
void trace_note_file(const struct file *f);
void trace_send(const char *call, long result);
void trace_forget(void);
void trace_send_event(const char *kind, pid_t pid, const char *text, long result);

static inline int trace_wanted(void)
{
	return __builtin_expect(__atomic_load_n(&trace_is_on, __ATOMIC_RELAXED) != 0, 0);
}

/* The call under way is about this path, by this decision. */
static inline void trace_path(enum trace_decision decision, int dirfd, const char *path)
{
	if (trace_wanted())
		trace_note(decision, dirfd, path);
}

/* The call under way is about an open store file. */
static inline void trace_file(const struct file *f)
{
	if (trace_wanted())
		trace_note_file(f);
}

/* The end of a call: the result as the kernel would give it.  Sends what was noted, if anything. */
static inline void trace_answer(const char *call, long result)
{
	if (trace_wanted())
		trace_send(call, result);
}

/* The look-up found nothing of ours: what an earlier call left is not this one's. */
static inline void trace_nothing(void)
{
	if (trace_wanted())
		trace_forget();
}

/* A program is about to be started in this process. */
static inline void trace_exec(const char *program)
{
	if (trace_wanted())
		trace_send_event("exec", 0, program, 0);
}

/* One was started in another. */
static inline void trace_spawn(pid_t pid, const char *program)
{
	if (trace_wanted())
		trace_send_event("spawn", pid, program, 0);
}

/* The program that was announced in this process was not started. */
static inline void trace_exec_failed(const char *program, int error)
{
	if (trace_wanted())
		trace_send_event("failed", 0, program, error);
}

/* A line of say.h. */
static inline void trace_said(const char *line)
{
	if (trace_wanted())
		trace_send_event("said", 0, line, 0);
}

#endif
