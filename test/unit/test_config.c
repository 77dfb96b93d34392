/* The keys of osscd: what each refuses, and that files and manual say the same as the tables. */
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
#include "daemon/config/settings.h"

struct fixture {
	struct settings *s;
	struct strbuf said;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	unsetenv("HTTP_SOURCE_IP");
	unsetenv("OSS_ENDPOINT");
	unsetenv("OSS_REGION");
	unsetenv("OSSC_CONFIG");
	f->s = settings_new();
	strbuf_init(&f->said, 1 << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	settings_free(f->s);
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
	return conf_load_text(f->s->conf, "c.yaml", text, strlen(text), note, &f->said);
}

static void test_the_documented_defaults(void **state)
{
	struct fixture *f = *state;
	const struct settings *s = f->s;

	assert_int_equal(s->log.level, 1);
	assert_string_equal(s->log.path, "/var/log/oss-connector/connector.log");
	assert_string_equal(s->log.audit_path, "/var/log/oss-connector/audit.log");
	assert_int_equal(s->cache.expire_sec, 120);
	assert_int_equal(s->cache.size, 0);
	assert_int_equal(s->cache.chunk_size, 8 << 20);
	assert_int_equal(s->cache.max_objects, 16384);
	assert_int_equal(s->cache.verify, SETTINGS_VERIFY_ON);
	assert_int_equal(s->mount.prefetch_vcpus, 16);
	assert_int_equal(s->mount.prefetch_workers, 16);
	assert_int_equal(s->mount.list_vcpus, 1);
	assert_int_equal(s->mount.list_workers, 16);
	assert_int_equal(s->mount.refresh_sec, 60);
	assert_int_equal(s->network.connect_timeout_sec, 5);
	assert_int_equal(s->network.idle_timeout_sec, 20);
	assert_int_equal(s->network.retry_sec, 60);
	assert_int_equal(s->socket.mode, -1);
}

static void test_the_json_of_the_product_before(void **state)
{
	static const char text[] =
		"{\n\t\"logLevel\": 0,\n\t\"logPath\": \"/x/c.log\",\n\t\"auditPath\": "
		"\"/x/a.log\",\n"
		"\t\"expireTimeSec\": 10,\n\t\"prefetch\": {\"vcpus\": 2, \"workers\": 24},\n"
		"\t\"fastList\": {\"vcpus\":2,\"workers\":32}\n}\n";
	struct fixture *f = *state;

	assert_int_equal(load(f, text), 0);
	assert_string_equal(strbuf_str(&f->said), "");
	assert_int_equal(f->s->log.level, 0);
	assert_string_equal(f->s->log.path, "/x/c.log");
	assert_int_equal(f->s->cache.expire_sec, 10);
	assert_int_equal(f->s->mount.prefetch_workers, 24);
	assert_int_equal(f->s->mount.list_vcpus, 2);
}

static void test_verify_at_the_top_is_cache_verify(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(load(f, "verify: off\n"), 0);
	assert_int_equal(f->s->cache.verify, SETTINGS_VERIFY_OFF);
	assert_int_equal(load(f, "{\"verify\": \"strict\"}"), 0);
	assert_int_equal(f->s->cache.verify, SETTINGS_VERIFY_STRICT);
	assert_int_equal(load(f, "verify: false\n"), 1);
	assert_string_equal(
		strbuf_str(&f->said),
		"E c.yaml:1: cache.verify: found a boolean, \"false\"; allowed: off, on, "
		"strict\n");
}

/* For every key: a value of another type, one out of range, a map, and the name misspelt. */
static void test_every_key_refuses_what_is_wrong_with_file_and_line(void **state)
{
	static const char *const wrong[] = {
		[CONF_COUNT] = "many", [CONF_SIZE] = "huge",	[CONF_TEXT] = "12",
		[CONF_LIST] = "12",    [CONF_WORD] = "perhaps", [CONF_MODE] = "rw-rw----",
	};
	struct fixture *f = *state;
	char text[256], said[300];
	unsigned i, nr = conf_nr_keys(f->s->conf);

	assert_in_range(nr, 25, 60);
	for (i = 0; i < nr; i++) {
		const struct conf_key *k = conf_key_at(f->s->conf, i);

		snprintf(text, sizeof(text), "# a comment\n%s: %s\n", k->name, wrong[k->type]);
		snprintf(said, sizeof(said), "E c.yaml:2: %s: found a ", k->name);
		assert_int_equal(load(f, text), 1);
		assert_memory_equal(strbuf_str(&f->said), said, strlen(said));
		assert_non_null(strstr(strbuf_str(&f->said), "allowed: "));

		snprintf(text, sizeof(text), "%s: {a: b}\n", k->name);
		assert_int_equal(load(f, text), 1);
		assert_non_null(strstr(strbuf_str(&f->said), "found a map"));

		snprintf(text, sizeof(text), "%sx: 1\n", k->name);
		snprintf(said, sizeof(said),
			 "W c.yaml:1: unknown key %sx is ignored; did you mean %s?\n", k->name,
			 k->name);
		assert_int_equal(load(f, text), 0);
		assert_string_equal(strbuf_str(&f->said), said);

		if (k->type != CONF_COUNT)
			continue;
		snprintf(text, sizeof(text), "%s: %llu\n", k->name, (unsigned long long)k->max + 1);
		assert_int_equal(load(f, text), 1);
		if (k->min == 0)
			continue;
		snprintf(text, sizeof(text), "%s: %llu\n", k->name, (unsigned long long)k->min - 1);
		assert_int_equal(load(f, text), 1);
	}
}

static void test_values_with_rules_of_their_own(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
		{ "cache.chunkSize: 8MB", "E c.yaml:1: cache.chunkSize: found a text, \"8MB\"; "
					  "allowed: a power of two from 1MiB "
					  "to 64MiB\n" },
		{ "cache.chunkSize: 128MiB", "E c.yaml:1: cache.chunkSize: found a text, "
					     "\"128MiB\"; allowed: a power of two from "
					     "1MiB to 64MiB\n" },
		{ "logPath: connector.log", "E c.yaml:1: logPath: found a text, \"connector.log\"; "
					    "allowed: an absolute path, one "
					    "that begins with /\n" },
		{ "network.sourceIp: 10.0.0.1,eth0", "E c.yaml:1: network.sourceIp: found a text, "
						     "\"10.0.0.1,eth0\"; allowed: IP addresses "
						     "of this node, separated by commas\n" },
		{ "network.sourceIp: [10.0.0.1, '10.0.0.2 , ::1']", "" },
		{ "endpoint: http://key@host",
		  "E c.yaml:1: endpoint: found a text, \"http://key@host\"; allowed: a host name "
		  "with an "
		  "optional http:// or https:// before it and :port after it\n" },
		{ "cache.size: 50%", "" },
	};
	struct fixture *f = *state;
	size_t i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		load(f, cases[i].text);
		assert_string_equal(strbuf_str(&f->said), cases[i].said);
	}
}

