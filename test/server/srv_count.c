#include "test/server/srv_count.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#define SLOTS	  16384
#define NAMES_MAX 1000000

struct srv_tallies {
	pthread_mutex_t lock;
	struct srv_tally *slots[SRV_TALLY_KINDS][SLOTS];
	size_t nr[SRV_TALLY_KINDS];
};

static const char *const class_names[SRV_COUNT_CLASSES] = { "GET",  "HEAD",   "LIST", "PUT",
							    "POST", "DELETE", "OTHER" };

void srv_counts_init(struct srv_counts *c)
{
	memset(c, 0, sizeof(*c));
	c->tallies = srv_alloc(sizeof(*c->tallies));
	pthread_mutex_init(&c->tallies->lock, NULL);
}

void srv_counts_fini(struct srv_counts *c)
{
	struct srv_tally *t, *next;
	int kind, i;

	for (kind = 0; kind < SRV_TALLY_KINDS; kind++) {
		for (i = 0; i < SLOTS; i++) {
			for (t = c->tallies->slots[kind][i]; t != NULL; t = next) {
				next = t->next;
				free(t->name);
				free(t->ranges);
				free(t);
			}
		}
	}
	pthread_mutex_destroy(&c->tallies->lock);
	free(c->tallies);
	c->tallies = NULL;
}

void srv_counts_reset(struct srv_counts *c)
{
	struct srv_tally *t;
	int kind, i;

	for (i = 0; i < SRV_COUNT_CLASSES; i++)
		atomic_store(&c->requests[i], 0);
	atomic_store(&c->bytes, 0);
	atomic_store(&c->verified, 0);
	atomic_store(&c->refused, 0);
	atomic_store(&c->anonymous, 0);
	atomic_store(&c->faults, 0);
	atomic_store(&c->connections_total, 0);
	atomic_store(&c->peak_in_flight, atomic_load(&c->in_flight));
	pthread_mutex_lock(&c->tallies->lock);
	for (kind = 0; kind < SRV_TALLY_KINDS; kind++) {
		for (i = 0; i < SLOTS; i++) {
			for (t = c->tallies->slots[kind][i]; t != NULL; t = t->next) {
				atomic_store(&t->requests, 0);
				atomic_store(&t->bytes, 0);
				atomic_store(&t->connections, 0);
				t->nr_ranges = 0;
				t->lost_ranges = 0;
			}
		}
	}
	pthread_mutex_unlock(&c->tallies->lock);
}

static unsigned slot_of(const char *name, size_t len)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);
	size_t i;

	for (i = 0; i < len; i++)
		h = (h ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
	return (unsigned)((h ^ (h >> 32)) % SLOTS);
}

static struct srv_tally *find_locked(struct srv_counts *c, enum srv_tally_kind kind,
				     const char *name, size_t len)
{
	struct srv_tally *t = c->tallies->slots[kind][slot_of(name, len)];

	while (t != NULL && (t->name_len != len || memcmp(t->name, name, len) != 0))
		t = t->next;
	return t;
}

struct srv_tally *srv_counts_tally(struct srv_counts *c, enum srv_tally_kind kind, const char *name,
				   size_t name_len)
{
	struct srv_tally *t;
	unsigned slot;

	pthread_mutex_lock(&c->tallies->lock);
	t = find_locked(c, kind, name, name_len);
	if (t == NULL && c->tallies->nr[kind] >= NAMES_MAX) {
		name = "(others)";
		name_len = strlen(name);
		t = find_locked(c, kind, name, name_len);
	}
	if (t == NULL) {
		t = srv_alloc(sizeof(*t));
		t->name = srv_strndup(name, name_len);
		t->name_len = name_len;
		slot = slot_of(name, name_len);
		t->next = c->tallies->slots[kind][slot];
		c->tallies->slots[kind][slot] = t;
		c->tallies->nr[kind]++;
	}
	pthread_mutex_unlock(&c->tallies->lock);
	return t;
}

void srv_counts_range(struct srv_counts *c, struct srv_tally *key, uint64_t first, uint64_t last)
{
	pthread_mutex_lock(&c->tallies->lock);
	if (key->nr_ranges == SRV_RANGES_MAX) {
		key->lost_ranges++;
	} else {
		if (key->nr_ranges == key->cap_ranges) {
			key->cap_ranges = key->cap_ranges != 0 ? key->cap_ranges * 2 : 16;
			key->ranges = realloc(key->ranges,
					      key->cap_ranges * sizeof(struct srv_range_pair));
			if (key->ranges == NULL)
				abort();
		}
		key->ranges[key->nr_ranges].first = first;
		key->ranges[key->nr_ranges].last = last;
		key->nr_ranges++;
	}
	pthread_mutex_unlock(&c->tallies->lock);
}

