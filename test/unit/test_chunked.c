#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/http/chunked.h"

struct decoded {
	char body[8192];
	size_t len;
	size_t used; /* of the input */
	int error;
	const char *why;
	bool done;
};

/* Feed the input in pieces of `step` bytes. */
static struct decoded decode_len(const char *in, size_t len, size_t step)
{
	struct decoded d = { .why = "" };
	struct chunked_piece piece;
	struct chunked c;
	size_t end;

	chunked_init(&c);
	while (d.used < len && !chunked_is_done(&c)) {
		end = d.used + step < len ? d.used + step : len;
		while (d.used < end && !chunked_is_done(&c)) {
			d.error = chunked_feed(&c, in + d.used, end - d.used, &piece, &d.why);
			if (d.error != 0)
				return d;
			assert_true(piece.used > 0);
			assert_true(d.len + piece.len <= sizeof(d.body));
			memcpy(d.body + d.len, piece.bytes, piece.len);
			d.len += piece.len;
			d.used += piece.used;
		}
	}
	d.done = chunked_is_done(&c);
	return d;
}

static void expect(const char *in, const char *body)
{
	size_t step;

	for (step = 1; step <= strlen(in); step++) {
		struct decoded d = decode_len(in, strlen(in), step);

		assert_int_equal(d.error, 0);
		assert_true(d.done);
		assert_int_equal(d.used, strlen(in));
		assert_int_equal(d.len, strlen(body));
		assert_memory_equal(d.body, body, d.len);
	}
}

static void refuse_len(const char *in, size_t len, const char *words)
{
	size_t step;

	for (step = 1; step <= len; step += step) {
		struct decoded d = decode_len(in, len, step);

		assert_int_equal(d.error, -EPROTO);
		if (strstr(d.why, words) == NULL)
			fail_msg("\"%s\" does not say \"%s\"", d.why, words);
	}
}

static void refuse(const char *in, const char *words)
{
	refuse_len(in, strlen(in), words);
}

static void test_chunks_are_joined_wherever_the_input_is_cut(void **state)
{
	(void)state;
	expect("5\r\nhello\r\n0\r\n\r\n", "hello");
	expect("0\r\n\r\n", "");
	expect("A\r\n0123456789\r\na\r\nabcdefghij\r\n00\r\n\r\n", "0123456789abcdefghij");
	expect("1 ; name=\"v;w\"\r\nx\r\n0;last\r\n\r\n", "x");
	expect("000000000000002\r\n\r\n\r\n0\r\n\r\n", "\r\n");
}

static void test_trailers_are_read_and_dropped(void **state)
{
	(void)state;
	expect("1\r\nx\r\n0\r\nA: b\r\nC:d\r\n\r\n", "x");
}

static void test_what_follows_the_end_is_left_alone(void **state)
{
	static const char in[] = "1\r\nx\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n";
	struct decoded d = decode_len(in, strlen(in), strlen(in));

	(void)state;
	assert_true(d.done);
	assert_int_equal(d.used, 11);
}

static void test_an_input_that_stops_is_not_done(void **state)
{
	static const char in[] = "5\r\nhello\r\n0\r\nA: b\r\n\r\n";
	size_t len;

	(void)state;
	for (len = 0; len < strlen(in); len++) {
		struct decoded d = decode_len(in, len, 3);

		assert_int_equal(d.error, 0);
		assert_false(d.done);
	}
}

static void test_bad_framing_is_refused(void **state)
{
	(void)state;
	refuse("\r\nhello", "no size");
	refuse("x\r\n", "no size");
	refuse("-1\r\n", "no size");
	refuse(" 1\r\n", "no size");
	refuse("5x\r\nhello", "not a hexadecimal");
	refuse("0x5\r\nhello", "not a hexadecimal");
	refuse("5\nhello", "control");
	refuse("5\rhello", "CR LF");
	refuse("5\r\nhelloX\n", "CR LF");
	refuse("5\r\nhello\rX", "CR LF");
	refuse("5\r\nhello\n\r", "CR LF");
	refuse("1000000000000000\r\n", "too large");
	refuse("0000000000000001\r\n", "too large");
	refuse("0\r\nA: b\r\n c\r\n\r\n", "folded");
	refuse("0\r\n\rX", "CR LF");
	refuse("0\r\nA: \x01\r\n\r\n", "control");
	refuse_len("1;a\0b\r\nx\r\n", 10, "control");
}

static void test_endless_framing_is_refused(void **state)
{
	size_t len = 2 + CHUNKED_TRAILER_MAX + 100;
	char *in = malloc(len);

	(void)state;
	memset(in, 'e', len);
	memcpy(in, "5;", 2);
	refuse_len(in, len, "size line is too long");
	memcpy(in, "0\r\n", 3);
	refuse_len(in, len, "too much behind");
	free(in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_chunks_are_joined_wherever_the_input_is_cut),
		cmocka_unit_test(test_trailers_are_read_and_dropped),
		cmocka_unit_test(test_what_follows_the_end_is_left_alone),
		cmocka_unit_test(test_an_input_that_stops_is_not_done),
		cmocka_unit_test(test_bad_framing_is_refused),
		cmocka_unit_test(test_endless_framing_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
