#include "test/server/srv_req.h"

#include "test/server/srv_text.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const method_names[] = { "GET", "HEAD", "PUT", "POST", "DELETE" };

void srv_req_reset(struct srv_req *r)
{
	struct srv_buf keep = r->store;

	free(r->path);
	memset(r, 0, sizeof(*r));
	r->store = keep;
	srv_buf_reset(&r->store);
	r->content_length = -1;
	r->host = "";
}

void srv_req_fini(struct srv_req *r)
{
	free(r->path);
	r->path = NULL;
	srv_buf_free(&r->store);
}

const char *srv_req_field(const struct srv_req *r, const char *lower_name)
{
	size_t i;

	for (i = 0; i < r->nr_fields; i++) {
		if (strcmp(r->fields[i].name, lower_name) == 0)
			return r->fields[i].value;
	}
	return NULL;
}

const struct srv_param *srv_req_param(const struct srv_req *r, const char *name)
{
	size_t i, n = strlen(name);

	for (i = 0; i < r->nr_params; i++) {
		if (r->params[i].name_len == n && memcmp(r->params[i].name, name, n) == 0)
			return &r->params[i];
	}
	return NULL;
}

const char *srv_req_value(const struct srv_req *r, const char *name)
{
	const struct srv_param *p = srv_req_param(r, name);

	return p != NULL ? p->value : NULL;
}

/* Cut the query at '&' and '=' and decode both sides where they lie. */
static int cut_query(struct srv_req *r, char *q)
{
	char *next;

	for (; q != NULL && *q != '\0'; q = next) {
		struct srv_param *p;
		char *value;

		next = strchr(q, '&');
		if (next != NULL)
			*next++ = '\0';
		if (*q == '\0')
			continue;
		if (r->nr_params == SRV_PARAMS_MAX)
			return 414;
		p = &r->params[r->nr_params++];
		value = strchr(q, '=');
		if (value != NULL)
			*value++ = '\0';
		else
			value = q + strlen(q);
		p->name = q;
		p->value = value;
		p->len = srv_uri_decode(value, strlen(value), true);
		value[p->len] = '\0';
		/* A name without '=' shares its NUL with its value: decode it last. */
		p->name_len = srv_uri_decode(q, strlen(q), true);
		if (value != q)
			q[p->name_len] = '\0';
	}
	return 0;
}

static int cut_request_line(struct srv_req *r, char *line)
{
	char *target = strchr(line, ' ');
	char *version, *query;
	size_t i;

	if (target == NULL)
		return 400;
	*target++ = '\0';
	version = strchr(target, ' ');
	if (version == NULL)
		return 400;
	*version++ = '\0';
	if (strcmp(version, "HTTP/1.1") == 0)
		r->keep_alive = true;
	else if (strcmp(version, "HTTP/1.0") != 0)
		return 505;

	for (i = 0; i < sizeof(method_names) / sizeof(method_names[0]); i++) {
		if (strcmp(line, method_names[i]) == 0)
			break;
	}
	if (i == sizeof(method_names) / sizeof(method_names[0]))
		return 501;
	r->method = (enum srv_method)i;
	r->method_name = method_names[i];

	/* The absolute form, which proxies are sent. */
	if (strncasecmp(target, "http://", 7) == 0 || strncasecmp(target, "https://", 8) == 0) {
		target = strchr(target + 8, '/');
		if (target == NULL)
			return 400;
	}
	if (target[0] != '/')
		return 400;
	r->target = target;
	r->path = srv_strndup(target, strcspn(target, "?"));
	r->path_len = srv_uri_decode(r->path, strlen(r->path), false);
	r->path[r->path_len] = '\0';
	query = strchr(target, '?');
	if (query == NULL)
		return 0;
	/* The query is cut in a second copy, so that the target stays whole. */
	i = (size_t)(query + 1 - r->store.p);
	return cut_query(r, r->store.p + r->store.len / 2 + i);
}

static int cut_field(struct srv_req *r, char *line)
{
	char *colon = strchr(line, ':');
	char *value, *end, *p;

	if (colon == NULL || colon == line || *line == ' ' || *line == '\t')
		return 400;
	if (r->nr_fields == SRV_FIELDS_MAX)
		return 431;
	*colon = '\0';
	for (p = line; *p != '\0'; p++) {
		if (isspace((unsigned char)*p))
			return 400;
		*p = (char)tolower((unsigned char)*p);
	}
	value = colon + 1;
	while (*value == ' ' || *value == '\t')
		value++;
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		end--;
	*end = '\0';
	r->fields[r->nr_fields].name = line;
	r->fields[r->nr_fields].value = value;
	r->nr_fields++;
	return 0;
}

