#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "daemon/base/log.h"
#include "daemon/oss/head.h"
#include "daemon/oss/list.h"
#include "test/unit/loopback.h"

struct fixture {
	struct loopback lb;
	char keys[1024]; /* all that came, with blanks between; prefixes with '>' before */
	unsigned nr_pages, nr_done;
	int page_error; /* what on_page shall return */
	struct oss_result res;
};

static const struct oss_retry_conf quick = {
	.base_ms = 1, .throttle_ms = 1, .cap_ms = 2, .budget_ms = 5000
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

static int on_page(const struct list_page *page, void *arg)
{
	struct fixture *f = arg;
	size_t i, used = strlen(f->keys);

	f->nr_pages++;
	for (i = 0; i < page->nr_entries; i++)
		used += (size_t)snprintf(f->keys + used, sizeof(f->keys) - used, "%s ",
					 page->entries[i].key);
	for (i = 0; i < page->nr_prefixes; i++)
		used += (size_t)snprintf(f->keys + used, sizeof(f->keys) - used, ">%s ",
					 page->prefixes[i]);
	if (page->beyond != NULL)
		snprintf(f->keys + used, sizeof(f->keys) - used, "(%s)", page->beyond);
	return f->page_error;
}

static void on_done(const struct oss_result *res, void *arg)
{
	struct fixture *f = arg;

	f->res = *res;
	f->nr_done++;
	event_base_loopbreak(f->lb.base);
}

static struct oss_list *start(struct fixture *f, const struct oss_list_conf *conf)
{
	static const struct oss_list_events events = { on_page, on_done };
	struct oss_list_conf with_retry = *conf;
	struct oss_list *l;

	with_retry.retry = &quick;
	assert_int_equal(
		oss_list_start(f->lb.base, f->lb.client, f->lb.bucket, &with_retry, &events, f, &l),
		0);
	return l;
}

static void list(struct fixture *f, const char *prefix, const char *delimiter)
{
	struct oss_list_conf conf = { .prefix = prefix, .delimiter = delimiter };

	start(f, &conf);
	lb_run(&f->lb);
	assert_int_equal(f->nr_done, 1);
}

#define ENTRY(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"
#define PAGE(inner, more)                                                                          \
	"<?xml "                                                                                   \
	"version=\"1.0\"?><ListBucketResult><EncodingType>url</EncodingType><IsTruncated>" more    \
	"</IsTruncated>" inner "</ListBucketResult>"
#define TOKEN(token) "<NextContinuationToken>" token "</NextContinuationToken>"

static void test_pages_follow_each_other_by_their_tokens(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "200 OK\r\n",
		    PAGE(ENTRY("m%2Fa") ENTRY("m%2Fb") TOKEN("t%2B%2F%3D"), "true"));
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(TOKEN("u"), "true")); /* a page may be empty */
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("m%2Fc%20d"), "false"));
	list(f, "m/", NULL);
	assert_int_equal(f->res.error, 0);
	assert_int_equal(f->nr_pages, 3);
	assert_string_equal(f->keys, "m/a m/b m/c d ");
	assert_int_equal(strncmp(lb_head(&f->lb, 0),
				 "GET /bucket/?encoding-type=url&list-type=2&max-keys=1000"
				 "&prefix=m%2F HTTP/1.1\r\n",
				 79),
			 0);
	assert_non_null(strstr(lb_head(&f->lb, 1), "?continuation-token=t%2B%2F%3D&"));
	assert_non_null(strstr(lb_head(&f->lb, 2), "?continuation-token=u&"));
}

static void test_one_directory_is_listed_with_a_delimiter(void **state)
{
	struct oss_list_conf conf = {
		.prefix = "m/", .delimiter = "/", .start_after = "m/a b", .max_keys = 7
	};
	struct fixture *f = *state;

	lb_say_body(
		&f->lb, "200 OK\r\n",
		PAGE(ENTRY("m%2Fz") "<CommonPrefixes><Prefix>m%2Fsub%2F</Prefix></CommonPrefixes>",
		     "false"));
	start(f, &conf);
	lb_run(&f->lb);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(f->keys, "m/z >m/sub/ ");
	assert_non_null(strstr(lb_head(&f->lb, 0),
			       "?delimiter=%2F&encoding-type=url&list-type=2&max-keys=7&prefix=m%2F"
			       "&start-after=m%2Fa%20b HTTP"));
}

