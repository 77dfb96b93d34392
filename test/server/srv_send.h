/*
 * srv_send.h - putting a reply on the wire: sendfile where the bytes lie in a file, a buffer where
 * they must be made, changed or encrypted.
 */
#ifndef TEST_SERVER_SRV_SEND_H
#define TEST_SERVER_SRV_SEND_H

#include "test/server/srv_conn.h"

#define SRV_SCRATCH (256u << 10)

/*
 * Sends until the socket is full, a limit says wait (c->wake_ns), or this connection has had its
 * turn.  1: all is sent.  0: more to come.  Negative errno: the peer is gone.
 */
int srv_send_step(struct srv_conn *c);
/* How many bytes the kernel still holds for the peer. */
int srv_send_unsent(const struct srv_conn *c);

#endif
