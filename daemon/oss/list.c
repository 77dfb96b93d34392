#include "daemon/oss/list.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include <event2/event.h>

#define LOG_MODULE "list"
#include "common/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/worker.h"
#include "daemon/base/xalloc.h"
#include "daemon/http/client.h"
#include "daemon/oss/bucket.h"
#include "daemon/oss/request.h"
#include "daemon/oss/textsink.h"

#define PAGE_MOST_MS	 120000
#define EMPTY_PAGES_MOST 1000 /* a store may pass over what was deleted, but not for ever */

/* A page on its way through the parser; whoever comes second, it or the cancelling, frees it. */
struct parse {
	struct oss_list *list; /* for its own thread alone */
	struct worker *home;
	enum oss_dialect dialect;
	struct strbuf text;
	struct list_page page;
	int result;
	char err[256];
	atomic_bool is_over; /* on one of the two sides */
};

/*
 *	ASK --> (page) --> PARSE --> ASK ... --> done
 *	 \_ (failure) --> WAIT --> ASK
 *
 * While `request` runs the timer is its deadline; otherwise it ends the wait.
 */
struct oss_list {
	struct http_client *client;
	struct oss_bucket *bucket;
	struct oss_list_events events;
	void *arg;
	char *prefix, *delimiter, *start_after, *token, *last; /* NULL: none */
	char max_keys[12];
	struct oss_retry_conf retry_conf;
	unsigned page_ms;
	bool in_order;
	unsigned nr_empty;	    /* pages in a row without any entry */
	unsigned connect_budget_ms; /* where no connection is made; 0: as for all else */
	struct oss_retry retry;
	struct event *timer;
	struct oss_request *request;
	struct textsink body;
	struct worker *parser, *home;
	struct parse *parse; /* NULL: none is under way */
};

static uint32_t random_bits(void)
{
	uint32_t bits;

	/* Without entropy yet: any number will do for a jitter. */
	if (getrandom(&bits, sizeof(bits), GRND_NONBLOCK) != sizeof(bits))
		bits = (uint32_t)clock_ms() * 2654435761u;
	return bits;
}

static void list_free(struct oss_list *l)
{
	if (l->timer != NULL)
		event_free(l->timer);
	textsink_fini(&l->body);
	oss_bucket_unref(l->bucket);
	free(l->prefix);
	free(l->delimiter);
	free(l->start_after);
	free(l->token);
	free(l->last);
	free(l);
}

/* The only way out. */
static void finish(struct oss_list *l, const struct oss_result *res)
{
	void (*on_done)(const struct oss_result *, void *) = l->events.on_done;
	void *arg = l->arg;

	list_free(l);
	on_done(res, arg);
}

static struct oss_subject subject_of(const struct oss_list *l)
{
	return (struct oss_subject){
		.endpoint = oss_bucket_endpoint(l->bucket),
		.bucket = oss_bucket_name(l->bucket),
		.key = l->prefix,
	};
}

static int on_head(const struct http_response *head, struct sink **ret_sink, struct oss_result *res,
		   void *arg)
{
	struct oss_list *l = arg;

	(void)head;
	(void)res;
	strbuf_reset(&l->body.text);
	*ret_sink = &l->body.sink;
	return 0;
}

static void on_request_done(struct oss_result *res, const struct http_response *head, void *arg);

static int ask(struct oss_list *l)
{
	static const struct oss_request_events events = { .on_head = on_head,
							  .on_done = on_request_done };
	const struct timeval page_time = { .tv_sec = l->page_ms / 1000,
					   .tv_usec = l->page_ms % 1000 * 1000 };
	struct oss_param query[7];
	struct oss_request_conf conf = { .method = "GET", .about = l->prefix, .query = query };
	size_t nr = 0;

	query[nr++] = (struct oss_param){ "list-type", "2" };
	query[nr++] = (struct oss_param){ "encoding-type", "url" };
	query[nr++] = (struct oss_param){ "max-keys", l->max_keys };
	if (l->prefix != NULL)
		query[nr++] = (struct oss_param){ "prefix", l->prefix };
	if (l->delimiter != NULL)
		query[nr++] = (struct oss_param){ "delimiter", l->delimiter };
	if (l->token != NULL)
		query[nr++] = (struct oss_param){ "continuation-token", l->token };
	else if (l->start_after != NULL)
		query[nr++] = (struct oss_param){ "start-after", l->start_after };
	conf.nr_query = nr;
	evtimer_add(l->timer, &page_time);
	return oss_request_start(l->client, l->bucket, &conf, &events, l, &l->request);
}

