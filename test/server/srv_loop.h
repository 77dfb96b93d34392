/*
 * srv_loop.h - the threads: one epoll each.  Loop 0 also listens and deals connections out in turn.
 */
#ifndef TEST_SERVER_SRV_LOOP_H
#define TEST_SERVER_SRV_LOOP_H

#include "test/server/srv_conn.h"

/* Makes the loops; the listening sockets (and whether they speak TLS) go to loop 0. */
int srv_loops_start(struct srv_store *s, const int *listeners, const bool *tls, size_t nr);
void srv_loops_stop(struct srv_store *s);

/* Run the connection again soon, after the others had their turn. */
void srv_loop_again(struct srv_conn *c);

/* Wake all loops to look at their parked connections.  Any thread. */
void srv_loops_wake(struct srv_store *s);

#endif
