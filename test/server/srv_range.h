/*
 * srv_range.h - what a Range header asks for, by the three sets of rules that stores follow.
 */
#ifndef TEST_SERVER_SRV_RANGE_H
#define TEST_SERVER_SRV_RANGE_H

#include <stdint.h>

enum srv_range_rules {
	SRV_RANGE_OSS_DEFAULT = 0, /* not wholly inside: as if there were no Range */
	SRV_RANGE_OSS_STANDARD,	   /* x-oss-range-behavior: standard */
	SRV_RANGE_S3,
};

enum srv_range_answer {
	SRV_RANGE_WHOLE = 0, /* 200 */
	SRV_RANGE_PART,	     /* 206 */
	SRV_RANGE_OUTSIDE,   /* 416 */
};

/* header may be NULL.  first and last are set for PART. */
enum srv_range_answer srv_range_read(const char *header, uint64_t size, enum srv_range_rules rules,
				     uint64_t *ret_first, uint64_t *ret_last);

#endif
