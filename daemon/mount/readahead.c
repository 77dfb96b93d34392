#include "daemon/mount/readahead.h"

#include <stddef.h>

uint32_t readahead_most(uint64_t cache_size, unsigned chunk_shift)
{
	uint64_t most = (cache_size >> chunk_shift) / 8;

	return most < READAHEAD_MOST ? (uint32_t)most : READAHEAD_MOST;
}

/* The stream that `chunk` continues: at its place, or anywhere in its window. */
static struct readahead_stream *find(struct readahead *ra, uint32_t chunk)
{
	int i;

	for (i = 0; i < READAHEAD_STREAMS; i++) {
		struct readahead_stream *s = &ra->streams[i];

		if (s->window != 0 && chunk >= s->at && chunk <= s->end)
			return s;
	}
	return NULL;
}

static struct readahead_stream *oldest(struct readahead *ra)
{
	struct readahead_stream *s = &ra->streams[0];
	int i;

	for (i = 1; i < READAHEAD_STREAMS; i++)
		if (ra->clock - ra->streams[i].used > ra->clock - s->used)
			s = &ra->streams[i];
	return s;
}

/* Ask for what the window covers beyond what was asked for before. */
static struct readahead_range extend(struct readahead_stream *s, uint32_t nr_chunks)
{
	struct readahead_range range = { s->end, s->end };
	uint64_t end = (uint64_t)s->at + 1 + s->window;

	if (range.first < s->at + 1)
		range.first = range.end = s->at + 1;
	if (end > nr_chunks)
		end = nr_chunks;
	if (end > range.first) {
		range.end = (uint32_t)end;
		s->end = range.end;
	}
	return range;
}

struct readahead_range readahead_access(struct readahead *ra, uint32_t chunk, uint32_t nr_chunks,
					uint32_t most)
{
	struct readahead_stream *s;

	if (ra->random || most == 0 || chunk >= nr_chunks)
		return (struct readahead_range){ 0, 0 };
	ra->clock++;
	s = find(ra, chunk);
	if (s == NULL) {
		/* The head of a file is often read on; a jump elsewhere says nothing yet. */
		s = oldest(ra);
		*s = (struct readahead_stream){
			.at = chunk,
			.end = chunk + 1,
			.window = chunk == 0 ? READAHEAD_FIRST : READAHEAD_FIRST / 2,
			.used = ra->clock,
		};
		if (chunk != 0 && !ra->sequential)
			return (struct readahead_range){ 0, 0 };
	} else if (chunk > s->at) {
		s->at = chunk;
		s->window *= 2;
	}
	s->used = ra->clock;
	if (ra->sequential)
		s->window = READAHEAD_MOST;
	if (s->window > most)
		s->window = most;
	return extend(s, nr_chunks);
}
