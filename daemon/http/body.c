#include "daemon/http/body.h"

#include <errno.h>
#include <stddef.h>

#include "daemon/http/response.h"
#include "daemon/http/sink.h"
#include "daemon/http/transit.h"

#define TURNS_MAX 64 /* in one go: a chunked body may be nearly all framing */

static int drop_write(struct sink *s, const void *buf, size_t len)
{
	(void)s;
	(void)buf;
	(void)len;
	return 0;
}

static const struct sink_ops drop_ops = { .write = drop_write };
static struct sink drop_sink = { .ops = &drop_ops };

void body_init(struct body *b, const struct http_response *res, struct sink *sink)
{
	*b = (struct body){ .framing = BODY_CLOSE, .sink = sink };
	if (res->chunked) {
		b->framing = BODY_CHUNKED;
		chunked_init(&b->chunked);
	} else if (res->length >= 0) {
		b->framing = BODY_LENGTH;
		b->length = (uint64_t)res->length;
	}
}

static struct sink *target(struct body *b)
{
	return b->sink != NULL ? b->sink : &drop_sink;
}

/* Of a body with a known end, or one that the server ends by closing. */
static int move_plain(struct body *b, struct transit *t, struct stream *s, uint64_t max,
		      struct body_fault *ret_fault)
{
	struct transit_step step;
	int r;

	r = transit_move(t, s, target(b), max, &step);
	b->taken += step.taken;
	ret_fault->refused = step.refused;
	if (r != 0)
		return r > 0 ? BODY_AGAIN : r;
	return b->framing == BODY_CLOSE ? BODY_DONE : -ECONNRESET;
}

static int move_chunked(struct body *b, struct transit *t, struct stream *s, uint64_t max,
			struct body_fault *ret_fault)
{
	struct chunked_piece piece;
	const char *bytes;
	size_t left;
	ssize_t n;
	int r;

	n = transit_receive(t, s, max, &bytes);
	if (n <= 0)
		return n == 0 ? -ECONNRESET : (int)n;
	for (left = (size_t)n; left > 0 && !chunked_is_done(&b->chunked); left -= piece.used) {
		r = chunked_feed(&b->chunked, bytes, left, &piece, &ret_fault->why);
		if (r != 0)
			return r;
		bytes += piece.used;
		if (piece.len == 0)
			continue;
		r = target(b)->ops->write(target(b), piece.bytes, piece.len);
		if (r != 0) {
			ret_fault->refused = true;
			return r;
		}
		b->taken += piece.len;
	}
	if (!chunked_is_done(&b->chunked))
		return BODY_AGAIN;
	b->is_clean = left == 0;
	return BODY_DONE;
}

int body_move(struct body *b, struct transit *t, struct stream *s, struct body_fault *ret_fault)
{
	uint64_t stop = b->taken + BODY_BUDGET, max;
	int turns = TURNS_MAX;
	int r = BODY_AGAIN;

	*ret_fault = (struct body_fault){ .refused = false };
	for (;;) {
		/* Also after the last byte: nothing more will come to wake anybody. */
		if (b->framing == BODY_LENGTH && b->taken == b->length) {
			b->is_clean = true;
			return BODY_DONE;
		}
		/* Nobody wants it, and it does not end: let the caller close. */
		if (b->sink == NULL && b->taken > BODY_DROP_MAX)
			return BODY_DONE;
		if (r != BODY_AGAIN || b->taken >= stop || turns-- == 0)
			return r;
		max = stop - b->taken;
		if (b->framing == BODY_LENGTH && b->length - b->taken < max)
			max = b->length - b->taken;
		if (b->framing == BODY_CHUNKED)
			r = move_chunked(b, t, s, max, ret_fault);
		else
			r = move_plain(b, t, s, max, ret_fault);
	}
}
