/*
 * place.h - where the control socket lives: which path, whose directory, and
 * that only one daemon serves it.  Accepts no connection.
 *
 * A daemon owns its path by a lock on "PATH.lock", which holds its process id;
 * under that lock a stale socket may be removed.
 *
 * Threads: one, before and after the loop runs.
 */
#ifndef DAEMON_SESSION_PLACE_H
#define DAEMON_SESSION_PLACE_H

#include <stddef.h>
#include <sys/types.h>

#define PLACE_PATH_MAX 108 /* sun_path, the final NUL included */

struct place {
	char path[PLACE_PATH_MAX];
	char lock_path[PLACE_PATH_MAX + 8];
	int lock_fd; /* -1: not ours */
};

struct place_wish {
	const char *option;	/* --socket; NULL or "" */
	const char *configured; /* the key `socket`; NULL or "" */
};

/*
 * The option, else $OSSC_SOCKET, else the configured one, else the usual place
 * for this user, whose directory is made.  The place is locked and free of a
 * stale socket afterwards.  Negative errno with one sentence in err otherwise.
 */
int place_claim(struct place *p, const struct place_wish *wish, char *err, size_t err_len);
/* A listening socket there, of that file mode: a descriptor, or a negative errno with err. */
int place_listen(const struct place *p, mode_t mode, char *err, size_t err_len);
/* Removes the socket and gives up the lock. */
void place_release(struct place *p);

#endif
