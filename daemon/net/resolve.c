#include "daemon/net/resolve.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/stat.h>

#include <event2/dns.h>
#include <event2/event.h>

#define LOG_MODULE "dns"
#include "common/clock.h"
#include "daemon/base/log.h"
#include "daemon/base/xalloc.h"
#include "daemon/net/addr.h"
#include "daemon/net/hosts.h"

#define NAME_LEN_MAX	   253
#define ENTRIES_MAX	   64
#define DEFAULT_TIMEOUT_MS 10000u
#define OTHER_FAMILY_MS	   500 /* how long the second answer is waited for after a good one */
#define KEEP_MIN_MS	   5000u
#define KEEP_MAX_MS	   60000u
#define STALE_MAX_MS	   600000u /* an old answer is used while DNS fails, so long */
#define TEXT_LEN	   400

struct answer {
	struct addr addrs[RESOLVE_MAX];
	size_t nr;
};

/* What is known of a name. */
struct entry {
	TAILQ_ENTRY(entry) link; /* most recent first */
	char host[NAME_LEN_MAX + 1];
	uint64_t learned_ms;
	uint64_t expires_ms;
	struct answer answer;
};

/* One who asked: on the list of a lookup, or on the resolver's list of the ready. */
struct resolve {
	TAILQ_ENTRY(resolve) link;
	struct resolver *resolver;
	struct lookup *lookup; /* NULL: ready */
	resolve_cb *on_done;
	void *arg;
	int error;
	struct answer answer;
	char text[TEXT_LEN];
};
TAILQ_HEAD(resolve_list, resolve);

/*
 * A question that DNS has from us.  evdns can neither say whether a callback is
 * still to come nor take one back without another turn of the loop, so it is
 * given a number, and a number that is not on the list any more is ignored.
 */
struct question {
	TAILQ_ENTRY(question) link;
	uintptr_t number;
	struct lookup *lookup;
};

/* A name that DNS is being asked for. */
struct lookup {
	TAILQ_ENTRY(lookup) link;
	struct resolver *resolver;
	struct resolve_list waiting;
	struct event *deadline;
	unsigned nr_open; /* questions without an answer */
	int dns_error;	  /* the worst of the answers */
	unsigned ttl_s;
	struct answer answer;
	char host[NAME_LEN_MAX + 1];
};

struct resolver {
	struct event_base *base;
	struct evdns_base *dns;
	struct event *ready_event;
	struct resolve_list ready;
	TAILQ_HEAD(, lookup) lookups;
	TAILQ_HEAD(entry_list, entry) entries;
	unsigned nr_entries;
	unsigned timeout_ms;
	char *hosts_file;
	char *resolv_conf;
	struct timespec resolv_mtime;
	ino_t resolv_ino;
};

static pthread_mutex_t questions_lock = PTHREAD_MUTEX_INITIALIZER;
static TAILQ_HEAD(, question) questions = TAILQ_HEAD_INITIALIZER(questions);
static uintptr_t last_number;

static uintptr_t question_new(struct lookup *l)
{
	struct question *q = xcalloc(1, sizeof(*q));

	q->lookup = l;
	pthread_mutex_lock(&questions_lock);
	q->number = ++last_number;
	TAILQ_INSERT_TAIL(&questions, q, link);
	pthread_mutex_unlock(&questions_lock);
	return q->number;
}

/* The lookup that asked; NULL when it does not wait any more. */
static struct lookup *question_take(uintptr_t number)
{
	struct lookup *l = NULL;
	struct question *q;

	pthread_mutex_lock(&questions_lock);
	TAILQ_FOREACH(q, &questions, link)
	{
		if (q->number == number)
			break;
	}
	if (q != NULL) {
		TAILQ_REMOVE(&questions, q, link);
		l = q->lookup;
		free(q);
	}
	pthread_mutex_unlock(&questions_lock);
	return l;
}

static void questions_drop(const struct lookup *l)
{
	struct question *q, *next;

	pthread_mutex_lock(&questions_lock);
	for (q = TAILQ_FIRST(&questions); q != NULL; q = next) {
		next = TAILQ_NEXT(q, link);
		if (q->lookup != l)
			continue;
		TAILQ_REMOVE(&questions, q, link);
		free(q);
	}
	pthread_mutex_unlock(&questions_lock);
}

/* ---- what is known --------------------------------------------------------------- */

static struct entry *entry_find(struct resolver *rs, const char *host)
{
	struct entry *e;

	TAILQ_FOREACH(e, &rs->entries, link)
	{
		if (strcasecmp(e->host, host) == 0)
			return e;
	}
	return NULL;
}

static void entry_drop(struct resolver *rs, struct entry *e)
{
	TAILQ_REMOVE(&rs->entries, e, link);
	rs->nr_entries--;
	free(e);
}

