/*
 * endpoint.h - which store, which bucket, which prefix: the meaning of
 * OSS_ENDPOINT, OSS_REGION and OSS_PATH together.  Resolves no name and opens
 * no connection.
 *
 * Threads: any.  The structs are plain values.
 */
#ifndef DAEMON_OSS_ENDPOINT_H
#define DAEMON_OSS_ENDPOINT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OSS_KEY_MAX    1024 /* bytes of the longest key that we deal with */
#define OSS_BUCKET_MAX 63

enum oss_dialect {
	OSS_DIALECT_OSS = 0, /* signature V4, or V1 where the region is not known */
	OSS_DIALECT_S3,	     /* SigV4 */
};

enum oss_addressing {
	OSS_ADDRESS_AUTO = 0, /* by the endpoint's name; path style for addresses and localhost */
	OSS_ADDRESS_PATH,     /* endpoint/bucket/key */
	OSS_ADDRESS_VIRTUAL,  /* bucket.endpoint/key */
	OSS_ADDRESS_CNAME,    /* the endpoint is a domain bound to the bucket: endpoint/key */
};

struct oss_endpoint {
	enum oss_dialect dialect;
	enum oss_addressing addressing; /* never AUTO */
	bool tls;
	uint16_t port;
	char host[256];	  /* lower case; an IPv6 address is without its brackets */
	char region[64];  /* what is signed; "" on OSS: signature V1 */
	char product[16]; /* "oss", "oss-cloudbox" or "s3" */
};

struct oss_location {
	char bucket[OSS_BUCKET_MAX + 1];
	char prefix[OSS_KEY_MAX + 1]; /* "" or ends in '/', never starts with it */
};

struct oss_endpoint_conf {
	const char *path;     /* OSS_PATH: oss://bucket/prefix/ or s3://bucket/prefix/ */
	const char *endpoint; /* OSS_ENDPOINT; NULL or "" when not set */
	const char *region;   /* OSS_REGION; NULL or "" when not set */
	enum oss_addressing addressing;
};

/*
 * 0, or -EINVAL with one sentence in err that says what is wrong and what to do.
 * Nothing that could hold a secret is repeated there.
 */
int oss_endpoint_parse(const struct oss_endpoint_conf *conf, struct oss_endpoint *ret_endpoint,
		       struct oss_location *ret_location, char *err, size_t err_len);

/* "auto", "path", "virtual" or "cname".  -EINVAL for any other word. */
int oss_addressing_parse(const char *word, enum oss_addressing *ret_addressing);

/* What to dial for requests to `bucket`; buf of 320 bytes always suffices.  -ENAMETOOLONG. */
int oss_endpoint_dial_host(const struct oss_endpoint *e, const char *bucket, char *buf, size_t len);
/* The Host header: as above, with brackets and the port where they belong. */
int oss_endpoint_authority(const struct oss_endpoint *e, const char *bucket, char *buf, size_t len);
bool oss_endpoint_equal(const struct oss_endpoint *a, const struct oss_endpoint *b);

#endif
