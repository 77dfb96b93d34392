#include "daemon/mount/lister.h"

#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/mount/fetch.h"
#include "daemon/mount/keyspace.h"
#include "daemon/mount/tree.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/list.h"

#define LOG_MODULE "lister"
#include "daemon/base/log.h"

#define PAGE_KEYS	 1000
#define FIRST_BUDGET_MS	 10000 /* of a mount's first page, at most */
#define FIRST_CONNECT_MS 3000  /* of that, while no connection is made */
#define TEXT_LEN	 2048  /* the longest path, and what the store says */

#define PAGES_MANY	 100 /* leave enough free memory behind to give back */
#define MAX_STRETCHES	 64
#define PAGES_AT_LEAST	 3.0 /* expected in a stretch that is worth dividing */
#define GUESSES_FREE	 32  /* requests that found nothing, before pages must have earned them */

/*
 * Keys after one place up to another, read by one listing of its own.  Where a
 * page ends, the keys behind it are divided at guessed points: whoever finds
 * nothing behind its point has shown where the keys end.
 */
struct stretch {
	struct lister *lister;
	struct oss_list *list; /* NULL: free */
	bool is_guess;	       /* it began where nobody knows of a key */
	unsigned nr_pages;
	double pages_left;	 /* expected; as many as there can be when nothing is known */
	char at[KEYSPACE_KEY];	 /* the last key that came, or where it began */
	char last[KEYSPACE_KEY]; /* ""; the end of the prefix */
};

/*
 * Where one stretch was cut another goes on: the first key that the one left out is the first
 * that the other found.  In a store with an order of its own, a file system's, it may be
 * neither's, and all that comes behind it as well.
 */
struct seam {
	char *key;
	bool is_cut; /* else a stretch begins with it */
};

struct lister {
	struct event_base *base;
	struct worker *home;
	struct fetch *fetch;
	struct http_client *client;
	struct tree *tree;
	struct oss_bucket *bucket;
	char *prefix;
	char *oss_path;
	uint64_t *serial;
	bool has_sources;
	lister_done_fn *fn;
	void *arg;
	unsigned retry_budget_ms;
	unsigned first_budget_ms;
	unsigned first_connect_ms;

	unsigned concurrency; /* 1: the store's order does not matter */
	unsigned nr_running;
	unsigned nr_pages;   /* that brought keys */
	bool is_long;	     /* there are more than one page has room for */
	unsigned nr_guesses; /* stretches that have found nothing where they were begun */
	struct keyspace keys;
	struct stretch *stretches; /* `concurrency` of them */
	struct seam *seams;
	size_t nr_seams;
};

static void cancel_all(struct lister *l)
{
	unsigned i;

	for (i = 0; i < l->concurrency; i++) {
		oss_list_cancel(l->stretches[i].list);
		l->stretches[i].list = NULL;
	}
	l->nr_running = 0;
}

static void forget_seams(struct lister *l)
{
	while (l->nr_seams > 0)
		free(l->seams[--l->nr_seams].key);
	free(l->seams);
	l->seams = NULL;
}

static void lister_free(struct lister *l)
{
	cancel_all(l);
	forget_seams(l);
	free(l->stretches);
	tree_free(l->tree);
	oss_bucket_unref(l->bucket);
	free(l->prefix);
	free(l->oss_path);
	free(l);
}

static const char *last_or_null(const struct stretch *s)
{
	return s->last[0] != '\0' ? s->last : NULL;
}

struct tree_key lister_key(const struct list_entry *e)
{
	return (struct tree_key){
		.key = e->key,
		.key_len = e->key_len,
		.size = e->size,
		.mtime = e->mtime,
		.etag = e->etag,
		.is_link = strcmp(e->type, "Symlink") == 0,
	};
}

static int add_keys(struct lister *l, const struct list_page *page)
{
	size_t i;
	int r;

	r = tree_begin_run(l->tree, page->entries[0].key);
	for (i = 0; i < page->nr_entries && r == 0; i++) {
		const struct tree_key key = lister_key(&page->entries[i]);

		r = tree_add(l->tree, &key);
	}
	return r;
}

