/* What a session holds, what it may do with it, and that its end gives all of it back. */
#include "daemon/session/session_internal.h"
#include "test/unit/session_fixture.h"

#include "common/crc64.h"

static int setup(void **state)
{
	struct fixture *f = fixture_new();

	assert_int_equal(client_hello(f), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_free(*state);
	return 0;
}

/* One mount and one open file; the object's number. */
static uint32_t open_file(struct fixture *f)
{
	assert_int_equal(ask_mount(f, "oss://bucket/models/", "id", "secret", 0), 0);
	assert_int_equal(ask_open(f, f->c.in.mount.mount, "file"), 0);
	return f->c.in.open.object;
}

/* The whole chunk arrives. */
static void fill(struct object *o, uint32_t chunk)
{
	char *bytes = calloc(1, FAKE_CHUNK);
	struct fill *fill;
	int r;

	assert_int_equal(fill_begin(o, chunk, FETCH_DEMAND, &fill), 0);
	assert_int_equal(fill_write(fill, bytes, fill_end(fill) - fill_offset(fill)), 0);
	free(bytes);
	/* The last one of an object whose sum is wrong says so here. */
	r = fill_finish(fill, 0);
	assert_true(r == 0 || r == -EIO);
}

/* Let the loop run until the client is signalled and a completion is there. */
static struct wire_completion next_completion(struct fixture *f)
{
	struct wire_completion c = { 0 };
	uint32_t slot = 0;
	int waited;

	for (waited = 0; waited < PATIENCE_MS; waited++) {
		struct pollfd p = { .fd = f->c.notify, .events = POLLIN };
		uint64_t count;

		turn(f);
		if (ring_peek(&f->c.complete, &slot) == 0) {
			c = f->c.mem->completions[slot];
			ring_consumed(&f->c.complete);
			return c;
		}
		while (read(f->c.notify, &count, sizeof(count)) > 0)
			;
		if (!ring_sleep(&f->c.complete))
			(void)poll(&p, 1, 1);
		ring_awake(&f->c.complete);
	}
	fail_msg("no completion came");
	return c;
}

static void test_a_mount_is_answered_with_table_and_snapshot(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_mount(f, "oss://bucket/models/", "id", "secret",
				   WIRE_MOUNT_SECONDARY | WIRE_MOUNT_KEEP),
			 0);
	assert_int_equal(f->c.nr_fds, 2);
	assert_int_equal(f->c.in.mount.mount, 1);
	assert_int_equal(f->c.in.mount.chunk_shift, 20);
	assert_int_equal(f->c.in.mount.snapshot_serial, 11);
	assert_int_equal(f->c.in.mount.table_len, table_len(fake.mount.table));
	assert_string_equal(fake.last_path, "oss://bucket/models/");
	assert_string_equal(fake.last_key, "id");
	assert_true(fake.last_secondary);
	assert_true(fake.last_keep);
	assert_false(fake.last_prefetch);
	assert_int_equal(fake.last_uid, getuid());
}

static void test_who_brings_no_keys_gets_the_daemons_own(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_mount(f, "oss://bucket/models/", "", "", 0), 0);
	assert_string_equal(fake.last_key, "own-id");
	assert_string_equal(fake.last_secret, "own-secret");
	assert_int_equal(ask_mount(f, "oss://bucket/models/", "mine", "", 0), 0);
	assert_string_equal(fake.last_key, "mine");
	assert_string_equal(fake.last_secret, "");
}

static void test_a_mount_that_fails_says_why_and_leaves_its_place(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 200; i++) {
		assert_int_equal(ask_mount(f, "oss://bad/", "id", "secret", 0), -EACCES);
		assert_string_equal(f->c.in.error.text, "these keys are refused");
	}
	assert_int_equal(ask_mount(f, "oss://bucket/", "id", "secret", 0), 0);
	assert_int_equal(f->c.in.mount.mount, 1);
}

static void test_mounts_of_a_session_are_bounded(void **state)
{
	struct fixture *f = *state;
	unsigned i;

	for (i = 0; i < 64; i++)
		assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), -EMFILE);
	assert_int_equal(ask_path(f, WIRE_UMOUNT, 17, ""), 0);
	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
	assert_int_equal(f->c.in.mount.mount, 17);
}

