#include "daemon/http/chunked.h"

#include <errno.h>
#include <stdint.h>

#define DIGITS_MAX 15 /* of a chunk's size: beyond that it is no size but an attack */

void chunked_init(struct chunked *c)
{
	*c = (struct chunked){ .state = CHUNKED_SIZE };
}

bool chunked_is_done(const struct chunked *c)
{
	return c->state == CHUNKED_END;
}

static int hex_value(char ch)
{
	if (ch >= '0' && ch <= '9')
		return ch - '0';
	if (ch >= 'a' && ch <= 'f')
		return ch - 'a' + 10;
	if (ch >= 'A' && ch <= 'F')
		return ch - 'A' + 10;
	return -1;
}

static bool is_control(char ch)
{
	return ((unsigned char)ch < 0x20 && ch != '\t') || ch == 0x7f;
}

/* A character behind the digits of a size line, or the first that is no digit. */
static const char *feed_extension(struct chunked *c, char ch)
{
	if (ch == '\r')
		c->state = CHUNKED_SIZE_LF;
	else if (is_control(ch))
		return "control characters in a chunk's size line";
	else if (c->state == CHUNKED_SIZE && ch != ';' && ch != ' ' && ch != '\t')
		return "a chunk's size is not a hexadecimal number";
	else
		c->state = CHUNKED_EXTENSION;
	return NULL;
}

static const char *feed_size(struct chunked *c, char ch)
{
	int digit = hex_value(ch);

	if (digit >= 0) {
		if (++c->nr_digits > DIGITS_MAX)
			return "a chunk's size is too large";
		c->size = c->size << 4 | (unsigned)digit;
		return NULL;
	}
	if (c->nr_digits == 0)
		return "a chunk has no size";
	return feed_extension(c, ch);
}

static const char *feed_trailer(struct chunked *c, char ch)
{
	if (c->state == CHUNKED_LINE && ch == '\r')
		c->state = CHUNKED_LAST_LF;
	else if (c->state == CHUNKED_LINE && (ch == ' ' || ch == '\t'))
		return "a folded trailer line";
	else if (ch == '\r')
		c->state = CHUNKED_TRAILER_LF;
	else if (is_control(ch))
		return "control characters behind the last chunk";
	else
		c->state = CHUNKED_TRAILER;
	return NULL;
}

static const char *expect(struct chunked *c, char ch, char wanted, enum chunked_state next)
{
	if (ch != wanted)
		return "a line of the chunks' framing does not end in CR LF";
	c->state = next;
	return NULL;
}

/* One character of framing. */
static const char *feed_char(struct chunked *c, char ch)
{
	const char *why = NULL;

	switch (c->state) {
	case CHUNKED_SIZE:
		why = feed_size(c, ch);
		break;
	case CHUNKED_EXTENSION:
		why = feed_extension(c, ch);
		break;
	case CHUNKED_SIZE_LF:
		why = expect(c, ch, '\n', c->size > 0 ? CHUNKED_BYTES : CHUNKED_LINE);
		break;
	case CHUNKED_BYTES_CR:
		why = expect(c, ch, '\r', CHUNKED_BYTES_LF);
		break;
	case CHUNKED_BYTES_LF:
		c->size = 0;
		c->nr_digits = 0;
		c->line_len = 0;
		why = expect(c, ch, '\n', CHUNKED_SIZE);
		break;
	case CHUNKED_LINE:
	case CHUNKED_TRAILER:
		why = feed_trailer(c, ch);
		break;
	case CHUNKED_TRAILER_LF:
		why = expect(c, ch, '\n', CHUNKED_LINE);
		break;
	case CHUNKED_LAST_LF:
		why = expect(c, ch, '\n', CHUNKED_END);
		break;
	case CHUNKED_BYTES:
	case CHUNKED_END:
		break;
	}
	return why;
}

/* Framing counts against its bounds. */
static const char *count_framing(struct chunked *c)
{
	if (c->state == CHUNKED_SIZE || c->state == CHUNKED_EXTENSION) {
		if (++c->line_len > CHUNKED_LINE_MAX)
			return "a chunk's size line is too long";
	} else if (c->state >= CHUNKED_LINE) {
		if (++c->trailer_len > CHUNKED_TRAILER_MAX)
			return "too much behind the last chunk";
	}
	return NULL;
}

int chunked_feed(struct chunked *c, const char *in, size_t len, struct chunked_piece *ret,
		 const char **ret_why)
{
	struct chunked_piece piece = { .bytes = in };
	const char *why;

	while (piece.used < len && c->state != CHUNKED_END) {
		if (c->state == CHUNKED_BYTES) {
			piece.bytes = in + piece.used;
			piece.len = len - piece.used < c->size ? len - piece.used : c->size;
			piece.used += piece.len;
			c->size -= piece.len;
			if (c->size == 0)
				c->state = CHUNKED_BYTES_CR;
			break;
		}
		why = count_framing(c);
		if (why == NULL)
			why = feed_char(c, in[piece.used]);
		if (why != NULL) {
			*ret_why = why;
			return -EPROTO;
		}
		piece.used++;
	}
	*ret = piece;
	return 0;
}