static void test_a_stretch_ends_at_its_last_key(void **state)
{
	struct oss_list_conf conf = { .start_after = "a", .last = "m", .in_order = true };
	struct fixture *f = *state;
	struct oss_list *l;

	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("b") ENTRY("c") TOKEN("t"), "true"));
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("g") ENTRY("h") TOKEN("u"), "true"));
	l = start(f, &conf);
	assert_int_equal(oss_list_set_last(l, "g"), 0);
	lb_run(&f->lb);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(f->keys, "b c g (h)");
	assert_int_equal(lb_nr_requests(&f->lb), 2);
}

static void test_a_stretch_of_keys_in_no_order_is_refused_at_once(void **state)
{
	struct oss_list_conf conf = { .in_order = true };
	struct fixture *f = *state;

	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("c") ENTRY("b"), "false"));
	start(f, &conf);
	lb_run(&f->lb);
	assert_int_equal(f->res.error, -EBADMSG);
	assert_string_equal(f->keys, "");
	assert_int_equal(lb_nr_requests(&f->lb), 1);
}

static void test_s3_is_asked_in_its_dialect(void **state)
{
	struct fixture *f = *state;

	lb_make_bucket(&f->lb, "s3://bucket/", "us-east-1", f->lb.creds);
	lb_say_body(&f->lb, "200 OK\r\n",
		    "<ListBucketResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
		    "<EncodingType>url</EncodingType><IsTruncated>false</IsTruncated>"
		    "<Contents><Key>m/a+b</Key><Size>1</Size></Contents></ListBucketResult>");
	list(f, NULL, NULL);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(f->keys, "m/a b ");
	assert_non_null(strstr(lb_head(&f->lb, 0), "AWS4-HMAC-SHA256"));
}

static void test_what_passes_is_tried_again_and_no_page_comes_twice(void **state)
{
	struct fixture *f = *state;
	static const char cut[] = "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n<ListBucket";

	lb_say_body(&f->lb, "500 I\r\n", "<Error><Code>InternalError</Code></Error>");
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("a") TOKEN("t"), "true"));
	lb_say_body(&f->lb, "503 S\r\n", "<Error><Code>SlowDown</Code></Error>");
	lb_say_bytes(&f->lb, cut, sizeof(cut) - 1, true);
	lb_say_body(&f->lb, "200 OK\r\n", "<html>hello</html>");
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("b"), "false"));
	list(f, "", NULL);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(f->keys, "a b ");
	assert_int_equal(f->nr_pages, 2);
	assert_int_equal(lb_nr_requests(&f->lb), 6);
	assert_non_null(strstr(lb_head(&f->lb, 5), "continuation-token=t&"));
}

static void test_what_does_not_pass_ends_it_at_once(void **state)
{
	struct fixture *f = *state;

	lb_say_body(&f->lb, "404 N\r\n", "<Error><Code>NoSuchBucket</Code></Error>");
	list(f, "m/", NULL);
	assert_int_equal(f->res.error, -ENOENT);
	assert_int_equal(lb_nr_requests(&f->lb), 1);
	assert_non_null(
		strstr(f->res.text, "oss://bucket/m/: there is no such bucket: check OSS_PATH"));
	assert_int_equal(f->nr_pages, 0);
}

