/*
 * srv_route.h - what a request is: verified or refused, which operation, what a fault makes of it.
 */
#ifndef TEST_SERVER_SRV_ROUTE_H
#define TEST_SERVER_SRV_ROUTE_H

#include "test/server/srv_conn.h"

/*
 * A head lies complete at the front of c->in.  Fills the request and starts its intake.
 * Returns false if the connection must end without a word (close_before_head).
 */
bool srv_route_begin(struct srv_conn *c, size_t head_len);
/* The body is complete: run the operation, or write the error that was found before. */
void srv_route_run(struct srv_conn *c);
/* The reply has gone (or never will): count and forget the request. */
void srv_route_end(struct srv_conn *c);

#endif
