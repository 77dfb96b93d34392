/*
 * remote.h - the addresses that one client has dialled: which of a name's
 * addresses is next (fewest connections first, those that fail left out for a
 * while).  Dials nothing.
 *
 * Threads: one.  Times are monotonic milliseconds.
 */
#ifndef DAEMON_NET_REMOTE_H
#define DAEMON_NET_REMOTE_H

#include <stddef.h>
#include <stdint.h>

struct addr;
struct remote;
struct remotes;

struct remotes *remotes_new(void);
/* Every remote was dropped. */
void remotes_free(struct remotes *rs);

/*
 * One of `addrs` (their ports are ignored) at `port`, of a family in `families`
 * (SOURCE_INET, SOURCE_INET6), with one more connection counted there.
 * NULL: none is of those families.
 */
struct remote *remotes_pick(struct remotes *rs, const struct addr *addrs, size_t nr, uint16_t port,
			    unsigned families, uint64_t now_ms);
/* That connection is gone. */
void remote_drop(struct remote *r);
const struct addr *remote_addr(const struct remote *r);
void remote_connected(struct remote *r);
void remote_failed(struct remote *r, uint64_t started_ms, uint64_t now_ms);

#endif