static void test_the_client_s_end_cancels_what_it_waits_for(void **state)
{
	struct fixture *f = *state;
	union {
		struct wire_mount msg;
		char bytes[256];
	} m = { 0 };
	struct wire_str strings[WIRE_MOUNT_NR_STRINGS] = { [0] = { "oss://wait/x", 12 } };
	int len, i;

	len = wire_pack(&m, sizeof(m), offsetof(struct wire_mount, strings), m.msg.len, strings,
			WIRE_MOUNT_NR_STRINGS);
	m.msg.head = wire_head(WIRE_MOUNT, 5, (uint32_t)len);
	client_send_raw(&f->c, &m, (size_t)len);
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(fake.nr_attached, 1);
	client_close(&f->c);
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(fake.nr_cancelled, 1);
	assert_null(fake.attaches);
	assert_int_equal(sessions_count(f->ss), 0);
}

static void test_a_snapshot_asked_for_again_comes_without_the_table(void **state)
{
	struct fixture *f = *state;
	struct wire_snapshot m = { .mount = 1 };

	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
	assert_int_equal(ask(f, &m.head, WIRE_SNAPSHOT, sizeof(m)), 0);
	assert_int_equal(f->c.nr_fds, 1);
	m.flags = WIRE_SNAPSHOT_REFRESH;
	assert_int_equal(ask(f, &m.head, WIRE_SNAPSHOT, sizeof(m)), 0);
	assert_int_equal(f->c.nr_fds, 1);
	assert_int_equal(fake.nr_refs, 1); /* the refresh gave its own back */
	assert_int_equal(ask_path(f, WIRE_LIST, 1, "some/directory"), 0);
	assert_int_equal(f->c.nr_fds, 1);
	assert_int_equal(fake.nr_refs, 1); /* so did this */
	assert_int_equal(ask_path(f, WIRE_LIST, 2, "some/directory"), -EBADF);
	m.flags = 0x80;
	assert_int_equal(ask(f, &m.head, WIRE_SNAPSHOT, sizeof(m)), -EINVAL);
}

static void test_open_answers_size_place_and_memory(void **state)
{
	struct fixture *f = *state;
	uint32_t object = open_file(f);

	assert_int_equal(object, 1);
	assert_int_equal(f->c.in.open.size, FAKE_SIZE);
	assert_int_equal(f->c.in.open.first_word, object_first_word(fake.last_object));
	assert_string_equal(f->c.in.open.etag, "e1");
	assert_int_equal(f->c.nr_fds, 1);
	assert_int_equal(lseek(f->c.fds[0], 0, SEEK_END), FAKE_SIZE);

	assert_int_equal(ask_open(f, 1, "empty"), 0);
	assert_int_equal(f->c.in.open.size, 0);
	assert_int_equal(f->c.nr_fds, 1);
	assert_int_equal(ask_open(f, 1, "nothing"), -ENOENT);
	assert_string_equal(f->c.in.error.text, "there is no nothing");
	assert_int_equal(ask_open(f, 1, ""), -EINVAL);
}

static void test_numbers_are_used_again_after_close(void **state)
{
	struct fixture *f = *state;
	uint32_t first = open_file(f);

	assert_int_equal(ask_open(f, 1, "file"), 0);
	assert_int_equal(f->c.in.open.object, first + 1);
	assert_int_equal(ask_object(f, WIRE_CLOSE, first), 0);
	assert_int_equal(ask_object(f, WIRE_CLOSE, first), -EBADF);
	assert_int_equal(ask_open(f, 1, "empty"), 0);
	assert_int_equal(f->c.in.open.object, first);
}

static void test_a_mount_with_open_files_stays(void **state)
{
	struct fixture *f = *state;
	uint32_t object = open_file(f);

	assert_int_equal(ask_path(f, WIRE_UMOUNT, 1, ""), -EBUSY);
	assert_int_equal(ask_object(f, WIRE_CLOSE, object), 0);
	assert_int_equal(ask_path(f, WIRE_UMOUNT, 1, ""), 0);
	assert_int_equal(fake.nr_unkept, 1);
	assert_int_equal(fake.nr_refs, 0);
	assert_int_equal(ask_open(f, 1, "file"), -EBADF);
}