static void entry_store(struct resolver *rs, const char *host, const struct answer *answer,
			uint64_t keep_ms)
{
	struct entry *e = entry_find(rs, host);

	if (e != NULL)
		entry_drop(rs, e);
	else if (rs->nr_entries == ENTRIES_MAX)
		entry_drop(rs, TAILQ_LAST(&rs->entries, entry_list));
	e = xcalloc(1, sizeof(*e));
	snprintf(e->host, sizeof(e->host), "%s", host);
	e->learned_ms = clock_ms();
	e->expires_ms = e->learned_ms + keep_ms;
	e->answer = *answer;
	TAILQ_INSERT_HEAD(&rs->entries, e, link);
	rs->nr_entries++;
}

void resolver_forget(struct resolver *rs, const char *host)
{
	struct entry *e = entry_find(rs, host);

	if (e != NULL)
		entry_drop(rs, e);
}

/* ---- handing out ----------------------------------------------------------------- */

static void make_ready(struct resolve *r, int error, const struct answer *answer)
{
	if (r->lookup != NULL)
		TAILQ_REMOVE(&r->lookup->waiting, r, link);
	r->lookup = NULL;
	r->error = error;
	if (answer != NULL)
		r->answer = *answer;
	TAILQ_INSERT_TAIL(&r->resolver->ready, r, link);
	event_active(r->resolver->ready_event, EV_TIMEOUT, 0);
}

static void resolve_on_ready(evutil_socket_t fd, short what, void *arg)
{
	struct resolver *rs = arg;
	struct resolve *r = TAILQ_FIRST(&rs->ready);

	(void)fd;
	(void)what;
	if (r == NULL)
		return;
	TAILQ_REMOVE(&rs->ready, r, link);
	if (!TAILQ_EMPTY(&rs->ready))
		event_active(rs->ready_event, EV_TIMEOUT, 0);
	/* Last: the callback may do anything, free the resolver too. */
	r->on_done(r->error, r->answer.addrs, r->answer.nr, r->text, r->arg);
	free(r);
}

/* ---- DNS ------------------------------------------------------------------------- */

/* The only end of a lookup: everyone who waits gets the same. */
static void lookup_finish(struct lookup *l, int error, const char *why)
{
	struct resolver *rs = l->resolver;
	const struct answer *answer = error == 0 ? &l->answer : NULL;
	struct entry *e = entry_find(rs, l->host);
	uint64_t keep_ms = (uint64_t)l->ttl_s * 1000;
	struct resolve *r;

	if (error == 0) {
		keep_ms = keep_ms < KEEP_MIN_MS ? KEEP_MIN_MS : keep_ms;
		keep_ms = keep_ms > KEEP_MAX_MS ? KEEP_MAX_MS : keep_ms;
		entry_store(rs, l->host, &l->answer, keep_ms);
	} else if (error == -ETIMEDOUT && e != NULL && clock_ms() - e->learned_ms < STALE_MAX_MS) {
		error = 0;
		answer = &e->answer;
	}
	while ((r = TAILQ_FIRST(&l->waiting)) != NULL) {
		if (error != 0)
			snprintf(r->text, sizeof(r->text), "%s: %s", l->host, why);
		make_ready(r, error, answer);
	}
	questions_drop(l);
	TAILQ_REMOVE(&rs->lookups, l, link);
	event_free(l->deadline);
	free(l);
}

static void lookup_conclude(struct lookup *l)
{
	char why[160];

	if (l->answer.nr > 0) {
		lookup_finish(l, 0, NULL);
	} else if (l->dns_error == DNS_ERR_NOTEXIST) {
		lookup_finish(l, -ENOENT, "no such host in DNS; check the endpoint's name");
	} else if (l->dns_error == DNS_ERR_NODATA || l->dns_error == DNS_ERR_NONE) {
		lookup_finish(l, -ENOENT, "DNS knows the name but has no address for it");
	} else {
		snprintf(why, sizeof(why), "DNS failed: %s", evdns_err_to_string(l->dns_error));
		lookup_finish(l, -ETIMEDOUT, why);
	}
}

static void lookup_on_deadline(evutil_socket_t fd, short what, void *arg)
{
	struct lookup *l = arg;

	(void)fd;
	(void)what;
	if (l->answer.nr == 0)
		l->dns_error = DNS_ERR_TIMEOUT;
	lookup_conclude(l);
}

static void add_answers(struct lookup *l, char type, int count, const void *found)
{
	const struct in6_addr *in6 = found;
	const struct in_addr *in4 = found;
	struct addr a;
	int i;

	for (i = 0; i < count && l->answer.nr < RESOLVE_MAX; i++) {
		memset(&a, 0, sizeof(a));
		if (type == DNS_IPv4_A) {
			a.in.sin_family = AF_INET;
			a.in.sin_addr = in4[i];
			a.len = sizeof(a.in);
		} else {
			a.in6.sin6_family = AF_INET6;
			a.in6.sin6_addr = in6[i];
			a.len = sizeof(a.in6);
		}
		l->answer.addrs[l->answer.nr++] = a;
	}
}

