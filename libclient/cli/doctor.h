/*
 * doctor.h - findings about the node: for cmd_doctor.c.  Each check prints one
 * line or more: ok, warn or fail, and what to do.
 */
#ifndef LIBCLIENT_CLI_DOCTOR_H
#define LIBCLIENT_CLI_DOCTOR_H

#include <stdint.h>

struct sockaddr;

enum verdict {
	OK = 0,
	WARN,
	FAIL,
};

struct doctor {
	unsigned nr_fails;
	uint64_t cache_size; /* of the daemon; 0: not known */
};

void finding(struct doctor *d, enum verdict verdict, const char *what, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

void doctor_check_sources(struct doctor *d);	 /* HTTP_SOURCE_IP on this node */
void doctor_check_limits(struct doctor *d);	 /* descriptors, locked memory */
void doctor_check_userfaultfd(struct doctor *d); /* for lazy mmap */
void doctor_check_memory(struct doctor *d);	 /* against the cache's size */

/* The index of the card that packets between the two leave by; 0: unknown. */
unsigned doctor_card_towards(const struct sockaddr *from, const struct sockaddr *to);

#endif
