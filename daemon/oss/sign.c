#include "daemon/oss/sign.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void sign_trace_init(struct sign_trace *t)
{
	memset(t, 0, sizeof(*t));
	strbuf_init(&t->canonical_request, SIGN_MAX_BYTES);
	strbuf_init(&t->string_to_sign, SIGN_MAX_BYTES);
}

void sign_trace_fini(struct sign_trace *t)
{
	strbuf_wipe(&t->canonical_request);
	strbuf_wipe(&t->string_to_sign);
	explicit_bzero(t, sizeof(*t));
}

int signature_add(struct signature *s, const char *name, const char *value)
{
	char *copy;

	if (s->nr_headers == SIGN_MAX_HEADERS)
		return -E2BIG;
	copy = strdup(value);
	if (copy == NULL)
		return -ENOMEM;
	s->headers[s->nr_headers++] = (struct http_header){ .name = name, .value = copy };
	return 0;
}

void signature_fini(struct signature *s)
{
	size_t i;

	for (i = 0; i < s->nr_headers; i++) {
		char *value = (char *)s->headers[i].value;

		explicit_bzero(value, strlen(value));
		free(value);
	}
	s->nr_headers = 0;
}
