#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/oss/xml.h"
#include "daemon/oss/xml_plain.h"

/* The events of one document as a text, and how its reading ended. */
struct trace {
	char text[16384];
	size_t len;
	int result;
	int stop_at; /* the callback that refuses; 0: none does */
	int nr_events;
};

static void say(struct trace *t, const char *what, const char *name, int depth)
{
	t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%s%d %s\n", what,
				   depth, name);
	assert_true(t->len < sizeof(t->text));
}

static int on_start(const char *name, int depth, void *arg)
{
	struct trace *t = arg;

	say(t, "+", name, depth);
	return ++t->nr_events == t->stop_at ? -EXDEV : 0;
}

static int on_end(const char *name, int depth, const char *text, size_t len, void *arg)
{
	struct trace *t = arg;
	size_t i;

	say(t, "-", name, depth);
	for (i = 0; i < len; i++)
		t->len += (size_t)snprintf(t->text + t->len, sizeof(t->text) - t->len, "%02x",
					   (unsigned char)text[i]);
	assert_true(t->len < sizeof(t->text));
	return ++t->nr_events == t->stop_at ? -EXDEV : 0;
}

static const struct xml_events events = { .on_start = on_start, .on_end = on_end };

static struct trace *trace_of(const char *xml, size_t len, int stop_at)
{
	struct trace *t = calloc(1, sizeof(*t));
	char err[256] = "";

	assert_non_null(t);
	t->stop_at = stop_at;
	t->result = xml_parse(xml, len, &events, t, err, sizeof(err));
	assert_true(t->result == 0 || t->result == -EXDEV || err[0] != '\0');
	return t;
}

/* With a comment in it a document means the same, and from there on expat alone reads it. */
static char *with_comment(const char *xml, size_t len, size_t at, size_t *ret_len)
{
	static const char comment[] = "<!---->";
	char *copy = malloc(len + sizeof(comment));

	assert_non_null(copy);
	memcpy(copy, xml, at);
	memcpy(copy + at, comment, sizeof(comment) - 1);
	memcpy(copy + at + sizeof(comment) - 1, xml + at, len - at);
	*ret_len = len + sizeof(comment) - 1;
	return copy;
}

static void assert_same(const char *xml, size_t len, size_t at, int stop_at)
{
	struct trace *plain = trace_of(xml, len, stop_at), *other;
	size_t other_len;
	char *copy = with_comment(xml, len, at, &other_len);

	other = trace_of(copy, other_len, stop_at);
	if (plain->result != other->result || strcmp(plain->text, other->text) != 0)
		fail_msg("%.*s\nis %d\n%s\nand with a comment at %zu %d\n%s", (int)len, xml,
			 plain->result, plain->text, at, other->result, other->text);
	free(plain);
	free(other);
	free(copy);
}

#define DECLARATION "<?xml version=\"1.0\" encoding=\"UTF-8\"?>"

static const char *const plain_documents[] = {
	"<a/>",
	"<a></a>\n",
	"<a>text</a>",
	DECLARATION
	"\n<a xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">\n <b>1</b>\n <c/>t</a>",
	"<a>before<b>&quot;x&amp;y&#34;&lt;&gt;&apos;&#39;</b>behind</a>",
	"<a><b x=\"1\"/>\"quoted\" 'so'\t]]</a>\n\n",
	"<a1><B2z><c><d><e><f><g><h>deep</h></g></f></e></d></c></B2z></a1>",
};

/* What only expat may judge: some of it right, some of it wrong. */
static const char *const other_documents[] = {
	"",
	"a",
	" <a/>",
	" " DECLARATION "<a/>",
	DECLARATION DECLARATION "<a/>",
	"<?xml version='1.0'?><a/>",
	"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>",
	"\xef\xbb\xbf<a/>",
	"<a><b></a></b>",
	"<a></a><b></b>",
	"<a></a>x",
	"<a",
	"<a>",
	"<a><",
	"<a></",
	"<a></a",
	"</a>",
	"<a>&",
	"<a>&amp</a>",
	"<a>&nbsp;</a>",
	"<a>&#x41;&#65;</a>",
	"<a>&#0;</a>",
	"<a>]]></a>",
	"<a>></a>",
	"<a>\r\n</a>",
	"<a>\x01</a>",
	"<a>na\xc3\xafv</a>",
	"<a>\xff</a>",
	"<a x=\"1\" x=\"2\"/>",
	"<a x=\"1\" y=\"2\"/>",
	"<a x=\"<\"/>",
	"<a x=\"&lt;\"/>",
	"<a x=1/>",
	"<a x='1'/>",
	"<a  x=\"1\" />",
	"<a x=\"1/>",
	"<a-b/>",
	"<a:b xmlns:a=\"c\"><a:d>e</a:d></a:b>",
	"<1/>",
	"< a/>",
	"<a ></a >",
	"<a><![CDATA[<b>]]></a>",
	"<a><!-- b -->c</a>",
	"<a><?b c?></a>",
	"<!DOCTYPE a><a/>",
	"<a23456789012345678901234567890123/>",
	"<a><b><c><d><e><f><g><h><i/></h></g></f></e></d></c></b></a>",
};

