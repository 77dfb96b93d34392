/* The configuration's engine: tables, YAML and JSON, messages with file and line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/strbuf.h"
#include "daemon/config/conf.h"
#include "daemon/config/json_escape.h"
#include "daemon/config/units.h"

struct values {
	unsigned count;
	uint64_t size;
	char *text;
	char *list;
	int word;
	int mode;
	unsigned fixed;
};

static const char *const words[] = { "off", "on", "strict", NULL };

static const char *refuse_bad(const char *value)
{
	return strcmp(value, "bad") == 0 ? "allowed: anything but bad" : NULL;
}

static const struct conf_key keys[] = {
	{ .name = "group.count",
	  .offset = offsetof(struct values, count),
	  .type = CONF_COUNT,
	  .min = 1,
	  .max = 256,
	  .def = "16",
	  .flags = CONF_RELOAD,
	  .doc = "A count." },
	{ .name = "group.size",
	  .offset = offsetof(struct values, size),
	  .type = CONF_SIZE,
	  .min = 1 << 20,
	  .max = 1ull << 40,
	  .def = "0",
	  .flags = CONF_ZERO_OK,
	  .doc = "A size." },
	{ .name = "text",
	  .offset = offsetof(struct values, text),
	  .type = CONF_TEXT,
	  .def = "some where",
	  .env = "OSSC_TEST_TEXT",
	  .check = refuse_bad,
	  .doc = "A text." },
	{ .name = "list",
	  .offset = offsetof(struct values, list),
	  .type = CONF_LIST,
	  .def = "",
	  .doc = "A list." },
	{ .name = "word.choice",
	  .alias = "choice",
	  .offset = offsetof(struct values, word),
	  .type = CONF_WORD,
	  .words = words,
	  .def = "on",
	  .flags = CONF_RELOAD,
	  .doc = "A word." },
	{ .name = "mode",
	  .offset = offsetof(struct values, mode),
	  .type = CONF_MODE,
	  .def = "",
	  .doc = "A mode." },
	{ .name = "fixed",
	  .offset = offsetof(struct values, fixed),
	  .type = CONF_COUNT,
	  .max = 9,
	  .def = "1",
	  .doc = "Needs a restart." },
	{ 0 },
};

struct fixture {
	struct values v;
	struct conf *c;
	struct strbuf said; /* one line a problem, "E " or "W " before it */
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	const struct conf_section sections[] = { { keys, &f->v }, { NULL, NULL } };

	f->c = conf_new(sections);
	strbuf_init(&f->said, 1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	conf_free(f->c);
	strbuf_fini(&f->said);
	free(f);
	return 0;
}

static void note(bool is_error, const char *text, void *arg)
{
	strbuf_addf(arg, "%c %s\n", is_error ? 'E' : 'W', text);
}

static unsigned load(struct fixture *f, const char *text)
{
	strbuf_reset(&f->said);
	return conf_load_text(f->c, "f", text, strlen(text), note, &f->said);
}

static void test_defaults_stand_without_a_file(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(f->v.count, 16);
	assert_int_equal(f->v.size, 0);
	assert_string_equal(f->v.text, "some where");
	assert_int_equal(f->v.word, 1);
	assert_int_equal(f->v.mode, -1);
}

static void test_nested_and_dotted_names_and_json_say_the_same(void **state)
{
	static const char *const texts[] = {
		"group:\n  count: 3\n  size: 2MiB\nchoice: off\nmode: 0640\nlist: [a, b]\n",
		"group.count: 3\ngroup.size: 2097152\nword: {choice: off}\nmode: '0640'\nlist: "
		"a,b\n",
		"{\"group\":{\"count\":3,\"size\":\"2MiB\"},\"word.choice\":\"off\",\n"
		"\t\"mode\":\"0640\",\"list\":[\"a\",\"b\"]}",
	};
	struct fixture *f;
	size_t i;

	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		teardown(state);
		setup(state);
		f = *state;
		assert_int_equal(load(f, texts[i]), 0);
		assert_string_equal(strbuf_str(&f->said), "");
		assert_int_equal(f->v.count, 3);
		assert_int_equal(f->v.size, 2 << 20);
		assert_int_equal(f->v.word, 0);
		assert_int_equal(f->v.mode, 0640);
		assert_string_equal(f->v.list, "a,b");
		assert_int_equal(conf_origin_at(f->c, 0), CONF_FROM_FILE);
	}
}

