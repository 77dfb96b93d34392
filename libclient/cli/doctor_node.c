/* What doctor asks this node's kernel. */
#include "libclient/cli/cli.h"
#include "libclient/cli/doctor.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#define ENOUGH_FILES	    4096u
#define UFFD_USER_MODE_ONLY 1

/* ---- source addresses -------------------------------------------------------------------- */

static bool is_address(const struct sockaddr *a, int family, const unsigned char want[16])
{
	if (a == NULL || a->sa_family != family)
		return false;
	if (family == AF_INET)
		return memcmp(&((const struct sockaddr_in *)(const void *)a)->sin_addr, want, 4) ==
		       0;
	return memcmp(&((const struct sockaddr_in6 *)(const void *)a)->sin6_addr, want, 16) == 0;
}

/* The entry of a literal; NULL: this node does not have it.  All of 127/8 is this node. */
static const struct ifaddrs *find_address(const struct ifaddrs *list, const char *text,
					  bool *ret_local)
{
	int family = strchr(text, ':') != NULL ? AF_INET6 : AF_INET;
	unsigned char want[16];

	*ret_local = false;
	if (inet_pton(family, text, want) != 1)
		return NULL;
	while (list != NULL && !is_address(list->ifa_addr, family, want))
		list = list->ifa_next;
	*ret_local = family == AF_INET && want[0] == 127;
	return list;
}

/* An address of the store, of that family. */
static bool find_store(int family, struct sockaddr_storage *ret)
{
	const struct addrinfo hints = { .ai_family = family, .ai_socktype = SOCK_STREAM };
	const char *endpoint = getenv("OSS_ENDPOINT"), *host;
	struct addrinfo *found;
	char name[256];

	if (endpoint == NULL || endpoint[0] == '\0')
		return false;
	host = strstr(endpoint, "://");
	host = host != NULL ? host + 3 : endpoint;
	if (host[0] == '[')
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(host + 1, "]"), host + 1);
	else
		snprintf(name, sizeof(name), "%.*s", (int)strcspn(host, ":/"), host);
	if (getaddrinfo(name, NULL, &hints, &found) != 0)
		return false;
	memcpy(ret, found->ai_addr, found->ai_addrlen);
	freeaddrinfo(found);
	return true;
}

/* The kernel chooses the card by the destination alone, unless a rule asks for the source. */
static void check_route(struct doctor *d, const char *text, const struct ifaddrs *own)
{
	struct sockaddr_storage store;
	char leaves_by[IF_NAMESIZE];
	unsigned card;

	if ((own->ifa_flags & IFF_LOOPBACK) == 0 && find_store(own->ifa_addr->sa_family, &store)) {
		card = doctor_card_towards(own->ifa_addr, (const struct sockaddr *)&store);
		if (card != 0 && card != if_nametoindex(own->ifa_name) &&
		    if_indextoname(card, leaves_by) != NULL) {
			finding(d, WARN, "source",
				"%s belongs to %s, but what it sends to the store leaves by %s: "
				"give it a route of its own (`ip rule add from %s table N`), see "
				"network.sourceIp in osscd.yaml(5)",
				text, own->ifa_name, leaves_by, text);
			return;
		}
	}
	finding(d, OK, "source", "%s, card %s", text, own->ifa_name);
}

void doctor_check_sources(struct doctor *d)
{
	const char *given = getenv("HTTP_SOURCE_IP");
	char *copy, *one, *save = NULL;
	const struct ifaddrs *own;
	struct ifaddrs *list;
	bool is_local = false;

	if (given == NULL || given[0] == '\0') {
		finding(d, OK, "source", "HTTP_SOURCE_IP is not set: the kernel chooses");
		return;
	}
	copy = strdup(given);
	if (copy == NULL || getifaddrs(&list) == -1) {
		finding(d, WARN, "source", "this node's addresses cannot be listed: %s",
			strerror(errno));
		free(copy);
		return;
	}
	for (one = strtok_r(copy, ", ", &save); one != NULL; one = strtok_r(NULL, ", ", &save)) {
		own = find_address(list, one, &is_local);
		if (own != NULL)
			check_route(d, one, own);
		else if (is_local)
			finding(d, OK, "source", "%s", one);
		else
			finding(d, FAIL, "source",
				"HTTP_SOURCE_IP names %s, which this node does not have: see `ip "
				"addr`",
				one);
	}
	freeifaddrs(list);
	free(copy);
}

/* ---- limits ------------------------------------------------------------------------------- */

void doctor_check_limits(struct doctor *d)
{
	struct rlimit files = { 0 }, locked = { 0 };
	char buf[32];

	getrlimit(RLIMIT_NOFILE, &files);
	getrlimit(RLIMIT_MEMLOCK, &locked);
	if (files.rlim_max < ENOUGH_FILES)
		finding(d, WARN, "descriptors",
			"at most %llu: a large model may need %u, see ulimit -Hn",
			(unsigned long long)files.rlim_max, ENOUGH_FILES);
	else
		finding(d, OK, "descriptors", "up to %llu", (unsigned long long)files.rlim_max);
	if (locked.rlim_cur == RLIM_INFINITY)
		finding(d, OK, "locked memory", "unlimited");
	else
		finding(d, OK, "locked memory",
			"%s; programs that lock a model in memory need more, see ulimit -l",
			human_bytes(locked.rlim_cur, buf));
}

void doctor_check_userfaultfd(struct doctor *d)
{
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0) {
		finding(d, OK, "userfaultfd", "allowed, for faults of the kernel too");
		close(fd);
		return;
	}
	fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);
	if (fd >= 0) {
		finding(d, OK, "userfaultfd",
			"for user-mode faults only: mmap fetches whole ranges first");
		close(fd);
		return;
	}
	finding(d, WARN, "userfaultfd",
		"refused (%s): mmap fetches whole ranges first; a seccomp profile that allows it "
		"makes mmap lazy",
		strerror(errno));
}

/* ---- memory --------------------------------------------------------------------------------- */

/* A number from a file of /proc or /sys; 0: none. */
static uint64_t number_in(const char *path, const char *label)
{
	char line[256];
	uint64_t n = 0;
	FILE *in = fopen(path, "re");

	while (in != NULL && n == 0 && fgets(line, sizeof(line), in) != NULL)
		if (strncmp(line, label, strlen(label)) == 0)
			n = strtoull(line + strlen(label), NULL, 10);
	if (in != NULL)
		fclose(in);
	return n;
}

void doctor_check_memory(struct doctor *d)
{
	uint64_t available = number_in("/proc/meminfo", "MemAvailable:") * 1024;
	uint64_t limit = number_in("/sys/fs/cgroup/memory.max", "");
	char buf[2][32];

	if (limit > 0 && limit < available)
		available = limit;
	if (d->cache_size == 0)
		finding(d, OK, "memory", "%s available", human_bytes(available, buf[0]));
	else if (d->cache_size > available)
		finding(d, WARN, "memory",
			"cache.size is %s and only %s are available: lower it, or leave it out",
			human_bytes(d->cache_size, buf[0]), human_bytes(available, buf[1]));
	else
		finding(d, OK, "memory", "%s available, the cache takes at most %s",
			human_bytes(available, buf[1]), human_bytes(d->cache_size, buf[0]));
}
