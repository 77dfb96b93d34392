#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "daemon/oss/date.h"
#include "daemon/oss/list_xml.h"
#include "test/unit/json.h"

static int parse(const char *xml, struct list_page *page, char *err, size_t err_len)
{
	return list_xml_parse(xml, strlen(xml), OSS_DIALECT_OSS, page, err, err_len);
}

static void check_text(const char *got, const struct jv *object, const char *name)
{
	const char *want = jv_str(object, name);

	assert_string_equal(got, want != NULL ? want : "");
}

static void check_entries(const struct list_page *page, const struct jv *expected)
{
	const struct jv *object;
	int64_t mtime;
	size_t i = 0;

	assert_int_equal(page->nr_entries, jv_count(jv_get(expected, "objects")));
	jv_each(object, jv_get(expected, "objects"))
	{
		const struct list_entry *e = &page->entries[i++];

		assert_int_equal(e->key_len, jv_get(object, "key")->len);
		check_text(e->key, object, "key");
		assert_int_equal(e->size, jv_int(object, "size"));
		check_text(e->etag, object, "etag");
		check_text(e->type, object, "type");
		check_text(e->class, object, "storage_class");
		check_text(e->restore, object, "restore");
		assert_int_equal(date_parse_iso(jv_str(object, "last_modified"), &mtime), 0);
		assert_int_equal(e->mtime, mtime);
	}
}

static void check_case(const struct jv *c)
{
	const struct jv *expected = jv_get(c, "expected"), *xml = jv_get(c, "response_xml"), *p;
	bool s3 = strcmp(jv_str(c, "dialect"), "s3") == 0;
	struct list_page page;
	char err[256] = "";
	size_t i = 0;

	if (list_xml_parse(xml->str, xml->len, s3 ? OSS_DIALECT_S3 : OSS_DIALECT_OSS, &page, err,
			   sizeof(err)) != 0)
		fail_msg("%s: %s", jv_str(c, "name"), err);
	check_entries(&page, expected);
	assert_int_equal(page.nr_prefixes, jv_count(jv_get(expected, "common_prefixes")));
	jv_each(p, jv_get(expected, "common_prefixes"))
		assert_string_equal(page.prefixes[i++], p->str);
	assert_int_equal(page.is_truncated, jv_truth(expected, "is_truncated"));
	if (jv_str(expected, "next_continuation_token") != NULL)
		assert_string_equal(page.next_token, jv_str(expected, "next_continuation_token"));
	else
		assert_null(page.next_token);
	if (jv_str(expected, "next_marker") != NULL)
		assert_string_equal(page.next_marker, jv_str(expected, "next_marker"));
	else
		assert_null(page.next_marker);
	if (strstr(xml->str, "<KeyCount>") != NULL)
		assert_int_equal(page.key_count, jv_int(expected, "key_count"));
	else
		assert_int_equal(page.key_count, -1);
	list_page_fini(&page);
}

static void test_every_published_listing_is_read_as_it_should(void **state)
{
	struct jv *file = jv_load("list_xml.json"), *c;

	(void)state;
	jv_each(c, jv_get(file, "cases")) check_case(c);
	assert_int_equal(jv_count(jv_get(file, "cases")), 20);
	jv_free(file);
}

#define PAGE(inner)                                                                                \
	"<ListBucketResult><IsTruncated>false</IsTruncated><EncodingType>url</EncodingType>" inner \
	"</ListBucketResult>"
#define ENTRY(inner) PAGE("<Contents>" inner "</Contents>")

