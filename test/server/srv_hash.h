/*
 * srv_hash.h - one thread that finds the checksums of objects, so that no loop has to.  Objects that
 * a request waits for go first.
 */
#ifndef TEST_SERVER_SRV_HASH_H
#define TEST_SERVER_SRV_HASH_H

#include "test/server/srv_object.h"

struct srv_store;
struct srv_hasher;

struct srv_hasher *srv_hasher_new(struct srv_store *s);
/* Ends the thread; what is added from then on stays undone. */
void srv_hasher_stop(struct srv_hasher *h);
void srv_hasher_free(struct srv_hasher *h);
/* Takes a reference of its own.  All loops are woken when it is done. */
void srv_hasher_add(struct srv_hasher *h, struct srv_object *o, bool urgent);
/* Queue every object of the index whose checksum is not known. */
void srv_hasher_add_all(struct srv_hasher *h);
/* How many are queued or at work. */
uint64_t srv_hasher_pending(struct srv_hasher *h);

#endif
