/* The daemon's side of the rings: nothing that a client writes there is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/session/ringsvc.h"

struct fixture {
	struct wire_session *mem;
	struct ringsvc rs;
	struct ring client_submit, client_complete;
	struct wire_submission seen[2048];
	unsigned nr_seen;
	uint32_t touched_object[8192], touched_chunk[8192];
	unsigned nr_touched;
	int answer; /* what the submission callback returns */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->mem = aligned_alloc(64, sizeof(*f->mem));
	memset(f->mem, 0, sizeof(*f->mem));
	ringsvc_init(&f->rs, f->mem);
	ring_init(&f->client_submit, &f->mem->submit, WIRE_NR_SUBMISSIONS);
	ring_init(&f->client_complete, &f->mem->complete, WIRE_NR_COMPLETIONS);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	ringsvc_fini(&f->rs);
	free(f->mem);
	free(f);
	return 0;
}

static int note(const struct wire_submission *e, void *arg)
{
	struct fixture *f = arg;

	f->seen[f->nr_seen++] = *e;
	return f->answer;
}

static void note_touch(uint32_t object, uint32_t chunk, void *arg)
{
	struct fixture *f = arg;

	f->touched_object[f->nr_touched] = object;
	f->touched_chunk[f->nr_touched++] = chunk;
}

/* As a client does it.  True: it would kick. */
static bool submit(struct fixture *f, uint32_t chunk)
{
	uint32_t slot = 0;

	assert_int_equal(ring_reserve(&f->client_submit, &slot), 0);
	f->mem->submissions[slot] =
		(struct wire_submission){ .op = WIRE_OP_FETCH, .object = 7, .chunk = chunk };
	return ring_publish(&f->client_submit);
}

static void touch(struct fixture *f, uint32_t object, uint32_t chunk)
{
	uint32_t at = f->mem->touch_tail++;

	f->mem->touches[at % WIRE_NR_TOUCHES] = (uint64_t)object << 32 | (chunk + 1);
}

static void test_the_first_submission_kicks_and_the_next_do_not(void **state)
{
	struct fixture *f = *state;

	assert_true(submit(f, 1));
	assert_int_equal(ringsvc_drain(&f->rs, 0, note, f), 1);
	assert_false(submit(f, 2)); /* the daemon is at it */
	assert_int_equal(ringsvc_drain(&f->rs, 100, note, f), 0);
	assert_int_equal(f->nr_seen, 2);
	assert_int_equal(f->seen[0].chunk, 1);
	assert_int_equal(f->seen[1].chunk, 2);
	assert_true(submit(f, 3));
}

static void test_a_budget_leaves_the_rest_for_later(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 10; i++)
		submit(f, i);
	assert_int_equal(ringsvc_drain(&f->rs, 4, note, f), 1);
	assert_int_equal(f->nr_seen, 4);
	assert_int_equal(ringsvc_drain(&f->rs, 6, note, f), 0);
	assert_int_equal(f->nr_seen, 10);
}

static void test_entries_come_through_a_ring_that_has_wrapped(void **state)
{
	struct fixture *f = *state;
	unsigned turn, i;

	for (turn = 0; turn < 5; turn++) {
		f->nr_seen = 0;
		for (i = 0; i < WIRE_NR_SUBMISSIONS; i++)
			submit(f, turn * 10000 + i);
		assert_int_equal(ringsvc_drain(&f->rs, 2000, note, f), 0);
		assert_int_equal(f->nr_seen, WIRE_NR_SUBMISSIONS);
		assert_int_equal(f->seen[WIRE_NR_SUBMISSIONS - 1].chunk,
				 turn * 10000 + WIRE_NR_SUBMISSIONS - 1);
	}
}

static void test_a_tail_out_of_range_is_a_protocol_error(void **state)
{
	static const uint32_t tails[] = { WIRE_NR_SUBMISSIONS + 1, 0x80000000u, UINT32_MAX };
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
		f->mem->submit.tail = tails[i];
		assert_int_equal(ringsvc_drain(&f->rs, 100, note, f), -EPROTO);
	}
	assert_int_equal(f->nr_seen, 0);
}

static void test_a_tail_that_moves_back_is_a_protocol_error(void **state)
{
	struct fixture *f = *state;

	submit(f, 1);
	assert_int_equal(ringsvc_drain(&f->rs, 100, note, f), 0);
	f->mem->submit.tail = 0;
	assert_int_equal(ringsvc_drain(&f->rs, 100, note, f), -EPROTO);
}

static void test_what_the_client_does_to_the_head_is_not_read(void **state)
{
	struct fixture *f = *state;

	submit(f, 1);
	submit(f, 2);
	f->mem->submit.head = 77;
	assert_int_equal(ringsvc_drain(&f->rs, 100, note, f), 0);
	assert_int_equal(f->nr_seen, 2);
	assert_int_equal(f->mem->submit.head, 2);
}

static int scribble(const struct wire_submission *e, void *arg)
{
	struct fixture *f = arg;

	memset(f->mem->submissions, 0xff, sizeof(f->mem->submissions));
	return note(e, arg);
}

static void test_an_entry_is_judged_in_a_copy(void **state)
{
	struct fixture *f = *state;

	submit(f, 5);
	assert_int_equal(ringsvc_drain(&f->rs, 100, scribble, f), 0);
	assert_int_equal(f->seen[0].chunk, 5);
}

static void test_what_the_callback_says_ends_the_drain(void **state)
{
	struct fixture *f = *state;

	submit(f, 1);
	submit(f, 2);
	f->answer = -EOPNOTSUPP;
	assert_int_equal(ringsvc_drain(&f->rs, 100, note, f), -EOPNOTSUPP);
	assert_int_equal(f->nr_seen, 1);
}

