/*
 * response.h - the head of an HTTP/1.1 response: found, checked strictly, and
 * what it says about the body.  Reads no body and no socket.
 *
 * Threads: one at a time for each response.
 */
#ifndef DAEMON_HTTP_RESPONSE_H
#define DAEMON_HTTP_RESPONSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RESPONSE_HEAD_MAX   (64 * 1024) /* bytes of all heads of one response, 1xx included */
#define RESPONSE_FIELDS_MAX 256

struct response_field {
	const char *name;
	const char *value; /* without blanks around it */
};

struct http_response {
	int status;	 /* 100..599 */
	bool keep_alive; /* the connection may serve again, if the body ends by itself */
	bool chunked;
	int64_t length; /* Content-Length; -1: none */
	struct response_field *fields;
	unsigned nr_fields;
};

/*
 * The length of the head that begins at `buf`, its empty line included; 0 when
 * it has not ended yet.  *scan, 0 at first, remembers how far was looked.
 */
size_t response_find_end(const char *buf, size_t len, size_t *scan);

/*
 * Take apart a whole head of `len` bytes.  The text is changed in place and must live as long
 * as *ret.  0, -ENOMEM, or -EPROTO with the reason in *ret_why (a constant string).
 */
int response_parse(char *buf, size_t len, struct http_response *ret, const char **ret_why);
void response_fini(struct http_response *res); /* the text is not freed */

/* Is there a body at all, to a request that was, or was not, HEAD? */
bool response_has_body(const struct http_response *res, bool was_head);

#endif
