/*
 * spawn.h - start a daemon for this user by raw calls: forked twice, a session
 * of its own, a clean environment, no inherited descriptors, default signals.
 * It ends by itself when nobody has needed it for a while.  And, likewise,
 * `ossc progress`, which keeps standard error and the program's terminal.
 *
 * Threads: any.
 */
#ifndef LIBCLIENT_CORE_SPAWN_H
#define LIBCLIENT_CORE_SPAWN_H

#include <stdbool.h>
#include <stdint.h>

struct locations;
struct text;

struct spawned {
	int pidfd;	  /* -1: the kernel has none, or the process is gone */
	int said;	  /* memory file: its standard error, bounded */
	uint32_t *report; /* shared page: the errno of a failed exec */
};

/* 0, or a negative errno and a reason in `why`. */
int spawn_start(const struct locations *p, const char *socket, struct spawned *ret,
		struct text *why);
/* Has it ended (failed exec included)? */
bool spawn_has_ended(const struct spawned *s);
/* After it has ended: because another has the socket, and will listen soon. */
bool spawn_lost_race(const struct spawned *s);
/* Why: the exec's error or the first line that the daemon wrote. */
void spawn_reason(const struct spawned *s, struct text *why);
void spawn_release(struct spawned *s);

#define SPAWN_MORE 4u
/*
 * Start `ossc progress --of PID` for this process, if it lies beside the daemon's program; `more`
 * (up to a NULL, SPAWN_MORE at most) is added to its environment.
 */
int spawn_progress(const struct locations *p, const char *socket, const char *const *more);

#endif
