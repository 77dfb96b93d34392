#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/oss/endpoint.h"

struct row {
	const char *path, *endpoint, *region;
	/* What comes of it: "https host:port addressing region product". */
	const char *host;
	unsigned port;
	bool tls;
	enum oss_addressing addressing;
	const char *signed_region, *product;
};

#define OSS  "oss://model-bucket/m/"
#define S3   "s3://model-bucket/m/"
#define PATH OSS_ADDRESS_PATH
#define VIRT OSS_ADDRESS_VIRTUAL

static const struct row rows[] = {
	{ OSS, "oss-cn-hangzhou.aliyuncs.com", NULL, "oss-cn-hangzhou.aliyuncs.com", 443, true,
	  VIRT, "cn-hangzhou", "oss" },
	{ OSS, "http://oss-cn-hangzhou-internal.aliyuncs.com", "",
	  "oss-cn-hangzhou-internal.aliyuncs.com", 80, false, VIRT, "cn-hangzhou", "oss" },
	{ OSS, "HTTPS://OSS-cn-Beijing.aliyuncs.com./", NULL, "oss-cn-beijing.aliyuncs.com", 443,
	  true, VIRT, "cn-beijing", "oss" },
	{ OSS, "cn-shanghai.oss.aliyuncs.com", NULL, "cn-shanghai.oss.aliyuncs.com", 443, true,
	  VIRT, "cn-shanghai", "oss" },
	{ OSS, "oss.aliyuncs.com", NULL, "oss.aliyuncs.com", 443, true, VIRT, "cn-hangzhou",
	  "oss" },
	{ OSS, "oss-accelerate.aliyuncs.com", NULL, "oss-accelerate.aliyuncs.com", 443, true, VIRT,
	  "", "oss" },
	{ OSS, "oss-accelerate-overseas.aliyuncs.com", "ap-southeast-1",
	  "oss-accelerate-overseas.aliyuncs.com", 443, true, VIRT, "ap-southeast-1", "oss" },
	{ OSS, "cn-beijing-h-internal.oss-data-acc.aliyuncs.com", "cn-beijing",
	  "cn-beijing-h-internal.oss-data-acc.aliyuncs.com", 443, true, VIRT, "cn-beijing", "oss" },
	{ OSS, "cb-123.cn-hangzhou.oss-cloudbox.aliyuncs.com", NULL,
	  "cb-123.cn-hangzhou.oss-cloudbox.aliyuncs.com", 443, true, VIRT, "cb-123",
	  "oss-cloudbox" },
	{ OSS, NULL, "cn-hangzhou", "oss-cn-hangzhou.aliyuncs.com", 443, true, VIRT, "cn-hangzhou",
	  "oss" },
	{ OSS, NULL, "oss-cn-hangzhou", "oss-cn-hangzhou.aliyuncs.com", 443, true, VIRT,
	  "cn-hangzhou", "oss" },
	{ OSS, NULL, "cn-hangzhou-internal", "oss-cn-hangzhou-internal.aliyuncs.com", 443, true,
	  VIRT, "cn-hangzhou", "oss" },
	{ OSS, "model-bucket.oss-cn-hangzhou.aliyuncs.com", NULL, "oss-cn-hangzhou.aliyuncs.com",
	  443, true, VIRT, "cn-hangzhou", "oss" },
	{ OSS, "models.example.com", "cn-hangzhou", "models.example.com", 443, true, VIRT,
	  "cn-hangzhou", "oss" },
	{ OSS, "http://127.0.0.1:9000", "cn-test", "127.0.0.1", 9000, false, PATH, "cn-test",
	  "oss" },
	{ OSS, "http://127.0.0.1:9000", NULL, "127.0.0.1", 9000, false, PATH, "", "oss" },
	{ OSS, "http://[::1]:9000/", NULL, "::1", 9000, false, PATH, "", "oss" },
	{ OSS, "[fd00::1]", NULL, "fd00::1", 443, true, PATH, "", "oss" },
	{ OSS, "http://localhost:80", "x", "localhost", 80, false, PATH, "x", "oss" },
	{ S3, NULL, "us-east-1", "s3.us-east-1.amazonaws.com", 443, true, VIRT, "us-east-1", "s3" },
	{ S3, NULL, "cn-north-1", "s3.cn-north-1.amazonaws.com.cn", 443, true, VIRT, "cn-north-1",
	  "s3" },
	{ S3, "s3.eu-west-1.amazonaws.com", NULL, "s3.eu-west-1.amazonaws.com", 443, true, VIRT,
	  "eu-west-1", "s3" },
	{ S3, "s3.dualstack.eu-west-1.amazonaws.com", NULL, "s3.dualstack.eu-west-1.amazonaws.com",
	  443, true, VIRT, "eu-west-1", "s3" },
	{ S3, "s3.amazonaws.com", NULL, "s3.amazonaws.com", 443, true, VIRT, "us-east-1", "s3" },
	{ S3, "s3-accelerate.amazonaws.com", "eu-west-1", "s3-accelerate.amazonaws.com", 443, true,
	  VIRT, "eu-west-1", "s3" },
	{ "s3://my.bucket/", "s3.eu-west-1.amazonaws.com", NULL, "s3.eu-west-1.amazonaws.com", 443,
	  true, PATH, "eu-west-1", "s3" },
	{ S3, "s3.oss-cn-hangzhou-internal.aliyuncs.com", NULL,
	  "s3.oss-cn-hangzhou-internal.aliyuncs.com", 443, true, VIRT, "cn-hangzhou", "s3" },
	{ S3, "http://minio:9000", NULL, "minio", 9000, false, PATH, "us-east-1", "s3" },
	{ S3, "ceph.example.com", "default", "ceph.example.com", 443, true, PATH, "default", "s3" },
};