static void test_listings_that_are_not_whole_are_refused_with_a_reason(void **state)
{
	static const struct {
		const char *xml, *part;
	} bad[] = {
		{ "", "XML" },
		{ "<html><body>hello</body></html>", "no listing" },
		{ "<ListBucketResult><IsTruncated>false</IsTruncated>", "XML" },
		{ "<ListBucketResult></ListBucketResult>", "IsTruncated" },
		{ "<ListBucketResult><IsTruncated>maybe</IsTruncated></ListBucketResult>",
		  "IsTruncated" },
		{ ENTRY("<Size>1</Size>"), "Key is missing" },
		{ ENTRY("<Key></Key><Size>1</Size>"), "Key is missing" },
		{ ENTRY("<Key>a</Key>"), "Size is not a number" },
		{ ENTRY("<Key>a</Key><Size>-1</Size>"), "Size is not a number" },
		{ ENTRY("<Key>a</Key><Size>1.5</Size>"), "Size is not a number" },
		{ ENTRY("<Key>a</Key><Size>99999999999999999999</Size>"), "Size is not a number" },
		{ ENTRY("<Key>a%2</Key><Size>1</Size>"), "not url-encoded" },
		{ ENTRY("<Key>a%00</Key><Size>1</Size>"), "not url-encoded" },
		{ ENTRY("<Key>a</Key><Key>b</Key><Size>1</Size>"), "twice" },
		{ ENTRY("<Key>a</Key><Size>1</Size><LastModified>today</LastModified>"),
		  "LastModified" },
		{ PAGE("<CommonPrefixes><Prefix></Prefix></CommonPrefixes>"), "common prefix" },
		{ PAGE("<CommonPrefixes><Prefix>%</Prefix></CommonPrefixes>"), "common prefix" },
		{ PAGE("<KeyCount>many</KeyCount>"), "KeyCount" },
		{ "<!DOCTYPE a [<!ENTITY b \"c\">]>" PAGE(""), "document type" },
		{ PAGE("<a><b><c><d><e><f><g><h/></g></f></e></d></c></b></a>"), "too deeply" },
	};
	struct list_page page;
	char err[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		err[0] = '\0';
		if (parse(bad[i].xml, &page, err, sizeof(err)) != -EPROTO)
			fail_msg("row %zu was taken", i);
		if (strstr(err, bad[i].part) == NULL)
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err, bad[i].part);
	}
}

static void test_the_faulty_entry_is_named_by_its_number(void **state)
{
	struct list_page page;
	char err[256];

	(void)state;
	assert_int_equal(parse(PAGE("<Contents><Key>a</Key><Size>1</Size></Contents>"
				    "<Contents><Key>b</Key><Size>x</Size></Contents>"),
			       &page, err, sizeof(err)),
			 -EPROTO);
	assert_non_null(strstr(err, "entry 2 of the listing: its Size"));
}

static void test_keys_with_any_byte_come_through(void **state)
{
	struct list_page page;
	char err[256];

	(void)state;
	assert_int_equal(parse(ENTRY("<Key>a%2F..%2F%0A%FFb+c%2B</Key><Size>0</Size>"), &page, err,
			       sizeof(err)),
			 0);
	assert_string_equal(page.entries[0].key, "a/../\n\xff"
						 "b c+");
	assert_int_equal(page.entries[0].key_len, 11);
	list_page_fini(&page);
}

static void test_without_encoding_the_key_is_taken_as_it_stands(void **state)
{
	struct list_page page;
	char err[256];

	(void)state;
	assert_int_equal(parse("<ListBucketResult><IsTruncated>false</IsTruncated><Contents>"
			       "<Key>a+b%20&lt;</Key><Size>3</Size></Contents></ListBucketResult>",
			       &page, err, sizeof(err)),
			 0);
	assert_string_equal(page.entries[0].key, "a+b%20<");
	list_page_fini(&page);
}

static char *long_key_page(size_t len)
{
	char *xml = malloc(len + 400);
	size_t used;

	assert_non_null(xml);
	used = (size_t)sprintf(xml, "<ListBucketResult><IsTruncated>false</IsTruncated><Contents>"
				    "<Size>1</Size><Key>");
	memset(xml + used, 'k', len);
	strcpy(xml + used + len, "</Key></Contents></ListBucketResult>");
	return xml;
}

static void test_the_longest_key_fits_and_a_longer_one_is_refused(void **state)
{
	struct list_page page;
	char err[256], *xml;

	(void)state;
	xml = long_key_page(1024);
	assert_int_equal(parse(xml, &page, err, sizeof(err)), 0);
	assert_int_equal(page.entries[0].key_len, 1024);
	list_page_fini(&page);
	free(xml);
	xml = long_key_page(1025);
	assert_int_equal(parse(xml, &page, err, sizeof(err)), -EPROTO);
	assert_non_null(strstr(err, "longer than 1024 bytes"));
	free(xml);
	xml = long_key_page(10000);
	assert_int_equal(parse(xml, &page, err, sizeof(err)), -EPROTO);
	assert_non_null(strstr(err, "too long"));
	free(xml);
}

