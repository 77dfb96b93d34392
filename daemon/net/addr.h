/*
 * addr.h - one IPv4 or IPv6 address with its port, as a plain value: from
 * text, to text, compared.  Resolves no names.
 *
 * Threads: any.
 */
#ifndef DAEMON_NET_ADDR_H
#define DAEMON_NET_ADDR_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

struct addr {
	union {
		struct sockaddr sa;
		struct sockaddr_in in;
		struct sockaddr_in6 in6;
	};
	socklen_t len;
};

/* "127.0.0.1:65535" or "[2001:db8::1%eth0]:443" with the NUL. */
#define ADDR_TEXT_LEN 80

/* A literal without port and brackets ("10.0.0.1", "::1", "fe80::1%eth0").  -EINVAL. */
int addr_parse(const char *text, struct addr *ret_addr);
bool addr_is_literal(const char *text);
void addr_set_port(struct addr *a, uint16_t port);
bool addr_equal(const struct addr *a, const struct addr *b);
/* With the port, IPv6 in brackets; a port of 0 is left out, and the brackets with it. */
const char *addr_text(const struct addr *a, char text[ADDR_TEXT_LEN]);

#endif