void srv_counts_flight(struct srv_counts *c, int change)
{
	int64_t now = atomic_fetch_add(&c->in_flight, change) + change;
	int64_t peak = atomic_load(&c->peak_in_flight);

	while (now > peak && !atomic_compare_exchange_weak(&c->peak_in_flight, &peak, now))
		;
}

static uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static void tallies_json(struct srv_counts *c, struct srv_buf *out, enum srv_tally_kind kind)
{
	struct srv_tally *t;
	bool first = true;
	int i;

	srv_buf_char(out, '{');
	for (i = 0; i < SLOTS; i++) {
		for (t = c->tallies->slots[kind][i]; t != NULL; t = t->next) {
			if (get(&t->requests) == 0 && get(&t->connections) == 0)
				continue;
			if (!first)
				srv_buf_char(out, ',');
			first = false;
			srv_buf_json(out, t->name, t->name_len);
			srv_buf_fmt(out, ":{\"requests\":%llu,\"bytes\":%llu",
				    (unsigned long long)get(&t->requests),
				    (unsigned long long)get(&t->bytes));
			if (kind == SRV_TALLY_SOURCE)
				srv_buf_fmt(out, ",\"connections\":%llu",
					    (unsigned long long)get(&t->connections));
			srv_buf_char(out, '}');
		}
	}
	srv_buf_char(out, '}');
}

static double cpu_seconds(void)
{
	struct rusage u;

	getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6;
}

void srv_counts_json(struct srv_counts *c, struct srv_buf *out, bool with_connections)
{
	int i;

	srv_buf_str(out, "\"requests\":{");
	for (i = 0; i < SRV_COUNT_CLASSES; i++)
		srv_buf_fmt(out, "%s\"%s\":%llu", i > 0 ? "," : "", class_names[i],
			    (unsigned long long)get(&c->requests[i]));
	srv_buf_fmt(out, "},\"bytes\":%llu,\"by_key\":", (unsigned long long)get(&c->bytes));
	pthread_mutex_lock(&c->tallies->lock);
	tallies_json(c, out, SRV_TALLY_KEY);
	srv_buf_str(out, ",\"by_source\":");
	tallies_json(c, out, SRV_TALLY_SOURCE);
	if (with_connections) {
		srv_buf_str(out, ",\"by_connection\":");
		tallies_json(c, out, SRV_TALLY_CONNECTION);
	}
	pthread_mutex_unlock(&c->tallies->lock);
	srv_buf_fmt(out,
		    ",\"connections_now\":%lld,\"connections_total\":%llu,\"peak_in_flight\":%lld,"
		    "\"in_flight\":%lld,\"verified\":%llu,\"refused\":%llu,\"anonymous\":%llu,"
		    "\"faults\":%llu,\"cpu_seconds\":%.6f",
		    (long long)atomic_load(&c->connections_now),
		    (unsigned long long)get(&c->connections_total),
		    (long long)atomic_load(&c->peak_in_flight),
		    (long long)atomic_load(&c->in_flight), (unsigned long long)get(&c->verified),
		    (unsigned long long)get(&c->refused), (unsigned long long)get(&c->anonymous),
		    (unsigned long long)get(&c->faults), cpu_seconds());
}

bool srv_counts_key_json(struct srv_counts *c, struct srv_buf *out, const char *name, size_t len)
{
	struct srv_tally *t;
	size_t i;

	pthread_mutex_lock(&c->tallies->lock);
	t = find_locked(c, SRV_TALLY_KEY, name, len);
	srv_buf_fmt(out, "\"requests\":%llu,\"bytes\":%llu,\"ranges_lost\":%zu,\"ranges\":[",
		    (unsigned long long)(t != NULL ? get(&t->requests) : 0),
		    (unsigned long long)(t != NULL ? get(&t->bytes) : 0),
		    t != NULL ? t->lost_ranges : 0);
	for (i = 0; t != NULL && i < t->nr_ranges; i++)
		srv_buf_fmt(out, "%s[%llu,%llu]", i > 0 ? "," : "",
			    (unsigned long long)t->ranges[i].first,
			    (unsigned long long)t->ranges[i].last);
	srv_buf_char(out, ']');
	pthread_mutex_unlock(&c->tallies->lock);
	return t != NULL;
}