/* Every place where a comment may stand: not within a tag or a reference. */
static void test_expat_takes_over_at_any_place_and_reads_the_same(void **state)
{
	size_t i, at;
	int stop_at;

	(void)state;
	for (i = 0; i < sizeof(plain_documents) / sizeof(plain_documents[0]); i++) {
		const char *xml = plain_documents[i];
		bool in_tag = false, in_reference = false;
		size_t nr_events;

		assert_int_equal(xml_plain(xml, strlen(xml), &events,
					   &(struct trace){ .stop_at = 0 }, &nr_events),
				 0);
		for (at = 0; xml[at] != '\0'; at++) {
			if (!in_tag && !in_reference && (at != 0 || strncmp(xml, "<?xml", 5) != 0))
				for (stop_at = 0; stop_at <= (int)nr_events; stop_at++)
					assert_same(xml, strlen(xml), at, stop_at);
			in_tag = xml[at] == '<' || (in_tag && xml[at] != '>');
			in_reference = xml[at] == '&' || (in_reference && xml[at] != ';');
		}
	}
}

static void test_what_is_not_plain_is_left_to_expat(void **state)
{
	struct trace t = { .len = 0 };
	size_t i, nr_events;

	(void)state;
	for (i = 0; i < sizeof(other_documents) / sizeof(other_documents[0]); i++) {
		t.len = 0;
		if (xml_plain(other_documents[i], strlen(other_documents[i]), &events, &t,
			      &nr_events) != 1)
			fail_msg("%s was taken", other_documents[i]);
	}
	/* A NUL is nothing that XML may hold. */
	assert_int_equal(xml_plain("<a>\0</a>", 8, &events, &t, &nr_events), 1);
}

/* Bytes changed at random: where the plain reader takes the whole, expat must as well. */
static void test_no_document_is_taken_that_expat_refuses(void **state)
{
	static const char letters[] = "<>/&;'\"=ab1 \n\r!?-[]#\x80:";
	uint64_t random = 88172645463325252u;
	unsigned round;
	char xml[256];

	(void)state;
	for (round = 0; round < 60000; round++) {
		const char *from = plain_documents[round % 7];
		size_t len = strlen(from), head = strncmp(from, "<?xml", 5) == 0 ? 38 : 0, i;

		memcpy(xml, from, len);
		for (i = 0; i <= round % 3; i++) {
			random ^= random << 13;
			random ^= random >> 7;
			random ^= random << 17;
			xml[head + random % (len - head)] =
				letters[(random >> 32) % (sizeof(letters) - 1)];
		}
		assert_same(xml, len, head, 0);
	}
}

static void test_a_text_is_bounded(void **state)
{
	static const char *const fills[] = { "x", "&amp;" };
	char err[256], *xml = malloc(8 * XML_TEXT_MAX);
	struct xml_events only_start = { .on_start = on_start, .on_end = events.on_end };
	size_t i, nr, n;

	(void)state;
	assert_non_null(xml);
	for (i = 0; i < 2; i++) {
		for (nr = XML_TEXT_MAX; nr <= XML_TEXT_MAX + 1; nr++) {
			struct trace *t = calloc(1, sizeof(*t));
			size_t len = strlen(strcpy(xml, "<a>"));

			assert_non_null(t);
			for (n = 0; n < nr; n++, len += strlen(fills[i]))
				memcpy(xml + len, fills[i], strlen(fills[i]));
			memcpy(xml + len, "</a>", 4);
			t->stop_at = nr == XML_TEXT_MAX ? 1 : 0;
			assert_int_equal(xml_parse(xml, len + 4, &only_start, t, err, sizeof(err)),
					 nr == XML_TEXT_MAX ? -EXDEV : -EPROTO);
			free(t);
		}
	}
	free(xml);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_expat_takes_over_at_any_place_and_reads_the_same),
		cmocka_unit_test(test_what_is_not_plain_is_left_to_expat),
		cmocka_unit_test(test_no_document_is_taken_that_expat_refuses),
		cmocka_unit_test(test_a_text_is_bounded),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