/* How far this page and those before have led, and so how many more may come. */
static void estimate(struct stretch *s, const char *from)
{
	const char *last = last_or_null(s);
	double share = last != NULL ? keyspace_share(&s->lister->keys, from, s->at, last) : 0;
	double left = share > 1e-6 ? (1 - share) / share : 1e6;

	s->pages_left = s->nr_pages == 1 ? left : (left + s->pages_left) / 2;
}

static int on_page(const struct list_page *page, void *arg);
static void on_done(const struct oss_result *res, void *arg);

/* Read what comes after a key ("": from the start), up to another (NULL: to the end). */
static int begin(struct lister *l, const char *after, const char *last)
{
	static const struct oss_list_events events = { .on_page = on_page, .on_done = on_done };
	struct oss_retry_conf retry = { .budget_ms = l->retry_budget_ms };
	struct oss_list_conf conf = {
		.prefix = l->prefix,
		.start_after = after,
		.last = last,
		.in_order = l->concurrency > 1,
		.max_keys = PAGE_KEYS,
		.retry = &retry,
		.home = l->home,
		.first_budget_ms = l->nr_pages == 0 ? l->first_budget_ms : 0,
		.first_connect_ms = l->nr_pages == 0 ? l->first_connect_ms : 0,
	};
	struct stretch *s = l->stretches;
	int r;

	while (s->list != NULL)
		s++; /* there is one: nr_running is below concurrency */
	*s = (struct stretch){ .lister = l, .is_guess = after[0] != '\0' };
	snprintf(s->at, sizeof(s->at), "%s", after);
	snprintf(s->last, sizeof(s->last), "%s", last != NULL ? last : "");
	if (l->fetch != NULL)
		conf.parser = fetch_thread(l->fetch, (unsigned)(s - l->stretches));
	r = oss_list_start(l->base, l->client, l->bucket, &conf, &events, s, &s->list);
	l->nr_running += r == 0;
	l->nr_guesses += r == 0 && s->is_guess;
	return r;
}

/* Forget all, and ask for one page after the other. */
static int begin_again(struct lister *l)
{
	int r;

	cancel_all(l);
	forget_seams(l);
	l->concurrency = 1;
	l->nr_pages = 0;
	tree_free(l->tree);
	l->tree = NULL;
	r = tree_new(l->prefix, &l->tree);
	return r == 0 ? begin(l, "", NULL) : r;
}

/* The stretch with most to come of which something is known; NULL: none is worth it. */
static struct stretch *longest(struct lister *l)
{
	struct stretch *best = NULL;
	unsigned i;

	for (i = 0; i < l->concurrency; i++) {
		struct stretch *s = &l->stretches[i];

		if (s->list != NULL && s->nr_pages != 0 && s->pages_left >= PAGES_AT_LEAST &&
		    (best == NULL || s->pages_left > best->pages_left))
			best = s;
	}
	return best;
}

/* So many stretches may be begun at guessed points now. */
static unsigned nr_guesses_allowed(const struct lister *l)
{
	unsigned earned = GUESSES_FREE + 2 * l->nr_pages, room = l->concurrency - l->nr_running;

	earned = earned > l->nr_guesses ? earned - l->nr_guesses : 0;
	return earned < room ? earned : room;
}

/* What the listing has not reached yet is given to whoever is free. */
static int divide(struct lister *l)
{
	char points[MAX_STRETCHES][KEYSPACE_KEY];
	unsigned nr;
	int r = 0;

	while (r == 0 && (nr = nr_guesses_allowed(l)) != 0) {
		struct stretch *s = longest(l);

		if (s == NULL)
			return 0;
		nr = nr < s->pages_left - 1 ? nr : (unsigned)(s->pages_left - 1);
		nr = keyspace_divide(&l->keys, s->at, last_or_null(s), nr, points);
		s->pages_left = nr == 0 ? 0 : s->pages_left / (nr + 1);
		while (r == 0 && nr-- > 0) {
			r = begin(l, points[nr], last_or_null(s));
			if (r != 0)
				break;
			snprintf(s->last, sizeof(s->last), "%s", points[nr]);
			r = oss_list_set_last(s->list, s->last);
		}
	}
	return r;
}

static int add_seam(struct lister *l, const char *key, bool is_cut)
{
	struct seam *more = reallocarray(l->seams, l->nr_seams + 1, sizeof(*more));

	if (more == NULL)
		return -ENOMEM;
	l->seams = more;
	more[l->nr_seams] = (struct seam){ strdup(key), is_cut };
	return more[l->nr_seams++].key != NULL ? 0 : -ENOMEM;
}

