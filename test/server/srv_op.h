/*
 * srv_op.h - the operations, one function each.  A request is verified and its body complete when
 * its operation runs; it fills c->reply, or parks the connection to be run once more.
 */
#ifndef TEST_SERVER_SRV_OP_H
#define TEST_SERVER_SRV_OP_H

#include "test/server/srv_conn.h"

void srv_op_get(struct srv_conn *c);	     /* GET and HEAD of an object */
void srv_op_object_meta(struct srv_conn *c); /* HEAD or GET ?objectMeta */
void srv_op_put(struct srv_conn *c);
void srv_op_delete(struct srv_conn *c);
void srv_op_restore(struct srv_conn *c);

void srv_op_list(struct srv_conn *c); /* both versions */

void srv_op_service(struct srv_conn *c); /* the list of buckets */
void srv_op_bucket_head(struct srv_conn *c);
void srv_op_bucket_put(struct srv_conn *c);
void srv_op_bucket_delete(struct srv_conn *c);
void srv_op_bucket_describe(struct srv_conn *c); /* ?bucketInfo */
void srv_op_bucket_location(struct srv_conn *c);
void srv_op_delete_many(struct srv_conn *c);

void srv_op_upload_begin(struct srv_conn *c);
void srv_op_upload_part(struct srv_conn *c);
void srv_op_upload_complete(struct srv_conn *c);
void srv_op_upload_abort(struct srv_conn *c);
void srv_op_upload_parts(struct srv_conn *c); /* list the parts of one upload */
void srv_op_uploads(struct srv_conn *c);      /* list the uploads of a bucket */

void srv_op_control(struct srv_conn *c);     /* everything under /.ctl/ */
void srv_op_control_put(struct srv_conn *c); /* PUT /.ctl/put: an object without the protocol */
void srv_op_refuse(struct srv_conn *c);	     /* what is not built */

/* ---- shared by those that take or tell of objects ---- */

/* Is what came what the client signed and summed?  False: the error reply is written. */
bool srv_op_check_body(struct srv_conn *c);
/* The body has come: make it the object of that name.  NULL: it could not be kept. */
struct srv_object *srv_op_store(struct srv_conn *c, const char *bucket, struct srv_object *o);
/* A new object with the metadata that the request's headers give it. */
struct srv_object *srv_op_new_object(const struct srv_conn *c);
/* The header or query pair of names that both dialects have; NULL: neither is there. */
const char *srv_op_field(const struct srv_conn *c, const char *oss, const char *s3);
/* ETag and checksum lines of an object. */
void srv_op_etag(struct srv_conn *c, const char *etag);
void srv_op_crc(struct srv_conn *c, const struct srv_object *o);

#endif
