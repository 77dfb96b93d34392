/* Strings behind a message's fixed part. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/wire.h"

#define FIXED offsetof(struct wire_mount, strings)

union message {
	struct wire_mount msg;
	char bytes[FIXED + 16];
};

static void test_what_is_packed_comes_out(void **state)
{
	const struct wire_str in[] = { { "ab", 2 }, { "", 0 }, { "cdef", 4 } };
	struct wire_str out[3];
	union message m = { 0 };
	int len;

	(void)state;
	len = wire_pack(&m, sizeof(m), FIXED, m.msg.len, in, 3);
	assert_int_equal(len, FIXED + 6);
	assert_int_equal(wire_unpack(&m, (size_t)len, FIXED, m.msg.len, out, 3), 0);
	assert_int_equal(out[0].len, 2);
	assert_memory_equal(out[0].s, "ab", 2);
	assert_int_equal(out[1].len, 0);
	assert_memory_equal(out[2].s, "cdef", 4);
}

static void test_what_does_not_fit_is_not_packed(void **state)
{
	const struct wire_str fits[] = { { "0123456789", 10 }, { "012345", 6 } };
	const struct wire_str more[] = { { "0123456789", 10 }, { "0123456", 7 } };
	union message m = { 0 };

	(void)state;
	assert_int_equal(wire_pack(&m, sizeof(m), FIXED, m.msg.len, fits, 2), FIXED + 16);
	assert_int_equal(wire_pack(&m, sizeof(m), FIXED, m.msg.len, more, 2), -EMSGSIZE);
	assert_int_equal(wire_pack(&m, FIXED - 1, FIXED, m.msg.len, fits, 0), -EMSGSIZE);
}

static void test_lengths_that_do_not_fill_the_message_are_refused(void **state)
{
	struct wire_str out[WIRE_MOUNT_NR_STRINGS];
	union message m = { 0 };
	unsigned i;

	(void)state;
	m.msg.len[0] = 3;
	assert_int_equal(wire_unpack(&m, FIXED + 2, FIXED, m.msg.len, out, 1), -EPROTO);
	assert_int_equal(wire_unpack(&m, FIXED + 4, FIXED, m.msg.len, out, 1), -EPROTO);
	assert_int_equal(wire_unpack(&m, FIXED + 3, FIXED, m.msg.len, out, 1), 0);
	/* Lengths that would wrap a 16-bit sum. */
	for (i = 0; i < WIRE_MOUNT_NR_STRINGS; i++)
		m.msg.len[i] = UINT16_MAX;
	m.msg.len[0] = WIRE_MOUNT_NR_STRINGS - 1;
	assert_int_equal(wire_unpack(&m, FIXED, FIXED, m.msg.len, out, WIRE_MOUNT_NR_STRINGS),
			 -EPROTO);
}

static void test_a_head_names_this_protocol(void **state)
{
	const struct wire_head h = wire_head(WIRE_OPEN, 7, 99);

	(void)state;
	assert_memory_equal(&h.magic, "OSSC", 4);
	assert_int_equal(h.version, WIRE_VERSION);
	assert_int_equal(h.type, WIRE_OPEN);
	assert_int_equal(h.seq, 7);
	assert_int_equal(h.len, 99);
	assert_int_equal(h.status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_packed_comes_out),
		cmocka_unit_test(test_what_does_not_fit_is_not_packed),
		cmocka_unit_test(test_lengths_that_do_not_fill_the_message_are_refused),
		cmocka_unit_test(test_a_head_names_this_protocol),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