static void test_a_plus_in_a_token_is_never_a_space(void **state)
{
	static const char xml[] =
		"<ListBucketResult><EncodingType>url</EncodingType>"
		"<IsTruncated>true</IsTruncated><NextContinuationToken>a+b%2Bc%3D"
		"</NextContinuationToken><KeyCount>0</KeyCount></ListBucketResult>";
	struct list_page page;
	char err[256];

	(void)state;
	assert_int_equal(parse(xml, &page, err, sizeof(err)), 0);
	assert_string_equal(page.next_token, "a+b+c=");
	list_page_fini(&page);
	assert_int_equal(
		list_xml_parse(xml, sizeof(xml) - 1, OSS_DIALECT_S3, &page, err, sizeof(err)), 0);
	assert_string_equal(page.next_token, "a+b%2Bc%3D");
	list_page_fini(&page);
}

static void test_a_full_page_keeps_its_order(void **state)
{
	size_t i, used, size = 1000 * 120 + 200;
	char *xml = malloc(size), err[256], key[32];
	struct list_page page;

	(void)state;
	assert_non_null(xml);
	used = (size_t)sprintf(xml, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	for (i = 0; i < 1000; i++)
		used += (size_t)snprintf(xml + used, size - used,
					 "<Contents><Key>k%06zu</Key><Size>%zu</Size></Contents>",
					 i, i);
	snprintf(xml + used, size - used, "</ListBucketResult>");
	assert_int_equal(parse(xml, &page, err, sizeof(err)), 0);
	assert_int_equal(page.nr_entries, 1000);
	for (i = 0; i < 1000; i++) {
		snprintf(key, sizeof(key), "k%06zu", i);
		assert_string_equal(page.entries[i].key, key);
		assert_int_equal(page.entries[i].size, i);
	}
	list_page_fini(&page);
	free(xml);
}

/* A page of `nr` times that element. */
static char *page_of(const char *element, size_t nr)
{
	size_t used, i, size = nr * strlen(element) + 200;
	char *xml = malloc(size);

	assert_non_null(xml);
	used = (size_t)sprintf(xml, "<ListBucketResult><IsTruncated>false</IsTruncated>");
	for (i = 0; i < nr; i++)
		used += (size_t)snprintf(xml + used, size - used, "%s", element);
	snprintf(xml + used, size - used, "</ListBucketResult>");
	return xml;
}

static void test_what_a_page_may_hold_is_bounded(void **state)
{
	static const char *const elements[] = {
		"<Contents><Key>k</Key><Size>1</Size></Contents>",
		"<CommonPrefixes><Prefix>p/</Prefix></CommonPrefixes>",
	};
	struct list_page page;
	char err[256], *xml;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(elements) / sizeof(elements[0]); i++) {
		xml = page_of(elements[i], LIST_PAGE_MAX_ENTRIES);
		assert_int_equal(parse(xml, &page, err, sizeof(err)), 0);
		list_page_fini(&page);
		free(xml);
		xml = page_of(elements[i], LIST_PAGE_MAX_ENTRIES + 1);
		assert_true(parse(xml, &page, err, sizeof(err)) < 0);
		assert_non_null(strstr(err, "20000"));
		free(xml);
	}
	xml = page_of(" ", LIST_PAGE_MAX_BYTES);
	assert_true(parse(xml, &page, err, sizeof(err)) < 0);
	assert_non_null(strstr(err, "16 MiB"));
	free(xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_published_listing_is_read_as_it_should),
		cmocka_unit_test(test_listings_that_are_not_whole_are_refused_with_a_reason),
		cmocka_unit_test(test_the_faulty_entry_is_named_by_its_number),
		cmocka_unit_test(test_keys_with_any_byte_come_through),
		cmocka_unit_test(test_without_encoding_the_key_is_taken_as_it_stands),
		cmocka_unit_test(test_the_longest_key_fits_and_a_longer_one_is_refused),
		cmocka_unit_test(test_a_plus_in_a_token_is_never_a_space),
		cmocka_unit_test(test_a_full_page_keeps_its_order),
		cmocka_unit_test(test_what_a_page_may_hold_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
