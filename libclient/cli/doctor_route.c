/* By which card would packets from this address leave?  The kernel's answer, over netlink. */
#include "libclient/cli/doctor.h"

#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct question {
	struct nlmsghdr head;
	struct rtmsg route;
	char attributes[64];
};

static size_t bytes_of(const struct sockaddr *a, const void **ret_bytes)
{
	if (a->sa_family == AF_INET) {
		*ret_bytes = &((const struct sockaddr_in *)(const void *)a)->sin_addr;
		return sizeof(struct in_addr);
	}
	*ret_bytes = &((const struct sockaddr_in6 *)(const void *)a)->sin6_addr;
	return sizeof(struct in6_addr);
}

static void add_address(struct question *q, unsigned short type, const struct sockaddr *a)
{
	struct rtattr *at = (struct rtattr *)(void *)((char *)q + NLMSG_ALIGN(q->head.nlmsg_len));
	const void *bytes;
	size_t len = bytes_of(a, &bytes);

	at->rta_type = type;
	at->rta_len = (unsigned short)RTA_LENGTH(len);
	memcpy(RTA_DATA(at), bytes, len);
	q->head.nlmsg_len = NLMSG_ALIGN(q->head.nlmsg_len) + RTA_ALIGN(at->rta_len);
}

static unsigned card_in(const struct nlmsghdr *answer, size_t len)
{
	const struct rtattr *at;
	unsigned card = 0;
	size_t left;

	if (!NLMSG_OK(answer, len) || answer->nlmsg_type != RTM_NEWROUTE)
		return 0;
	at = RTM_RTA((struct rtmsg *)NLMSG_DATA(answer));
	left = RTM_PAYLOAD(answer);
	for (; RTA_OK(at, left); at = RTA_NEXT(at, left))
		if (at->rta_type == RTA_OIF && at->rta_len == RTA_LENGTH(sizeof(card)))
			memcpy(&card, RTA_DATA(at), sizeof(card));
	return card;
}

unsigned doctor_card_towards(const struct sockaddr *from, const struct sockaddr *to)
{
	struct question q = {
		.head = { .nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg)),
			  .nlmsg_type = RTM_GETROUTE,
			  .nlmsg_flags = NLM_F_REQUEST },
		.route = { .rtm_family = (unsigned char)from->sa_family },
	};
	_Alignas(struct nlmsghdr) char answer[2048];
	const void *bytes;
	ssize_t n = -1;
	int fd;

	q.route.rtm_src_len = q.route.rtm_dst_len = (unsigned char)(8 * bytes_of(from, &bytes));
	add_address(&q, RTA_DST, to);
	add_address(&q, RTA_SRC, from);
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd == -1)
		return 0;
	if (send(fd, &q, q.head.nlmsg_len, 0) != -1)
		n = recv(fd, answer, sizeof(answer), 0);
	close(fd);
	return n > 0 ? card_in((const struct nlmsghdr *)(void *)answer, (size_t)n) : 0;
}
