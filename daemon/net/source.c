#include "daemon/net/source.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/xalloc.h"
#include "daemon/net/addr.h"
#include "daemon/net/penalty.h"

/* A cache line each: workers count here all the time. */
struct source {
	struct addr addr;
	char text[ADDR_TEXT_LEN];
	struct penalty penalty;
	_Atomic unsigned in_flight;
	_Atomic uint64_t connections;
	_Atomic uint64_t bytes;
	_Atomic uint64_t errors;
} __attribute__((aligned(64)));

struct source_set {
	_Atomic unsigned refs;
	_Atomic unsigned turn; /* who is asked first among equals */
	unsigned nr;
	struct source source[SOURCE_MAX];
};

/* Can a socket be bound to it?  That is what having an address means. */
static int check_owned(const struct addr *a)
{
	int fd, r = 0;

	fd = socket(a->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd == -1)
		return -errno;
	if (bind(fd, &a->sa, a->len) == -1)
		r = -errno;
	close(fd);
	return r;
}

static int add_entry(struct source_set *set, const char *text, char *err, size_t err_len)
{
	struct source *s = &set->source[set->nr];
	unsigned i;
	int r;

	if (*text == '\0') {
		snprintf(err, err_len, "entry %u of the source addresses is empty", set->nr + 1);
		return -EINVAL;
	}
	if (set->nr == SOURCE_MAX) {
		snprintf(err, err_len, "more than %d source addresses", SOURCE_MAX);
		return -E2BIG;
	}
	if (addr_parse(text, &s->addr) != 0) {
		snprintf(err, err_len,
			 "source address \"%.64s\" is not an IPv4 or IPv6 address; give literals "
			 "separated by commas",
			 text);
		return -EINVAL;
	}
	addr_text(&s->addr, s->text);
	for (i = 0; i < set->nr; i++) {
		if (!addr_equal(&set->source[i].addr, &s->addr))
			continue;
		snprintf(err, err_len, "source address %s is given twice", s->text);
		return -EINVAL;
	}
	r = check_owned(&s->addr);
	if (r == -EADDRNOTAVAIL || r == -EAFNOSUPPORT) {
		snprintf(err, err_len,
			 "source address %s does not belong to this node; see `ip addr` for those "
			 "that do",
			 s->text);
		return -EADDRNOTAVAIL;
	}
	if (r != 0) {
		snprintf(err, err_len, "source address %s cannot be used: %s", s->text,
			 strerror(-r));
		return r;
	}
	set->nr++;
	return 0;
}

static char *trim(char *s)
{
	size_t len;

	s += strspn(s, " \t\r\n");
	len = strlen(s);
	while (len > 0 && strchr(" \t\r\n", s[len - 1]) != NULL)
		s[--len] = '\0';
	return s;
}

int source_set_parse(const char *list, struct source_set **ret_set, char *err, size_t err_len)
{
	struct source_set *set;
	char *copy, *rest, *entry;
	int r = 0;

	if (list == NULL || list[strspn(list, " \t\r\n")] == '\0') {
		*ret_set = NULL;
		return 0;
	}
	set = aligned_alloc(_Alignof(struct source_set), sizeof(*set));
	if (set == NULL) {
		snprintf(err, err_len, "out of memory");
		return -ENOMEM;
	}
	memset(set, 0, sizeof(*set));
	atomic_init(&set->refs, 1);
	copy = xstrdup(list);
	rest = copy;
	while (r == 0 && (entry = strsep(&rest, ",")) != NULL)
		r = add_entry(set, trim(entry), err, err_len);
	free(copy);
	if (r != 0) {
		free(set);
		return r;
	}
	*ret_set = set;
	return 0;
}

struct source_set *source_set_ref(struct source_set *set)
{
	if (set != NULL)
		atomic_fetch_add_explicit(&set->refs, 1, memory_order_relaxed);
	return set;
}

void source_set_unref(struct source_set *set)
{
	/* Acquire and release: what others did to the set happened before it goes. */
	if (set != NULL && atomic_fetch_sub_explicit(&set->refs, 1, memory_order_acq_rel) == 1)
		free(set);
}

unsigned source_set_count(const struct source_set *set)
{
	return set->nr;
}

static unsigned family_bit(const struct source *s)
{
	return s->addr.sa.sa_family == AF_INET ? SOURCE_INET : SOURCE_INET6;
}

unsigned source_families(const struct source_set *set)
{
	unsigned i, families = 0;

	for (i = 0; i < set->nr; i++)
		families |= family_bit(&set->source[i]);
	return families;
}

unsigned source_load(const struct source_set *set, unsigned index)
{
	return atomic_load_explicit(&set->source[index].in_flight, memory_order_relaxed);
}

