#include "daemon/net/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>

static int parse_in6(const char *text, struct addr *ret_addr)
{
	struct addr a = { .in6 = { .sin6_family = AF_INET6 }, .len = sizeof(a.in6) };
	const char *zone = strchr(text, '%');
	char plain[INET6_ADDRSTRLEN];
	size_t len = zone != NULL ? (size_t)(zone - text) : strlen(text);

	if (len >= sizeof(plain))
		return -EINVAL;
	memcpy(plain, text, len);
	plain[len] = '\0';
	if (inet_pton(AF_INET6, plain, &a.in6.sin6_addr) != 1)
		return -EINVAL;
	if (zone != NULL) {
		a.in6.sin6_scope_id = if_nametoindex(zone + 1);
		if (a.in6.sin6_scope_id == 0)
			return -EINVAL;
	}
	*ret_addr = a;
	return 0;
}

int addr_parse(const char *text, struct addr *ret_addr)
{
	struct addr a = { .in = { .sin_family = AF_INET }, .len = sizeof(a.in) };

	if (strchr(text, ':') != NULL)
		return parse_in6(text, ret_addr);
	if (inet_pton(AF_INET, text, &a.in.sin_addr) != 1)
		return -EINVAL;
	*ret_addr = a;
	return 0;
}

bool addr_is_literal(const char *text)
{
	struct addr a;

	return addr_parse(text, &a) == 0;
}

void addr_set_port(struct addr *a, uint16_t port)
{
	if (a->sa.sa_family == AF_INET)
		a->in.sin_port = htons(port);
	else
		a->in6.sin6_port = htons(port);
}

bool addr_equal(const struct addr *a, const struct addr *b)
{
	if (a->sa.sa_family != b->sa.sa_family)
		return false;
	if (a->sa.sa_family == AF_INET)
		return a->in.sin_port == b->in.sin_port &&
		       a->in.sin_addr.s_addr == b->in.sin_addr.s_addr;
	return a->in6.sin6_port == b->in6.sin6_port &&
	       a->in6.sin6_scope_id == b->in6.sin6_scope_id &&
	       memcmp(&a->in6.sin6_addr, &b->in6.sin6_addr, sizeof(a->in6.sin6_addr)) == 0;
}

const char *addr_text(const struct addr *a, char text[ADDR_TEXT_LEN])
{
	char plain[INET6_ADDRSTRLEN] = "?", name[IF_NAMESIZE], zone[IF_NAMESIZE + 1] = "";
	bool is_in6 = a->sa.sa_family == AF_INET6;
	unsigned port = ntohs(is_in6 ? a->in6.sin6_port : a->in.sin_port);

	if (is_in6)
		inet_ntop(AF_INET6, &a->in6.sin6_addr, plain, sizeof(plain));
	else
		inet_ntop(AF_INET, &a->in.sin_addr, plain, sizeof(plain));
	if (is_in6 && a->in6.sin6_scope_id != 0 &&
	    if_indextoname(a->in6.sin6_scope_id, name) != NULL)
		snprintf(zone, sizeof(zone), "%%%s", name);
	if (port == 0)
		snprintf(text, ADDR_TEXT_LEN, "%s%s", plain, zone);
	else
		snprintf(text, ADDR_TEXT_LEN, is_in6 ? "[%s%s]:%u" : "%s%s:%u", plain, zone, port);
	return text;
}