static void test_empty_files_change_nothing(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, ""), 0);
	assert_int_equal(load(f, "# only a comment\n"), 0);
	assert_int_equal(load(f, "---\n"), 0);
	assert_int_equal(load(f, "{}"), 0);
	assert_int_equal(f->v.count, 16);
}

static void test_each_fault_has_its_line_and_says_what_is_allowed(void **state)
{
	static const struct {
		const char *text;
		const char *said;
	} cases[] = {
		{ "\ngroup:\n  count: many\n", "E f:3: group.count: found a text, \"many\"; "
					       "allowed: a whole number from 1 to 256, "
					       "without quotes\n" },
		{ "group.count: \"3\"",
		  "E f:1: group.count: found a text, \"3\"; allowed: a whole number from 1 to 256, "
		  "without quotes\n" },
		{ "group.count: 257", "E f:1: group.count: found a number, \"257\"; allowed: a "
				      "whole number from 1 to 256, "
				      "without quotes\n" },
		{ "group.count: -1", "E f:1: group.count: found a number, \"-1\"; allowed: a whole "
				     "number from 1 to 256, "
				     "without quotes\n" },
		{ "group.count: 99999999999999999999",
		  "E f:1: group.count: found a number, \"99999999999999999999\"; allowed: a whole "
		  "number from 1 to 256, without quotes\n" },
		{ "group.count:\n", "E f:1: group.count: found nothing; allowed: a whole number "
				    "from 1 to 256, without "
				    "quotes\n" },
		{ "group.count: [3]",
		  "E f:1: group.count: found a list; a single value is wanted\n" },
		{ "group: {count: {a: 3}}",
		  "E f:1: group.count: found a map; a single value is wanted\n" },
		{ "group: 5",
		  "E f:1: group: a group of keys is wanted here (such as group.count: ...)\n" },
		{ "group.size: 10 parsecs",
		  "E f:1: group.size: found a text, \"10 parsecs\"; allowed: bytes, or a size such "
		  "as "
		  "512MiB, 8GB or 50%, from 1MiB to 1048576MiB, or 0 for automatic\n" },
		{ "text: 5", "E f:1: text: found a number, \"5\"; allowed: a text; put it in "
			     "quotes if that is what "
			     "is meant\n" },
		{ "text: true", "E f:1: text: found a boolean, \"true\"; allowed: a text; put it "
				"in quotes if that is "
				"what is meant\n" },
		{ "text: bad", "E f:1: text: found a text, \"bad\"; allowed: anything but bad\n" },
		{ "text: \"a\\nb\"",
		  "E f:1: text: found a text, \"a\\nb\"; control characters are not allowed\n" },
		{ "text: \"a\\0b\"", "E f:1: a text may not hold the character NUL\n" },
		{ "choice: maybe",
		  "E f:1: word.choice: found a text, \"maybe\"; allowed: off, on, strict\n" },
		{ "mode: 0888", "E f:1: mode: found a number, \"0888\"; allowed: an octal file "
				"mode such as 0660\n" },
		{ "group.count: 1\ngroup:\n  count: 2\n",
		  "E f:3: group.count: said twice; line 1 has it already\n" },
		{ "choice: on\nword.choice: off\n",
		  "E f:2: word.choice: said twice; line 1 has it already\n" },
		{ "{\"text\":\"a\",\n\"text\":\"b\"}",
		  "E f:2: text: said twice in the same map\n" },
		{ "a: 1\na: 2\n",
		  "W f:1: unknown key a is ignored; osscd --print-config lists the known ones\n"
		  "E f:2: a: said twice in the same map\n" },
		{ "grup.count: 1\n",
		  "W f:1: unknown key grup.count is ignored; did you mean group.count?\n" },
		{ "count: 1\n",
		  "W f:1: unknown key count is ignored; did you mean group.count?\n" },
		{ "Text: abc\n", "W f:1: unknown key Text is ignored; did you mean text?\n" },
		{ "other: {deep: [1, {x: y}]}\ntext: abc",
		  "W f:1: unknown key other is ignored; osscd --print-config lists the known "
		  "ones\n" },
		{ "text: &a abc\n",
		  "E f:1: anchors and aliases (& and *) are not supported here\n" },
		{ "text: !!str abc\n", "E f:1: tags (!) are not supported here\n" },
		{ "list: [a, [b]]\n", "E f:1: list: a list of texts is wanted, nothing nested\n" },
		{ "- a\n- b\n",
		  "E f:1: a map of keys and values is wanted, such as \"logLevel: 1\"\n" },
		{ "text: abc\n---\ntext: def\n", "E f:2: one document a file, this is a second\n" },
		{ "text: 'abc\n\n", "E f:3: not YAML or JSON: found unexpected end of stream\n" },
		{ "text: abc\nlist: a\xff\n",
		  "E f:2: not YAML or JSON: invalid leading UTF-8 octet\n" },
		{ "{\n\"text\": \"\\ud83d\"}",
		  "E f:2: half of a two-part \\u escape (a surrogate) without its other half\n" },
		{ "? [a]\n: b\ntext: x\n",
		  "E f:1: the name of a key is wanted here, not a map or a list\n" },
	};
	struct fixture *f;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		teardown(state);
		setup(state);
		f = *state;
		load(f, cases[i].text);
		assert_string_equal(strbuf_str(&f->said), cases[i].said);
	}
}

