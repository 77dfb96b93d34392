/*
 * reqhead.h - the bytes of a request: its lines are checked and written.
 * Sends nothing and adds no header that the caller must sign.
 *
 * Threads: any.
 */
#ifndef DAEMON_HTTP_REQHEAD_H
#define DAEMON_HTTP_REQHEAD_H

struct http_request;
struct strbuf;

#define REQHEAD_MAX (64 * 1024)

/*
 * Initialise *ret and write head and body into it; it may hold signatures:
 * strbuf_wipe() it.  -EINVAL: what would not be one well-formed request;
 * -E2BIG: the head exceeds its bound; -ENOMEM.
 */
int reqhead_write(const struct http_request *req, struct strbuf *ret);

#endif