/* Is `a` with load `a_load` to be preferred to `b`? */
static bool is_better(const struct source *a, unsigned a_load, const struct source *b,
		      unsigned b_load, uint64_t now_ms)
{
	bool a_out = penalty_is_out(&a->penalty, now_ms);
	bool b_out = penalty_is_out(&b->penalty, now_ms);

	if (a_out != b_out)
		return b_out;
	if (a_out && penalty_streak(&a->penalty) != penalty_streak(&b->penalty))
		return penalty_streak(&a->penalty) < penalty_streak(&b->penalty);
	return a_load < b_load;
}

void source_hold(struct source_set *set, unsigned index)
{
	atomic_fetch_add_explicit(&set->source[index].in_flight, 1, memory_order_relaxed);
}

void source_drop(struct source_set *set, unsigned index)
{
	unsigned before;

	before = atomic_fetch_sub_explicit(&set->source[index].in_flight, 1, memory_order_relaxed);
	BUG_ON(before == 0);
}

int source_pick(struct source_set *set, unsigned family, uint64_t now_ms, unsigned *ret_index)
{
	unsigned turn = atomic_fetch_add_explicit(&set->turn, 1, memory_order_relaxed);
	unsigned i, index, load, best, best_load;

	for (;;) {
		best = set->nr;
		best_load = 0;
		for (i = 0; i < set->nr; i++) {
			index = (turn + i) % set->nr;
			if (family_bit(&set->source[index]) != family)
				continue;
			load = source_load(set, index);
			if (best == set->nr || is_better(&set->source[index], load,
							 &set->source[best], best_load, now_ms)) {
				best = index;
				best_load = load;
			}
		}
		if (best == set->nr)
			return -EADDRNOTAVAIL;
		if (!atomic_compare_exchange_strong_explicit(
			    &set->source[best].in_flight, &best_load, best_load + 1,
			    memory_order_relaxed, memory_order_relaxed))
			continue;
		if (penalty_is_out(&set->source[best].penalty, now_ms) ||
		    penalty_claim(&set->source[best].penalty, now_ms))
			break;
		/* Somebody else took the only trial of a failed address: look again. */
		source_drop(set, best);
	}
	*ret_index = best;
	return 0;
}

unsigned source_least_load(const struct source_set *set, unsigned families, uint64_t now_ms)
{
	unsigned i, load, least = UINT32_MAX;

	for (i = 0; i < set->nr; i++) {
		if ((family_bit(&set->source[i]) & families) == 0 ||
		    penalty_is_out(&set->source[i].penalty, now_ms))
			continue;
		load = source_load(set, i);
		if (load < least)
			least = load;
	}
	return least;
}

bool source_has_failed(const struct source_set *set, unsigned index)
{
	return penalty_streak(&set->source[index].penalty) != 0;
}

void source_connected(struct source_set *set, unsigned index)
{
	atomic_fetch_add_explicit(&set->source[index].connections, 1, memory_order_relaxed);
	penalty_clear(&set->source[index].penalty);
}

void source_failed(struct source_set *set, unsigned index, uint64_t started_ms, uint64_t now_ms)
{
	source_count_error(set, index);
	penalty_add(&set->source[index].penalty, started_ms, now_ms);
}

void source_count_error(struct source_set *set, unsigned index)
{
	atomic_fetch_add_explicit(&set->source[index].errors, 1, memory_order_relaxed);
}

void source_count_bytes(struct source_set *set, unsigned index, uint64_t bytes)
{
	atomic_fetch_add_explicit(&set->source[index].bytes, bytes, memory_order_relaxed);
}

const struct sockaddr *source_addr(const struct source_set *set, unsigned index, socklen_t *ret_len)
{
	*ret_len = set->source[index].addr.len;
	return &set->source[index].addr.sa;
}

const char *source_text(const struct source_set *set, unsigned index)
{
	return set->source[index].text;
}

void source_stats(const struct source_set *set, unsigned index, uint64_t now_ms,
		  struct source_stats *ret)
{
	const struct source *s = &set->source[index];

	static_assert(sizeof(ret->address) == ADDR_TEXT_LEN, "an address fits");
	snprintf(ret->address, sizeof(ret->address), "%s", s->text);
	ret->in_flight = source_load(set, index);
	ret->connections = atomic_load_explicit(&s->connections, memory_order_relaxed);
	ret->bytes = atomic_load_explicit(&s->bytes, memory_order_relaxed);
	ret->errors = atomic_load_explicit(&s->errors, memory_order_relaxed);
	ret->is_out = source_has_failed(set, index);
	ret->out_ms = penalty_left_ms(&s->penalty, now_ms);
}
