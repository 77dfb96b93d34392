#include "daemon/mount/lister.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/mount/tree.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/list.h"

#define LOG_MODULE "lister"
#include "daemon/base/log.h"

#define PAGE_KEYS	 1000
#define FIRST_BUDGET_MS	 10000 /* of a mount's first page, at most */
#define FIRST_CONNECT_MS 3000  /* of that, while no connection is made */
#define TEXT_LEN	 2048  /* the longest path, and what the store says */

struct lister {
	struct oss_list *list;
	struct tree *tree;
	struct oss_bucket *bucket;
	char *prefix;
	char *oss_path;
	uint64_t serial;
	bool has_sources;
	lister_done_fn *fn;
	void *arg;
};

static void lister_free(struct lister *l)
{
	tree_free(l->tree);
	oss_bucket_unref(l->bucket);
	free(l->prefix);
	free(l->oss_path);
	free(l);
}

static int on_page(const struct list_page *page, void *arg)
{
	struct lister *l = arg;
	size_t i;
	int r = 0;

	for (i = 0; i < page->nr_entries && r == 0; i++) {
		const struct list_entry *e = &page->entries[i];
		struct tree_key key = {
			.key = e->key,
			.key_len = e->key_len,
			.size = e->size,
			.mtime = e->mtime,
			.etag = e->etag,
			.is_link = strcmp(e->type, "Symlink") == 0,
		};

		r = tree_add(l->tree, &key);
	}
	return r;
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
				      : "; check OSS_ENDPOINT";
	case -EACCES:
		return "; check OSS_ENDPOINT, and network.caFile in the daemon's configuration";
	}
	return "";
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
		snprintf(text, len, "%s cannot be listed: %s%s", l->oss_path,
			 res->text[0] != '\0' ? res->text : strerror(-res->error), remedy(l, res));
	return res->error != 0 ? res->error : -EIO;
}

static void on_done(const struct oss_result *res, void *arg)
{
	struct lister *l = arg;
	struct snapmem *snapshot = NULL;
	char text[TEXT_LEN] = "";
	int r;

	if (res->error != 0) {
		r = explain(l, res, text, sizeof(text));
	} else if (tree_counts(l->tree)->nr_keys == 0 && l->prefix[0] != '\0') {
		r = -ENOENT;
		snprintf(text, sizeof(text),
			 "bucket \"%s\" has no key that begins with \"%s\": check OSS_PATH (%s)",
			 oss_bucket_name(l->bucket), l->prefix, l->oss_path);
	} else {
		r = tree_build(l->tree, l->serial, &snapshot);
		if (r != 0)
			snprintf(text, sizeof(text), "%s: no memory for the directory tree: %s",
				 l->oss_path, strerror(-r));
		else
			log_faults(l);
	}
	l->fn(r, text, snapshot, l->arg);
	lister_free(l);
}

int lister_start(const struct lister_conf *conf, lister_done_fn *fn, void *arg,
		 struct lister **ret_lister)
{
	static const struct oss_list_events events = { .on_page = on_page, .on_done = on_done };
	struct oss_retry_conf retry = { .budget_ms = conf->retry_budget_ms };
	struct oss_list_conf list = {
		.prefix = conf->prefix,
		.max_keys = PAGE_KEYS,
		.retry = &retry,
		.first_connect_ms = conf->is_first ? FIRST_CONNECT_MS : 0,
	};
	struct lister *l = xcalloc(1, sizeof(*l));
	int r;

	if (conf->is_first)
		list.first_budget_ms = retry.budget_ms != 0 && retry.budget_ms < FIRST_BUDGET_MS
					       ? retry.budget_ms
					       : FIRST_BUDGET_MS;
	l->bucket = oss_bucket_ref(conf->bucket);
	l->prefix = xstrdup(conf->prefix);
	l->oss_path = xstrdup(conf->oss_path);
	l->serial = conf->serial;
	l->has_sources = conf->has_sources;
	l->fn = fn;
	l->arg = arg;
	r = tree_new(conf->prefix, &l->tree);
	if (r == 0)
		r = oss_list_start(conf->base, conf->client, conf->bucket, &list, &events, l,
				   &l->list);
	if (r != 0)
		lister_free(l);
	else
		*ret_lister = l;
	return r;
}

void lister_cancel(struct lister *l)
{
	if (l == NULL)
		return;
	oss_list_cancel(l->list);
	lister_free(l);
}
