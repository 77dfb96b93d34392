/*
 * srv_conn.h - one connection: reads requests, hands them to their operation, sends the replies.
 *
 *	HANDSHAKE --> HEAD --> BODY --> (PARKED) --> DELAY --> SEND --> HEAD ...
 *	                                                         \--> LINGER, STALL or the end
 *
 * Threads: belongs to the loop that it was given to; only that thread touches it.
 */
#ifndef TEST_SERVER_SRV_CONN_H
#define TEST_SERVER_SRV_CONN_H

#include "test/server/srv_intake.h"
#include "test/server/srv_store.h"

#include <openssl/types.h>
#include <sys/types.h>

struct srv_conn;

enum srv_conn_state {
	SRV_CONN_HANDSHAKE = 0, /* TLS is not yet up */
	SRV_CONN_HEAD,		/* waiting for the end of a request head */
	SRV_CONN_BODY,		/* the request's body flows into the intake */
	SRV_CONN_PARKED,	/* the operation waits for an object's checksum */
	SRV_CONN_DELAY,		/* the reply is ready, its time is not */
	SRV_CONN_SEND,		/* the reply goes out */
	SRV_CONN_DRAIN,		/* all is sent; wait until the peer's kernel has it, then reset */
	SRV_CONN_LINGER,	/* our side is closed; read until the peer closes too */
	SRV_CONN_STALL,		/* say nothing until the peer gives up */
	SRV_CONN_DEAD,
};

/* One operation of the protocol. */
struct srv_op {
	const char *name;
	enum srv_count_class count;
	enum srv_intake_kind intake;
	bool writes; /* not for anonymous clients */
	void (*run)(struct srv_conn *c);
};

struct srv_reply {
	int status;
	struct srv_buf fields;	   /* what the operation adds to the head */
	struct srv_buf text;	   /* the body, if it is in memory */
	struct srv_object *object; /* the body, if it is of an object */
	uint64_t first;
	uint64_t length; /* of the body that goes with the status */
	bool no_body;	 /* HEAD, 204, 304: length is told, nothing follows */
	bool close;
	bool has_type;
};

enum srv_out_end {
	SRV_OUT_KEEP = 0,
	SRV_OUT_CLOSE,
	SRV_OUT_RESET,
	SRV_OUT_STALL,
};

/* The reply on its way. */
struct srv_out {
	struct srv_buf head;
	size_t head_at;
	uint64_t at;   /* body bytes sent */
	uint64_t real; /* of which so many are true, the rest is overlong */
	uint64_t stop; /* where to end */
	enum srv_out_end end;
	int fd;
	const char *pending; /* in memory, next to send */
	size_t pending_len;
	char *scratch; /* SRV_SCRATCH bytes, made when first needed */
	struct srv_bucket_level level;
};

struct srv_conn {
	struct srv_store *store;
	struct srv_loop *loop;
	struct srv_conn *prev; /* all of the loop */
	struct srv_conn *next;
	struct srv_conn *next_ready;
	bool is_ready;
	int fd;
	SSL *ssl;
	uint64_t id;
	char source[64];
	struct srv_tally *source_tally;
	struct srv_tally *conn_tally;
	enum srv_conn_state state;
	bool hung_up;	  /* the peer has closed its side */
	uint64_t wake_ns; /* run again then; 0: no timer */
	uint64_t nr_requests;
	bool in_flight;
	bool limited; /* between srv_limits_begin() and _end() */
	bool counted; /* has asked for more than controls */
	struct srv_buf in;
	size_t in_at;

	/* The request at hand. */
	struct srv_req req;
	struct srv_verdict verdict;
	struct srv_intake intake;
	struct srv_plan plan;
	const struct srv_op *op;
	enum srv_error_id error; /* known before the body came */
	struct srv_error_detail detail;
	char request_id[32];
	char endpoint[128]; /* behind detail.endpoint */
	uint64_t started_ns;
	struct srv_tally *key_tally;
	struct srv_object *parked_on;
	struct srv_reply reply;
	struct srv_out out;
};

/* Takes the descriptor.  The loop calls srv_conn_run() then. */
struct srv_conn *srv_conn_new(struct srv_store *s, struct srv_loop *l, int fd, bool tls);
void srv_conn_free(struct srv_conn *c);

/* Goes on as far as possible.  False: it is over, free it. */
bool srv_conn_run(struct srv_conn *c);

/* Wait until the object's checksum is known; the operation runs again then. */
void srv_conn_park(struct srv_conn *c, struct srv_object *o);

/* recv and send through TLS or not; as the system calls, with -EAGAIN and the like. */
ssize_t srv_conn_recv(struct srv_conn *c, void *p, size_t n);
ssize_t srv_conn_send(struct srv_conn *c, const void *p, size_t n, bool more);

#endif
