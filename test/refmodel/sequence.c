/*
 * sequence.c - drawing, reading and printing steps.
 *
 * A step depends on the seed, its actor and its number only, never on what happened
 * before it: so a sequence can be drawn again after the process is dead.
 */
#include "test/refmodel/refmodel.h"

#include <err.h>
#include <stdlib.h>
#include <string.h>

uint64_t mix(uint64_t x)
{
	x += 0x9e3779b97f4a7c15ull;
	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ull;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebull;
	return x ^ (x >> 31);
}

const struct op *op_find(const char *name)
{
	unsigned i;

	for (i = 0; i < op_count; i++)
		if (strcmp(op_table[i].name, name) == 0)
			return &op_table[i];
	return NULL;
}

static const char *only; /* names with commas around them; NULL: all operations */

void sequence_only(const char *names)
{
	only = names;
}

static unsigned weight_of(const struct op *op)
{
	char name[64];

	snprintf(name, sizeof(name), ",%s,", op->name);
	return only == NULL || strstr(only, name) != NULL ? op->weight : 0;
}

static const struct op *draw_op(uint64_t number)
{
	static unsigned total;
	unsigned i, at;

	if (total == 0)
		for (i = 0; i < op_count; i++)
			total += weight_of(&op_table[i]);
	if (total == 0)
		errx(2, "there are no such operations");
	at = (unsigned)(number % total);
	for (i = 0; at >= weight_of(&op_table[i]); i++)
		at -= weight_of(&op_table[i]);
	return &op_table[i];
}

void sequence_add(struct sequence *s, const struct step *step)
{
	if ((s->nr & (s->nr - 1)) == 0) {
		uint32_t room = s->nr == 0 ? 1 : s->nr * 2;

		s->steps = realloc(s->steps, room * sizeof(*s->steps));
		if (s->steps == NULL)
			abort();
	}
	s->steps[s->nr++] = *step;
}

void sequence_draw(struct sequence *s, uint64_t seed, int actor, unsigned actors, uint32_t nr)
{
	unsigned t, k;
	uint32_t i;

	*s = (struct sequence){ 0 };
	for (t = 0; t < actors; t++) {
		if (actor >= 0 && t != (unsigned)actor)
			continue;
		for (i = 0; i < nr; i++) {
			uint64_t x = mix(seed ^ mix((uint64_t)t << 40 | i));
			struct step step = { .op = draw_op(x), .actor = t };

			for (k = 0; k < NR_ARGS; k++) {
				x = mix(x);
				step.arg[k] = (uint32_t)(x >> 16);
			}
			sequence_add(s, &step);
		}
	}
}

void step_text(const struct step *step, char *buf, size_t len)
{
	int n = snprintf(buf, len, "%u %s", step->actor, step->op->name);
	unsigned k, last = NR_ARGS;

	while (last > 0 && step->arg[last - 1] == 0)
		last--;
	for (k = 0; k < last && n > 0 && (size_t)n < len; k++)
		n += snprintf(buf + n, len - (size_t)n, " %u", step->arg[k]);
}

void sequence_print(const struct sequence *s, FILE *out)
{
	char text[256];
	uint32_t i;

	for (i = 0; i < s->nr; i++) {
		step_text(&s->steps[i], text, sizeof(text));
		fprintf(out, "%s\n", text);
	}
}

/* "ACTOR NAME NUMBER…" a line; empty lines and those that begin with # mean nothing. */
bool sequence_load(struct sequence *s, const char *path)
{
	FILE *f = fopen(path, "re");
	char line[512], name[64];
	int n;

	*s = (struct sequence){ 0 };
	if (f == NULL)
		return false;
	while (fgets(line, sizeof(line), f) != NULL) {
		struct step step = { 0 };
		char *rest = line;
		unsigned k;

		if (line[0] == '#' || line[0] == '\n')
			continue;
		if (sscanf(line, "%u %63s%n", &step.actor, name, &n) != 2 ||
		    step.actor >= MAX_ACTORS || (step.op = op_find(name)) == NULL) {
			fprintf(stderr, "refmodel: %s: not a step: %s", path, line);
			fclose(f);
			return false;
		}
		rest += n;
		for (k = 0; k < NR_ARGS; k++)
			step.arg[k] = (uint32_t)strtoul(rest, &rest, 10);
		sequence_add(s, &step);
	}
	fclose(f);
	return true;
}

void sequence_free(struct sequence *s)
{
	free(s->steps);
	*s = (struct sequence){ 0 };
}