static uint64_t pinned_bytes(struct fixture *f)
{
	struct cache_stats st;

	cache_stats(f->cache, &st);
	return st.pinned;
}

static void test_pins_count_and_are_the_session_s_own(void **state)
{
	struct fixture *f = *state;
	uint32_t o = open_file(f);
	unsigned i;

	assert_int_equal(ask_pin(f, WIRE_PIN, o, 0, 3), 0);
	assert_int_equal(ask_pin(f, WIRE_PIN, o, 1, 1), 0);
	assert_true(pinned_bytes(f) > 0);
	assert_int_equal(ask_pin(f, WIRE_UNPIN, o, 0, 3), 0);
	assert_int_equal(ask_pin(f, WIRE_UNPIN, o, 0, 1), -EINVAL);
	assert_int_equal(ask_pin(f, WIRE_UNPIN, o, 1, 1), 0);
	assert_int_equal(pinned_bytes(f), 0);
	assert_int_equal(ask_pin(f, WIRE_UNPIN, o, 1, 1), -EINVAL);

	assert_int_equal(ask_pin(f, WIRE_PIN, o, 3, 1), -EINVAL);
	assert_int_equal(ask_pin(f, WIRE_PIN, o, 0, 4), -EINVAL);
	assert_int_equal(ask_pin(f, WIRE_PIN, o, 2, UINT32_MAX), -EINVAL);
	assert_int_equal(ask_pin(f, WIRE_PIN, o, 0, 0), -EINVAL);
	for (i = 0; i < 255; i++)
		assert_int_equal(ask_pin(f, WIRE_PIN, o, 0, 1), 0);
	assert_int_equal(ask_pin(f, WIRE_PIN, o, 0, 1), -ENOSPC);
	assert_int_equal(ask_object(f, WIRE_CLOSE, o), 0);
	assert_int_equal(pinned_bytes(f), 0);
}

static void test_the_client_s_end_gives_everything_back(void **state)
{
	struct fixture *f = *state;
	const struct wire_submission fetch = {
		.op = WIRE_OP_FETCH, .flags = WIRE_FETCH_NOTIFY, .object = open_file(f), .arg = 1
	};
	struct cache_stats st;
	int i;

	assert_int_equal(ask_pin(f, WIRE_PIN, fetch.object, 0, 2), 0);
	assert_int_equal(ask_open(f, 1, "file"), 0);
	client_submit(&f->c, &fetch);
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(fake.nr_wants, 1);
	client_close(&f->c);
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(sessions_count(f->ss), 0);
	assert_int_equal(fake.nr_refs, 0);
	cache_stats(f->cache, &st);
	assert_int_equal(st.pinned, 0);
	assert_int_equal(st.objects, 0);
}

static void test_a_fetch_is_wanted_and_completed(void **state)
{
	struct fixture *f = *state;
	struct wire_submission fetch = { .op = WIRE_OP_FETCH,
					 .flags = WIRE_FETCH_NOTIFY | WIRE_FETCH_RETRY,
					 .object = open_file(f),
					 .chunk = 2,
					 .arg = FAKE_CHUNK, /* the last chunk is half of it */
					 .token = 77 };
	struct wire_completion c;
	int i;

	client_submit(&f->c, &fetch);
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(fake.nr_wants, 1);
	assert_int_equal(fake.last_chunk, 2);
	assert_int_equal(fake.last_end, FAKE_CHUNK / 2);
	assert_true(fake.last_retry);
	fill(fake.last_object, 2);
	c = next_completion(f);
	assert_int_equal(c.token, 77);
	assert_int_equal(c.result, 0);

	fetch.token = 78; /* there already */
	client_submit(&f->c, &fetch);
	c = next_completion(f);
	assert_int_equal(c.token, 78);
	assert_int_equal(c.result, 0);
}

