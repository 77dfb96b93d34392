#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "common/strbuf.h"
#include "daemon/oss/canon.h"
#include "daemon/oss/date.h"
#include "daemon/oss/digest.h"

static void assert_encoded(const char *text, bool keep_slash, const char *expected)
{
	struct strbuf sb;

	strbuf_init(&sb, 4096);
	canon_encode(&sb, text, strlen(text), keep_slash);
	assert_int_equal(strbuf_error(&sb), 0);
	assert_string_equal(strbuf_str(&sb), expected);
	strbuf_fini(&sb);
}

static void test_only_unreserved_bytes_stay_as_they_are(void **state)
{
	(void)state;
	assert_encoded("AZaz09-._~", false, "AZaz09-._~");
	assert_encoded("a/b c", true, "a/b%20c");
	assert_encoded("a/b", false, "a%2Fb");
	assert_encoded("!*'()+%", false, "%21%2A%27%28%29%2B%25");
	assert_encoded("\xe6\xa8\xa1\x01\xff", false, "%E6%A8%A1%01%FF");
	assert_encoded("", false, "");
}

static void test_decoding_gives_back_every_byte_or_refuses(void **state)
{
	char text[64];

	(void)state;
	strcpy(text, "a%20b+c%2Bd%2f%FF");
	assert_int_equal(canon_decode(text, true), 9);
	assert_string_equal(text, "a b c+d/\xff");
	strcpy(text, "a+b");
	assert_int_equal(canon_decode(text, false), 3);
	assert_string_equal(text, "a+b");
	strcpy(text, "a%2");
	assert_int_equal(canon_decode(text, true), -EINVAL);
	strcpy(text, "a%");
	assert_int_equal(canon_decode(text, true), -EINVAL);
	strcpy(text, "a%zz");
	assert_int_equal(canon_decode(text, true), -EINVAL);
	strcpy(text, "a%00b");
	assert_int_equal(canon_decode(text, true), -EINVAL);
}

static void test_queries_sort_by_their_encoded_bytes(void **state)
{
	static const struct oss_param params[] = {
		{ "b", "2" }, { "a", NULL },  { "a-b", "1" },
		{ "A", "" },  { "a", "x y" }, { "\xc3\xa9", "1" },
	};
	struct strbuf sb;

	(void)state;
	strbuf_init(&sb, 4096);
	assert_int_equal(canon_query(&sb, params, 6, false), 0);
	assert_string_equal(strbuf_str(&sb), "%C3%A9=1&A&a&a=x%20y&a-b=1&b=2");
	strbuf_reset(&sb);
	assert_int_equal(canon_query(&sb, params, 6, true), 0);
	assert_string_equal(strbuf_str(&sb), "%C3%A9=1&A=&a=&a=x%20y&a-b=1&b=2");
	strbuf_fini(&sb);
}

static void test_a_query_that_does_not_fit_is_an_error(void **state)
{
	struct oss_param params[CANON_MAX_PARAMS + 1];
	struct strbuf sb;
	size_t i;

	(void)state;
	for (i = 0; i <= CANON_MAX_PARAMS; i++)
		params[i] = (struct oss_param){ "n", "v" };
	strbuf_init(&sb, 4096);
	assert_int_equal(canon_query(&sb, params, CANON_MAX_PARAMS + 1, false), -E2BIG);
	strbuf_fini(&sb);
	strbuf_init(&sb, 8);
	assert_int_equal(canon_query(&sb, params, 4, false), -E2BIG);
	strbuf_fini(&sb);
}

static void test_repeated_headers_join_in_the_order_they_came(void **state)
{
	static struct canon_fields f;
	struct strbuf sb;

	(void)state;
	f.nr = 0;
	assert_int_equal(canon_fields_add(&f, "X-Oss-B", " 2  2 ", false), 0);
	assert_int_equal(canon_fields_add(&f, "Abc", "z", true), 0);
	assert_int_equal(canon_fields_add(&f, "x-oss-b", "1\t", false), 0);
	canon_fields_sort(&f);
	strbuf_init(&sb, 4096);
	canon_fields_lines(&f, false, &sb);
	assert_string_equal(strbuf_str(&sb), "abc:z\nx-oss-b:2  2,1\n");
	strbuf_reset(&sb);
	canon_fields_lines(&f, true, &sb);
	assert_string_equal(strbuf_str(&sb), "abc:z\nx-oss-b:2 2,1\n");
	strbuf_reset(&sb);
	canon_fields_names(&f, false, &sb);
	assert_string_equal(strbuf_str(&sb), "abc;x-oss-b");
	strbuf_reset(&sb);
	canon_fields_names(&f, true, &sb);
	assert_string_equal(strbuf_str(&sb), "abc");
	strbuf_fini(&sb);
}