static void test_endpoint_and_region_are_derived_as_the_rules_say(void **state)
{
	struct oss_location loc;
	struct oss_endpoint e;
	char err[256] = "";
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct row *row = &rows[i];
		struct oss_endpoint_conf conf = { row->path, row->endpoint, row->region,
						  OSS_ADDRESS_AUTO };

		if (oss_endpoint_parse(&conf, &e, &loc, err, sizeof(err)) != 0)
			fail_msg("row %zu (%s): %s", i, row->host, err);
		assert_string_equal(e.host, row->host);
		assert_int_equal(e.port, row->port);
		assert_int_equal(e.tls, row->tls);
		assert_int_equal(e.addressing, row->addressing);
		assert_string_equal(e.region, row->signed_region);
		assert_string_equal(e.product, row->product);
	}
}

static void test_bad_settings_get_a_sentence_that_says_what_to_do(void **state)
{
	static const struct {
		const char *path, *endpoint, *region, *part;
	} bad[] = {
		{ "foo", NULL, "cn-hangzhou",
		  "OSS_PATH is 'foo': it must start with oss:// or s3://" },
		{ "", NULL, "cn-hangzhou", "OSS_PATH is not set" },
		{ NULL, NULL, "cn-hangzhou", "OSS_PATH is not set" },
		{ "file:///tmp", NULL, "cn-hangzhou", "must start with oss:// or s3://" },
		{ "oss://", NULL, "cn-hangzhou", "names no bucket" },
		{ "oss:///models/", NULL, "cn-hangzhou", "names no bucket" },
		{ "oss://ab/", NULL, "cn-hangzhou", "'ab', which cannot be one" },
		{ "oss://Bucket/", NULL, "cn-hangzhou", "'Bucket', which cannot be one" },
		{ "oss://-bucket/", NULL, "cn-hangzhou", "cannot be one" },
		{ "oss://bucket-/", NULL, "cn-hangzhou", "cannot be one" },
		{ "oss://a.bucket/", NULL, "cn-hangzhou", "cannot be one" },
		{ "s3://a..bucket/", NULL, "us-east-1", "cannot be one" },
		{ "oss://bucket\nname/", NULL, "cn-hangzhou", "bucket?name" },
		{ "oss://ak:sk@bucket/", NULL, "cn-hangzhou", "keys belong in OSS_ACCESS_KEY_ID" },
		{ "s3://ak:sk/2@bucket/", NULL, "us-east-1", "keys belong in OSS_ACCESS_KEY_ID" },
		{ "https://ak:sk@host/bucket/", NULL, "cn-hangzhou", "keys belong in" },
		{ "https://host/bucket?Signature=ak:sk", NULL, "cn-hangzhou", "keys belong in" },
		{ "oss://bucket/a/../b", NULL, "cn-hangzhou", "'.' or '..'" },
		{ "oss://bucket//a", NULL, "cn-hangzhou", "empty part" },
		{ "oss://bucket/a//b", NULL, "cn-hangzhou", "empty part" },
		{ "oss://bucket/a\x01", NULL, "cn-hangzhou", "control character" },
		{ OSS, NULL, NULL, "neither OSS_ENDPOINT nor OSS_REGION is set" },
		{ S3, "", "", "neither OSS_ENDPOINT nor OSS_REGION is set" },
		{ OSS, "ftp://host", NULL, "neither http:// nor https://" },
		{ OSS, "http://host/bucket", NULL, "belong in OSS_PATH" },
		{ OSS, "http://host?x=1", NULL, "belong in OSS_PATH" },
		{ OSS, "http://ak:sk@host", NULL, "keys belong in OSS_ACCESS_KEY_ID" },
		{ OSS, "http://host:99999", NULL, "port" },
		{ OSS, "http://host:", "x", NULL },
		{ OSS, "http://host:abc", NULL, "port" },
		{ OSS, "http://host:0", NULL, "port" },
		{ OSS, "http://ho st", NULL, "'ho st', which cannot be one" },
		{ OSS, "http://", NULL, "cannot be one" },
		{ OSS, "http://a..b", NULL, "cannot be one" },
		{ OSS, "http://[::1", NULL, "']'" },
		{ OSS, "http://[host]", NULL, "not an IPv6 address" },
		{ OSS, NULL, "cn hangzhou", "'cn hangzhou', which cannot be a region" },
		{ OSS, "oss-cn-hangzhou.aliyuncs.com", "cn-beijing",
		  "OSS_REGION is 'cn-beijing' but OSS_ENDPOINT is in region 'cn-hangzhou'" },
		{ S3, "s3.eu-west-1.amazonaws.com", "us-east-1", "correct one of them" },
	};
	struct oss_location loc;
	struct oss_endpoint e;
	char err[256];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct oss_endpoint_conf conf = { bad[i].path, bad[i].endpoint, bad[i].region,
						  OSS_ADDRESS_AUTO };
		int r = oss_endpoint_parse(&conf, &e, &loc, err, sizeof(err));

		if (bad[i].part == NULL) {
			assert_int_equal(r, 0);
			continue;
		}
		if (r != -EINVAL)
			fail_msg("row %zu was taken", i);
		if (strstr(err, bad[i].part) == NULL)
			fail_msg("row %zu: \"%s\" does not say \"%s\"", i, err, bad[i].part);
		assert_null(strchr(err, '\n'));
		assert_null(strstr(err, "ak:sk"));
	}
}

