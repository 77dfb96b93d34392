#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "common/chunktab.h"
#include "daemon/mount/fetchq.h"

/* The three things that the queue asks of the cache, as simple as can be. */
struct object {
	int refs;
	enum chunk_state states[64];
};

struct object *object_ref(struct object *o)
{
	o->refs++;
	return o;
}

void object_unref(struct object *o)
{
	o->refs--;
}

enum chunk_state chunk_get_state(const struct object *o, uint32_t chunk)
{
	return o->states[chunk];
}

#define NR_OBJECTS 6
#define NR_WORKERS 3
#define SLOTS	   4
#define WITH_EXTRA (SLOTS + 1) /* one is for whoever waits */

struct fixture {
	struct fetchq *q;
	struct fetchq_lane *lane;
	struct object objects[NR_OBJECTS];
	struct fetchq_entry entries[NR_OBJECTS];
	unsigned wakes[NR_WORKERS];
	unsigned notices;
};

static void on_wake(unsigned worker, void *arg)
{
	struct fixture *f = arg;

	f->wakes[worker]++;
}

static void on_notice(void *arg)
{
	struct fixture *f = arg;

	f->notices++;
}

static int setup_with(void **state, unsigned workers, unsigned slots, uint32_t nr_chunks)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct fetchq_conf conf = {
		.nr_workers = workers,
		.slots = slots,
		.wake = on_wake,
		.notice = on_notice,
		.arg = f,
	};
	int i;

	assert_non_null(f);
	assert_int_equal(fetchq_new(&conf, &f->q), 0);
	f->lane = fetchq_lane_get(f->q, 1000, "store");
	for (i = 0; i < NR_OBJECTS; i++) {
		f->objects[i].refs = 1;
		fetchq_entry_init(&f->entries[i], &f->objects[i], nr_chunks, f->lane);
	}
	*state = f;
	return 0;
}

static int setup(void **state)
{
	return setup_with(state, 1, 64, 64);
}

static int setup_workers(void **state)
{
	return setup_with(state, NR_WORKERS, SLOTS, 64);
}

static int setup_small(void **state)
{
	return setup_with(state, 1, 64, 3);
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int i;

	fetchq_free(f->q);
	for (i = 0; i < NR_OBJECTS; i++) {
		/* The queue kept no reference: what is left is the test's own. */
		assert_int_equal(f->objects[i].refs, 1);
		fetchq_entry_fini(&f->entries[i]);
	}
	fetchq_lane_unref(f->lane);
	free(f);
	return 0;
}

/* Take one for worker 0 and let it come to a good end: object * 100 + chunk, or -1. */
static int take_one(struct fixture *f)
{
	struct fetchq_work w;
	int which;

	if (!fetchq_take(f->q, 0, FETCH_PREFETCH, &w))
		return -1;
	which = (int)(w.entry - f->entries) * 100 + (int)w.chunk;
	w.object->states[w.chunk] = CHUNK_READY;
	fetchq_finish(f->q, 0, &w, true);
	return which;
}

static void hold_one(struct fixture *f, unsigned worker, struct fetchq_work *w)
{
	assert_true(fetchq_take(f->q, worker, FETCH_PREFETCH, w));
	w->object->states[w->chunk] = CHUNK_LOADING;
}

static void let_go(struct fixture *f, unsigned worker, struct fetchq_work *w)
{
	fetchq_count(w, 1);
	fetchq_finish(f->q, worker, w, true);
}

static void test_demand_comes_before_readahead_before_prefetch(void **state)
{
	struct fixture *f = *state;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	fetchq_readahead(f->q, &f->entries[1], 7, 9);
	fetchq_demand(f->q, &f->entries[2], 5);
	fetchq_demand(f->q, &f->entries[2], 3);

	assert_int_equal(take_one(f), 205);
	assert_int_equal(take_one(f), 203);
	assert_int_equal(take_one(f), 107);
	assert_int_equal(take_one(f), 108);
	assert_int_equal(take_one(f), 0);
	assert_int_equal(take_one(f), 1);
	fetchq_forget(f->q, &f->entries[0]);
	assert_int_equal(take_one(f), -1);
}

