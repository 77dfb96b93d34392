/* An error answer, as a body and as the header that stands for one. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oss/endpoint.h"
#include "daemon/oss/error.h"
#include "daemon/oss/result.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const struct oss_error *e, int status)
{
	static const struct oss_endpoint endpoint = { .region = "cn-hangzhou" };
	struct oss_subject subject = { &endpoint, "bucket", "key", false };
	struct oss_result res = { .error = 0 };

	(void)oss_result_refuse(&res, &subject, status, e);
	if (res.error >= 0 || res.action == OSS_DONE || strchr(res.text, '\n') != NULL ||
	    strlen(res.text) >= sizeof(res.text))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const int statuses[] = { 301, 400, 403, 404, 412, 500, 503 };
	int status = statuses[len % 7];
	struct oss_error e;
	char *text;

	(void)oss_error_parse(bytes, len, &e);
	check(&e, status);

	text = malloc(len + 1);
	if (text == NULL)
		return 0;
	memcpy(text, bytes, len);
	text[len] = '\0';
	(void)oss_error_parse_header(text, &e);
	check(&e, status);
	free(text);
	return 0;
}