static unsigned drain_touches(struct fixture *f)
{
	return ringsvc_drain_touches(&f->rs, f->mem->touch_tail, note_touch, f);
}

static void test_touches_arrive_once(void **state)
{
	struct fixture *f = *state;

	touch(f, 3, 0);
	touch(f, 3, UINT32_MAX - 1);
	assert_int_equal(drain_touches(f), 2);
	assert_int_equal(f->touched_object[0], 3);
	assert_int_equal(f->touched_chunk[0], 0);
	assert_int_equal(f->touched_chunk[1], UINT32_MAX - 1);
	assert_int_equal(drain_touches(f), 0);
}

/* What is submitted before a touch is met before it: the later touch waits for the next time. */
static void test_a_touch_after_the_look_stays(void **state)
{
	struct fixture *f = *state;
	uint32_t end;

	touch(f, 3, 1);
	end = ringsvc_peek_touches(&f->rs, note_touch, f);
	assert_int_equal(f->nr_touched, 1);
	touch(f, 3, 2);
	assert_int_equal(ringsvc_drain_touches(&f->rs, end, note_touch, f), 1);
	assert_int_equal(f->touched_chunk[1], 1);
	assert_true(ringsvc_has_touches(&f->rs));
	assert_int_equal(drain_touches(f), 1);
	assert_int_equal(f->touched_chunk[2], 2);
	assert_false(ringsvc_has_touches(&f->rs));
}

static void test_a_touch_that_is_not_written_yet_is_passed_over(void **state)
{
	struct fixture *f = *state;

	f->mem->touch_tail++; /* a slot taken, nothing in it */
	touch(f, 4, 9);
	assert_int_equal(drain_touches(f), 1);
	assert_int_equal(f->touched_chunk[0], 9);
}

static void test_a_log_that_overflowed_gives_its_newest(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < WIRE_NR_TOUCHES + 100; i++)
		touch(f, 1, i);
	assert_int_equal(drain_touches(f), WIRE_NR_TOUCHES);
	assert_int_equal(f->touched_chunk[0], 100);
	f->mem->touch_tail += UINT32_MAX / 2; /* nonsense is bounded, too */
	assert_int_equal(drain_touches(f), 0);
	assert_int_equal(f->nr_touched, WIRE_NR_TOUCHES);
}

static void test_one_sleep_gets_one_signal(void **state)
{
	struct fixture *f = *state;
	const struct wire_completion c = { .token = 1 };
	uint32_t slot = 0;

	assert_int_equal(ringsvc_complete(&f->rs, &c), 0); /* the client is awake */
	assert_int_equal(ring_peek(&f->client_complete, &slot), 0);
	ring_consumed(&f->client_complete);
	assert_false(ring_sleep(&f->client_complete));
	assert_int_equal(ringsvc_complete(&f->rs, &c), 1);
	assert_int_equal(ringsvc_complete(&f->rs, &c), 0);
}

static void test_completions_that_find_no_room_wait_in_order(void **state)
{
	struct fixture *f = *state;
	struct wire_completion c = { 0 };
	uint32_t slot = 0;
	unsigned i;

	for (i = 0; i < WIRE_NR_COMPLETIONS + RINGSVC_BACKLOG_MAX; i++) {
		c.token = i;
		assert_int_equal(ringsvc_complete(&f->rs, &c), 0);
	}
	assert_int_equal(ringsvc_backlog(&f->rs), RINGSVC_BACKLOG_MAX);
	assert_int_equal(ringsvc_complete(&f->rs, &c), -ENOBUFS);

	for (i = 0; i < WIRE_NR_COMPLETIONS + RINGSVC_BACKLOG_MAX; i++) {
		if (ring_peek(&f->client_complete, &slot) == -EAGAIN) {
			assert_int_equal(ringsvc_flush(&f->rs), 0);
			assert_int_equal(ring_peek(&f->client_complete, &slot), 0);
		}
		assert_int_equal(f->mem->completions[slot].token, i);
		ring_consumed(&f->client_complete);
	}
	assert_int_equal(ringsvc_backlog(&f->rs), 0);
}

static void test_a_completion_head_out_of_range_is_a_protocol_error(void **state)
{
	struct fixture *f = *state;
	const struct wire_completion c = { .token = 1 };

	f->mem->complete.head = 5; /* consumed what was never there */
	assert_int_equal(ringsvc_complete(&f->rs, &c), -EPROTO);
	f->mem->complete.head = 1u << 31;
	assert_int_equal(ringsvc_complete(&f->rs, &c), -EPROTO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_the_first_submission_kicks_and_the_next_do_not),
		TEST(test_a_budget_leaves_the_rest_for_later),
		TEST(test_entries_come_through_a_ring_that_has_wrapped),
		TEST(test_a_tail_out_of_range_is_a_protocol_error),
		TEST(test_a_tail_that_moves_back_is_a_protocol_error),
		TEST(test_what_the_client_does_to_the_head_is_not_read),
		TEST(test_an_entry_is_judged_in_a_copy),
		TEST(test_what_the_callback_says_ends_the_drain),
		TEST(test_touches_arrive_once),
		TEST(test_a_touch_after_the_look_stays),
		TEST(test_a_touch_that_is_not_written_yet_is_passed_over),
		TEST(test_a_log_that_overflowed_gives_its_newest),
		TEST(test_one_sleep_gets_one_signal),
		TEST(test_completions_that_find_no_room_wait_in_order),
		TEST(test_a_completion_head_out_of_range_is_a_protocol_error),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