static void test_a_chunk_is_queued_once_however_often_it_is_asked_for(void **state)
{
	struct fixture *f = *state;
	struct fetchq_stats stats;
	int i;

	for (i = 0; i < 5; i++)
		fetchq_demand(f->q, &f->entries[0], 1);
	fetchq_readahead(f->q, &f->entries[0], 0, 3);
	fetchq_readahead(f->q, &f->entries[0], 1, 4);
	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	fetchq_stats(f->q, &stats);
	assert_int_equal(stats.queued[FETCH_DEMAND], 1);
	assert_int_equal(stats.queued[FETCH_READAHEAD], 4);

	assert_int_equal(take_one(f), 1);
	assert_int_equal(take_one(f), 0);
	assert_int_equal(take_one(f), 2);
	assert_int_equal(take_one(f), 3);
	assert_int_equal(take_one(f), 4);
	fetchq_demand(f->q, &f->entries[0], 1);
	/* It is READY by now; only the cache can tell, and it will. */
	assert_int_equal(take_one(f), 1);
	assert_int_equal(take_one(f), 5);
	fetchq_forget(f->q, &f->entries[0]);
}

static void test_a_prefetched_chunk_that_is_demanded_moves_to_the_front(void **state)
{
	struct fixture *f = *state;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	assert_int_equal(take_one(f), 0);
	fetchq_demand(f->q, &f->entries[0], 40);
	assert_int_equal(take_one(f), 40);
	assert_int_equal(take_one(f), 1);
	fetchq_forget(f->q, &f->entries[0]);
}

/* What was read may have been evicted since: bringing it again would cost a reader's place as well. */
static void test_what_a_reader_has_overtaken_is_not_brought_again(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w;
	int i;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	assert_int_equal(take_one(f), 0);
	fetchq_demand(f->q, &f->entries[0], 1);
	assert_int_equal(take_one(f), 1);
	fetchq_readahead(f->q, &f->entries[0], 2, 5);
	for (i = 2; i < 5; i++)
		assert_int_equal(take_one(f), i);
	fetchq_readahead(f->q, &f->entries[0], 5, 8);
	fetchq_demand(f->q, &f->entries[0], 5);
	assert_int_equal(take_one(f), 5);
	for (i = 0; i < 6; i++)
		f->entries[0].object->states[i] = CHUNK_EMPTY;
	assert_int_equal(take_one(f), 6);

	/* No room for it: its turn comes again, also when the readahead is given up. */
	hold_one(f, 0, &w);
	assert_int_equal(w.chunk, 7);
	assert_int_equal(w.list, FETCH_READAHEAD);
	w.object->states[7] = CHUNK_EMPTY;
	fetchq_put_back(f->q, 0, &w);
	fetchq_room(f->q);
	assert_int_equal(take_one(f), 7);
	assert_int_equal(take_one(f), 8);
	fetchq_forget(f->q, &f->entries[0]);
}

static void test_fills_are_spread_over_objects(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w[8];
	unsigned nr[NR_OBJECTS] = { 0 };
	int i;

	for (i = 0; i < NR_OBJECTS; i++)
		fetchq_prefetch(f->q, &f->entries[i], false, NULL);
	for (i = 0; i < 8; i++) {
		hold_one(f, 0, &w[i]);
		nr[w[i].entry - f->entries]++;
	}
	/* Four at a time, evenly. */
	for (i = 0; i < 4; i++)
		assert_int_equal(nr[i], 2);
	for (i = 0; i < 8; i++)
		let_go(f, 0, &w[i]);
	for (i = 0; i < NR_OBJECTS; i++)
		fetchq_forget(f->q, &f->entries[i]);
}

static void test_workers_keep_to_their_objects_but_all_help_with_one(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work a, b, c;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	fetchq_prefetch(f->q, &f->entries[1], false, NULL);
	hold_one(f, 0, &a);
	hold_one(f, 1, &b);
	assert_ptr_not_equal(a.entry, b.entry);
	let_go(f, 1, &b);
	hold_one(f, 1, &b);
	assert_ptr_equal(b.entry, &f->entries[1]);
	fetchq_forget(f->q, &f->entries[1]);
	hold_one(f, 2, &c);
	assert_ptr_equal(c.entry, &f->entries[0]);
	let_go(f, 0, &a);
	let_go(f, 1, &b);
	let_go(f, 2, &c);
	fetchq_forget(f->q, &f->entries[0]);
}