static void expect_refusal(struct fixture *f, const char *page, const char *part)
{
	struct oss_retry_conf brief = { .base_ms = 1, .cap_ms = 2, .budget_ms = 10 };
	static const struct oss_list_events events = { on_page, on_done };
	struct oss_list_conf conf = { .prefix = "m/", .retry = &brief };
	struct oss_list *l;

	lb_say_body(&f->lb, "200 OK\r\n", page);
	f->lb.repeat_last = true;
	assert_int_equal(
		oss_list_start(f->lb.base, f->lb.client, f->lb.bucket, &conf, &events, f, &l), 0);
	lb_run(&f->lb);
	assert_int_equal(f->res.error, -EIO);
	if (strstr(f->res.text, part) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", f->res.text, part);
	assert_string_equal(f->keys, "");
}

/* Slow by default: only what is asked for the first page ends these within the guard's time. */
static void expect_early_end(struct fixture *f, const struct oss_list_conf *conf)
{
	static const struct oss_list_events events = { on_page, on_done };
	struct oss_list_conf patient = *conf;
	struct oss_retry_conf slow = { .base_ms = 20, .throttle_ms = 20, .budget_ms = 600000 };
	struct oss_list *l;

	patient.prefix = "m/";
	patient.retry = &slow;
	assert_int_equal(
		oss_list_start(f->lb.base, f->lb.client, f->lb.bucket, &patient, &events, f, &l),
		0);
	lb_run(&f->lb);
	assert_int_equal(f->nr_done, 1);
	assert_int_equal(f->nr_pages, 0);
}

static void test_a_first_page_that_does_not_come_is_given_up_early(void **state)
{
	const struct oss_list_conf conf = { .first_budget_ms = 200 };
	struct fixture *f = *state;

	lb_say_body(&f->lb, "503 S\r\n", "<Error><Code>SlowDown</Code></Error>");
	f->lb.repeat_last = true;
	expect_early_end(f, &conf);
	assert_int_equal(f->res.error, -EIO);
	assert_true(lb_nr_requests(&f->lb) > 1);
}

static void test_an_endpoint_that_refuses_is_given_up_early(void **state)
{
	const struct oss_list_conf conf = { .first_connect_ms = 200 };
	struct fixture *f = *state;

	lb_refuse(&f->lb);
	expect_early_end(f, &conf);
	assert_int_equal(f->res.error, -EHOSTUNREACH);
	assert_int_equal(f->res.status, 0);
	assert_non_null(strstr(f->res.text, "127.0.0.1"));
}

static void test_keys_of_another_prefix_are_refused(void **state)
{
	expect_refusal(*state, PAGE(ENTRY("n%2Fa"), "false"), "keys outside the prefix");
}

static void test_prefixes_of_another_prefix_are_refused(void **state)
{
	expect_refusal(*state,
		       PAGE("<CommonPrefixes><Prefix>n%2F</Prefix></CommonPrefixes>", "false"),
		       "common prefixes outside the prefix");
}

static void test_a_page_that_leads_nowhere_is_refused(void **state)
{
	expect_refusal(*state, PAGE(ENTRY("m%2Fa"), "true"), "does not speak ListObjectsV2");
}

static void test_a_token_that_comes_again_does_not_loop_for_ever(void **state)
{
	struct fixture *f = *state;
	int i;

	for (i = 0; i < 2; i++)
		lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("a") TOKEN("t"), "true"));
	lb_say_body(&f->lb, "403 F\r\n", "<Error><Code>InDebt</Code></Error>");
	list(f, "", NULL);
	assert_string_equal(f->keys, "a ");
	assert_int_equal(f->res.error, -EACCES); /* of the third, which a retry asked for */
}

static void test_empty_pages_do_not_go_on_for_ever(void **state)
{
	struct oss_retry_conf brief = { .base_ms = 1, .cap_ms = 2, .budget_ms = 10 };
	static const struct oss_list_events events = { on_page, on_done };
	struct oss_list_conf conf = { .retry = &brief };
	struct fixture *f = *state;
	struct oss_list *l;

	lb_say_body(&f->lb, "200 OK\r\n", PAGE(TOKEN("t"), "true"));
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(TOKEN("u"), "true"));
	f->lb.repeat_all = true;
	assert_int_equal(
		oss_list_start(f->lb.base, f->lb.client, f->lb.bucket, &conf, &events, f, &l), 0);
	lb_run(&f->lb);
	assert_int_equal(f->res.error, -EIO);
	assert_non_null(strstr(f->res.text, "pages in a row are empty"));
}

static void test_a_page_that_takes_too_long_is_asked_for_again(void **state)
{
	struct oss_list_conf conf = { .prefix = "m/", .page_ms = 50 };
	struct fixture *f = *state;

	lb_say_nothing(&f->lb);
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("m/a"), "false"));
	start(f, &conf);
	lb_run(&f->lb);
	assert_int_equal(f->res.error, 0);
	assert_string_equal(f->keys, "m/a ");
	assert_int_equal(lb_nr_requests(&f->lb), 2);
}