static int parse_path(const char *path, struct oss_location *loc)
{
	struct oss_endpoint_conf conf = { path, NULL, "cn-hangzhou", OSS_ADDRESS_AUTO };
	struct oss_endpoint e;
	char err[256];

	return oss_endpoint_parse(&conf, &e, loc, err, sizeof(err));
}

static void test_the_prefix_is_a_directory(void **state)
{
	struct oss_location loc;
	char path[1200];

	(void)state;
	assert_int_equal(parse_path("oss://bucket", &loc), 0);
	assert_string_equal(loc.bucket, "bucket");
	assert_string_equal(loc.prefix, "");
	assert_int_equal(parse_path("oss://bucket/", &loc), 0);
	assert_string_equal(loc.prefix, "");
	assert_int_equal(parse_path("OSS://bucket/models/llama", &loc), 0);
	assert_string_equal(loc.prefix, "models/llama/");
	assert_int_equal(parse_path("oss://bucket/models/\xe6\xa8\xa1 a/", &loc), 0);
	assert_string_equal(loc.prefix, "models/\xe6\xa8\xa1 a/");
	assert_int_equal(parse_path("oss://bucket/..a/b..", &loc), 0);

	memset(path, 'a', sizeof(path));
	memcpy(path, "oss://bucket/", 13);
	path[13 + 1022] = '\0';
	assert_int_equal(parse_path(path, &loc), 0);
	assert_int_equal(strlen(loc.prefix), 1023);
	path[13 + 1022] = 'a';
	path[13 + 1023] = '\0';
	assert_int_equal(parse_path(path, &loc), -EINVAL);
}

