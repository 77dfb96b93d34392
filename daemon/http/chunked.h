/*
 * chunked.h - take the framing off a chunked body, wherever the input is cut.
 * Holds no bytes: it points into what it was given.
 *
 * Threads: one at a time.
 */
#ifndef DAEMON_HTTP_CHUNKED_H
#define DAEMON_HTTP_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CHUNKED_LINE_MAX    4096	/* a size line, with its extensions */
#define CHUNKED_TRAILER_MAX (16 * 1024) /* what follows the last chunk */

enum chunked_state {
	CHUNKED_SIZE = 0,   /* at the digits of a size line */
	CHUNKED_EXTENSION,  /* behind them, up to the CR */
	CHUNKED_SIZE_LF,    /* the size line's LF */
	CHUNKED_BYTES,	    /* in a chunk */
	CHUNKED_BYTES_CR,   /* behind a chunk */
	CHUNKED_BYTES_LF,   /* the same */
	CHUNKED_LINE,	    /* at the beginning of a trailer line */
	CHUNKED_TRAILER,    /* inside a trailer line */
	CHUNKED_TRAILER_LF, /* a trailer line's LF */
	CHUNKED_LAST_LF,    /* the LF that ends everything */
	CHUNKED_END,
};

struct chunked {
	enum chunked_state state;
	uint64_t size; /* of this chunk; while in it: what is left of it */
	unsigned nr_digits;
	size_t line_len; /* of the size line so far */
	size_t trailer_len;
};

struct chunked_piece {
	size_t used;	   /* bytes of the input that are dealt with */
	const char *bytes; /* of the body, inside what was used */
	size_t len;	   /* may be 0 */
};

void chunked_init(struct chunked *c);
/*
 * Deal with some of the input: at most one piece of body.  Call again with the
 * rest until all is used or chunked_is_done().  0, or -EPROTO with the reason
 * in *ret_why (a constant string).
 */
int chunked_feed(struct chunked *c, const char *in, size_t len, struct chunked_piece *ret,
		 const char **ret_why);
bool chunked_is_done(const struct chunked *c);

#endif
