/*
 * locate.h - where things are: the daemon's socket, the daemon's program, and
 * what of the environment a daemon that we start may see.
 *
 * Threads: any, once locate_read() has returned.
 */
#ifndef LIBCLIENT_CORE_LOCATE_H
#define LIBCLIENT_CORE_LOCATE_H

#include <stdbool.h>
#include <stddef.h>

#define LOCATE_MAX_ENV	24u
#define LOCATE_SOCKETS	3u   /* candidates at most */
#define LOCATE_PATH_MAX 108u /* of a socket, the final NUL included */

struct locations {
	char *socket;	   /* the only candidate, or NULL */
	char *runtime_dir; /* XDG_RUNTIME_DIR, or NULL */
	char *program;	   /* OSSC_DAEMON, or NULL */
	char *path;	   /* PATH, or NULL */
	char *env[LOCATE_MAX_ENV + 1];
	unsigned nr_env;
};

/* Copies from the environment.  socket: wins over OSSC_SOCKET.  -ENOMEM, -ENAMETOOLONG. */
int locate_read(struct locations *p, char *const *envp, const char *socket);
void locate_fini(struct locations *p);

/* Candidate i in the order of trying: 0, or -ENOENT when there are no more. */
int locate_socket(const struct locations *p, unsigned i, char buf[LOCATE_PATH_MAX]);
/* Where a daemon of our own should listen; makes the directory. -EACCES: others may write there. */
int locate_own_socket(const struct locations *p, char buf[LOCATE_PATH_MAX]);
/*
 * May what listens there be trusted as far as the directory tells?  It belongs to
 * root or to us, and nobody else may write in it (sticky directories aside).
 */
bool locate_is_private(const char *socket_path);
/* The daemon's program, by an absolute path: 0 or -ENOENT. */
int locate_program(const struct locations *p, char *buf, size_t cap);

#endif