/* Ask, or end the listing with why that cannot be. */
static void ask_or_finish(struct oss_list *l)
{
	struct oss_subject subject = subject_of(l);
	struct oss_result res = { .error = 0 };
	int r = ask(l);

	if (r == 0)
		return;
	oss_result_set(&res, &subject, OSS_FATAL, r, "cannot ask for the listing: %s",
		       strerror(-r));
	finish(l, &res);
}

static void retry_or_finish(struct oss_list *l, const struct oss_result *res);

/* A page is short: a store that takes so long for one is not worth waiting for. */
static void end_page(struct oss_list *l)
{
	struct oss_subject subject = subject_of(l);
	struct oss_result res = { .error = 0 };

	oss_request_cancel(l->request);
	l->request = NULL;
	oss_result_set(&res, &subject, OSS_RETRY, -ETIMEDOUT,
		       "no whole page of the listing came within %u ms", l->page_ms);
	retry_or_finish(l, &res);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct oss_list *l = arg;

	(void)fd;
	(void)what;
	if (l->request != NULL)
		end_page(l);
	else
		ask_or_finish(l);
}

/* A wrong endpoint does not get better: say so before everybody has gone. */
static bool is_out_of_reach(const struct oss_list *l, const struct oss_result *res, int64_t wait_ms)
{
	return res->error == -EHOSTUNREACH && l->connect_budget_ms != 0 &&
	       clock_ms() - l->retry.start_ms + (uint64_t)wait_ms >= l->connect_budget_ms;
}

static void retry_or_finish(struct oss_list *l, const struct oss_result *res)
{
	int64_t wait_ms =
		oss_retry_next(&l->retry, res->action, res->delay_ms, clock_ms(), random_bits());
	struct timeval tv = { .tv_sec = wait_ms / 1000, .tv_usec = wait_ms % 1000 * 1000 };

	if (wait_ms < 0 || is_out_of_reach(l, res, wait_ms)) {
		finish(l, res);
		return;
	}
	log_debug("%s; asking again in %lld ms", res->text, (long long)wait_ms);
	evtimer_add(l->timer, &tv);
}

/* Some stores list in an order of their own; then a stretch of the keys means nothing. */
static int check_order(const struct list_page *page, char *err, size_t err_len)
{
	size_t i;

	for (i = 1; i < page->nr_entries; i++) {
		if (strcmp(page->entries[i - 1].key, page->entries[i].key) >= 0) {
			snprintf(err, err_len, "the listing is not in the order of its keys");
			return -EBADMSG;
		}
	}
	return 0;
}