static void test_all_faults_are_heard_in_one_go(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "group.count: x\ntext: 1\nnosuch: 1\nchoice: no\n"), 3);
	assert_non_null(strstr(strbuf_str(&f->said), "f:1: group.count"));
	assert_non_null(strstr(strbuf_str(&f->said), "f:2: text"));
	assert_non_null(strstr(strbuf_str(&f->said), "W f:3: unknown key nosuch"));
	assert_non_null(strstr(strbuf_str(&f->said), "f:4: word.choice"));
	assert_int_equal(f->v.count, 16);
}

static void test_a_wrong_value_leaves_the_right_one(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "text: 5\n"), 1);
	assert_string_equal(f->v.text, "some where");
}

static void test_json_surrogate_pairs_become_utf8(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "{\"text\": \"a\\uD83D\\ude00\\u00e9\\\\ud83d\"}"), 0);
	assert_string_equal(f->v.text, "a\xf0\x9f\x98\x80\xc3\xa9\\ud83d");
}

static void test_maps_are_bounded(void **state)
{
	struct fixture *f = *state;
	struct strbuf text;
	int i;

	strbuf_init(&text, 1 << 20);
	for (i = 0; i < 2000; i++)
		strbuf_addf(&text, "k%d: 1\n", i);
	assert_int_equal(load(f, strbuf_str(&text)), 1);
	assert_non_null(strstr(strbuf_str(&f->said), "E f:513: more than 512 keys in one map"));
	strbuf_fini(&text);
}

static void test_a_file_that_cannot_be_read_is_one_error(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(conf_load_file(f->c, "/nonexistent/f.yaml", note, &f->said), 1);
	assert_string_equal(strbuf_str(&f->said),
			    "E /nonexistent/f.yaml: cannot be read: No such file or directory\n");
	strbuf_reset(&f->said);
	assert_int_equal(conf_load_file(f->c, "/", note, &f->said), 1);
	assert_string_equal(strbuf_str(&f->said), "E /: cannot be read: Is a directory\n");
}

