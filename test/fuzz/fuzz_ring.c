/*
 * Ring memory.  A session with one open file; the input is a sequence of
 * entries and of raw writes into the shared memory, each followed by a kick.
 */
#include "test/unit/session_fixture.h"

#include "daemon/base/log.h"

#define STEPS_MAX 64

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

/* One step: either a submission as a client makes it, or a word anywhere in the memory. */
struct step {
	uint8_t kind;
	uint8_t op, flags, touch;
	uint32_t object, chunk, arg;
	uint64_t token;
};
static_assert(sizeof(struct step) == 24, "whole steps");

/* The rings' indices are where it hurts: half of the raw writes go there. */
static void write_word(struct client *c, const struct step *st)
{
	char *mem = (char *)c->mem;
	size_t at = st->chunk % (sizeof(*c->mem) / 4) * 4;

	if ((st->flags & 1) != 0)
		at = st->chunk % (offsetof(struct wire_session, submissions) / 4) * 4;
	memcpy(mem + at, &st->arg, sizeof(st->arg));
}

static void step(struct client *c, const struct step *st)
{
	uint32_t slot = 0;

	if (st->kind % 4 == 3) {
		write_word(c, st);
	} else if (st->kind % 4 == 2) {
		slot = c->mem->touch_tail++ % WIRE_NR_TOUCHES;
		c->mem->touches[slot] = (uint64_t)(st->object % 4) << 32 | st->chunk % 8;
	} else if (ring_reserve(&c->submit, &slot) == 0) {
		c->mem->submissions[slot] = (struct wire_submission){
			.op = st->op % 4,
			.flags = st->flags,
			.object = st->kind % 4 == 0 ? st->object % 4 : st->object,
			.chunk = st->kind % 4 == 0 ? st->chunk % 4 : st->chunk,
			.arg = st->arg,
			.token = st->token,
		};
		(void)ring_publish(&c->submit);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct step st;
	struct fixture *f;
	unsigned i, k;

	log_set_level(LOG_LEVEL_ERROR);
	f = fixture_new();
	if (client_hello(f) != 0 || ask_mount(f, "oss://bucket/", "", "", 0) != 0 ||
	    ask_open(f, 1, "file") != 0)
		abort();
	for (i = 0; i < STEPS_MAX && len >= sizeof(st); i++) {
		memcpy(&st, bytes, sizeof(st));
		bytes += sizeof(st);
		len -= sizeof(st);
		step(&f->c, &st);
		client_kick(&f->c);
		for (k = 0; k < 4; k++)
			event_base_loop(f->base, EVLOOP_NONBLOCK);
		if (sessions_count(f->ss) == 0)
			break;
	}
	fixture_free(f);
	return 0;
}