static void assert_hosts(const char *path, const char *endpoint, enum oss_addressing how,
			 const char *dial, const char *authority)
{
	struct oss_endpoint_conf conf = { path, endpoint, NULL, how };
	struct oss_location loc;
	struct oss_endpoint e;
	char buf[320], err[256];

	assert_int_equal(oss_endpoint_parse(&conf, &e, &loc, err, sizeof(err)), 0);
	assert_int_equal(oss_endpoint_dial_host(&e, loc.bucket, buf, sizeof(buf)), 0);
	assert_string_equal(buf, dial);
	assert_int_equal(oss_endpoint_authority(&e, loc.bucket, buf, sizeof(buf)), 0);
	assert_string_equal(buf, authority);
}

static void test_the_bucket_stands_where_the_addressing_puts_it(void **state)
{
	(void)state;
	assert_hosts(OSS, "oss-cn-hangzhou.aliyuncs.com", OSS_ADDRESS_AUTO,
		     "model-bucket.oss-cn-hangzhou.aliyuncs.com",
		     "model-bucket.oss-cn-hangzhou.aliyuncs.com");
	assert_hosts(OSS, "http://[::1]:9000", OSS_ADDRESS_AUTO, "::1", "[::1]:9000");
	assert_hosts(OSS, "http://store:9000", OSS_ADDRESS_PATH, "store", "store:9000");
	assert_hosts(S3, "http://store:9000", OSS_ADDRESS_VIRTUAL, "model-bucket.store",
		     "model-bucket.store:9000");
	assert_hosts(OSS, "https://models.example.com:443", OSS_ADDRESS_CNAME, "models.example.com",
		     "models.example.com");
}

static void test_an_address_cannot_be_virtual(void **state)
{
	struct oss_endpoint_conf conf = { OSS, "http://127.0.0.1", NULL, OSS_ADDRESS_VIRTUAL };
	enum oss_addressing how = OSS_ADDRESS_AUTO;
	struct oss_location loc;
	struct oss_endpoint e;
	char err[256];

	(void)state;
	assert_int_equal(oss_endpoint_parse(&conf, &e, &loc, err, sizeof(err)), -EINVAL);
	assert_non_null(strstr(err, "path style"));
	assert_int_equal(oss_addressing_parse("cname", &how), 0);
	assert_int_equal(how, OSS_ADDRESS_CNAME);
	assert_int_equal(oss_addressing_parse("Path", &how), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoint_and_region_are_derived_as_the_rules_say),
		cmocka_unit_test(test_bad_settings_get_a_sentence_that_says_what_to_do),
		cmocka_unit_test(test_the_prefix_is_a_directory),
		cmocka_unit_test(test_the_bucket_stands_where_the_addressing_puts_it),
		cmocka_unit_test(test_an_address_cannot_be_virtual),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
