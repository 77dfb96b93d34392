/*
 * source.h - the local addresses that connections leave from (HTTP_SOURCE_IP):
 * which to use next, how each is doing, and how much it carried.  Opens no
 * connection itself.
 *
 * Threads: any.  A set is shared by all workers: counted references, atomics.
 * Times are monotonic milliseconds and given by the caller.
 */
#ifndef DAEMON_NET_SOURCE_H
#define DAEMON_NET_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct source_set;

#define SOURCE_MAX 64 /* addresses in one set */

/*
 * "10.0.0.1, 10.0.0.2": IPv4 or IPv6 literals, blanks around them ignored.
 * NULL or an empty list gives NULL: let the kernel choose.
 * -EINVAL: not an address, an empty entry, or twice the same; -E2BIG: too many;
 * -EADDRNOTAVAIL: the node does not have it; each with one sentence in err.
 */
int source_set_parse(const char *list, struct source_set **ret_set, char *err, size_t err_len);
struct source_set *source_set_ref(struct source_set *set); /* NULL stays NULL */
void source_set_unref(struct source_set *set);		   /* NULL is fine */

unsigned source_set_count(const struct source_set *set);

struct source_stats {
	char address[80];     /* ADDR_TEXT_LEN */
	unsigned in_flight;   /* connections in use now */
	uint64_t connections; /* opened so far */
	uint64_t bytes;	      /* body bytes received */
	uint64_t errors;      /* failed connects and broken exchanges */
	bool is_out;	      /* its last connect failed: it is left out, or on trial */
	uint64_t out_ms;      /* until one connection may try it; 0: at any time */
};
void source_stats(const struct source_set *set, unsigned index, uint64_t now_ms,
		  struct source_stats *ret);

/* ---- for those who connect ----------------------------------------------------- */

#define SOURCE_INET  1u
#define SOURCE_INET6 2u
/* The families that the set has addresses of. */
unsigned source_families(const struct source_set *set);
/*
 * Take the address of that family with the fewest connections in flight and
 * count one more there.  One that failed is left out for 1 s, doubling up to
 * 30 s, and then tried by one connection; when all are out, the one that
 * failed least is taken.  -EADDRNOTAVAIL: the set has none of the family.
 */
int source_pick(struct source_set *set, unsigned family, uint64_t now_ms, unsigned *ret_index);
/* One more, or one less, connection in flight: an idle connection counts for nothing. */
void source_hold(struct source_set *set, unsigned index);
void source_drop(struct source_set *set, unsigned index);
unsigned source_load(const struct source_set *set, unsigned index);
/* The smallest load of an address that is not left out. */
unsigned source_least_load(const struct source_set *set, unsigned families, uint64_t now_ms);

/* Its last connect failed. */
bool source_has_failed(const struct source_set *set, unsigned index);
/* How the connect that source_pick() was for ended; started_ms: when it was picked. */
void source_connected(struct source_set *set, unsigned index);
void source_failed(struct source_set *set, unsigned index, uint64_t started_ms, uint64_t now_ms);
/* An exchange broke, or a connect failed for no fault of the address: counted, nothing else. */
void source_count_error(struct source_set *set, unsigned index);
void source_count_bytes(struct source_set *set, unsigned index, uint64_t bytes);

const struct sockaddr *source_addr(const struct source_set *set, unsigned index,
				   socklen_t *ret_len);
const char *source_text(const struct source_set *set, unsigned index);

#endif
