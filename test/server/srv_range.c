#include "test/server/srv_range.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* Decimal digits, at most 18 of them; moves *p behind. */
static bool read_number(const char **p, uint64_t *ret)
{
	uint64_t v = 0;
	int n;

	for (n = 0; isdigit((unsigned char)**p); n++, (*p)++) {
		if (n == 18)
			return false;
		v = v * 10 + (uint64_t)(**p - '0');
	}
	*ret = v;
	return n > 0;
}

enum srv_range_answer srv_range_read(const char *header, uint64_t size, enum srv_range_rules rules,
				     uint64_t *ret_first, uint64_t *ret_last)
{
	bool has_first, has_last;
	uint64_t first, last;
	const char *p;

	if (header == NULL || strncmp(header, "bytes=", 6) != 0)
		return SRV_RANGE_WHOLE;
	p = header + 6;
	has_first = read_number(&p, &first);
	if (*p++ != '-')
		return SRV_RANGE_WHOLE;
	has_last = read_number(&p, &last);
	if (!has_first && !has_last)
		return SRV_RANGE_WHOLE;
	/* Of several ranges OSS serves the first, S3 the whole object. */
	if (*p != '\0' && (*p != ',' || rules == SRV_RANGE_S3))
		return SRV_RANGE_WHOLE;
	if (has_first && has_last && first > last)
		return SRV_RANGE_WHOLE;

	if (rules == SRV_RANGE_OSS_DEFAULT) {
		if (size == 0 || (has_first && first >= size) ||
		    (has_first && has_last && last >= size) ||
		    (!has_first && (last > size || last == 0)))
			return SRV_RANGE_WHOLE;
	} else if (size == 0 || (has_first && first >= size) || (!has_first && last == 0)) {
		return SRV_RANGE_OUTSIDE;
	}
	if (!has_first) {
		*ret_first = last < size ? size - last : 0;
		*ret_last = size - 1;
	} else {
		*ret_first = first;
		*ret_last = has_last && last < size ? last : size - 1;
	}
	return SRV_RANGE_PART;
}