static void test_an_object_with_one_writer_that_is_alone_stays_on_one_worker(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w[NR_WORKERS * SLOTS + 1], other;
	unsigned i, most = NR_WORKERS * SLOTS - 1;

	f->entries[0].one_writer = f->entries[1].one_writer = true;
	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	for (i = 0; i < most; i++)
		hold_one(f, 0, &w[i]);
	assert_false(fetchq_take(f->q, 1, FETCH_PREFETCH, &w[most]));
	/* With a second object there is work for a second thread. */
	fetchq_prefetch(f->q, &f->entries[1], false, NULL);
	hold_one(f, 1, &other);
	assert_ptr_equal(other.entry, &f->entries[1]);
	for (i = 0; i < most; i++)
		let_go(f, 0, &w[i]);
	let_go(f, 1, &other);
	fetchq_forget(f->q, &f->entries[0]);
	fetchq_forget(f->q, &f->entries[1]);
}

static void test_a_plan_that_streams_goes_file_by_file(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w[5];
	int i;

	fetchq_prefetch(f->q, &f->entries[0], false, f);
	fetchq_prefetch(f->q, &f->entries[1], false, f);
	for (i = 0; i < 4; i++) {
		hold_one(f, 0, &w[i]);
		assert_int_equal(w[i].entry - f->entries, i < 3 ? 0 : 1);
	}
	/* Another plan does not wait for it. */
	fetchq_prefetch(f->q, &f->entries[2], false, &f->entries[2]);
	hold_one(f, 0, &w[4]);
	assert_ptr_equal(w[4].entry, &f->entries[2]);
	for (i = 0; i < 5; i++)
		let_go(f, 0, &w[i]);
	fetchq_forget(f->q, &f->entries[1]);
	fetchq_forget(f->q, &f->entries[2]);
}

static void test_an_opened_file_moves_to_the_front_of_prefetch(void **state)
{
	struct fixture *f = *state;
	int i;

	for (i = 0; i < NR_OBJECTS; i++)
		fetchq_prefetch(f->q, &f->entries[i], false, f);
	fetchq_set_opened(f->q, &f->entries[5]);
	fetchq_prefetch(f->q, &f->entries[5], true, f);
	assert_int_equal(take_one(f), 500);
	assert_int_equal(take_one(f), 501);
	for (i = 0; i < NR_OBJECTS; i++)
		fetchq_forget(f->q, &f->entries[i]);
}

static void test_the_end_of_a_prefetch_is_told_once_and_a_stopped_one_goes_on(void **state)
{
	struct fixture *f = *state;
	struct fetchq_notice n;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	assert_int_equal(take_one(f), 0);
	fetchq_prefetch_stop(f->q, &f->entries[0]);
	assert_int_equal(take_one(f), -1);
	assert_false(fetchq_next_notice(f->q, &n));
	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	assert_int_equal(take_one(f), 1);
	assert_int_equal(take_one(f), 2);
	assert_int_equal(take_one(f), -1);
	assert_int_equal(f->notices, 1);
	assert_true(fetchq_next_notice(f->q, &n));
	assert_ptr_equal(n.entry, &f->entries[0]);
	assert_true(n.through);
	assert_int_equal(n.error, 0);
	fetchq_notice_done(f->q, &n);
	assert_false(fetchq_next_notice(f->q, &n));
	/* Nothing is left: told at once. */
	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	assert_int_equal(f->notices, 2);
	assert_true(fetchq_next_notice(f->q, &n));
	fetchq_notice_done(f->q, &n);
}

