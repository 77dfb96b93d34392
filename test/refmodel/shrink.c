/*
 * shrink.c - a failed sequence, made as short as it can be while it still fails:
 * first one actor's alone, then pieces of it are left out, large ones first.
 */
#include "test/refmodel/refmodel.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define STALL_S	   30
#define MOST_LINES 300
#define NR_TRIES   3 /* where threads race, one run without a difference says little */

struct hunt {
	unsigned actors;
	bool threads;
	time_t end;
	unsigned runs;
	char words[sizeof(board->words)]; /* of the last run that failed */
};

static bool fails(struct hunt *h, const struct sequence *s)
{
	unsigned i;

	for (i = 0; i < (h->threads ? NR_TRIES : 1u); i++) {
		h->runs++;
		if (run_watched(s, h->actors, h->threads, STALL_S) == 1) {
			memcpy(h->words, board->words, sizeof(h->words));
			return true;
		}
	}
	return false;
}

static bool time_left(const struct hunt *h)
{
	return time(NULL) < h->end;
}

static struct sequence without(const struct sequence *s, uint32_t from, uint32_t nr)
{
	struct sequence r = { 0 };
	uint32_t i;

	for (i = 0; i < s->nr; i++)
		if (i < from || i >= from + nr)
			sequence_add(&r, &s->steps[i]);
	return r;
}

static void drop_pieces(struct hunt *h, struct sequence *s)
{
	uint32_t size = s->nr / 2, at;

	while (size > 0 && time_left(h)) {
		bool any = false;

		for (at = 0; at < s->nr && time_left(h);) {
			struct sequence less = without(s, at, size);

			if (less.nr > 0 && fails(h, &less)) {
				sequence_free(s);
				*s = less;
				any = true;
			} else {
				sequence_free(&less);
				at += size;
			}
		}
		if (!any || size > 1)
			size /= 2;
	}
}

static void drop_numbers(struct hunt *h, struct sequence *s)
{
	uint32_t i;
	unsigned k;

	for (i = 0; i < s->nr; i++)
		for (k = NR_ARGS; k-- > 0 && time_left(h);) {
			uint32_t before = s->steps[i].arg[k];

			if (before == 0)
				continue;
			s->steps[i].arg[k] = 0;
			if (!fails(h, s))
				s->steps[i].arg[k] = before;
		}
}

/* The steps of one actor, or of all, up to where each was. */
static struct sequence part(const struct sequence *s, int actor, const uint32_t *until)
{
	struct sequence r = { 0 };
	uint32_t i;

	for (i = 0; i < s->nr; i++)
		if ((actor < 0 || s->steps[i].actor == (unsigned)actor) &&
		    i <= until[s->steps[i].actor])
			sequence_add(&r, &s->steps[i]);
	return r;
}

static bool find_start(struct hunt *h, const struct sequence *failed, unsigned differs,
		       const uint32_t *until, struct sequence *ret)
{
	unsigned i;

	for (i = 0; i < h->actors; i++) {
		unsigned actor = (differs + i) % h->actors;

		*ret = part(failed, (int)actor, until);
		if (ret->nr > 0 && fails(h, ret))
			return true;
		sequence_free(ret);
		if (differs > 0 || !time_left(h))
			break; /* it is known whose it was */
	}
	h->threads = true;
	*ret = part(failed, -1, until);
	if (fails(h, ret))
		return true;
	sequence_free(ret);
	return false;
}

int shrink(const struct sequence *failed, unsigned actors, unsigned seconds)
{
	struct hunt h = { .actors = actors, .end = time(NULL) + (time_t)seconds };
	unsigned differs = board->differs > 0 ? board->differs - 1 : 0;
	uint32_t until[MAX_ACTORS];
	struct sequence s;

	memcpy(until, board->step_number, sizeof(until));
	if (board->differs > 0)
		until[differs] = board->differs_at;
	if (!find_start(&h, failed, differs, until, &s)) {
		printf("refmodel: it did not come again in %u runs: the whole sequence is drawn "
		       "from the seed\n",
		       h.runs);
		return 1;
	}
	drop_pieces(&h, &s);
	drop_numbers(&h, &s);
	printf("refmodel: a shortened sequence of %u operations, for --replay%s (%u runs):\n", s.nr,
	       h.threads ? " with --threads" : "", h.runs);
	if (s.nr <= MOST_LINES)
		sequence_print(&s, stdout);
	else
		printf("(too long to print: --print gives the whole one)\n");
	printf("refmodel: its difference: %s\n", h.words);
	sequence_free(&s);
	return 0;
}
