/*
 * vectors_sign.h - from a signature vector to a request and back: what the
 * tests of the three signature schemes share.
 */
#ifndef TEST_UNIT_VECTORS_SIGN_H
#define TEST_UNIT_VECTORS_SIGN_H

#include "daemon/oss/cred.h"
#include "daemon/oss/sign.h"
#include "test/unit/json.h"

struct sign_case {
	struct sign_request req;
	struct sign_trace trace;
	struct oss_param query[CANON_MAX_PARAMS];
	struct http_header headers[CANON_MAX_HEADERS];
	const char *also_signed[CANON_MAX_HEADERS];
	struct cred *cred;
};

static inline void sign_case_init(struct sign_case *c, const struct jv *input, const char *token)
{
	const struct jv *m;
	int r;

	memset(c, 0, sizeof(*c));
	sign_trace_init(&c->trace);
	c->req.trace = &c->trace;
	c->req.query = c->query;
	c->req.headers = c->headers;
	c->req.also_signed = c->also_signed;
	c->req.method = jv_str(input, "method");
	c->req.bucket = jv_str(input, "bucket");
	c->req.key = jv_str(input, "key");
	c->req.region = jv_str(input, "region");
	c->req.product = jv_str(input, "product");
	c->req.unix_time = jv_int(input, "unix_time");
	c->req.expires_s = (unsigned)jv_int(input, "expires_seconds");
	jv_each(m, jv_get(input, "query"))
	{
		c->query[c->req.nr_query].name = m->child->str;
		c->query[c->req.nr_query++].value = m->child->next->str;
	}
	jv_each(m, jv_get(input, "headers"))
	{
		c->headers[c->req.nr_headers].name = m->name;
		c->headers[c->req.nr_headers++].value = m->str;
	}
	if (jv_find(input, "additional_headers") != NULL) {
		jv_each(m, jv_get(input, "additional_headers"))
			c->also_signed[c->req.nr_also_signed++] = m->str;
	}
	r = cred_new(jv_str(input, "access_key_id"), jv_str(input, "access_key_secret"), token,
		     CRED_EXPIRY_NEVER, &c->cred);
	assert_int_equal(r, 0);
}

static inline void sign_case_fini(struct sign_case *c)
{
	sign_trace_fini(&c->trace);
	cred_unref(c->cred);
}

static inline void assert_hex(const unsigned char *bytes, size_t len, const char *hex)
{
	char text[129];
	size_t i;

	assert_true(len <= 64);
	for (i = 0; i < len; i++)
		snprintf(text + 2 * i, 3, "%02x", bytes[i]);
	assert_string_equal(text, hex);
}

static inline const char *signature_header(const struct signature *s, const char *name)
{
	size_t i;

	for (i = 0; i < s->nr_headers; i++) {
		if (strcmp(s->headers[i].name, name) == 0)
			return s->headers[i].value;
	}
	return NULL;
}

static inline int compare_strings(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A query with its parts in order: whoever reads a query does not care for the order. */
static inline char *sorted_query(const char *query)
{
	char *copy = strdup(query), *save = NULL, *part, *sorted;
	const char *parts[CANON_MAX_PARAMS];
	size_t i, nr = 0, used = 0;

	sorted = calloc(1, strlen(query) + 2);
	assert_non_null(copy);
	assert_non_null(sorted);
	for (part = strtok_r(copy, "&", &save); part != NULL; part = strtok_r(NULL, "&", &save)) {
		assert_true(nr < CANON_MAX_PARAMS);
		parts[nr++] = part;
	}
	qsort(parts, nr, sizeof(parts[0]), compare_strings);
	for (i = 0; i < nr; i++)
		used += (size_t)sprintf(sorted + used, "%s%s", i > 0 ? "&" : "", parts[i]);
	free(copy);
	return sorted;
}

static inline void assert_same_query(const char *a, const char *b)
{
	char *sa = sorted_query(a), *sb = sorted_query(b);

	assert_string_equal(sa, sb);
	free(sa);
	free(sb);
}

#endif
