/*
 * Heads of responses: found in the input, taken apart, and what is accepted
 * keeps the promises that the exchange relies on.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/xalloc.h"
#include "daemon/http/client.h"
#include "daemon/http/response.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_fields(const struct http_response *res, const char *head, size_t len)
{
	unsigned i;

	BUG_ON(res->nr_fields > RESPONSE_FIELDS_MAX);
	for (i = 0; i < res->nr_fields; i++) {
		const struct response_field *f = &res->fields[i];

		BUG_ON(f->name < head || f->value < f->name || f->value >= head + len);
		BUG_ON(f->name[0] == '\0' || strpbrk(f->name, " \t:\r\n") != NULL);
		BUG_ON(f->value + strlen(f->value) >= head + len);
		BUG_ON(strpbrk(f->value, "\r\n") != NULL);
		BUG_ON(http_response_header(res, f->name) == NULL);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct http_response res;
	size_t scan = 0, by_steps = 0, len, i;
	const char *why = NULL;
	char *head;

	if (size == 0 || size > RESPONSE_HEAD_MAX)
		return 0;
	head = malloc(size);
	if (head == NULL)
		return 0;
	memcpy(head, data, size);
	len = response_find_end(head, size, &scan);
	/* Cut anywhere, the end is at the same place. */
	scan = 0;
	for (i = 1; i <= size && by_steps == 0; i++)
		by_steps = response_find_end(head, i, &scan);
	BUG_ON(by_steps != len);
	if (len == 0)
		len = size;
	if (response_parse(head, len, &res, &why) == 0) {
		BUG_ON(res.status < 100 || res.status > 599);
		BUG_ON(res.length < -1 || (res.chunked && res.length != -1));
		check_fields(&res, head, len);
		response_fini(&res);
	} else {
		BUG_ON(why == NULL || why[0] == '\0');
	}
	free(head);
	return 0;
}
