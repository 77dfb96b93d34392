/* A page of a listing, in both dialects. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/oss/list_xml.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void check(const struct list_page *page)
{
	size_t i;

	for (i = 0; i < page->nr_entries; i++) {
		const struct list_entry *e = &page->entries[i];

		if (e->key_len == 0 || e->key_len > OSS_KEY_MAX || strlen(e->key) != e->key_len ||
		    e->etag == NULL || e->type == NULL || e->class == NULL || e->restore == NULL)
			abort();
	}
	for (i = 0; i < page->nr_prefixes; i++) {
		if (page->prefixes[i][0] == '\0')
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct list_page page;
	char err[256];
	int dialect, r;

	for (dialect = OSS_DIALECT_OSS; dialect <= OSS_DIALECT_S3; dialect++) {
		err[0] = '\0';
		r = list_xml_parse(bytes, len, (enum oss_dialect)dialect, &page, err, sizeof(err));
		if (r == 0) {
			check(&page);
			list_page_fini(&page);
		} else if (err[0] == '\0') {
			abort(); /* a refusal without a reason */
		}
	}
	return 0;
}