static void test_fetches_of_nothing_are_completed_with_an_error(void **state)
{
	struct fixture *f = *state;
	const uint32_t o = open_file(f);
	const struct {
		uint32_t object, chunk, arg;
		int result;
	} cases[] = {
		{ 0, 0, 1, -EBADF },
		{ o + 1, 0, 1, -EBADF },
		{ UINT32_MAX, 0, 1, -EBADF },
		{ o, 3, 1, -EINVAL },
		{ o, UINT32_MAX, 1, -EINVAL },
		{ o, 0, 0, -EINVAL },
		{ o, 0, FAKE_CHUNK + 1, -EINVAL },
	};
	struct wire_completion c;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct wire_submission fetch = {
			.op = WIRE_OP_FETCH,
			.flags = WIRE_FETCH_NOTIFY,
			.object = cases[i].object,
			.chunk = cases[i].chunk,
			.arg = cases[i].arg,
			.token = i,
		};

		client_submit(&f->c, &fetch);
		c = next_completion(f);
		assert_int_equal(c.token, i);
		assert_int_equal(c.result, cases[i].result);
	}
	assert_int_equal(fake.nr_wants, 0);
}

static void test_a_close_ends_the_fetches_of_its_object(void **state)
{
	struct fixture *f = *state;
	const struct wire_submission fetch = { .op = WIRE_OP_FETCH,
					       .flags = WIRE_FETCH_NOTIFY,
					       .object = open_file(f),
					       .arg = 1,
					       .token = 5 };
	struct wire_completion c;

	client_submit(&f->c, &fetch);
	while (fake.nr_wants == 0)
		turn(f);
	assert_int_equal(ask_object(f, WIRE_CLOSE, fetch.object), 0);
	c = next_completion(f);
	assert_int_equal(c.token, 5);
	assert_int_equal(c.result, -ECANCELED);
}

static void test_advice_is_cut_to_the_object(void **state)
{
	struct fixture *f = *state;
	struct wire_submission advise = { .op = WIRE_OP_ADVISE,
					  .flags = WIRE_ADVISE_SEQUENTIAL,
					  .object = open_file(f),
					  .chunk = 1,
					  .arg = UINT32_MAX };
	int i;

	client_submit(&f->c, &advise);
	advise.chunk = 4;
	client_submit(&f->c, &advise);
	advise.chunk = 0;
	advise.flags = 9;
	client_submit(&f->c, &advise);
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(fake.nr_advised, 2);
	assert_int_equal(fake.last_chunk, 1);
	assert_int_equal(fake.last_advice, WIRE_ADVISE_SEQUENTIAL);
	assert_int_equal(sessions_count(f->ss), 1);
}

static void test_touches_reach_the_mount(void **state)
{
	struct fixture *f = *state;
	const uint32_t o = open_file(f);

	f->c.mem->touches[0] = (uint64_t)o << 32 | 3;
	f->c.mem->touches[1] = (uint64_t)o << 32 | 1000;
	f->c.mem->touches[2] = (uint64_t)(o + 9) << 32 | 1;
	f->c.mem->touch_tail = 3;
	client_kick(&f->c);
	while (fake.nr_touched == 0)
		turn(f);
	assert_int_equal(fake.last_touch, 2);
}

/* Both lie there when the daemon wakes: the touch was written later, so nothing is held. */
static void test_a_touch_ends_the_hold_of_a_fetch_before_it(void **state)
{
	struct fixture *f = *state;
	const struct wire_submission fetch = {
		.op = WIRE_OP_FETCH, .object = open_file(f), .chunk = 1, .arg = 1
	};

	f->c.mem->touches[0] = (uint64_t)fetch.object << 32 | 2;
	f->c.mem->touch_tail = 1;
	client_submit(&f->c, &fetch);
	while (fake.nr_wants == 0)
		turn(f);
	assert_int_equal(fake.last_chunk, 1);
	assert_int_equal(fake.last_touch, 1);
	assert_true(fake.touched_since_want);
}