static void test_without_room_work_waits_and_demand_goes_first_when_there_is_some(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w;
	unsigned before;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	assert_true(fetchq_take(f->q, 0, FETCH_PREFETCH, &w));
	fetchq_put_back(f->q, 0, &w);
	/* Prefetch waits; what is more urgent may still find room. */
	assert_int_equal(take_one(f), -1);
	fetchq_readahead(f->q, &f->entries[1], 4, 5);
	assert_int_equal(take_one(f), 104);

	fetchq_demand(f->q, &f->entries[2], 9);
	assert_true(fetchq_take(f->q, 0, FETCH_PREFETCH, &w));
	assert_int_equal(w.class, FETCH_DEMAND);
	fetchq_put_back(f->q, 0, &w);
	fetchq_demand(f->q, &f->entries[3], 1);
	assert_int_equal(take_one(f), -1);

	fetchq_awake(f->q, 0);
	before = f->wakes[0];
	fetchq_room(f->q);
	assert_int_equal(f->wakes[0], before + 1);
	assert_int_equal(take_one(f), 209);
	assert_int_equal(take_one(f), 301);
	/* What was put back is the first to come again. */
	assert_int_equal(take_one(f), 0);
	fetchq_forget(f->q, &f->entries[0]);
}

static void test_room_that_came_while_the_cache_refused_is_not_missed(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w;

	fetchq_demand(f->q, &f->entries[0], 0);
	assert_true(fetchq_take(f->q, 0, FETCH_PREFETCH, &w));
	fetchq_room(f->q);
	fetchq_put_back(f->q, 0, &w);
	assert_int_equal(take_one(f), 0);
}

static void test_an_opened_file_may_use_room_that_prefetch_may_not(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	fetchq_prefetch(f->q, &f->entries[1], false, NULL);
	assert_true(fetchq_take(f->q, 0, FETCH_PREFETCH, &w));
	assert_int_equal(w.class, FETCH_PREFETCH);
	fetchq_put_back(f->q, 0, &w);
	fetchq_set_opened(f->q, &f->entries[1]);
	assert_true(fetchq_take(f->q, 0, FETCH_PREFETCH, &w));
	assert_ptr_equal(w.entry, &f->entries[1]);
	assert_int_equal(w.class, FETCH_READAHEAD);
	let_go(f, 0, &w);
	fetchq_forget(f->q, &f->entries[0]);
	fetchq_forget(f->q, &f->entries[1]);
}

static unsigned nr_woken(const struct fixture *f)
{
	return f->wakes[0] + f->wakes[1] + f->wakes[2];
}

static void test_one_chunk_wakes_one_worker_and_more_wake_as_many_as_can_take_them(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w[12];
	uint32_t i;

	fetchq_demand(f->q, &f->entries[0], 0);
	assert_int_equal(nr_woken(f), 1);
	/* The one that is on its way can take these, too. */
	for (i = 1; i < WITH_EXTRA; i++)
		fetchq_demand(f->q, &f->entries[0], i);
	assert_int_equal(nr_woken(f), 1);
	fetchq_demand(f->q, &f->entries[0], WITH_EXTRA);
	assert_int_equal(nr_woken(f), 2);
	fetchq_readahead(f->q, &f->entries[1], 0, 64);
	assert_int_equal(nr_woken(f), 3);
	/* All are awake or full: nobody is left to wake. */
	fetchq_readahead(f->q, &f->entries[2], 0, 64);
	assert_int_equal(nr_woken(f), 3);

	for (i = 0; i < NR_WORKERS; i++)
		fetchq_awake(f->q, i);
	for (i = 0; i < WITH_EXTRA; i++)
		hold_one(f, 0, &w[i]);
	for (; i < WITH_EXTRA + 2; i++)
		hold_one(f, 1, &w[i]);
	/* Full, but there is more: the worker with the fewest in flight is told. */
	assert_false(fetchq_take(f->q, 0, FETCH_PREFETCH, &w[i]));
	assert_int_equal(f->wakes[2], 2);
	while (i-- > 0)
		let_go(f, i < WITH_EXTRA ? 0 : 1, &w[i]);
	fetchq_forget(f->q, &f->entries[0]);
	fetchq_forget(f->q, &f->entries[1]);
	fetchq_forget(f->q, &f->entries[2]);
}