/* What the fields say about the connection and the body. */
static int read_framing(struct srv_req *r)
{
	const char *v;
	uint64_t n;

	v = srv_req_field(r, "content-length");
	if (v != NULL) {
		if (!srv_parse_u64(v, &n) || n > INT64_MAX / 2)
			return 400;
		r->content_length = (int64_t)n;
	}
	v = srv_req_field(r, "transfer-encoding");
	if (v != NULL) {
		if (strcasecmp(v, "chunked") != 0)
			return 501;
		if (r->content_length >= 0)
			return 400;
		r->chunked = true;
	}
	v = srv_req_field(r, "connection");
	if (v != NULL && strcasecmp(v, "close") == 0)
		r->keep_alive = false;
	v = srv_req_field(r, "expect");
	r->expect_continue = v != NULL && strcasecmp(v, "100-continue") == 0;
	v = srv_req_field(r, "host");
	r->host = v != NULL ? v : "";
	return 0;
}

int srv_req_parse(struct srv_req *r, const char *head, size_t len)
{
	char *line, *next;
	int status;

	srv_req_reset(r);
	if (len > SRV_HEAD_MAX)
		return 431;
	if (memchr(head, '\0', len) != NULL)
		return 400;
	srv_buf_reserve(&r->store, 2 * (len + 1));
	srv_buf_add(&r->store, head, len);
	srv_buf_char(&r->store, '\0');
	srv_buf_add(&r->store, head, len);
	srv_buf_char(&r->store, '\0');

	line = r->store.p;
	next = strstr(line, "\r\n");
	if (next == NULL)
		return 400;
	*next = '\0';
	/* The copy that the query is cut in ends at the same places. */
	{
		char *copy = r->store.p + r->store.len / 2;
		char *version;

		copy[next - line] = '\0';
		version = strrchr(copy, ' ');
		if (version != NULL)
			*version = '\0';
	}
	status = cut_request_line(r, line);
	for (line = next + 2; status == 0 && *line != '\0'; line = next + 2) {
		next = strstr(line, "\r\n");
		if (next == NULL || next == line)
			break;
		*next = '\0';
		status = cut_field(r, line);
	}
	return status == 0 ? read_framing(r) : status;
}

static bool bucket_name_ok(const char *s, size_t n)
{
	size_t i;

	if (n < 1 || n > 63)
		return false;
	for (i = 0; i < n; i++) {
		if (!islower((unsigned char)s[i]) && !isdigit((unsigned char)s[i]) &&
		    !(i > 0 && (s[i] == '-' || s[i] == '.' || s[i] == '_')))
			return false;
	}
	return true;
}

bool srv_req_resource(struct srv_req *r, const char *const *suffixes)
{
	const char *path = r->path + 1;
	size_t path_len = r->path_len - 1;
	size_t host_len = strcspn(r->host, ":");
	size_t n = 0;

	if (r->host[0] == '[')
		host_len = strlen(r->host);
	r->path_style = true;
	for (; *suffixes != NULL; suffixes++) {
		n = strlen(*suffixes);
		if (host_len > n + 1 && r->host[host_len - n - 1] == '.' &&
		    strncasecmp(r->host + host_len - n, *suffixes, n) == 0) {
			r->path_style = false;
			break;
		}
	}

	if (!r->path_style) {
		n = host_len - n - 1;
		if (!bucket_name_ok(r->host, n))
			return false;
		memcpy(r->bucket, r->host, n);
		r->bucket[n] = '\0';
	} else {
		const char *slash = memchr(path, '/', path_len);

		n = slash != NULL ? (size_t)(slash - path) : path_len;
		if (n == 0 && path_len == 0)
			return true; /* the service itself */
		if (!bucket_name_ok(path, n))
			return false;
		memcpy(r->bucket, path, n);
		r->bucket[n] = '\0';
		path += n + (slash != NULL);
		path_len -= n + (slash != NULL);
	}
	if (path_len > 0) {
		r->key = path;
		r->key_len = path_len;
	}
	return true;
}