static int compare_seams(const void *pa, const void *pb)
{
	const struct seam *a = pa, *b = pb;
	int order = strcmp(a->key, b->key);

	return order != 0 ? order : a->is_cut - b->is_cut;
}

/* Is each key that was left out one that another stretch begins with? */
static bool seams_fit(struct lister *l)
{
	const char *begins = "";
	size_t i;

	if (l->nr_seams > 1)
		qsort(l->seams, l->nr_seams, sizeof(*l->seams), compare_seams);
	for (i = 0; i < l->nr_seams; i++) {
		if (!l->seams[i].is_cut)
			begins = l->seams[i].key;
		else if (strcmp(begins, l->seams[i].key) != 0)
			return false;
	}
	return true;
}

static int on_page(const struct list_page *page, void *arg)
{
	struct stretch *s = arg;
	struct lister *l = s->lister;
	const char *first, *last;
	int r = 0;

	if (page->beyond != NULL)
		r = add_seam(l, page->beyond, true);
	if (r == 0 && page->nr_entries != 0 && s->nr_pages == 0 && s->is_guess)
		r = add_seam(l, page->entries[0].key, false);
	if (r != 0 || page->nr_entries == 0)
		return r;
	first = page->entries[0].key;
	last = page->entries[page->nr_entries - 1].key;
	if (l->concurrency > 1) {
		if (strcmp(first, s->at) <= 0 || strlen(last) >= KEYSPACE_KEY)
			return -EBADMSG;
		keyspace_see(&l->keys, first);
		keyspace_see(&l->keys, last);
		snprintf(s->at, sizeof(s->at), "%s", last);
	}
	if (s->nr_pages++ == 0 && s->is_guess)
		l->nr_guesses--; /* a good one */
	if (l->concurrency > 1)
		estimate(s, first);
	l->nr_pages++;
	l->is_long |= page->is_truncated;
	r = add_keys(l, page);
	return r == 0 && page->is_truncated ? divide(l) : r;
}

/* One line for each kind of key that is not shown. */
static void log_faults(const struct lister *l)
{
	const struct tree_counts *c = tree_counts(l->tree);
	int i;

	for (i = TREE_NO_FAULT + 1; i < TREE_NR_FAULTS; i++) {
		if (c->nr_faults[i] == 0)
			continue;
		log_warn("%s: %" PRIu64 " of %" PRIu64 " keys %s; the first \"%s\" %s", l->oss_path,
			 c->nr_faults[i], c->nr_keys,
			 i == TREE_SHADOWED ? "are hidden" : "cannot be shown as files",
			 c->example[i], tree_fault_text((enum tree_fault)i));
	}
}

/* Nothing was heard from the store: then it is not the store that knows what is wrong. */
static const char *remedy(const struct lister *l, const struct oss_result *res)
{
	if (res->status != 0)
		return "";
	switch (res->error) {
	case -EHOSTUNREACH:
	case -ETIMEDOUT:
		return l->has_sources ? "; check OSS_ENDPOINT, and that HTTP_SOURCE_IP has a way "
					"to it"
				      : "; check OSS_ENDPOINT (https unless http:// is written)";
	case -EIO:
	case -EPROTO:
	case -ECONNRESET:
		return l->nr_pages == 0 ? "; check OSS_ENDPOINT (https unless http:// is written)"
					: "";
	case -EACCES:
		return "; check OSS_ENDPOINT, and network.caFile in the daemon's configuration";
	}
	return "";
}

/* The text of a result may begin with the path, which stands before it already. */
static const char *reason(const struct lister *l, const struct oss_result *res)
{
	size_t n = strlen(l->oss_path);

	if (res->text[0] == '\0')
		return strerror(-res->error);
	if (strncmp(res->text, l->oss_path, n) == 0 && strncmp(res->text + n, ": ", 2) == 0)
		return res->text + n + 2;
	return res->text;
}