static void test_prefetch_leaves_a_slot_to_whoever_waits(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w[WITH_EXTRA + 1];
	int i;

	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	for (i = 0; i < SLOTS; i++)
		hold_one(f, 0, &w[i]);
	assert_false(fetchq_take(f->q, 0, FETCH_PREFETCH, &w[i]));
	fetchq_demand(f->q, &f->entries[0], 63);
	hold_one(f, 0, &w[i]);
	assert_int_equal(w[i].chunk, 63);
	fetchq_demand(f->q, &f->entries[0], 62);
	assert_false(fetchq_take(f->q, 0, FETCH_PREFETCH, &w[i + 1]));
	for (i = 0; i < WITH_EXTRA; i++)
		let_go(f, 0, &w[i]);
	fetchq_forget(f->q, &f->entries[0]);
}

static void test_a_store_that_is_to_be_spared_gets_less_at_a_time_and_all_comes(void **state)
{
	struct fixture *f = *state;
	struct fetchq_work w[12], extra;
	unsigned i, woken;

	fetchq_readahead(f->q, &f->entries[0], 0, 12);
	for (i = 0; i < 12; i++)
		hold_one(f, i / SLOTS, &w[i]);
	for (i = 0; i < 12; i++) {
		fetchq_slow(f->q, &w[i]);
		fetchq_pause(f->q, &w[i]);
	}
	/* Six of the twelve may go on at once. */
	for (i = 0; i < 6; i++)
		assert_true(fetchq_resume(f->q, i / SLOTS, &w[i], false));
	for (i = 6; i < 12; i++)
		assert_false(fetchq_resume(f->q, i / SLOTS, &w[i], false));
	fetchq_readahead(f->q, &f->entries[1], 0, 1);
	assert_false(fetchq_take(f->q, 0, FETCH_PREFETCH, &extra));
	/* Who waits is one more all the same. */
	fetchq_demand(f->q, &f->entries[2], 0);
	hold_one(f, 0, &extra);
	assert_ptr_equal(extra.entry, &f->entries[2]);
	let_go(f, 0, &extra);

	for (i = 0; i < NR_WORKERS; i++)
		fetchq_awake(f->q, i);
	let_go(f, 0, &w[0]);
	assert_true(fetchq_resume(f->q, 2, &w[11], true));
	let_go(f, 0, &w[1]);
	woken = nr_woken(f);
	/* The leave is for what waits elsewhere, whose worker is woken. */
	assert_false(fetchq_take(f->q, 0, FETCH_PREFETCH, &extra));
	assert_true(nr_woken(f) > woken);
	for (i = 6; i < 11; i++) {
		assert_true(fetchq_resume(f->q, i / SLOTS, &w[i], true));
		let_go(f, (i - 4) / SLOTS, &w[i - 4]);
	}
	for (i = 7; i < 12; i++)
		let_go(f, i / SLOTS, &w[i]);
	hold_one(f, 0, &extra);
	assert_ptr_equal(extra.entry, &f->entries[1]);
	let_go(f, 0, &extra);
}

/* Another user's object, or another store's, in the place of the fixture's entry `i`. */
static struct fetchq_lane *move_to_lane(struct fixture *f, int i, uid_t user, const char *store)
{
	struct fetchq_lane *l = fetchq_lane_get(f->q, user, store);

	fetchq_entry_fini(&f->entries[i]);
	fetchq_entry_init(&f->entries[i], &f->objects[i], 64, l);
	return l;
}

