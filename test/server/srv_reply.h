/*
 * srv_reply.h - building the answer: errors, documents, object bodies, and the head in front.
 */
#ifndef TEST_SERVER_SRV_REPLY_H
#define TEST_SERVER_SRV_REPLY_H

#include "test/server/srv_conn.h"

void srv_reply_reset(struct srv_reply *r);
void srv_reply_fini(struct srv_reply *r);

/* One more header line. */
void srv_reply_field(struct srv_conn *c, const char *name, const char *value);
void srv_reply_field_u64(struct srv_conn *c, const char *name, uint64_t value);

void srv_reply_error(struct srv_conn *c, enum srv_error_id id);
/* By what a fault asks for. */
void srv_reply_fault(struct srv_conn *c);
/* Status and no body. */
void srv_reply_empty(struct srv_conn *c, int status);
/* c->reply.text is the XML document. */
void srv_reply_xml(struct srv_conn *c, int status);
/* Bytes [first, first + length) of the object; takes a reference. */
void srv_reply_object(struct srv_conn *c, int status, struct srv_object *o, uint64_t first,
		      uint64_t length);

/* Make c->out from c->reply and c->plan. */
void srv_reply_finish(struct srv_conn *c);

#endif