static void test_the_environment_is_a_default_that_the_file_overrides(void **state)
{
	struct fixture *f = *state;

	setenv("OSSC_TEST_TEXT", "5", 1);
	assert_int_equal(conf_load_env(f->c, note, &f->said), 0);
	assert_string_equal(f->v.text, "5");
	assert_int_equal(load(f, "text: there\n"), 0);
	assert_string_equal(f->v.text, "there");

	setenv("OSSC_TEST_TEXT", "bad", 1);
	strbuf_reset(&f->said);
	assert_int_equal(conf_load_env(f->c, note, &f->said), 1);
	assert_string_equal(
		strbuf_str(&f->said),
		"E environment: OSSC_TEST_TEXT: found a text, \"bad\"; allowed: anything "
		"but bad\n");
	unsetenv("OSSC_TEST_TEXT");
}

static void test_what_is_printed_reads_back(void **state)
{
	struct fixture *f = *state;
	struct strbuf first;

	assert_int_equal(load(f, "text: \"a: \\\"b\\\" #c\"\nmode: 0600\nchoice: off\n"), 0);
	strbuf_init(&first, 1 << 20);
	conf_print(f->c, &first);
	assert_non_null(strstr(strbuf_str(&first), "text: \"a: \\\"b\\\" #c\""));
	assert_non_null(strstr(strbuf_str(&first), "word.choice: off"));
	assert_int_equal(load(f, strbuf_str(&first)), 0);
	assert_string_equal(strbuf_str(&f->said), "");
	assert_string_equal(f->v.text, "a: \"b\" #c");
	strbuf_fini(&first);
}

static void on_change(const struct conf_key *key, const char *before, const char *after, void *arg)
{
	strbuf_addf(arg, "%s %s->%s\n", key->name, before, after);
}

static void test_a_reload_keeps_what_needs_a_restart(void **state)
{
	struct fixture *f = *state;
	struct values fresh_values;
	const struct conf_section sections[] = { { keys, &fresh_values }, { NULL, NULL } };
	struct conf *fresh = conf_new(sections);
	static const char text[] = "group.count: 5\nfixed: 7\n";

	assert_int_equal(conf_load_text(fresh, "f", text, strlen(text), note, &f->said), 0);
	conf_carry_over(fresh, f->c, on_change, &f->said);
	assert_string_equal(strbuf_str(&f->said), "group.count 16->5\nfixed 1->7\n");
	assert_int_equal(fresh_values.count, 5);
	assert_int_equal(fresh_values.fixed, 1);
	conf_free(fresh);
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "512MiB", 512ull << 20 },
		{ "512 MiB", 512ull << 20 },
		{ "8GB", 8000000000ull },
		{ "8G", 8ull << 30 },
		{ "8Gi", 8ull << 30 },
		{ "1T", 1ull << 40 },
		{ "1kB", 1000 },
		{ "0%", 0 },
	};
	static const char *const bad[] = { "",
					   "x",
					   "8g",
					   "8 Gi B",
					   "-1",
					   "1.5G",
					   "101%",
					   "99999999999T",
					   "18446744073709551616",
					   "8GiB ",
					   " 8" };
	uint64_t n;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(units_parse_size(good[i].text, &n), 0);
		assert_int_equal(n, good[i].bytes);
	}
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_true(units_parse_size(bad[i], &n) < 0);
	assert_int_equal(units_parse_size("50%", &n), 0);
	assert_int_equal(n, units_memory() / 100 * 50);
	assert_true(units_memory() > 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_defaults_stand_without_a_file),
		TEST(test_nested_and_dotted_names_and_json_say_the_same),
		TEST(test_empty_files_change_nothing),
		TEST(test_each_fault_has_its_line_and_says_what_is_allowed),
		TEST(test_all_faults_are_heard_in_one_go),
		TEST(test_a_wrong_value_leaves_the_right_one),
		TEST(test_json_surrogate_pairs_become_utf8),
		TEST(test_maps_are_bounded),
		TEST(test_a_file_that_cannot_be_read_is_one_error),
		TEST(test_the_environment_is_a_default_that_the_file_overrides),
		TEST(test_what_is_printed_reads_back),
		TEST(test_a_reload_keeps_what_needs_a_restart),
		TEST(test_sizes),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