static void test_slots_are_shared_out_evenly_among_users_whatever_they_queue(void **state)
{
	struct fixture *f = *state;
	struct fetchq_lane *second = move_to_lane(f, 1, 1000, "another store");
	struct fetchq_lane *other = move_to_lane(f, 2, 2000, "store");
	struct fetchq_work w[24];
	unsigned i, nr_of_other = 0;

	fetchq_readahead(f->q, &f->entries[0], 0, 64);
	fetchq_prefetch(f->q, &f->entries[1], false, NULL);
	for (i = 0; i < 8; i++)
		hold_one(f, 0, &w[i]);
	/* From now on it is the second user's turn until both have as much, then everybody's. */
	fetchq_prefetch(f->q, &f->entries[2], false, NULL);
	for (; i < 24; i++) {
		hold_one(f, 0, &w[i]);
		nr_of_other += w[i].entry == &f->entries[2];
	}
	assert_int_equal(nr_of_other, 12);
	/* Who waits goes before who does not, whoever it is. */
	fetchq_demand(f->q, &f->entries[0], 63);
	fetchq_demand(f->q, &f->entries[2], 63);
	for (i = 0; i < 2; i++) {
		let_go(f, 0, &w[i]);
		hold_one(f, 0, &w[i]);
		assert_int_equal(w[i].chunk, 63);
	}
	for (i = 0; i < 24; i++)
		let_go(f, 0, &w[i]);
	for (i = 0; i < 3; i++)
		fetchq_forget(f->q, &f->entries[i]);
	fetchq_lane_unref(second);
	fetchq_lane_unref(other);
}

static void test_a_store_that_is_to_be_spared_slows_no_other(void **state)
{
	struct fixture *f = *state;
	struct fetchq_lane *other = move_to_lane(f, 1, 2000, "store");
	struct fetchq_work w[8], theirs[8];
	unsigned i;

	fetchq_readahead(f->q, &f->entries[0], 0, 64);
	for (i = 0; i < 8; i++)
		hold_one(f, 0, &w[i]);
	fetchq_slow(f->q, &w[0]);
	fetchq_readahead(f->q, &f->entries[1], 0, 8);
	for (i = 0; i < 8; i++) {
		hold_one(f, 0, &theirs[i]);
		assert_ptr_equal(theirs[i].entry, &f->entries[1]);
	}
	/* The first has leave for four, and eight under way. */
	for (i = 0; i < 3; i++) {
		let_go(f, 0, &w[i]);
		assert_false(fetchq_take(f->q, 0, FETCH_PREFETCH, &w[i]));
	}
	for (i = 0; i < 8; i++)
		let_go(f, 0, &theirs[i]);
	for (i = 3; i < 8; i++)
		let_go(f, 0, &w[i]);
	fetchq_forget(f->q, &f->entries[0]);
	fetchq_forget(f->q, &f->entries[1]);
	fetchq_lane_unref(other);
}

/* A distant store is not slow for being slower than one next door. */
static void test_what_is_usual_is_a_matter_of_each_lane(void **state)
{
	struct fixture *f = *state;
	struct fetchq_lane *other = move_to_lane(f, 1, 1000, "another store");
	struct fetchq_work near, far;
	int i;

	fetchq_readahead(f->q, &f->entries[0], 0, 1);
	hold_one(f, 0, &near);
	fetchq_readahead(f->q, &f->entries[1], 0, 1);
	hold_one(f, 0, &far);
	for (i = 0; i < 8; i++)
		fetchq_brought(f->q, &near, 80000000, 100);
	assert_int_equal(fetchq_usual_rate(f->q, &far), 0);
	for (i = 0; i < 8; i++)
		fetchq_brought(f->q, &far, 8000000, 1000);
	assert_int_equal(fetchq_usual_rate(f->q, &near), 800000000);
	assert_int_equal(fetchq_usual_rate(f->q, &far), 8000000);
	let_go(f, 0, &near);
	let_go(f, 0, &far);
	fetchq_lane_unref(other);
}

static void test_a_lane_is_shared_by_name_and_outlives_the_queue(void **state)
{
	struct fixture *f = *state;
	struct fetchq_lane *a = fetchq_lane_get(f->q, 1000, "store"), *b, *c;
	struct fetchq_conf conf = { .nr_workers = 1, .slots = 1, .wake = on_wake, .arg = f };
	struct fetchq *q;

	assert_ptr_equal(a, f->lane);
	b = fetchq_lane_get(f->q, 1001, "store");
	assert_ptr_not_equal(a, b);
	c = fetchq_lane_get(f->q, 1001, "store");
	assert_ptr_equal(b, c);
	fetchq_lane_unref(a);
	fetchq_lane_unref(b);
	fetchq_lane_unref(c);

	assert_int_equal(fetchq_new(&conf, &q), 0);
	a = fetchq_lane_get(q, 1000, "store");
	fetchq_free(q);
	fetchq_lane_unref(a);
}