/* The same when a wake takes no more of the fetches than some. */
static void test_a_touch_waits_for_the_fetch_before_it(void **state)
{
	struct fixture *f = *state;
	const uint32_t object = open_file(f);
	struct wire_submission fetch = { .op = WIRE_OP_FETCH, .object = object, .arg = 1 };
	int i;

	for (i = 0; i < SESSION_ENTRIES_A_WAKE; i++)
		client_submit(&f->c, &fetch);
	fetch.chunk = 1;
	f->c.mem->touches[0] = (uint64_t)object << 32 | 2;
	f->c.mem->touch_tail = 1;
	client_submit(&f->c, &fetch);
	while (fake.nr_wants <= SESSION_ENTRIES_A_WAKE)
		turn(f);
	assert_int_equal(fake.last_chunk, 1);
	for (i = 0; i < 10 && !fake.touched_since_want; i++)
		event_base_loop(f->base, EVLOOP_ONCE); /* until the pulse beats */
	assert_true(fake.touched_since_want);
}

static void expect_end(struct fixture *f)
{
	int i;

	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(sessions_count(f->ss), 0);
	assert_int_equal(client_receive(f, &f->c), 0);
}

static void test_a_broken_submission_ring_ends_the_session(void **state)
{
	struct fixture *f = *state;

	f->c.mem->submit.tail = 0x70000000;
	client_kick(&f->c);
	expect_end(f);
}

static void test_an_unknown_entry_ends_the_session(void **state)
{
	struct fixture *f = *state;
	const struct wire_submission entry = { .op = 200 };

	client_submit(&f->c, &entry);
	expect_end(f);
}

static void test_a_broken_completion_ring_ends_the_session(void **state)
{
	struct fixture *f = *state;
	const struct wire_submission fetch = { .op = WIRE_OP_FETCH, .flags = WIRE_FETCH_NOTIFY };

	f->c.mem->complete.head = 12345;
	client_submit(&f->c, &fetch);
	expect_end(f);
}

static void test_a_client_that_makes_the_kick_block_stops_nobody(void **state)
{
	struct fixture *f = *state;
	uint64_t count;
	int i;

	/* Its end of the kick is ours as well: it empties the counter and lets readers wait. */
	assert_int_equal(fcntl(f->c.kick, F_SETFL, 0), 0);
	for (i = 0; i < 20; i++) {
		client_kick(&f->c);
		assert_int_equal(read(f->c.kick, &count, sizeof(count)), sizeof(count));
		turn(f);
	}
	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
}

static void test_more_fetches_than_completions_fit_are_all_answered(void **state)
{
	struct fixture *f = *state;
	const uint32_t o = open_file(f);
	unsigned sent = 0, got = 0;
	uint32_t slot = 0;
	int idle;

	for (idle = 0; got < 3000 && idle < PATIENCE_MS;) {
		const struct wire_submission fetch = { .op = WIRE_OP_FETCH,
						       .flags = WIRE_FETCH_NOTIFY,
						       .object = o + 50,
						       .arg = 1,
						       .token = sent };
		const bool any = sent < 3000 && ring_reserve(&f->c.submit, &slot) == 0;

		if (any) {
			client_submit(&f->c, &fetch);
			sent++;
			if (sent % 512 != 0)
				continue;
		}
		turn(f);
		/* Slow to read: only when the daemon has nothing more to do for us. */
		if (!any && ring_peek(&f->c.complete, &slot) == 0) {
			assert_int_equal(f->c.mem->completions[slot].token, got);
			ring_consumed(&f->c.complete);
			got++;
		} else if (!any) {
			(void)poll(NULL, 0, 1);
			idle++;
		}
	}
	assert_int_equal(got, 3000);
}

static void test_status_is_a_sealed_text(void **state)
{
	struct fixture *f = *state;
	struct wire_head m;
	char text[16] = "";

	assert_int_equal(ask(f, &m, WIRE_STATUS, sizeof(m)), 0);
	assert_int_equal(f->c.in.status.text_len, 2);
	assert_int_equal(pread(f->c.fds[0], text, sizeof(text), 0), 2);
	assert_string_equal(text, "{}");
	assert_int_equal(pwrite(f->c.fds[0], "x", 1, 0), -1);
}

