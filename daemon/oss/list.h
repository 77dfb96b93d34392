/*
 * list.h - every key under a prefix, or a stretch of them, page after page, in
 * order, with the retries that it takes.  Keeps nothing but the page at hand.
 *
 * Threads: on the worker that owns the client and the event_base.
 */
#ifndef DAEMON_OSS_LIST_H
#define DAEMON_OSS_LIST_H

#include "daemon/oss/list_xml.h"
#include "daemon/oss/result.h"

struct event_base;
struct worker;
struct http_client;
struct oss_bucket;
struct oss_list;

struct oss_list_conf {
	const char *prefix;	 /* copied; "" or NULL: the whole bucket */
	const char *delimiter;	 /* NULL: none, everything below the prefix */
	const char *start_after; /* NULL: from the first key */
	const char *last;	 /* NULL: to the end; see oss_list_set_last() */
	bool in_order;		 /* -EBADMSG where keys are not: for `last` they must be */
	unsigned max_keys;	 /* of one page; 0: 1000 */
	unsigned page_ms;	 /* one page may take so long; 0: two minutes */
	const struct oss_retry_conf *retry; /* for each page; NULL: the defaults; copied */
	/*
	 * Pages are taken apart on `parser`, which is most of the work; `home` is the
	 * worker of the event_base.  NULL: here.
	 */
	struct worker *parser, *home;
	/*
	 * Until the first page has come, which may never come: somebody waits to hear
	 * what is wrong.  At most so long, and so long where no connection is made; 0:
	 * as retry says.
	 */
	unsigned first_budget_ms;
	unsigned first_connect_ms;
};

struct oss_list_events {
	/*
	 * One page, valid during the call.  A negative errno ends the listing:
	 * on_done() then gets it.  Must not cancel the listing.
	 */
	int (*on_page)(const struct list_page *page, void *arg);
	/* Exactly once, from the event loop; not after oss_list_cancel(). */
	void (*on_done)(const struct oss_result *res, void *arg);
};

/* Takes a reference to the bucket.  -EINVAL, -ENOMEM. */
int oss_list_start(struct event_base *base, struct http_client *client, struct oss_bucket *bucket,
		   const struct oss_list_conf *conf, const struct oss_list_events *events,
		   void *arg, struct oss_list **ret_list);
void oss_list_cancel(struct oss_list *l);
/*
 * What comes after this key is left out, and nothing more is asked for when it
 * has come: for a listing that several share.  The key need not exist; it may only be
 * lowered, and not below what has come.  -ENOMEM.
 */
int oss_list_set_last(struct oss_list *l, const char *last);

#endif