static void test_a_cache_that_holds_no_four_chunks_is_refused(void **state)
{
	struct fixture *f = *state;
	char path[] = "/tmp/ossc-test-config-XXXXXX", said[128];
	static const char text[] = "cache.chunkSize: 64MiB\ncache.size: 255MiB\n";
	int fd = mkstemp(path);

	assert_int_not_equal(fd, -1);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	assert_int_equal(settings_load(f->s, path, note, &f->said), 1);
	snprintf(said, sizeof(said), "E %s:2: cache.size: ", path);
	assert_memory_equal(strbuf_str(&f->said), said, strlen(said));
	unlink(path);
}

static void test_the_environment_stands_in_for_keys(void **state)
{
	struct fixture *f = *state;

	setenv("HTTP_SOURCE_IP", "127.0.0.1, 127.0.0.2", 1);
	setenv("OSS_ENDPOINT", "http://127.0.0.1:9000", 1);
	setenv("OSS_REGION", "cn-hangzhou", 1);
	assert_int_equal(settings_load(f->s, NULL, note, &f->said), 0);
	assert_string_equal(f->s->network.source_ip, "127.0.0.1, 127.0.0.2");
	assert_string_equal(f->s->network.endpoint, "http://127.0.0.1:9000");
	assert_string_equal(f->s->network.region, "cn-hangzhou");
	assert_int_equal(load(f, "endpoint: other.example\n"), 0);
	assert_string_equal(f->s->network.endpoint, "other.example");
	setenv("HTTP_SOURCE_IP", "nonsense", 1);
	assert_int_equal(settings_load(f->s, NULL, note, &f->said), 1);
	assert_non_null(strstr(strbuf_str(&f->said), "environment: HTTP_SOURCE_IP: "));
}

