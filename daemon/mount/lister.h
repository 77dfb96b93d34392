/*
 * lister.h - one listing of a prefix, from the first page to a finished
 * snapshot, and the sentence for the user when there is none.  A long one is
 * read in several places at once, divided by what is found.
 *
 * Threads: the worker that owns the event_base and the client.
 */
#ifndef DAEMON_MOUNT_LISTER_H
#define DAEMON_MOUNT_LISTER_H

#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct fetch;
struct http_client;
struct list_entry;
struct lister;
struct oss_bucket;
struct snapmem;
struct tree_key;
struct worker;

struct lister_conf {
	struct event_base *base;
	struct worker *home; /* of the base */
	struct fetch *fetch; /* its threads take pages apart; NULL: it is done here */
	struct http_client *client;
	struct oss_bucket *bucket;
	const char *prefix;	  /* copied; "" or ends in '/' */
	const char *oss_path;	  /* copied; for the log */
	unsigned retry_budget_ms; /* of one page */
	uint64_t *serial;	  /* of the mount's newest snapshot: raised for this one */
	unsigned concurrency;	  /* requests at a time, at most; 0: 1 */
	bool is_first;		  /* of its mount: give up early, somebody waits to hear why */
	bool has_sources;	  /* HTTP_SOURCE_IP was set: it may be to blame */
};

/*
 * error 0: the snapshot, whose reference is the callee's.  Otherwise text says
 * what was wrong.  Once, from the event loop; the lister is gone then.
 */
typedef void lister_done_fn(int error, const char *text, struct snapmem *snapshot, void *arg);

int lister_start(const struct lister_conf *conf, lister_done_fn *fn, void *arg,
		 struct lister **ret_lister);
void lister_cancel(struct lister *l);
/* A page has come, and it was not the last: single directories may come sooner.  From the control loop. */
bool lister_is_long(const struct lister *l);

/* A listed key as the tree takes it; its strings are the entry's. */
struct tree_key lister_key(const struct list_entry *e);

#endif
