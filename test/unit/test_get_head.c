#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "daemon/base/log.h"
#include "daemon/oss/head.h"
#include "test/unit/json.h"
#include "test/unit/loopback.h"

struct fixture {
	struct loopback lb;
	struct oss_result res;
	bool has_meta;
	struct oss_object_meta meta;
	char etag[64], type[32], class[32];
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	log_set_level(LOG_LEVEL_ERROR);
	lb_start(&f.lb);
	*state = &f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	lb_stop(&f->lb);
	return 0;
}

static void on_done(const struct oss_result *res, const struct oss_object_meta *meta, void *arg)
{
	struct fixture *f = arg;

	f->res = *res;
	f->has_meta = meta != NULL;
	if (meta != NULL) {
		f->meta = *meta;
		snprintf(f->etag, sizeof(f->etag), "%s", meta->etag);
		snprintf(f->type, sizeof(f->type), "%s", meta->type);
		snprintf(f->class, sizeof(f->class), "%s", meta->class);
	}
	event_base_loopbreak(f->lb.base);
}

static void head(struct fixture *f, bool meta_only)
{
	struct oss_head *h;

	assert_int_equal(oss_head_start(f->lb.client, f->lb.bucket, "models/none", meta_only,
					on_done, f, &h),
			 0);
	lb_run(&f->lb);
}

static void test_all_that_a_head_tells_is_taken(void **state)
{
	struct fixture *f = *state;

	lb_say(&f->lb, "HTTP/1.1 200 OK\r\nContent-Length: 4976698672\r\nETag: \"ABC-7\"\r\n"
		       "Last-Modified: Fri, 02 Jan 2026 03:04:05 GMT\r\n"
		       "x-oss-hash-crc64ecma: 11051210869376104954\r\n"
		       "x-oss-object-type: Multipart\r\nx-oss-storage-class: IA\r\n\r\n");
	head(f, false);
	assert_int_equal(f->res.error, 0);
	assert_true(f->has_meta);
	assert_int_equal(f->meta.size, 4976698672);
	assert_int_equal(f->meta.mtime, 1767323045);
	assert_string_equal(f->etag, "ABC-7");
	assert_string_equal(f->type, "Multipart");
	assert_string_equal(f->class, "IA");
	assert_true(f->meta.has_crc64);
	assert_true(f->meta.crc64 == 11051210869376104954u);
	assert_int_equal(strncmp(lb_head(&f->lb, 0), "HEAD /bucket/models/none HTTP/1.1\r\n", 35),
			 0);
}

static void test_the_cheap_form_is_asked_of_oss_only(void **state)
{
	static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n";
	struct fixture *f = *state;

	lb_say(&f->lb, ok);
	head(f, true);
	assert_non_null(strstr(lb_head(&f->lb, 0), "/models/none?objectMeta HTTP"));
	assert_string_equal(f->etag, "");
	assert_int_equal(f->meta.mtime, 0);
	assert_false(f->meta.has_crc64);
	lb_make_bucket(&f->lb, "s3://bucket/", "us-east-1", f->lb.creds);
	lb_say(&f->lb, ok);
	head(f, true);
	assert_non_null(strstr(lb_head(&f->lb, 1), "/models/none HTTP"));
}

static void test_the_reason_of_a_refusal_comes_out_of_the_header(void **state)
{
	struct jv *file = jv_load("errors_xml.json");
	const struct jv *first = jv_get(file, "cases")->child;
	struct fixture *f = *state;
	char text[4096];

	snprintf(text, sizeof(text),
		 "HTTP/1.1 404 Not Found\r\nx-oss-err: %s\r\nx-oss-request-id: R1\r\n\r\n",
		 jv_str(first, "head_x_oss_err_base64"));
	lb_say(&f->lb, text);
	head(f, false);
	assert_int_equal(f->res.error, -ENOENT);
	assert_string_equal(f->res.code, "NoSuchKey");
	assert_string_equal(f->res.request_id, "R1");
	assert_false(f->has_meta);
	jv_free(file);
}

static void test_without_a_reason_the_status_decides(void **state)
{
	struct fixture *f = *state;

	lb_make_bucket(&f->lb, "s3://bucket/", "us-east-1", f->lb.creds);
	lb_say(&f->lb, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
	head(f, false);
	assert_int_equal(f->res.error, -ENOENT);
	lb_say(&f->lb, "HTTP/1.1 403 Forbidden\r\n\r\n");
	head(f, false);
	assert_int_equal(f->res.error, -EACCES);
	assert_int_equal(f->res.action, OSS_FATAL);
	/* S3 says no more, but its clock shows what is wrong. */
	lb_say(&f->lb, "HTTP/1.1 403 Forbidden\r\nDate: Fri, 02 Jan 2015 03:04:05 GMT\r\n\r\n");
	head(f, false);
	assert_int_equal(f->res.action, OSS_RETRY_NOW);
	assert_true(oss_bucket_clock_offset(f->lb.bucket) < -86400);
}

static void test_a_bucket_elsewhere_is_named(void **state)
{
	struct fixture *f = *state;

	lb_make_bucket(&f->lb, "s3://bucket/", "us-east-1", f->lb.creds);
	lb_say(&f->lb, "HTTP/1.1 301 Moved\r\nx-amz-bucket-region: eu-west-3\r\n\r\n");
	head(f, false);
	assert_int_equal(f->res.action, OSS_FATAL);
	assert_int_equal(f->res.error, -EACCES);
	assert_non_null(strstr(f->res.text, "in the region eu-west-3: set OSS_REGION to it"));
	/* The right region is no reason. */
	lb_say(&f->lb, "HTTP/1.1 400 Bad\r\nx-amz-bucket-region: us-east-1\r\n\r\n");
	head(f, false);
	assert_null(strstr(f->res.text, "us-east-1"));
	assert_int_equal(f->res.error, -EIO);
}

static void test_a_head_without_length_is_no_answer(void **state)
{
	struct fixture *f = *state;

	lb_say(&f->lb, "HTTP/1.1 200 OK\r\nETag: \"A\"\r\n\r\n");
	head(f, false);
	assert_int_equal(f->res.error, -EIO);
	assert_int_equal(f->res.action, OSS_RETRY);
	assert_non_null(strstr(f->res.text, "how long the object is"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_that_a_head_tells_is_taken),
		TEST(test_the_cheap_form_is_asked_of_oss_only),
		TEST(test_the_reason_of_a_refusal_comes_out_of_the_header),
		TEST(test_without_a_reason_the_status_decides),
		TEST(test_a_bucket_elsewhere_is_named),
		TEST(test_a_head_without_length_is_no_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
