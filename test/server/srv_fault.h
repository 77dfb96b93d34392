/*
 * srv_fault.h - misbehaviour on request: rules that match requests, and the plan that a matched
 * request is answered by.  Any thread may call; with no rule set a request pays one atomic load.
 */
#ifndef TEST_SERVER_SRV_FAULT_H
#define TEST_SERVER_SRV_FAULT_H

#include "test/server/srv_json.h"

#include <stdint.h>

enum srv_plan_body {
	SRV_PLAN_XML = 0,
	SRV_PLAN_NO_BODY,
	SRV_PLAN_HTML,
};

/* How one answer shall go wrong.  Offsets count bytes of the body that is sent; -1: not. */
struct srv_plan {
	int status; /* answer with this error; 0: no */
	char code[64];
	enum srv_plan_body body;
	int qos_ms; /* x-oss-qos-delay-time; -1: as the error has it */
	char location[256];
	bool close_before_head;
	bool by_reset; /* close with RST rather than FIN */
	int64_t reset_at;
	int64_t truncate_at;
	int64_t stall_at;
	int64_t flip_at; /* offset in the object */
	uint64_t overlong;
	bool overlong_declared; /* Content-Length says so too */
	int64_t length_change;	/* of Content-Length alone */
	uint64_t drip;		/* bytes a second */
	unsigned delay_ms;
	bool as_200;
	bool wrong_range;
	bool other_etag;
	bool gzip;
	bool no_crc;
	bool wrong_crc;
};

/* What a rule is compared with. */
struct srv_fault_request {
	const char *method; /* GET, HEAD, LIST, ... */
	const char *target; /* bucket/key, or bucket */
	const char *source; /* address of the client */
	bool reused;	    /* not the first request of its connection */
	/* The part of the object that is asked for, for flip. */
	uint64_t first;
	uint64_t last;
};

struct srv_faults;

struct srv_faults *srv_faults_new(void);
void srv_faults_free(struct srv_faults *f);
void srv_faults_clear(struct srv_faults *f);
/* NULL, or what is wrong with the rule. */
const char *srv_faults_add(struct srv_faults *f, const struct srv_json *rule);

void srv_plan_init(struct srv_plan *p);
/* Adds what the matching rules say.  True if any did. */
bool srv_faults_plan(struct srv_faults *f, const struct srv_fault_request *r, struct srv_plan *p);

#endif
