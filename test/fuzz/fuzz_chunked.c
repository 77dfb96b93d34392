/*
 * Chunked bodies: the first byte says how the rest is cut; cut or in one piece,
 * the outcome is the same.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/http/chunked.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct outcome {
	char *body; /* of as many bytes as the input */
	size_t len;
	size_t used;
	int error;
	bool done;
};

static void decode(const char *in, size_t size, size_t step, struct outcome *o)
{
	struct chunked_piece piece;
	const char *why = NULL;
	struct chunked c;
	size_t end;

	chunked_init(&c);
	while (o->used < size && !chunked_is_done(&c)) {
		end = size - o->used > step ? o->used + step : size;
		while (o->used < end && !chunked_is_done(&c)) {
			o->error = chunked_feed(&c, in + o->used, end - o->used, &piece, &why);
			if (o->error != 0) {
				BUG_ON(why == NULL);
				return;
			}
			BUG_ON(piece.used == 0 || piece.used > end - o->used);
			BUG_ON(piece.len > piece.used || o->len + piece.len > size);
			memcpy(o->body + o->len, piece.bytes, piece.len);
			o->len += piece.len;
			o->used += piece.used;
		}
	}
	o->done = chunked_is_done(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *in = (const char *)data + 1;
	struct outcome whole = { 0 }, cut = { 0 };

	if (size < 2)
		return 0;
	whole.body = malloc(size);
	cut.body = malloc(size);
	if (whole.body != NULL && cut.body != NULL) {
		decode(in, size - 1, size, &whole);
		decode(in, size - 1, data[0] % 16 + 1u, &cut);
		BUG_ON(whole.error != cut.error || whole.done != cut.done);
		BUG_ON(whole.error == 0 && whole.used != cut.used);
		/* What came before an error may have been handed out in more pieces, not otherwise. */
		BUG_ON(whole.len > cut.len || memcmp(whole.body, cut.body, whole.len) != 0);
		BUG_ON(whole.error == 0 && whole.len != cut.len);
	}
	free(whole.body);
	free(cut.body);
	return 0;
}