static void test_prefetch_is_passed_on(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
	assert_int_equal(ask_path(f, WIRE_PREFETCH, 1, "sub/dir"), 0);
	assert_int_equal(fake.nr_prefetched, 1);
	assert_int_equal(ask_path(f, WIRE_PREFETCH, 1, "missing"), -ENOENT);
	assert_string_equal(f->c.in.error.text, "there is no missing in oss://bucket/models/");
}

static void test_verify_of_an_empty_file_is_answered_at_once(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(ask_mount(f, "oss://bucket/", "", "", 0), 0);
	assert_int_equal(ask_open(f, 1, "empty"), 0);
	assert_int_equal(ask_object(f, WIRE_VERIFY, f->c.in.open.object), 0);
	assert_int_equal(f->c.in.verify.known, 0);
}

/* VERIFY is asked, all chunks (zeros) arrive, the answer comes. */
static int verify_after_load(struct fixture *f, uint64_t crc_of_the_store)
{
	struct wire_object m = { .object = open_file(f) };
	uint32_t chunk;
	int i;

	object_set_crc(fake.last_object, crc_of_the_store);
	m.head = wire_head(WIRE_VERIFY, 500, sizeof(m));
	client_send_raw(&f->c, &m, sizeof(m));
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(recv(f->c.fd, &m, sizeof(m), MSG_DONTWAIT), -1);
	for (chunk = 0; chunk < 3; chunk++)
		fill(fake.last_object, chunk);
	assert_true(client_receive(f, &f->c) > 0);
	assert_int_equal(f->c.in.head.seq, 500);
	return f->c.in.head.status;
}

static uint64_t crc_of_zeros(void)
{
	void *zeros = calloc(1, FAKE_SIZE);
	uint64_t crc = crc64_update(0, zeros, FAKE_SIZE);

	free(zeros);
	return crc;
}

static void test_verify_waits_for_the_last_chunk(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(verify_after_load(f, crc_of_zeros()), 0);
	assert_int_equal(f->c.in.verify.known, 1);
	assert_int_equal(f->c.in.verify.crc64, crc_of_zeros());
}

static void test_verify_names_an_object_with_a_wrong_sum(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(verify_after_load(f, crc_of_zeros() ^ 1), -EIO);
	assert_non_null(strstr(f->c.in.error.text, "models/file"));
}

static int ask_stored_crc(struct fixture *f, uint32_t object)
{
	struct wire_object m = { .object = object, .flags = WIRE_VERIFY_STORE };

	return ask(f, &m.head, WIRE_VERIFY, sizeof(m));
}

static void test_the_stores_crc_is_told_whatever_is_missing(void **state)
{
	struct fixture *f = *state;
	const uint32_t object = open_file(f);

	/* Nothing has come and nothing is on its way: that is an answer too. */
	assert_int_equal(ask_stored_crc(f, object), 0);
	assert_int_equal(f->c.in.verify.known, 0);
	object_set_crc(fake.last_object, 0);
	assert_int_equal(ask_stored_crc(f, object), 0);
	assert_int_equal(f->c.in.verify.known, 1);
	assert_int_equal(f->c.in.verify.crc64, 0);
}

static void test_the_stores_crc_is_waited_for_while_a_chunk_is_on_its_way(void **state)
{
	struct fixture *f = *state;
	struct wire_object m = { .object = open_file(f), .flags = WIRE_VERIFY_STORE };
	struct fill *fill;
	int i;

	assert_int_equal(fill_begin(fake.last_object, 0, FETCH_DEMAND, &fill), 0);
	m.head = wire_head(WIRE_VERIFY, 500, sizeof(m));
	client_send_raw(&f->c, &m, sizeof(m));
	for (i = 0; i < 10; i++)
		turn(f);
	assert_int_equal(recv(f->c.fd, &m, sizeof(m), MSG_DONTWAIT), -1);
	object_set_crc(fake.last_object, 4711);
	assert_true(client_receive(f, &f->c) > 0);
	assert_int_equal(f->c.in.head.status, 0);
	assert_int_equal(f->c.in.verify.known, 1);
	assert_int_equal(f->c.in.verify.crc64, 4711);
	fill_finish(fill, -EAGAIN);
}