static void test_where_the_file_is_looked_for(void **state)
{
	(void)state;
	assert_string_equal(settings_find_file("/a"), "/a");
	setenv("OSSC_CONFIG", "/b", 1);
	assert_string_equal(settings_find_file("/a"), "/a");
	assert_string_equal(settings_find_file(NULL), "/b");
}

static char *read_whole(const char *path)
{
	char *text = calloc(1, 1 << 20);
	FILE *in = fopen(path, "re");

	if (in == NULL)
		fail_msg("%s: run from the top of the project", path);
	assert_in_range(fread(text, 1, (1 << 20) - 1, in), 1, (1 << 20) - 2);
	fclose(in);
	return text;
}

static void test_the_example_has_every_key_at_its_default(void **state)
{
	struct fixture *f = *state;
	struct settings *plain = settings_new();
	unsigned i;

	assert_int_equal(conf_load_file(f->s->conf, "conf/osscd.yaml", note, &f->said), 0);
	assert_string_equal(strbuf_str(&f->said), "");
	for (i = 0; i < conf_nr_keys(f->s->conf); i++) {
		if (conf_line_at(f->s->conf, i) == 0)
			fail_msg("conf/osscd.yaml lacks %s", conf_key_at(f->s->conf, i)->name);
		assert_string_equal(conf_text_at(f->s->conf, i), conf_text_at(plain->conf, i));
	}
	settings_free(plain);
}

static void test_the_installed_json_is_the_defaults(void **state)
{
	struct fixture *f = *state;
	struct settings *plain = settings_new();
	unsigned i, nr_said = 0;

	assert_int_equal(conf_load_file(f->s->conf, "conf/config.json", note, &f->said), 0);
	assert_string_equal(strbuf_str(&f->said), "");
	for (i = 0; i < conf_nr_keys(f->s->conf); i++) {
		nr_said += conf_line_at(f->s->conf, i) != 0;
		assert_string_equal(conf_text_at(f->s->conf, i), conf_text_at(plain->conf, i));
	}
	assert_int_equal(nr_said, 8);
	settings_free(plain);
}

static void test_the_manual_has_every_key_with_its_default(void **state)
{
	struct fixture *f = *state;
	char *page = read_whole("conf/osscd.yaml.5"), entry[256];
	unsigned i;

	for (i = 0; i < conf_nr_keys(f->s->conf); i++) {
		const struct conf_key *k = conf_key_at(f->s->conf, i);
		char shown[128];
		size_t n = 0, j;

		for (j = 0; k->def[j] != '\0' && n < sizeof(shown) - 2; j++) {
			if (k->def[j] == '-')
				shown[n++] = '\\';
			shown[n++] = k->def[j];
		}
		shown[n] = '\0';
		snprintf(entry, sizeof(entry), ".TP\n.B %s\n(default %s%s)\n", k->name,
			 n != 0 ? shown : "empty", (k->flags & CONF_RELOAD) != 0 ? ", reload" : "");
		if (strstr(page, entry) == NULL)
			fail_msg("conf/osscd.yaml.5 lacks:\n%s", entry);
	}
	free(page);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
		TEST(test_the_documented_defaults),
		TEST(test_the_json_of_the_product_before),
		TEST(test_verify_at_the_top_is_cache_verify),
		TEST(test_every_key_refuses_what_is_wrong_with_file_and_line),
		TEST(test_values_with_rules_of_their_own),
		TEST(test_a_cache_that_holds_no_four_chunks_is_refused),
		TEST(test_the_environment_stands_in_for_keys),
		TEST(test_where_the_file_is_looked_for),
		TEST(test_the_example_has_every_key_at_its_default),
		TEST(test_the_installed_json_is_the_defaults),
		TEST(test_the_manual_has_every_key_with_its_default),
#undef TEST
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