/* An answer that says nothing of the name is worse than one that says no. */
static int worse(int a, int b)
{
	bool a_is_word = a == DNS_ERR_NONE || a == DNS_ERR_NODATA || a == DNS_ERR_NOTEXIST;

	if (a == DNS_ERR_NONE || (a_is_word && b != DNS_ERR_NONE && b != DNS_ERR_NODATA))
		return b;
	return a;
}

static void question_on_answer(int result, char type, int count, int ttl, void *found, void *arg)
{
	static const struct timeval grace = { .tv_usec = OTHER_FAMILY_MS * 1000 };
	struct lookup *l = question_take((uintptr_t)arg);

	if (l == NULL)
		return;
	l->nr_open--;
	if (result == DNS_ERR_NONE && count > 0 && (type == DNS_IPv4_A || type == DNS_IPv6_AAAA)) {
		if (l->answer.nr == 0 || (unsigned)ttl < l->ttl_s)
			l->ttl_s = ttl > 0 ? (unsigned)ttl : 0;
		add_answers(l, type, count, found);
	} else {
		l->dns_error = worse(l->dns_error, result);
	}
	if (l->nr_open == 0)
		lookup_conclude(l);
	else if (l->answer.nr > 0)
		event_add(l->deadline, &grace);
}

static void dns_on_log(int is_warning, const char *text)
{
	if (is_warning)
		log_info("%s", text);
	else
		log_debug("%s", text);
}

static void dns_set_log(void)
{
	evdns_set_log_fn(dns_on_log);
}

/* evdns with the servers of resolv.conf as it is now. */
static int dns_open(struct resolver *rs)
{
	struct stat st = { 0 };

	/* A file that is not there counts as one that never changes. */
	if (stat(rs->resolv_conf, &st) == -1)
		memset(&st, 0, sizeof(st));
	if (rs->dns != NULL &&
	    (!TAILQ_EMPTY(&rs->lookups) ||
	     (st.st_ino == rs->resolv_ino && st.st_mtim.tv_sec == rs->resolv_mtime.tv_sec &&
	      st.st_mtim.tv_nsec == rs->resolv_mtime.tv_nsec)))
		return 0;
	if (rs->dns != NULL)
		evdns_base_free(rs->dns, 0);
	rs->dns = evdns_base_new(rs->base, EVDNS_BASE_DISABLE_WHEN_INACTIVE);
	if (rs->dns == NULL)
		return -ENOMEM;
	/* Without a file evdns asks a server on this node, as libc does. */
	evdns_base_resolv_conf_parse(rs->dns, DNS_OPTION_SEARCH | DNS_OPTION_NAMESERVERS,
				     rs->resolv_conf);
	evdns_base_set_option(rs->dns, "timeout:", "3");
	evdns_base_set_option(rs->dns, "attempts:", "2");
	evdns_base_set_option(rs->dns, "randomize-case:", "0");
	rs->resolv_ino = st.st_ino;
	rs->resolv_mtime = st.st_mtim;
	return 0;
}

static int lookup_start(struct resolver *rs, const char *host, struct lookup **ret_lookup)
{
	struct timeval limit = {
		.tv_sec = rs->timeout_ms / 1000,
		.tv_usec = rs->timeout_ms % 1000 * 1000,
	};
	struct lookup *l;
	uintptr_t number;
	int r = dns_open(rs);

	if (r != 0)
		return r;
	l = xcalloc(1, sizeof(*l));
	l->resolver = rs;
	TAILQ_INIT(&l->waiting);
	snprintf(l->host, sizeof(l->host), "%s", host);
	l->deadline = event_new(rs->base, -1, 0, lookup_on_deadline, l);
	if (l->deadline == NULL || event_add(l->deadline, &limit) == -1) {
		if (l->deadline != NULL)
			event_free(l->deadline);
		free(l);
		return -ENOMEM;
	}
	TAILQ_INSERT_TAIL(&rs->lookups, l, link);
	*ret_lookup = l;

	/* One that cannot be asked counts as one without an answer: the deadline ends it. */
	l->nr_open = 2;
	number = question_new(l);
	if (evdns_base_resolve_ipv4(rs->dns, host, 0, question_on_answer, (void *)number) == NULL)
		question_take(number);
	number = question_new(l);
	if (evdns_base_resolve_ipv6(rs->dns, host, 0, question_on_answer, (void *)number) == NULL)
		question_take(number);
	return 0;
}

/* ---- asking ---------------------------------------------------------------------- */