static void test_a_failed_object_is_told_and_only_demand_stays(void **state)
{
	struct fixture *f = *state;
	struct fetchq_notice n;

	fetchq_demand(f->q, &f->entries[0], 5);
	fetchq_readahead(f->q, &f->entries[0], 0, 3);
	fetchq_prefetch(f->q, &f->entries[0], false, NULL);
	fetchq_forget_ahead(f->q, &f->entries[0]);
	fetchq_tell(f->q, &f->entries[0], -13);
	assert_int_equal(f->notices, 1);
	assert_true(fetchq_next_notice(f->q, &n));
	assert_int_equal(n.error, -13);
	fetchq_notice_done(f->q, &n);
	assert_int_equal(take_one(f), 5);
	assert_int_equal(take_one(f), -1);
}

static void test_many_ranges_of_one_object_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct fetchq_stats stats;
	uint32_t i;

	for (i = 0; i < 30; i++)
		fetchq_readahead(f->q, &f->entries[0], i * 2, i * 2 + 1);
	fetchq_stats(f->q, &stats);
	assert_int_equal(stats.queued[FETCH_READAHEAD], FETCHQ_RANGES);
	/* The newest are kept. */
	assert_int_equal(take_one(f), (30 - FETCHQ_RANGES) * 2);
	fetchq_forget(f->q, &f->entries[0]);
	fetchq_stats(f->q, &stats);
	assert_int_equal(stats.queued[FETCH_READAHEAD], 0);
}

int main(void)
{
#define QUEUE_TEST(name, up) cmocka_unit_test_setup_teardown(name, up, teardown)
	const struct CMUnitTest tests[] = {
		QUEUE_TEST(test_demand_comes_before_readahead_before_prefetch, setup),
		QUEUE_TEST(test_a_chunk_is_queued_once_however_often_it_is_asked_for, setup),
		QUEUE_TEST(test_a_prefetched_chunk_that_is_demanded_moves_to_the_front, setup),
		QUEUE_TEST(test_what_a_reader_has_overtaken_is_not_brought_again, setup),
		QUEUE_TEST(test_fills_are_spread_over_objects, setup),
		QUEUE_TEST(test_workers_keep_to_their_objects_but_all_help_with_one, setup_workers),
		QUEUE_TEST(test_an_object_with_one_writer_that_is_alone_stays_on_one_worker,
			   setup_workers),
		QUEUE_TEST(test_a_plan_that_streams_goes_file_by_file, setup_small),
		QUEUE_TEST(test_an_opened_file_moves_to_the_front_of_prefetch, setup),
		QUEUE_TEST(test_the_end_of_a_prefetch_is_told_once_and_a_stopped_one_goes_on,
			   setup_small),
		QUEUE_TEST(test_without_room_work_waits_and_demand_goes_first_when_there_is_some,
			   setup),
		QUEUE_TEST(test_room_that_came_while_the_cache_refused_is_not_missed, setup),
		QUEUE_TEST(test_an_opened_file_may_use_room_that_prefetch_may_not, setup),
		QUEUE_TEST(test_one_chunk_wakes_one_worker_and_more_wake_as_many_as_can_take_them,
			   setup_workers),
		QUEUE_TEST(test_prefetch_leaves_a_slot_to_whoever_waits, setup_workers),
		QUEUE_TEST(test_a_store_that_is_to_be_spared_gets_less_at_a_time_and_all_comes,
			   setup_workers),
		QUEUE_TEST(test_slots_are_shared_out_evenly_among_users_whatever_they_queue, setup),
		QUEUE_TEST(test_a_store_that_is_to_be_spared_slows_no_other, setup),
		QUEUE_TEST(test_what_is_usual_is_a_matter_of_each_lane, setup),
		QUEUE_TEST(test_a_lane_is_shared_by_name_and_outlives_the_queue, setup),
		QUEUE_TEST(test_a_failed_object_is_told_and_only_demand_stays, setup),
		QUEUE_TEST(test_many_ranges_of_one_object_are_bounded, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