/* Keys that were not asked for, or a page that does not lead on, would never end or mix mounts. */
static int check_page(struct oss_list *l, const struct list_page *page, char *err, size_t err_len)
{
	size_t i, len = l->prefix != NULL ? strlen(l->prefix) : 0;

	for (i = 0; i < page->nr_entries; i++) {
		if (len > 0 && strncmp(page->entries[i].key, l->prefix, len) != 0) {
			snprintf(err, err_len, "the listing holds keys outside the prefix");
			return -EPROTO;
		}
	}
	for (i = 0; i < page->nr_prefixes; i++) {
		if (len > 0 && strncmp(page->prefixes[i], l->prefix, len) != 0) {
			snprintf(err, err_len,
				 "the listing holds common prefixes outside the prefix");
			return -EPROTO;
		}
	}
	if (!page->is_truncated)
		return 0;
	if (page->next_token == NULL) {
		snprintf(err, err_len,
			 "the listing goes on but does not say where: the store "
			 "does not speak ListObjectsV2");
		return -EPROTO;
	}
	l->nr_empty = page->nr_entries + page->nr_prefixes == 0 ? l->nr_empty + 1 : 0;
	if (l->nr_empty > EMPTY_PAGES_MOST) {
		snprintf(err, err_len, "the listing does not go on: %u pages in a row are empty",
			 l->nr_empty);
		return -EPROTO;
	}
	if (l->token != NULL && strcmp(l->token, page->next_token) == 0) {
		snprintf(err, err_len, "the listing does not go on: the same token came twice");
		return -EPROTO;
	}
	return 0;
}

/* What lies beyond the last key that is wanted goes; then this was the last page. */
static void cut_page(const struct oss_list *l, struct list_page *page)
{
	size_t low = 0, high = page->nr_entries, mid;

	if (l->last == NULL || high == 0 || strcmp(page->entries[high - 1].key, l->last) <= 0)
		return;
	while (low < high) {
		mid = (low + high) / 2;
		if (strcmp(page->entries[mid].key, l->last) <= 0)
			low = mid + 1;
		else
			high = mid;
	}
	page->beyond = page->entries[low].key;
	page->nr_entries = low;
	page->is_truncated = false;
}

/* The page is right: hand it over.  1: go on; 0: that was the last; or a negative errno. */
static int take_page(struct oss_list *l, struct list_page *page)
{
	char *token;
	int r;

	cut_page(l, page);
	r = l->events.on_page(page, l->arg);
	if (r != 0 || !page->is_truncated)
		return r;
	token = strdup(page->next_token);
	if (token == NULL)
		return -ENOMEM;
	free(l->token);
	l->token = token;
	return 1;
}

/* The page, or what was wrong with it.  Takes the page over. */
static void on_parsed(struct oss_list *l, int r, struct list_page *page, char *err, size_t err_len)
{
	struct oss_subject subject = subject_of(l);
	struct oss_result res = { .error = 0 };

	if (r == 0) {
		r = check_page(l, page, err, err_len);
		if (r == 0 && l->in_order)
			r = check_order(page, err, err_len);
		if (r != 0)
			list_page_fini(page);
	}
	if (r != 0) {
		oss_result_set(&res, &subject, r == -EBADMSG ? OSS_FATAL : OSS_RETRY,
			       r == -EBADMSG ? r : -EIO, "%s", err);
		retry_or_finish(l, &res);
		return;
	}
	r = take_page(l, page);
	list_page_fini(page);
	if (r > 0) {
		oss_retry_init(&l->retry, &l->retry_conf, clock_ms());
		l->connect_budget_ms = 0;
		ask_or_finish(l);
		return;
	}
	if (r < 0)
		oss_result_set(&res, &subject, OSS_FATAL, r, "the listing was given up: %s",
			       strerror(-r));
	finish(l, &res);
}

static void parse_free(struct parse *p)
{
	if (p->result == 0)
		list_page_fini(&p->page);
	strbuf_fini(&p->text);
	free(p);
}

/* Back home. */
static void take_parse(void *arg)
{
	struct parse *p = arg;
	struct oss_list *l = p->list;

	if (l == NULL) { /* cancelled after it was sent here */
		parse_free(p);
		return;
	}
	l->parse = NULL;
	strbuf_fini(&l->body.text);
	l->body.text = p->text; /* its memory serves the next page */
	on_parsed(l, p->result, &p->page, p->err, sizeof(p->err));
	free(p);
}

/* On the parser's thread. */
static void run_parse(void *arg)
{
	struct parse *p = arg;

	p->result = list_xml_parse(strbuf_str(&p->text), strbuf_len(&p->text), p->dialect, &p->page,
				   p->err, sizeof(p->err));
	if (atomic_exchange(&p->is_over, true))
		parse_free(p);
	else
		BUG_ON(worker_post(p->home, take_parse, p) != 0);
}