static void test_bytes_that_are_wrong_are_told_also_to_who_asks_for_the_stores_crc(void **state)
{
	struct fixture *f = *state;
	const uint32_t object = open_file(f);
	uint32_t chunk;

	object_set_crc(fake.last_object, crc_of_zeros() ^ 1);
	for (chunk = 0; chunk < 3; chunk++)
		fill(fake.last_object, chunk);
	assert_int_equal(ask_stored_crc(f, object), -EIO);
}

static void test_unknown_flags_of_verify_are_refused(void **state)
{
	struct fixture *f = *state;
	struct wire_object m = { .object = open_file(f), .flags = 1u << 7 };

	assert_int_equal(ask(f, &m.head, WIRE_VERIFY, sizeof(m)), -EINVAL);
}

static void test_a_close_ends_a_verify_that_waits(void **state)
{
	struct fixture *f = *state;
	struct wire_object m = { .object = open_file(f) };
	const uint32_t object = m.object;
	int i;

	m.head = wire_head(WIRE_VERIFY, 500, sizeof(m));
	client_send_raw(&f->c, &m, sizeof(m));
	for (i = 0; i < 10; i++)
		turn(f);
	m = (struct wire_object){ .object = object };
	m.head = wire_head(WIRE_CLOSE, 501, sizeof(m));
	client_send_raw(&f->c, &m, sizeof(m));
	assert_true(client_receive(f, &f->c) > 0);
	if (f->c.in.head.seq == 500 && f->c.in.head.status == 0)
		fail_msg("a verdict without bytes");
	assert_int_equal(f->c.in.head.status, -ECANCELED);
	assert_true(client_receive(f, &f->c) > 0);
	assert_int_equal(f->c.in.head.seq, 501);
	assert_int_equal(f->c.in.head.status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_a_mount_is_answered_with_table_and_snapshot),
		TEST(test_who_brings_no_keys_gets_the_daemons_own),
		TEST(test_a_mount_that_fails_says_why_and_leaves_its_place),
		TEST(test_mounts_of_a_session_are_bounded),
		TEST(test_the_client_s_end_cancels_what_it_waits_for),
		TEST(test_a_snapshot_asked_for_again_comes_without_the_table),
		TEST(test_open_answers_size_place_and_memory),
		TEST(test_numbers_are_used_again_after_close),
		TEST(test_a_mount_with_open_files_stays),
		TEST(test_pins_count_and_are_the_session_s_own),
		TEST(test_the_client_s_end_gives_everything_back),
		TEST(test_a_fetch_is_wanted_and_completed),
		TEST(test_fetches_of_nothing_are_completed_with_an_error),
		TEST(test_a_close_ends_the_fetches_of_its_object),
		TEST(test_advice_is_cut_to_the_object),
		TEST(test_touches_reach_the_mount),
		TEST(test_a_touch_ends_the_hold_of_a_fetch_before_it),
		TEST(test_a_touch_waits_for_the_fetch_before_it),
		TEST(test_a_broken_submission_ring_ends_the_session),
		TEST(test_an_unknown_entry_ends_the_session),
		TEST(test_a_broken_completion_ring_ends_the_session),
		TEST(test_a_client_that_makes_the_kick_block_stops_nobody),
		TEST(test_more_fetches_than_completions_fit_are_all_answered),
		TEST(test_status_is_a_sealed_text),
		TEST(test_prefetch_is_passed_on),
		TEST(test_verify_of_an_empty_file_is_answered_at_once),
		TEST(test_verify_waits_for_the_last_chunk),
		TEST(test_verify_names_an_object_with_a_wrong_sum),
		TEST(test_the_stores_crc_is_told_whatever_is_missing),
		TEST(test_the_stores_crc_is_waited_for_while_a_chunk_is_on_its_way),
		TEST(test_bytes_that_are_wrong_are_told_also_to_who_asks_for_the_stores_crc),
		TEST(test_unknown_flags_of_verify_are_refused),
		TEST(test_a_close_ends_a_verify_that_waits),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
