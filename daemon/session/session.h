/*
 * session.h - client processes attached by the control socket: who they are,
 * what they hold, and how that ends.  Knows no HTTP; what it holds are the
 * mounts' and the cache's objects.
 *
 * A session ends by session_close() with a reason, whoever finds that reason;
 * all it held is given back there.  A client can harm only its own session.
 *
 * Threads: the control loop.
 */
#ifndef DAEMON_SESSION_SESSION_H
#define DAEMON_SESSION_SESSION_H

#include <stdbool.h>
#include <sys/types.h>

struct cache;
struct mounts;
struct sessions;
struct strbuf;
struct worker;

struct sessions_conf {
	unsigned max_sessions;
	unsigned max_per_user;
	unsigned mmap; /* enum wire_mmap: how clients shall map files */
	/* The keys of the daemon's own environment, for mounts of its own user that bring none. */
	const char *access_key, *secret, *token; /* NULL: none; not copied */
	/* The text of STATUS as that user may see it.  0 or a negative errno. */
	int (*on_report)(uid_t viewer, struct strbuf *out, void *arg);
	/* The number of sessions changed. */
	void (*on_change)(unsigned nr_sessions, void *arg);
	void *arg; /* of both */
};

int sessions_new(struct worker *control, struct cache *cache, struct mounts *mounts,
		 const struct sessions_conf *conf, struct sessions **ret_sessions);
/* Takes the listening socket. */
int sessions_listen(struct sessions *ss, int listen_fd);
/* A connected socket, taken, as if accepted. */
int sessions_adopt(struct sessions *ss, int fd);
void sessions_set_bounds(struct sessions *ss, unsigned max_sessions, unsigned max_per_user);
/* From the next OPEN on. */
void sessions_set_mmap(struct sessions *ss, unsigned mmap);
/* No new ones; every session ends with this reason. */
void sessions_shut(struct sessions *ss, const char *reason);
/* After sessions_shut(), when the workers that fill the cache have ended. */
void sessions_free(struct sessions *ss);

unsigned sessions_count(const struct sessions *ss);
/* Members "sessions" and "counters" as JSON text; uid 0 sees all, others their own. */
void sessions_report(const struct sessions *ss, uid_t viewer, struct strbuf *out);

#endif