/* The listing goes: whoever has the page in hand frees it. */
static void drop_parse(struct parse *p)
{
	if (p == NULL)
		return;
	p->list = NULL;
	atomic_store(&p->is_over, true);
}

static void on_body(struct oss_list *l)
{
	enum oss_dialect dialect = oss_bucket_endpoint(l->bucket)->dialect;
	struct list_page page;
	struct parse *p;
	char err[256];
	int r;

	p = l->parser != NULL ? calloc(1, sizeof(*p)) : NULL;
	if (p == NULL) {
		r = list_xml_parse(strbuf_str(&l->body.text), strbuf_len(&l->body.text), dialect,
				   &page, err, sizeof(err));
		on_parsed(l, r, &page, err, sizeof(err));
		return;
	}
	p->list = l;
	p->home = l->home;
	p->dialect = dialect;
	p->text = l->body.text;
	textsink_init(&l->body, LIST_PAGE_MAX_BYTES);
	l->parse = p;
	BUG_ON(worker_post(l->parser, run_parse, p) != 0);
}

static void on_request_done(struct oss_result *res, const struct http_response *head, void *arg)
{
	struct oss_list *l = arg;

	(void)head;
	l->request = NULL;
	evtimer_del(l->timer);
	if (res->error != 0)
		retry_or_finish(l, res);
	else
		on_body(l);
}

/* NULL and "" stay NULL.  false: no memory. */
static bool copy_text(char **ret, const char *text)
{
	if (text == NULL || text[0] == '\0')
		return true;
	*ret = strdup(text);
	return *ret != NULL;
}

int oss_list_start(struct event_base *base, struct http_client *client, struct oss_bucket *bucket,
		   const struct oss_list_conf *conf, const struct oss_list_events *events,
		   void *arg, struct oss_list **ret_list)
{
	struct oss_retry_conf first;
	struct oss_list *l;
	int r = -ENOMEM;

	if (conf->max_keys > 1000)
		return -EINVAL;
	l = calloc(1, sizeof(*l));
	if (l == NULL)
		return -ENOMEM;
	l->client = client;
	l->bucket = oss_bucket_ref(bucket);
	l->events = *events;
	l->arg = arg;
	textsink_init(&l->body, LIST_PAGE_MAX_BYTES);
	snprintf(l->max_keys, sizeof(l->max_keys), "%u",
		 conf->max_keys != 0 ? conf->max_keys : 1000);
	if (conf->retry != NULL)
		l->retry_conf = *conf->retry;
	first = l->retry_conf;
	if (conf->first_budget_ms != 0)
		first.budget_ms = conf->first_budget_ms;
	oss_retry_init(&l->retry, &first, clock_ms());
	l->connect_budget_ms = conf->first_connect_ms;
	l->in_order = conf->in_order;
	l->parser = conf->parser;
	l->home = conf->home;
	l->page_ms = conf->page_ms != 0 ? conf->page_ms : PAGE_MOST_MS;
	l->timer = evtimer_new(base, on_timer, l);
	if (l->timer != NULL && copy_text(&l->prefix, conf->prefix) &&
	    copy_text(&l->delimiter, conf->delimiter) &&
	    copy_text(&l->start_after, conf->start_after) && copy_text(&l->last, conf->last))
		r = ask(l);
	if (r != 0)
		list_free(l);
	else
		*ret_list = l;
	return r;
}

int oss_list_set_last(struct oss_list *l, const char *last)
{
	char *copy = strdup(last);

	if (copy == NULL)
		return -ENOMEM;
	free(l->last);
	l->last = copy;
	return 0;
}

void oss_list_cancel(struct oss_list *l)
{
	if (l == NULL)
		return;
	oss_request_cancel(l->request);
	drop_parse(l->parse);
	list_free(l);
}