static int explain(const struct lister *l, const struct oss_result *res, char *text, size_t len)
{
	if (strcmp(res->code, "NoSuchBucket") == 0) {
		snprintf(text, len,
			 "bucket \"%s\" does not exist: check OSS_PATH (%s), and that OSS_ENDPOINT "
			 "is that of the bucket's region",
			 oss_bucket_name(l->bucket), l->oss_path);
		return -ENOENT;
	}
	if (res->error == -EFBIG)
		snprintf(text, len, "%s holds more than %u keys: mount a directory of it instead",
			 l->oss_path, TREE_MAX_ENTRIES);
	else
		snprintf(text, len, "%s cannot be listed: %s%s", l->oss_path, reason(l, res),
			 remedy(l, res));
	return res->error != 0 ? res->error : -EIO;
}

/* The only way out, but for lister_cancel(). */
static void finish(struct lister *l, const struct oss_result *res)
{
	struct snapmem *snapshot = NULL;
	char text[TEXT_LEN] = "";
	bool many;
	int r;

	if (res->error != 0) {
		r = explain(l, res, text, sizeof(text));
	} else if (tree_counts(l->tree)->nr_keys == 0 && l->prefix[0] != '\0') {
		r = -ENOENT;
		snprintf(text, sizeof(text),
			 "bucket \"%s\" has no key that begins with \"%s\": check OSS_PATH (%s)",
			 oss_bucket_name(l->bucket), l->prefix, l->oss_path);
	} else {
		r = tree_build(l->tree, ++*l->serial, &snapshot);
		if (r != 0)
			snprintf(text, sizeof(text), "%s: no memory for the directory tree: %s",
				 l->oss_path, strerror(-r));
		else
			log_faults(l);
	}
	many = l->nr_pages >= PAGES_MANY;
	l->fn(r, text, snapshot, l->arg);
	lister_free(l);
	if (many)
		malloc_trim(0); /* pages came from the heaps of all threads */
}

/* What has come so far cannot be all, or not be trusted to be. */
static bool is_out_of_order(struct lister *l, const struct oss_result *res)
{
	if (l->concurrency == 1)
		return false;
	return res->error == -EBADMSG || (res->error == 0 && l->nr_running == 0 && !seams_fit(l));
}

static void on_done(const struct oss_result *res, void *arg)
{
	struct stretch *s = arg;
	struct lister *l = s->lister;
	struct oss_result failure = { .error = 0 };

	s->list = NULL;
	l->nr_running--;
	if (res->error == 0)
		failure.error = divide(l);
	if (failure.error == 0 && is_out_of_order(l, res)) {
		log_info("%s: the store does not list in the order of keys: one request at a time",
			 l->oss_path);
		failure.error = begin_again(l);
		if (failure.error == 0)
			return;
	}
	if (failure.error != 0)
		finish(l, &failure);
	else if (res->error != 0 || l->nr_running == 0)
		finish(l, res);
}

int lister_start(const struct lister_conf *conf, lister_done_fn *fn, void *arg,
		 struct lister **ret_lister)
{
	struct lister *l = xcalloc(1, sizeof(*l));
	int r;

	l->base = conf->base;
	l->home = conf->home;
	l->fetch = conf->fetch;
	l->client = conf->client;
	l->bucket = oss_bucket_ref(conf->bucket);
	l->prefix = xstrdup(conf->prefix);
	l->oss_path = xstrdup(conf->oss_path);
	l->serial = conf->serial;
	l->has_sources = conf->has_sources;
	l->retry_budget_ms = conf->retry_budget_ms;
	l->first_connect_ms = conf->is_first ? FIRST_CONNECT_MS : 0;
	if (conf->is_first)
		l->first_budget_ms =
			conf->retry_budget_ms != 0 && conf->retry_budget_ms < FIRST_BUDGET_MS
				? conf->retry_budget_ms
				: FIRST_BUDGET_MS;
	l->fn = fn;
	l->arg = arg;
	l->keys.prefix_len = strlen(conf->prefix);
	l->concurrency = conf->concurrency < 1		     ? 1
			 : conf->concurrency > MAX_STRETCHES ? MAX_STRETCHES
							     : conf->concurrency;
	l->stretches = xcalloc(l->concurrency, sizeof(*l->stretches));
	r = tree_new(conf->prefix, &l->tree);
	if (r == 0)
		r = begin(l, "", NULL);
	if (r != 0)
		lister_free(l);
	else
		*ret_lister = l;
	return r;
}

bool lister_is_long(const struct lister *l)
{
	return l->is_long;
}

void lister_cancel(struct lister *l)
{
	if (l != NULL)
		lister_free(l);
}
