#include "daemon/net/remote.h"

#include <stdbool.h>
#include <stdlib.h>
#include <sys/queue.h>

#include "daemon/base/xalloc.h"
#include "daemon/net/addr.h"
#include "daemon/net/penalty.h"
#include "daemon/net/source.h"

#define KEPT_MAX 256 /* addresses without connections that are still remembered */

struct remote {
	TAILQ_ENTRY(remote) link; /* most recently picked first */
	struct remotes *owner;
	struct addr addr;
	struct penalty penalty;
	unsigned nr_conns;
	uint64_t picked; /* by the owner's count of picks; 0: never */
};

struct remotes {
	TAILQ_HEAD(remote_list, remote) list;
	unsigned nr;
	uint64_t nr_picks;
};

struct remotes *remotes_new(void)
{
	struct remotes *rs = xcalloc(1, sizeof(*rs));

	TAILQ_INIT(&rs->list);
	return rs;
}

static void forget(struct remotes *rs, struct remote *r)
{
	TAILQ_REMOVE(&rs->list, r, link);
	rs->nr--;
	free(r);
}

void remotes_free(struct remotes *rs)
{
	struct remote *r;

	if (rs == NULL)
		return;
	while ((r = TAILQ_FIRST(&rs->list)) != NULL) {
		BUG_ON(r->nr_conns != 0);
		forget(rs, r);
	}
	free(rs);
}

static struct remote *find_or_add(struct remotes *rs, const struct addr *a, uint16_t port)
{
	struct addr wanted = *a;
	struct remote *r;

	addr_set_port(&wanted, port);
	TAILQ_FOREACH(r, &rs->list, link)
	{
		if (addr_equal(&r->addr, &wanted))
			return r;
	}
	r = xcalloc(1, sizeof(*r));
	r->owner = rs;
	r->addr = wanted;
	TAILQ_INSERT_TAIL(&rs->list, r, link);
	rs->nr++;
	return r;
}

/* Is `a` to be dialled rather than `b`? */
static bool is_better(const struct remote *a, const struct remote *b, uint64_t now_ms)
{
	bool a_out = penalty_is_out(&a->penalty, now_ms);
	bool b_out = penalty_is_out(&b->penalty, now_ms);

	if (a_out != b_out)
		return b_out;
	if (a_out && penalty_streak(&a->penalty) != penalty_streak(&b->penalty))
		return penalty_streak(&a->penalty) < penalty_streak(&b->penalty);
	if (a->nr_conns != b->nr_conns)
		return a->nr_conns < b->nr_conns;
	return a->picked < b->picked;
}

static void forget_oldest(struct remotes *rs)
{
	struct remote *r, *before;

	for (r = TAILQ_LAST(&rs->list, remote_list); r != NULL && rs->nr > KEPT_MAX; r = before) {
		before = TAILQ_PREV(r, remote_list, link);
		if (r->nr_conns == 0)
			forget(rs, r);
	}
}

struct remote *remotes_pick(struct remotes *rs, const struct addr *addrs, size_t nr, uint16_t port,
			    unsigned families, uint64_t now_ms)
{
	struct remote *best = NULL, *r;
	unsigned family;
	size_t i;

	for (i = 0; i < nr; i++) {
		family = addrs[i].sa.sa_family == AF_INET ? SOURCE_INET : SOURCE_INET6;
		if ((family & families) == 0)
			continue;
		r = find_or_add(rs, &addrs[i], port);
		if (best == NULL || is_better(r, best, now_ms))
			best = r;
	}
	if (best == NULL)
		return NULL;
	/* One connection tries a failed address; if nothing better is left, all do. */
	penalty_claim(&best->penalty, now_ms);
	best->nr_conns++;
	best->picked = ++rs->nr_picks;
	TAILQ_REMOVE(&rs->list, best, link);
	TAILQ_INSERT_HEAD(&rs->list, best, link);
	forget_oldest(rs);
	return best;
}

void remote_drop(struct remote *r)
{
	BUG_ON(r->nr_conns == 0);
	r->nr_conns--;
}

const struct addr *remote_addr(const struct remote *r)
{
	return &r->addr;
}

void remote_connected(struct remote *r)
{
	penalty_clear(&r->penalty);
}

void remote_failed(struct remote *r, uint64_t started_ms, uint64_t now_ms)
{
	penalty_add(&r->penalty, started_ms, now_ms);
}