static bool is_host_name(const char *host)
{
	size_t len = strlen(host);

	return len > 0 && len <= NAME_LEN_MAX && host[0] != '.' &&
	       strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") ==
		       len;
}

/* "localhost" has an address even where no file says so. */
static bool find_localhost(const char *host, struct answer *ret_answer)
{
	size_t len = strlen(host);

	if (strcasecmp(host, "localhost") != 0 &&
	    (len < 10 || strcasecmp(host + len - 10, ".localhost") != 0))
		return false;
	ret_answer->nr = 2;
	return addr_parse("127.0.0.1", &ret_answer->addrs[0]) == 0 &&
	       addr_parse("::1", &ret_answer->addrs[1]) == 0;
}

/* Is the answer known without asking anybody? */
static bool find_here(struct resolver *rs, const char *host, struct answer *ret_answer)
{
	struct entry *e;

	if (addr_parse(host, &ret_answer->addrs[0]) == 0) {
		ret_answer->nr = 1;
		return true;
	}
	e = entry_find(rs, host);
	if (e != NULL && clock_ms() < e->expires_ms) {
		*ret_answer = e->answer;
		return true;
	}
	if (!is_host_name(host))
		return false;
	ret_answer->nr = hosts_find_in_file(rs->hosts_file, host, ret_answer->addrs, RESOLVE_MAX);
	if (ret_answer->nr == 0 && !find_localhost(host, ret_answer))
		return false;
	entry_store(rs, host, ret_answer, KEEP_MIN_MS);
	return true;
}

int resolve_start(struct resolver *rs, const char *host, resolve_cb *on_done, void *arg,
		  struct resolve **ret_resolve)
{
	struct resolve *r = xcalloc(1, sizeof(*r));
	struct answer answer = { .nr = 0 };
	struct lookup *l;
	int error = 0;

	r->resolver = rs;
	r->on_done = on_done;
	r->arg = arg;
	*ret_resolve = r;
	if (find_here(rs, host, &answer)) {
		make_ready(r, 0, &answer);
		return 0;
	}
	if (!is_host_name(host)) {
		snprintf(r->text, sizeof(r->text), "\"%.253s\": not a host name", host);
		make_ready(r, -EINVAL, NULL);
		return 0;
	}
	TAILQ_FOREACH(l, &rs->lookups, link)
	{
		if (strcasecmp(l->host, host) == 0)
			break;
	}
	if (l == NULL)
		error = lookup_start(rs, host, &l);
	if (error != 0) {
		free(r);
		return error;
	}
	r->lookup = l;
	TAILQ_INSERT_TAIL(&l->waiting, r, link);
	return 0;
}

void resolve_cancel(struct resolve *r)
{
	/* The lookup goes on: what it finds will be wanted again. */
	TAILQ_REMOVE(r->lookup != NULL ? &r->lookup->waiting : &r->resolver->ready, r, link);
	free(r);
}

int resolver_new(struct event_base *base, const struct resolver_conf *conf,
		 struct resolver **ret_resolver)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	struct resolver *rs = xcalloc(1, sizeof(*rs));

	pthread_once(&once, dns_set_log);
	rs->base = base;
	TAILQ_INIT(&rs->ready);
	TAILQ_INIT(&rs->lookups);
	TAILQ_INIT(&rs->entries);
	rs->timeout_ms = conf->timeout_ms != 0 ? conf->timeout_ms : DEFAULT_TIMEOUT_MS;
	rs->hosts_file = xstrdup(conf->hosts_file != NULL ? conf->hosts_file : "/etc/hosts");
	rs->resolv_conf =
		xstrdup(conf->resolv_conf != NULL ? conf->resolv_conf : "/etc/resolv.conf");
	rs->ready_event = event_new(base, -1, 0, resolve_on_ready, rs);
	if (rs->ready_event == NULL) {
		resolver_free(rs);
		return -ENOMEM;
	}
	*ret_resolver = rs;
	return 0;
}

void resolver_free(struct resolver *rs)
{
	struct lookup *l;

	if (rs == NULL)
		return;
	BUG_ON(!TAILQ_EMPTY(&rs->ready));
	while ((l = TAILQ_FIRST(&rs->lookups)) != NULL) {
		BUG_ON(!TAILQ_EMPTY(&l->waiting));
		lookup_finish(l, -ECANCELED, "");
	}
	/* Without calling back: what it still asks is nobody's question any more. */
	if (rs->dns != NULL)
		evdns_base_free(rs->dns, 0);
	while (!TAILQ_EMPTY(&rs->entries))
		entry_drop(rs, TAILQ_FIRST(&rs->entries));
	if (rs->ready_event != NULL)
		event_free(rs->ready_event);
	free(rs->hosts_file);
	free(rs->resolv_conf);
	free(rs);
}