static void test_the_caller_can_stop_it(void **state)
{
	struct fixture *f = *state;

	f->page_error = -E2BIG;
	lb_say_body(&f->lb, "200 OK\r\n", PAGE(ENTRY("a") TOKEN("t"), "true"));
	list(f, "", NULL);
	assert_int_equal(f->res.error, -E2BIG);
	assert_int_equal(f->res.action, OSS_FATAL);
	assert_int_equal(lb_nr_requests(&f->lb), 1);
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct fixture *f = arg;

	(void)fd;
	(void)what;
	if (lb_nr_requests(&f->lb) == 1)
		event_base_loopbreak(f->lb.base);
}

static void run_until_asked(struct fixture *f)
{
	struct timeval often = { .tv_usec = 1000 };
	struct event *turn = event_new(f->lb.base, -1, EV_PERSIST, on_turn, f);

	event_add(turn, &often);
	lb_run(&f->lb);
	event_free(turn);
}

static void test_a_cancelled_listing_says_nothing(void **state)
{
	struct oss_list_conf conf = { .prefix = "m/" };
	struct fixture *f = *state;
	struct oss_list *l;

	lb_say_nothing(&f->lb);
	l = start(f, &conf);
	run_until_asked(f);
	oss_list_cancel(l);
	event_base_loop(f->lb.base, EVLOOP_NONBLOCK);
	assert_int_equal(f->nr_done, 0);
	assert_int_equal(f->nr_pages, 0);
	oss_list_cancel(NULL);
}

static void on_head_done(const struct oss_result *res, const struct oss_object_meta *meta,
			 void *arg)
{
	struct fixture *f = arg;

	assert_int_equal(res->error, 0);
	assert_non_null(meta);
	event_base_loopbreak(f->lb.base);
}

static void test_it_can_be_cancelled_while_it_waits_to_ask_again(void **state)
{
	static const struct oss_list_events events = { on_page, on_done };
	struct oss_retry_conf slow = { .throttle_ms = 30000, .cap_ms = 30000, .budget_ms = 100000 };
	struct oss_list_conf conf = { .prefix = "m/", .retry = &slow };
	struct fixture *f = *state;
	struct oss_head *h;
	struct oss_list *l;

	lb_say_body(&f->lb, "503 S\r\n", "<Error><Code>SlowDown</Code></Error>");
	lb_say(&f->lb, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n");
	assert_int_equal(
		oss_list_start(f->lb.base, f->lb.client, f->lb.bucket, &conf, &events, f, &l), 0);
	/* There is one connection: the HEAD gets it when the listing's first request is over. */
	assert_int_equal(
		oss_head_start(f->lb.client, f->lb.bucket, "k", false, on_head_done, f, &h), 0);
	lb_run(&f->lb);
	assert_int_equal(lb_nr_requests(&f->lb), 2);
	oss_list_cancel(l);
	event_base_loop(f->lb.base, EVLOOP_NONBLOCK);
	assert_int_equal(f->nr_done, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pages_follow_each_other_by_their_tokens),
		TEST(test_one_directory_is_listed_with_a_delimiter),
		TEST(test_a_stretch_ends_at_its_last_key),
		TEST(test_a_stretch_of_keys_in_no_order_is_refused_at_once),
		TEST(test_s3_is_asked_in_its_dialect),
		TEST(test_what_passes_is_tried_again_and_no_page_comes_twice),
		TEST(test_what_does_not_pass_ends_it_at_once),
		TEST(test_a_first_page_that_does_not_come_is_given_up_early),
		TEST(test_an_endpoint_that_refuses_is_given_up_early),
		TEST(test_keys_of_another_prefix_are_refused),
		TEST(test_prefixes_of_another_prefix_are_refused),
		TEST(test_a_page_that_leads_nowhere_is_refused),
		TEST(test_a_token_that_comes_again_does_not_loop_for_ever),
		TEST(test_empty_pages_do_not_go_on_for_ever),
		TEST(test_a_page_that_takes_too_long_is_asked_for_again),
		TEST(test_the_caller_can_stop_it),
		TEST(test_a_cancelled_listing_says_nothing),
		TEST(test_it_can_be_cancelled_while_it_waits_to_ask_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
