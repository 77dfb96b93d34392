/* Audit lines are JSON whatever a client calls its files, and say who did what. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/strbuf.h"
#include "daemon/base/audit.h"
#include "daemon/base/json.h"

static char path[] = "/tmp/ossc-test-audit-XXXXXX";
static char text[65536];

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(path + strlen(path) - 6, "XXXXXX");
	fd = mkstemp(path);
	assert_int_not_equal(fd, -1);
	close(fd);
	assert_int_equal(audit_open(path), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	audit_close();
	unlink(path);
	return 0;
}

static const char *contents(void)
{
	FILE *in = fopen(path, "re");
	size_t n;

	assert_non_null(in);
	n = fread(text, 1, sizeof(text) - 1, in);
	text[n] = '\0';
	fclose(in);
	return text;
}

static void test_a_line_says_who_did_what_and_how_it_ended(void **state)
{
	const struct audit_who who = { .uid = 1000, .pid = 4711, .exe = "/usr/bin/cat" };

	(void)state;
	audit_write(&who, "open", "oss://b/m/w.bin", 0, 42);
	assert_non_null(strstr(contents(), "\",\"op\":\"open\",\"uid\":1000,\"pid\":4711,"
					   "\"exe\":\"/usr/bin/cat\",\"what\":\"oss://b/m/w.bin\","
					   "\"result\":\"ok\",\"bytes\":42}\n"));
	assert_memory_equal(text, "{\"time\":\"2", 10);
	audit_write(&who, "open", "x", -ENOENT, 0);
	assert_non_null(strstr(contents(), "\"result\":\"ENOENT\""));
	audit_write(&who, "open", "x", -4095, 0);
	assert_non_null(strstr(contents(), "\"result\":\"E4095\""));
}

static void test_hostile_names_stay_inside_their_string(void **state)
{
	const struct audit_who who = { .uid = 0, .pid = 1, .exe = NULL };

	(void)state;
	audit_write(&who, "open", "a\"}\n{\"op\":\"\\\x01\xff", 0, 0);
	assert_non_null(
		strstr(contents(),
		       "\"exe\":null,\"what\":\"a\\\"}\\n{\\\"op\\\":\\\"\\\\\\u0001\\ufffd\""));
	assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
}

static void test_json_strings_are_valid_utf8(void **state)
{
	static const struct {
		const char *in, *out;
	} cases[] = {
		{ "", "\"\"" },
		{ "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80",
		  "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\"" },
		{ "\xc0\x80", "\"\\ufffd\\ufffd\"" },
		{ "\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"" },
		{ "\xf4\x90\x80\x80", "\"\\ufffd\\ufffd\\ufffd\\ufffd\"" },
		{ "\xe2\x82", "\"\\ufffd\\ufffd\"" },
		{ "\x7f\t", "\"\\u007f\\t\"" },
	};
	struct strbuf out;
	size_t i;

	(void)state;
	strbuf_init(&out, 1000);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		strbuf_reset(&out);
		json_cstring(&out, cases[i].in);
		assert_string_equal(strbuf_str(&out), cases[i].out);
	}
	strbuf_fini(&out);
}

static void test_nothing_is_written_while_it_is_closed(void **state)
{
	const struct audit_who who = { .uid = 0, .pid = 1, .exe = "/x" };

	(void)state;
	audit_close();
	audit_write(&who, "open", "x", 0, 0);
	assert_string_equal(contents(), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_a_line_says_who_did_what_and_how_it_ended),
		TEST(test_hostile_names_stay_inside_their_string),
		TEST(test_json_strings_are_valid_utf8),
		TEST(test_nothing_is_written_while_it_is_closed),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
