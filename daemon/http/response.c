#include "daemon/http/response.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/http/client.h"

/* The marks of tokens (RFC 9110, 5.6.2), beside letters and digits. */
#define TOKEN_MARKS "!#$%&'*+-.^_`|~"

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_token_char(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c != '\0' && strchr(TOKEN_MARKS, c) != NULL);
}

/* Visible characters, blanks, and bytes above ASCII. */
static bool is_text_char(char c)
{
	return c == '\t' || ((unsigned char)c >= 0x20 && c != 0x7f);
}

static bool is_text(const char *s, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++) {
		if (!is_text_char(s[i]))
			return false;
	}
	return true;
}

size_t response_find_end(const char *buf, size_t len, size_t *scan)
{
	size_t from = *scan > 3 ? *scan - 3 : 0;
	const char *end;

	if (from > len)
		return 0;
	end = memmem(buf + from, len - from, "\r\n\r\n", 4);
	*scan = len;
	return end != NULL ? (size_t)(end - buf) + 4 : 0;
}

/* "HTTP/1.1 200 OK" */
static const char *parse_status_line(const char *line, size_t len, struct http_response *res)
{
	if (len < 12 || memcmp(line, "HTTP/1.", 7) != 0 || (line[7] != '0' && line[7] != '1') ||
	    line[8] != ' ')
		return "the first line is not an HTTP/1.1 status line";
	if (!is_digit(line[9]) || !is_digit(line[10]) || !is_digit(line[11]) ||
	    (len > 12 && line[12] != ' '))
		return "the status is not a number of three digits";
	if (!is_text(line, len))
		return "control characters in the status line";
	res->status = (line[9] - '0') * 100 + (line[10] - '0') * 10 + (line[11] - '0');
	if (res->status < 100 || res->status > 599)
		return "the status is not between 100 and 599";
	res->keep_alive = line[7] == '1';
	return NULL;
}

/* "Name: value", both ended by a NUL in place. */
static const char *parse_field(char *line, size_t len, struct response_field *ret)
{
	size_t name_len = 0, start, end = len;

	if (line[0] == ' ' || line[0] == '\t')
		return "a folded header line";
	while (name_len < len && is_token_char(line[name_len]))
		name_len++;
	if (name_len == 0 || name_len == len || line[name_len] != ':')
		return "a header line without a name";
	if (!is_text(line, len))
		return "control characters in a header line";
	start = name_len + 1;
	while (start < end && (line[start] == ' ' || line[start] == '\t'))
		start++;
	while (end > start && (line[end - 1] == ' ' || line[end - 1] == '\t'))
		end--;
	line[name_len] = '\0';
	line[end] = '\0';
	ret->name = line;
	ret->value = line + start;
	return NULL;
}

static const char *take_length(const char *value, struct http_response *res)
{
	int64_t length = 0;
	const char *p;

	for (p = value; is_digit(*p); p++) {
		if (length > (INT64_MAX - (*p - '0')) / 10)
			return "a Content-Length that is too large";
		length = length * 10 + (*p - '0');
	}
	if (p == value || *p != '\0')
		return "a Content-Length that is not a number";
	if (res->length != -1 && res->length != length)
		return "two Content-Lengths that differ";
	res->length = length;
	return NULL;
}

/* Does the comma-separated list contain the word? */
static bool has_word(const char *list, const char *word)
{
	size_t len = strlen(word), n;

	while (*list != '\0') {
		list += strspn(list, " \t,");
		n = strcspn(list, " \t,");
		if (n == len && strncasecmp(list, word, len) == 0)
			return true;
		list += n;
	}
	return false;
}

/* What the fields say about the body and the connection. */
static const char *judge_fields(struct http_response *res, bool is_http_1_1)
{
	const char *why = NULL;
	unsigned i;

	for (i = 0; i < res->nr_fields && why == NULL; i++) {
		const struct response_field *f = &res->fields[i];

		if (strcasecmp(f->name, "Content-Length") == 0) {
			why = take_length(f->value, res);
		} else if (strcasecmp(f->name, "Transfer-Encoding") == 0) {
			if (res->chunked || strcasecmp(f->value, "chunked") != 0)
				why = "a Transfer-Encoding other than chunked";
			res->chunked = true;
		} else if (strcasecmp(f->name, "Connection") == 0) {
			if (has_word(f->value, "close"))
				res->keep_alive = false;
			else if (has_word(f->value, "keep-alive"))
				res->keep_alive = true;
		}
	}
	if (why == NULL && res->chunked && res->length != -1)
		why = "both Content-Length and Transfer-Encoding";
	if (why == NULL && res->chunked && !is_http_1_1)
		why = "Transfer-Encoding in HTTP/1.0";
	return why;
}

static unsigned count_lines(const char *buf, size_t len)
{
	unsigned nr = 0;
	const char *p, *end = buf + len;

	for (p = buf; (p = memmem(p, (size_t)(end - p), "\r\n", 2)) != NULL; p += 2)
		nr++;
	return nr;
}

int response_parse(char *buf, size_t len, struct http_response *ret, const char **ret_why)
{
	struct http_response res = { .length = -1 };
	char *line = buf, *line_end, *end = buf + len;
	unsigned nr_lines = count_lines(buf, len);
	const char *why = NULL;
	bool is_http_1_1;

	/* The status line and the empty one are no fields. */
	if (nr_lines < 2 || nr_lines - 2 > RESPONSE_FIELDS_MAX) {
		*ret_why = nr_lines < 2 ? "no status line" : "too many header lines";
		return -EPROTO;
	}
	res.fields = calloc(nr_lines, sizeof(*res.fields));
	if (res.fields == NULL)
		return -ENOMEM;
	line_end = memmem(line, (size_t)(end - line), "\r\n", 2);
	why = parse_status_line(line, (size_t)(line_end - line), &res);
	is_http_1_1 = res.keep_alive;
	while (why == NULL) {
		line = line_end + 2;
		line_end = memmem(line, (size_t)(end - line), "\r\n", 2);
		if (line_end == line)
			break;
		if (line_end == NULL)
			why = "the head has no end";
		else
			why = parse_field(line, (size_t)(line_end - line),
					  &res.fields[res.nr_fields++]);
	}
	if (why == NULL && line + 2 != end)
		why = "bytes after the head";
	if (why == NULL)
		why = judge_fields(&res, is_http_1_1);
	if (why != NULL) {
		free(res.fields);
		*ret_why = why;
		return -EPROTO;
	}
	*ret = res;
	return 0;
}

void response_fini(struct http_response *res)
{
	free(res->fields);
	*res = (struct http_response){ .length = -1 };
}

bool response_has_body(const struct http_response *res, bool was_head)
{
	return !was_head && res->status >= 200 && res->status != 204 && res->status != 304;
}

int http_response_status(const struct http_response *res)
{
	return res->status;
}

const char *http_response_header(const struct http_response *res, const char *name)
{
	unsigned i;

	for (i = 0; i < res->nr_fields; i++) {
		if (strcasecmp(res->fields[i].name, name) == 0)
			return res->fields[i].value;
	}
	return NULL;
}

int64_t http_response_length(const struct http_response *res)
{
	return res->length;
}
