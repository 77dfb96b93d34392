#include "daemon/http/reqhead.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "common/strbuf.h"
#include "daemon/http/client.h"

static bool is_token(const char *s)
{
	size_t len = strlen(s);

	return len > 0 && strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				    "0123456789!#$%&'*+-.^_`|~") == len;
}

/* No control characters: a line cannot be ended from inside. */
static bool is_value(const char *s)
{
	for (; *s != '\0'; s++) {
		if (((unsigned char)*s < 0x20 && *s != '\t') || *s == 0x7f)
			return false;
	}
	return true;
}

static bool has_only_visible(const char *s)
{
	for (; *s != '\0'; s++) {
		if ((unsigned char)*s <= 0x20 || (unsigned char)*s >= 0x7f)
			return false;
	}
	return true;
}

/* Headers that frame the message are ours; the caller may repeat them as they are. */
static int check_header(const struct http_request *req, const struct http_header *h, bool *ret_skip)
{
	*ret_skip = false;
	if (!is_token(h->name) || !is_value(h->value) ||
	    strcasecmp(h->name, "Transfer-Encoding") == 0)
		return -EINVAL;
	if (strcasecmp(h->name, "Host") == 0) {
		*ret_skip = true;
		return strcmp(h->value, req->authority) == 0 ? 0 : -EINVAL;
	}
	*ret_skip = strcasecmp(h->name, "Content-Length") == 0;
	return 0;
}

int reqhead_write(const struct http_request *req, struct strbuf *ret)
{
	bool may_have_body = strcmp(req->method, "PUT") == 0 || strcmp(req->method, "POST") == 0;
	struct strbuf out;
	bool skip;
	size_t i;
	int r;

	if (!is_token(req->method) || req->target[0] == '\0' || !has_only_visible(req->target) ||
	    req->authority[0] == '\0' || !has_only_visible(req->authority) ||
	    (req->body_len > 0 && req->body == NULL))
		return -EINVAL;
	strbuf_init(&out, REQHEAD_MAX);
	strbuf_addf(&out, "%s %s HTTP/1.1\r\nHost: %s\r\n", req->method, req->target,
		    req->authority);
	for (i = 0; i < req->nr_headers; i++) {
		r = check_header(req, &req->headers[i], &skip);
		if (r != 0)
			goto err_wipe;
		if (!skip)
			strbuf_addf(&out, "%s: %s\r\n", req->headers[i].name,
				    req->headers[i].value);
	}
	if (req->body_len > 0 || may_have_body)
		strbuf_addf(&out, "Content-Length: %zu\r\n", req->body_len);
	strbuf_adds(&out, "\r\n");
	if (req->body_len > SIZE_MAX - REQHEAD_MAX) {
		r = -E2BIG;
		goto err_wipe;
	}
	out.max += req->body_len;
	strbuf_add(&out, req->body, req->body_len);
	r = strbuf_error(&out);
	if (r != 0)
		goto err_wipe;
	*ret = out;
	return 0;

err_wipe:
	strbuf_wipe(&out);
	return r;
}