static void test_dates_are_written_in_both_forms(void **state)
{
	char basic[DATE_BASIC_LEN], http[DATE_HTTP_LEN];

	(void)state;
	date_format_basic(1767323045, basic);
	assert_string_equal(basic, "20260102T030405Z");
	date_format_http(1767323045, http);
	assert_string_equal(http, "Fri, 02 Jan 2026 03:04:05 GMT");
	date_format_http(0, http);
	assert_string_equal(http, "Thu, 01 Jan 1970 00:00:00 GMT");
	date_format_http(951782400, http);
	assert_string_equal(http, "Tue, 29 Feb 2000 00:00:00 GMT");
	date_format_basic(INT64_MAX, basic);
	assert_string_equal(basic, "99991231T235959Z");
	date_format_basic(-5, basic);
	assert_string_equal(basic, "19700101T000000Z");
}

static void test_a_date_read_is_the_date_written(void **state)
{
	char http[DATE_HTTP_LEN];
	int64_t t, back;

	(void)state;
	for (t = 0; t < 4102444800; t += 86400 * 13 + 3607) {
		date_format_http(t, http);
		assert_int_equal(date_parse_http(http, &back), 0);
		assert_int_equal(back, t);
	}
	assert_int_equal(date_parse_iso("2026-01-02T03:04:05.000Z", &back), 0);
	assert_int_equal(back, 1767323045);
	assert_int_equal(date_parse_iso("2026-01-02T03:04:05Z", &back), 0);
	assert_int_equal(back, 1767323045);
}

static void test_what_is_no_date_is_refused(void **state)
{
	static const char *const iso[] = { "",
					   "2026-01-02",
					   "2026-01-02T03:04:05",
					   "2026-02-29T03:04:05Z",
					   "2026-13-02T03:04:05Z",
					   "2026-01-02T24:04:05Z",
					   "2026-01-02T03:04:05.Z",
					   "2026-01-02T03:04:05+08:00",
					   "2026-01-02T03:04:05Zx",
					   "2026-01-0aT03:04:05Z" };
	static const char *const http[] = { "",
					    "Fri, 02 Jan 2026 03:04:05",
					    "Fri, 02 Foo 2026 03:04:05 GMT",
					    "Fri, 32 Jan 2026 03:04:05 GMT",
					    "Fri, 02 Jan 2026 03:04:05 GMT ",
					    "Friday, 02-Jan-26 03:04:05 GMT" };
	int64_t t = 7;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(iso) / sizeof(iso[0]); i++)
		assert_int_equal(date_parse_iso(iso[i], &t), -EINVAL);
	for (i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		assert_int_equal(date_parse_http(http[i], &t), -EINVAL);
	assert_int_equal(t, 7);
}

static void test_base64_is_read_strictly(void **state)
{
	unsigned char buf[16];

	(void)state;
	assert_int_equal(digest_base64_decode("aGVsbG8=", buf, sizeof(buf)), 5);
	assert_memory_equal(buf, "hello", 5);
	assert_int_equal(digest_base64_decode("", buf, sizeof(buf)), 0);
	assert_int_equal(digest_base64_decode("aGVsbG8", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(digest_base64_decode("aGVs bG8=", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(digest_base64_decode("aGVsb===", buf, sizeof(buf)), -EINVAL);
	assert_int_equal(digest_base64_decode("aGVsbG8gaGVsbG8gaGVsbG8=", buf, 4), -E2BIG);
}

static void test_the_first_error_of_a_string_stays(void **state)
{
	struct strbuf sb;

	(void)state;
	strbuf_init(&sb, 10);
	assert_string_equal(strbuf_str(&sb), "");
	strbuf_addf(&sb, "%d-%s", 12, "abc");
	strbuf_addc(&sb, '!');
	assert_string_equal(strbuf_str(&sb), "12-abc!");
	strbuf_adds(&sb, "1234");
	assert_int_equal(strbuf_error(&sb), -E2BIG);
	strbuf_adds(&sb, "1");
	assert_string_equal(strbuf_str(&sb), "12-abc!");
	strbuf_reset(&sb);
	assert_int_equal(strbuf_error(&sb), 0);
	strbuf_add(&sb, "0123456789", 10);
	assert_int_equal(strbuf_len(&sb), 10);
	assert_int_equal(strbuf_error(&sb), 0);
	strbuf_wipe(&sb);
	assert_int_equal(strbuf_len(&sb), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_only_unreserved_bytes_stay_as_they_are),
		cmocka_unit_test(test_decoding_gives_back_every_byte_or_refuses),
		cmocka_unit_test(test_queries_sort_by_their_encoded_bytes),
		cmocka_unit_test(test_a_query_that_does_not_fit_is_an_error),
		cmocka_unit_test(test_repeated_headers_join_in_the_order_they_came),
		cmocka_unit_test(test_dates_are_written_in_both_forms),
		cmocka_unit_test(test_a_date_read_is_the_date_written),
		cmocka_unit_test(test_what_is_no_date_is_refused),
		cmocka_unit_test(test_base64_is_read_strictly),
		cmocka_unit_test(test_the_first_error_of_a_string_stays),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
