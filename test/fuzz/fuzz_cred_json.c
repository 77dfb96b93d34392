/* The text of a credentials file. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oss/cred.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct cred *c = NULL;
	char err[256] = "";

	if (cred_parse((const char *)bytes, len, &c, err, sizeof(err)) != 0) {
		if (err[0] == '\0' || c != NULL)
			abort(); /* a refusal without a reason, or with keys */
		return 0;
	}
	if (cred_is_anonymous(c) || strlen(cred_secret(c)) == 0)
		abort(); /* a file of keys must hold keys */
	cred_unref(c);
	return 0;
}
