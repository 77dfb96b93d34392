/*
 * resolve.h - names to addresses: literals, the hosts file, then DNS (A and
 * AAAA), remembered for as long as the answer allows, within bounds.  Opens no
 * connection and prefers no address.
 *
 * The callback runs exactly once, always from the event loop, never from
 * inside resolve_start(); after resolve_cancel() it does not run at all.
 *
 * Threads: call only on the worker that owns the event_base.
 */
#ifndef DAEMON_NET_RESOLVE_H
#define DAEMON_NET_RESOLVE_H

#include <stddef.h>
#include <stdint.h>

struct addr;
struct event_base;
struct resolver;
struct resolve;

#define RESOLVE_MAX 32 /* addresses of one name; more are not used */

struct resolver_conf {
	const char *hosts_file;	 /* NULL: /etc/hosts */
	const char *resolv_conf; /* NULL: /etc/resolv.conf; read again when it changes */
	unsigned timeout_ms;	 /* of one question to DNS, with its repetitions; 0: 10 s */
};

/*
 * error 0: `nr` addresses without ports (1..RESOLVE_MAX), valid inside the callback.
 * Otherwise -ENOENT (no such name), -EINVAL (not a name) or -ETIMEDOUT (DNS is silent or
 * failing), and `text` says so in words that begin with the name.
 */
typedef void resolve_cb(int error, const struct addr *addrs, size_t nr, const char *text,
			void *arg);

int resolver_new(struct event_base *base, const struct resolver_conf *conf,
		 struct resolver **ret_resolver);
/* Every resolve must have ended or been cancelled. */
void resolver_free(struct resolver *rs);

int resolve_start(struct resolver *rs, const char *host, resolve_cb *on_done, void *arg,
		  struct resolve **ret_resolve);
void resolve_cancel(struct resolve *r);
/* Forget what is known of a name: none of its addresses answers. */
void resolver_forget(struct resolver *rs, const char *host);

#endif
